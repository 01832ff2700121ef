//! Fetching what is missing from the other holders of the log.

use std::sync::Arc;

use gantry_engine::state::HistoryHead;
use gantry_model::ids::NodeUuid;
use gantry_wire::ErrorChain;
use openraft::async_runtime::WatchReceiver;

use super::segment::{Summary, file_name, head_bytes, push_record, record_at};
use super::{Gap, History, is_too_old};
use crate::config::{HISTORY_FETCH_RETRY, HISTORY_FETCH_TIMEOUT, RaftTransport};
use crate::disk::DiskError;
use crate::forms::{HistoryAnswer, HistoryCall, RaftAnswer, RaftCall, RaftRequest, WIRE_VERSION};
use crate::raft::context::NodeContext;
use crate::raft::types::Raft;

/// Fills the gaps of a history.
pub(crate) struct Fetcher {
    pub(crate) this: NodeUuid,
    pub(crate) history: Arc<History>,
    pub(crate) raft: Raft,
    pub(crate) transport: Arc<dyn RaftTransport>,
    pub(crate) node: Arc<NodeContext>,
}

/// Why a piece from another replica was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    /// It is not what was asked for, or not what this replica's chain says.
    #[error("{0}")]
    Wrong(String),
    /// It could not be kept.
    #[error("cannot keep it")]
    Disk(#[source] DiskError),
}

impl Fetcher {
    /// Fills gaps as they appear, until this node ends.
    pub(crate) async fn run(self) {
        loop {
            let gap = self.history.inner().gap();
            let Some(gap) = gap else {
                self.history.gap.notified().await;
                continue;
            };
            if !self.fetch(&gap).await {
                tokio::time::sleep(HISTORY_FETCH_RETRY).await;
            }
        }
    }

    /// Asks one after the other; says whether something was gained.
    async fn fetch(&self, gap: &Gap) -> bool {
        let metrics = self.raft.server_metrics();
        let members = metrics.borrow_watched().membership_config.clone();
        let others: Vec<NodeUuid> =
            members.membership().nodes().map(|(n, _)| *n).filter(|n| *n != self.this).collect();
        let mut n_without = 0;
        for to in &others {
            let call = RaftCall::History(HistoryCall { before: gap.until.count });
            let request = RaftRequest { version: WIRE_VERSION, from: self.this, to: *to, call };
            let reply = self.transport.send(*to, request, HISTORY_FETCH_TIMEOUT).await;
            let Ok(RaftAnswer::History(answer)) = reply.map(|reply| reply.answer) else { continue };
            if answer.records.is_empty() {
                n_without += usize::from(answer.lowest.is_some_and(|at| at >= gap.until.count));
                continue;
            }
            let (history, wanted) = (self.history.clone(), gap.clone());
            match self.node.blocking(move || history.fill(&wanted, &answer)).await {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => {
                    let error = ErrorChain(&error);
                    tracing::error!(from = %to, %error, "a piece of history was not taken");
                }
                // This node ends.
                Err(_) => return false,
            }
        }
        // Everybody has everything, and it begins here: the rest was removed for its age.
        let is_gone = !others.is_empty() && n_without == others.len();
        if is_gone {
            self.history.inner().floor = gap.until.count;
        }
        is_gone
    }
}

impl History {
    /// Takes records from another replica into the gap. Blocks.
    pub(super) fn fill(&self, gap: &Gap, answer: &HistoryAnswer) -> Result<(), FillError> {
        let wrong = |text: String| Err(FillError::Wrong(text));
        let end = answer.first.saturating_add(answer.records.len() as u64);
        if end != gap.until.count {
            let until = gap.until.count;
            return wrong(format!("it ends at {end}, records before {until} were asked for"));
        }
        let mut head = HistoryHead { count: answer.first, chain: answer.chain.clone() };
        let mut segment: Option<(Summary, Vec<u8>)> = None;
        for encoded in &answer.records {
            // What is below the gap is there already.
            if head.count < gap.from {
                head = head.after(encoded);
                continue;
            }
            let record = record_at(head.count, encoded).map_err(FillError::Wrong)?;
            let begun = segment.take();
            let (mut summary, mut bytes) = match begun {
                Some(begun) => begun,
                None => {
                    let bytes = head_bytes(&head).map_err(FillError::Disk)?;
                    (Summary::empty(head.clone(), 0), bytes)
                }
            };
            push_record(&mut bytes, head.count, encoded);
            summary.add(&record, encoded);
            head = summary.after.clone();
            segment = Some((summary, bytes));
        }
        if head != gap.until {
            return wrong("its records are not those that this node's state counts".into());
        }
        let Some((mut summary, mut bytes)) = segment else {
            return wrong("it holds nothing of what is missing".into());
        };
        bytes.extend(summary.seal_bytes().map_err(FillError::Disk)?);
        summary.len = bytes.len() as u64;
        summary.is_sealed = true;
        self.keep_filled(summary, &bytes).map_err(FillError::Disk)
    }

    fn keep_filled(&self, summary: Summary, bytes: &[u8]) -> Result<(), DiskError> {
        let first = summary.before.count;
        let now = self.inner().newest();
        if is_too_old(summary.newest, now) {
            self.inner().floor = summary.after.count;
            return Ok(());
        }
        let name = file_name(first);
        self.files.put(&name, bytes).map_err(|e| DiskError::io("keep", &name, e))?;
        self.inner().segments.insert(first, summary);
        Ok(())
    }
}

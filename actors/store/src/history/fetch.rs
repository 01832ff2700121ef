//! Fetching what is missing from the other holders of the log.

use std::sync::Arc;

use bytes::Bytes;
use gantry_engine::state::HistoryHead;
use gantry_model::ids::NodeUuid;
use gantry_wire::ErrorChain;
use openraft::async_runtime::WatchReceiver;

use super::damage::Pieces;
use super::segment::{Summary, file_name, sealed_segment};
use super::{Gap, History, is_too_old};
use crate::config::{HISTORY_FETCH_RETRY, HISTORY_FETCH_TIMEOUT, RaftTransport};
use crate::disk::DiskError;
use crate::forms::{HistoryAnswer, HistoryCall, RaftAnswer, RaftCall, RaftRequest};
use crate::raft::context::NodeContext;
use crate::raft::types::Raft;

/// Fills the gaps of a history, and replaces what is damaged in it.
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
    /// Fills gaps and replaces what is damaged as they appear, until this node ends.
    pub(crate) async fn run(self) {
        loop {
            let gap = self.history.inner().gap();
            let damaged = self.history.damaged();
            if gap.is_none() && damaged.is_none() {
                self.history.gap.notified().await;
                continue;
            }
            let mut gained = false;
            if let Some(gap) = gap {
                gained |= self.fetch(&gap).await;
            }
            if let Some(damaged) = damaged {
                gained |= self.replace(&damaged).await;
            }
            if !gained {
                tokio::time::sleep(HISTORY_FETCH_RETRY).await;
            }
        }
    }

    fn others(&self) -> Vec<NodeUuid> {
        let metrics = self.raft.server_metrics();
        let members = metrics.borrow_watched().membership_config.clone();
        members.membership().nodes().map(|(n, _)| *n).filter(|n| *n != self.this).collect()
    }

    /// What another holder has before this position; none if it does not say.
    async fn ask(&self, to: NodeUuid, before: u64) -> Option<HistoryAnswer> {
        let call = RaftCall::History(HistoryCall { before });
        let request = RaftRequest::new(self.this, to, call);
        let reply = self.transport.send(to, request, HISTORY_FETCH_TIMEOUT).await;
        match reply.map(|reply| reply.answer) {
            Ok(RaftAnswer::History(answer)) => Some(answer),
            Ok(_) | Err(_) => None,
        }
    }

    /// Asks one after the other; says whether something was gained.
    async fn fetch(&self, gap: &Gap) -> bool {
        let others = self.others();
        let mut n_without = 0;
        for to in &others {
            let Some(answer) = self.ask(*to, gap.until.count).await else { continue };
            if answer.records.is_empty() {
                n_without += usize::from(answer.lowest.is_some_and(|at| at >= gap.until.count));
                continue;
            }
            let (history, wanted) = (self.history.clone(), gap.clone());
            match self.node.blocking(move || history.fill(&wanted, &answer)).await {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => not_taken(*to, &error),
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

    /// Asks one after the other for a whole segment; says whether it was replaced.
    async fn replace(&self, damaged: &Summary) -> bool {
        for to in self.others() {
            let Some(records) = self.whole(to, damaged).await else { continue };
            let (history, at) = (self.history.clone(), damaged.clone());
            match self.node.blocking(move || history.replace(&at, &records)).await {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => not_taken(to, &error),
                // This node ends.
                Err(_) => return false,
            }
        }
        self.history.nobody_has(damaged);
        false
    }

    /// All records of a segment as another holder has them, each piece checked against the next.
    async fn whole(&self, from: NodeUuid, damaged: &Summary) -> Option<Vec<Bytes>> {
        let mut pieces = Pieces::of(damaged);
        while let Some(wanted) = pieces.wanted() {
            let answer = self.ask(from, wanted.count).await?;
            if answer.records.is_empty() {
                return None;
            }
            if let Err(error) = check_chain(&answer, wanted) {
                not_taken(from, &error);
                return None;
            }
            let begin = HistoryHead { count: answer.first, chain: answer.chain };
            pieces.take(begin, &answer.records);
        }
        Some(pieces.into_records())
    }
}

fn not_taken(from: NodeUuid, error: &FillError) {
    tracing::error!(%from, error = %ErrorChain(error), "a piece of history was not taken");
}

/// A piece must end where it was asked to, and lead to the chain that is known there.
fn check_chain(answer: &HistoryAnswer, until: &HistoryHead) -> Result<(), FillError> {
    let end = answer.first.saturating_add(answer.records.len() as u64);
    if end != until.count {
        let text = format!("it ends at {end}, records before {} were asked for", until.count);
        return Err(FillError::Wrong(text));
    }
    let begin = HistoryHead { count: answer.first, chain: answer.chain.clone() };
    if answer.records.iter().fold(begin, |head, encoded| head.after(encoded)) != *until {
        let text = "its records are not those that this node's state counts";
        return Err(FillError::Wrong(text.into()));
    }
    Ok(())
}

impl History {
    /// Takes records from another replica into the gap. Blocks.
    pub(super) fn fill(&self, gap: &Gap, answer: &HistoryAnswer) -> Result<(), FillError> {
        check_chain(answer, &gap.until)?;
        // What is below the gap is there already.
        let n_below = gap.from.saturating_sub(answer.first);
        let n_below = usize::try_from(n_below).unwrap_or(usize::MAX).min(answer.records.len());
        let (below, missing) = answer.records.split_at(n_below);
        if missing.is_empty() {
            return Err(FillError::Wrong("it holds nothing of what is missing".into()));
        }
        let begin = HistoryHead { count: answer.first, chain: answer.chain.clone() };
        let before = below.iter().fold(begin, |head, encoded| head.after(encoded));
        let (summary, bytes) = sealed_segment(before, missing)?;
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

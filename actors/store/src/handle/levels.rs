//! Which state levels the holders of the log know.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use gantry_model::ids::NodeUuid;
use gantry_model::levels::Levels;
use openraft::async_runtime::WatchReceiver;

use super::Store;
use crate::config::LEVELS_TIMEOUT;
use crate::error::StoreError;
use crate::forms::{LevelsCall, RaftAnswer, RaftCall, RaftRequest};

impl Store {
    /// The levels that this program knows.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.inner.brake.levels
    }

    /// Asks every holder of the log, voter or not, which levels its program knows; nothing of one
    /// that does not answer. Nothing is remembered: a holder that comes back with another program
    /// is asked anew.
    pub async fn survey_levels(&self) -> BTreeMap<NodeUuid, Option<Levels>> {
        let metrics = self.inner.raft.server_metrics();
        let members = metrics.borrow_watched().membership_config.clone();
        let nodes = members.membership().nodes().map(|(node, _)| *node);
        let asked = nodes.map(|node| async move { (node, self.levels_of(node).await) });
        join_all(asked).await.into_iter().collect()
    }

    async fn levels_of(&self, node: NodeUuid) -> Option<Levels> {
        let this = self.inner.node;
        if node == this {
            return Some(self.levels());
        }
        let call = RaftCall::Levels(LevelsCall {});
        let request = RaftRequest::new(this, node, call);
        let reply = self.inner.transport.send(node, request, LEVELS_TIMEOUT).await;
        match reply.map(|reply| reply.answer) {
            Ok(RaftAnswer::Levels(answer)) => Some(answer.levels),
            Ok(RaftAnswer::Refused { reason }) => {
                tracing::debug!(%node, reason, "a holder of the log does not say what it knows");
                None
            }
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%node, %error, "a holder of the log does not say what it knows");
                None
            }
        }
    }

    /// Whether the log may be sent to a node that does not hold it yet.
    pub(super) async fn check_new_holder(&self, node: NodeUuid) -> Result<(), StoreError> {
        let knows = self.levels_of(node).await;
        let level = self.snapshot().level;
        if knows.is_some_and(|levels| levels.knows(level)) {
            return Ok(());
        }
        Err(StoreError::MemberLevel { node, knows, level })
    }
}

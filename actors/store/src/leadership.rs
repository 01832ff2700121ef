//! Who leads.

use std::sync::Arc;

use gantry_model::ids::NodeUuid;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::watch;

use crate::raft::context::NodeContext;
use crate::raft::types::Raft;

/// What this node is among the holders of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// It leads. It may act as the master once its takeover is applied.
    Leader,
    /// It follows, or gets the log without a vote.
    Follower {
        /// Whom, where known.
        leader: Option<NodeUuid>,
    },
    /// It stands for election.
    Candidate,
    /// It takes no part any more: it was shut down, or its disk failed
    /// ([`crate::Store::failure`]).
    Stopped,
}

/// Follows what Raft says until it ends.
pub(crate) fn watch_raft(
    raft: &Raft,
    context: &Arc<NodeContext>,
) -> Arc<watch::Sender<Leadership>> {
    let mut metrics = raft.server_metrics();
    let seen = {
        let now = metrics.borrow_and_update();
        leadership(now.state, now.current_leader)
    };
    let published = Arc::new(watch::Sender::new(seen));
    let publish = published.clone();
    context.spawn(async move {
        while metrics.changed().await.is_ok() {
            let now = {
                let now = metrics.borrow_and_update();
                leadership(now.state, now.current_leader)
            };
            publish.send_if_modified(|old| std::mem::replace(old, now) != now);
        }
        publish.send_replace(Leadership::Stopped);
    });
    published
}

fn leadership(state: ServerState, leader: Option<NodeUuid>) -> Leadership {
    match state {
        ServerState::Leader => Leadership::Leader,
        ServerState::Candidate => Leadership::Candidate,
        ServerState::Follower | ServerState::Learner => Leadership::Follower { leader },
        ServerState::Shutdown => Leadership::Stopped,
    }
}

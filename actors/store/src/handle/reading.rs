//! Reading the applied state.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use gantry_engine::state::ClusterState;
use gantry_model::ids::{JobId, Revision};
use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Inner, Store};
use crate::config::PROPOSE_RETRY;
use crate::disk::DiskError;
use crate::error::StoreError;
use crate::history::{Archived, ArchivedJobs};

/// The state as of one revision. Never changes; a clone is free.
#[derive(Clone, Debug)]
pub struct Snapshot {
    state: Arc<ClusterState>,
    divergence: Option<Arc<str>>,
}

impl Snapshot {
    /// Why this state must not be believed: it was found to differ from that of the other holders
    /// before it was read. Nobody may be answered from it, and nothing decided.
    #[must_use]
    pub fn divergence(&self) -> Option<&str> {
        self.divergence.as_deref()
    }
}

impl Deref for Snapshot {
    type Target = ClusterState;

    fn deref(&self) -> &ClusterState {
        &self.state
    }
}

impl Store {
    /// The state that is applied here now. It may lag behind the leader's; whether it is to be
    /// believed at all, [`Snapshot::divergence`] says.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.inner.published.state.borrow().clone();
        Snapshot { state, divergence: self.inner.log.divergence().cloned() }
    }

    fn believed(&self) -> Result<Snapshot, StoreError> {
        let snapshot = self.snapshot();
        if snapshot.divergence.is_some() { Err(self.inner.stopped()) } else { Ok(snapshot) }
    }

    /// The revision of [`Store::snapshot`], as it changes.
    #[must_use]
    pub fn revision_watch(&self) -> watch::Receiver<Revision> {
        self.inner.published.revision.subscribe()
    }

    /// Waits until the state is at `revision` or later.
    ///
    /// # Errors
    /// When it is not in time, or the state here is not that of the other holders.
    pub async fn wait_for(
        &self,
        revision: Revision,
        deadline: Duration,
    ) -> Result<Snapshot, StoreError> {
        let mut seen = self.revision_watch();
        let reached = seen.wait_for(|at| *at >= revision);
        match tokio::time::timeout(deadline, reached).await {
            Ok(Ok(_)) => self.believed(),
            Ok(Err(_)) => Err(self.inner.stopped()),
            Err(_) => {
                let reached = self.believed()?.revision;
                Err(StoreError::Behind { wanted: revision, reached })
            }
        }
    }

    /// A job that has left the state. Only what this node has applied counts: ask the leader.
    ///
    /// # Errors
    /// When the files of the history cannot be read, or are corrupt.
    pub async fn archived_job(&self, job: JobId) -> Result<Archived, StoreError> {
        let history = self.inner.history.clone();
        self.read_history(move || history.find(job)).await
    }

    /// The newest jobs that have left the state, at most `max`. Reads their files: slow.
    ///
    /// # Errors
    /// When the files of the history cannot be read, or are corrupt.
    pub async fn archived_jobs(&self, max: usize) -> Result<ArchivedJobs, StoreError> {
        let history = self.inner.history.clone();
        self.read_history(move || history.newest_jobs(max)).await
    }

    async fn read_history<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.inner.context.blocking(read).await {
            Ok(found) => found.map_err(StoreError::History),
            Err(_) => Err(self.inner.stopped()),
        }
    }

    /// A linearizable read: the state with everything that was acknowledged, by whomever, before
    /// this was called. Only the leader can answer; it asks a quorum whether it still leads.
    ///
    /// # Errors
    /// When this node does not lead, or no quorum confirms it in time.
    pub async fn read_index(&self, deadline: Duration) -> Result<Snapshot, StoreError> {
        let until = Instant::now() + deadline;
        loop {
            let asking = self.inner.raft.ensure_linearizable(ReadPolicy::ReadIndex);
            let asking = self.inner.context.clone().enter(asking);
            let Ok(answer) = tokio::time::timeout_at(until, asking).await else {
                return Err(StoreError::Timeout { what: "the read barrier", deadline });
            };
            match answer {
                Ok(_) => return self.believed(),
                Err(RaftError::Fatal(_)) => return Err(self.inner.stopped()),
                Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                    return Err(StoreError::NoQuorum);
                }
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                    let other = to.leader_id.filter(|leader| *leader != self.inner.node);
                    if other.is_some() || !self.is_initialised() || Instant::now() >= until {
                        return Err(Inner::elsewhere(other));
                    }
                    tokio::time::sleep(PROPOSE_RETRY).await;
                }
            }
        }
    }
}

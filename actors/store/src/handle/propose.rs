//! Proposing commands.

use std::sync::Arc;
use std::time::Duration;

use gantry_engine::state::{Applied, Command, Entry, InitCluster};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{NodeUuid, ReignId, Revision};
use openraft::EmptyNode;
use openraft::errors::{ClientWriteError, ForwardToLeader, InitializeError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::moments::CommitMoment;
use super::{Inner, Store};
use crate::config::{ENTRY_BYTES_MAX, PROPOSE_RETRY};
use crate::error::{ProposeError, StoreError};
use crate::raft::brake::Halt;
use crate::raft::types::{Config, Proposal};

/// Longest wait for the first entry of a cluster. It needs this node's disk only.
pub const BOOTSTRAP_WAIT: Duration = Duration::from_secs(30);

/// A committed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Index of its entry.
    pub revision: Revision,
    /// What applying it answered.
    pub applied: Applied,
}

/// How one offer of an entry to Raft ended without an answer.
enum Offer {
    /// Certainly not taken, and it is worth offering again.
    NotYet,
    Failed(ProposeError),
}

impl Store {
    /// Makes this node the first voter of a new log and `init` its first command. Called again
    /// after a crash in between it completes what was begun.
    ///
    /// # Errors
    /// When the store holds a cluster already, or the disk fails.
    pub async fn bootstrap(&self, init: InitCluster) -> Result<(), StoreError> {
        let inner = &self.inner;
        if self.snapshot().cluster.is_some() {
            return Err(StoreError::AlreadyInitialised);
        }
        if !self.is_initialised() {
            let members = std::collections::BTreeMap::from([(inner.node, EmptyNode {})]);
            let made = inner.context.clone().enter(inner.raft.initialize(members)).await;
            made.map_err(|error| match error {
                RaftError::APIError(InitializeError::NotAllowed(_)) => {
                    StoreError::AlreadyInitialised
                }
                RaftError::APIError(InitializeError::NotInMembers(e)) => {
                    StoreError::Membership { reason: e.to_string() }
                }
                RaftError::Fatal(_) => inner.stopped(),
            })?;
        }
        let proposed = self.propose(Command::Init(Box::new(init)), BOOTSTRAP_WAIT).await;
        match proposed.map_err(|source| StoreError::Propose { what: "the cluster", source })? {
            Committed { applied: Applied::Refused(fault), .. } => Err(StoreError::Refused(fault)),
            Committed { .. } => Ok(()),
        }
    }

    /// Begins this node's reign. To be called when it has become the leader; only what is proposed
    /// under the reign that is returned is accepted from then on.
    ///
    /// # Errors
    /// When this node does not lead, or the entry is not committed in time.
    pub async fn take_over(&self, deadline: Duration) -> Result<ReignId, StoreError> {
        let command = Command::TakeOver { node: self.inner.node };
        let committed = self
            .propose(command, deadline)
            .await
            .map_err(|source| StoreError::Propose { what: "the takeover", source })?;
        match committed.applied {
            Applied::Reign(reign) => Ok(reign),
            Applied::Refused(fault) => Err(StoreError::Refused(fault)),
            Applied::Done | Applied::Jobs(_) => {
                let text = "a takeover was answered with something else than a reign";
                Err(StoreError::Refused(Fault::new(FaultCode::InternalError, text)))
            }
        }
    }

    /// Proposes a command and waits until it is committed and applied here. Stamps it with the
    /// clock, never before an earlier entry. Offers it again while there is no leader or the
    /// leader has no lease yet, as shortly after an election; it is in the log at most once.
    ///
    /// # Errors
    /// See [`ProposeError`]; [`ProposeError::had_no_effect`] tells what is certain.
    pub async fn propose(
        &self,
        command: Command,
        deadline: Duration,
    ) -> Result<Committed, ProposeError> {
        let until = Instant::now() + deadline;
        let mut entry = Entry { at: (self.inner.clock)(), command };
        let permitted = self.snapshot().check_level(&entry.command);
        permitted.map_err(ProposeError::NotPermitted)?;
        self.at_commit(CommitMoment::Before, &entry.command);
        loop {
            let (outcome, back) = self.inner.offer(entry, until, deadline).await;
            match outcome {
                Ok(committed) => {
                    self.at_commit(CommitMoment::After, &back.command);
                    return Ok(committed);
                }
                Err(Offer::Failed(error)) => return Err(error),
                Err(Offer::NotYet)
                    if !self.is_initialised() || Instant::now() + PROPOSE_RETRY >= until =>
                {
                    return Err(ProposeError::NotLeader { leader: None });
                }
                Err(Offer::NotYet) => {
                    tokio::time::sleep(PROPOSE_RETRY).await;
                    entry = Arc::unwrap_or_clone(back);
                }
            }
        }
    }
}

impl Inner {
    async fn offer(
        &self,
        entry: Entry,
        until: Instant,
        deadline: Duration,
    ) -> (Result<Committed, Offer>, Arc<Entry>) {
        let order = self.order.lock().await;
        let entry = Arc::new(Entry { at: self.log.stamp((self.clock)()), ..entry });
        let sent = self.send(&entry).await;
        drop(order);
        let answered = match sent {
            Ok(answered) => answered,
            Err(error) => return (Err(Offer::Failed(error)), entry),
        };
        let outcome = match tokio::time::timeout_at(until, answered).await {
            Ok(Ok(Ok(response))) => match response.data.0 {
                Some(applied) => {
                    Ok(Committed { revision: Revision(response.log_id.index), applied })
                }
                None => Err(Offer::Failed(ProposeError::Stopped)),
            },
            Ok(Ok(Err(error))) => Err(self.judge(error)),
            Ok(Err(_)) => Err(Offer::Failed(self.propose_stopped())),
            Err(_) => Err(Offer::Failed(ProposeError::Timeout { deadline })),
        };
        (outcome, entry)
    }

    async fn send(
        &self,
        entry: &Arc<Entry>,
    ) -> Result<oneshot::Receiver<ClientWriteResult<Config>>, ProposeError> {
        let encoded = gantry_wire::encode_bytes(entry.as_ref())
            .map_err(|e| ProposeError::NotEncodable { reason: e.to_string() })?;
        if encoded.len() > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes: encoded.len() });
        }
        if self.log.failure().is_some() {
            return Err(self.propose_stopped());
        }
        let proposal = Proposal { entry: entry.clone(), encoded };
        let (responder, _committed, answered) = ProgressResponder::new();
        let sending = self.raft.client_write_ff(proposal, Some(responder));
        self.context.clone().enter(sending).await.map_err(|_fatal| self.propose_stopped())?;
        Ok(answered)
    }

    fn judge(&self, error: ClientWriteError<Config>) -> Offer {
        match error {
            ClientWriteError::ForwardToLeader(ForwardToLeader { leader_id, .. }) => {
                match leader_id.filter(|leader| *leader != self.node) {
                    Some(other) => Offer::Failed(ProposeError::NotLeader { leader: Some(other) }),
                    None => Offer::NotYet,
                }
            }
            ClientWriteError::LogEntryDiscarded(ForwardToLeader { leader_id, .. }) => {
                Offer::Failed(ProposeError::LeaderChanged { leader: leader_id })
            }
            // Neither is asked for by a plain entry.
            ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_) => {
                Offer::Failed(ProposeError::NotLeader { leader: None })
            }
        }
    }

    fn propose_stopped(&self) -> ProposeError {
        match self.log.halted() {
            Some(Halt::Diverged(reason)) => {
                return ProposeError::Diverged { reason: reason.to_string() };
            }
            Some(Halt::Level(unknown)) => return ProposeError::Level(unknown.clone()),
            None => {}
        }
        match self.failure() {
            Some(reason) => ProposeError::Storage { reason },
            None => ProposeError::Stopped,
        }
    }

    pub(super) fn stopped(&self) -> StoreError {
        match self.log.halted() {
            Some(Halt::Diverged(reason)) => {
                return StoreError::Diverged { reason: reason.to_string() };
            }
            Some(Halt::Level(unknown)) => return StoreError::Level(unknown.clone()),
            None => {}
        }
        match self.failure() {
            Some(reason) => StoreError::Storage { reason },
            None => StoreError::Stopped,
        }
    }

    pub(super) fn elsewhere(leader: Option<NodeUuid>) -> StoreError {
        StoreError::NotLeader { leader }
    }
}

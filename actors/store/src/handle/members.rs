//! Who holds the log, and who leads it.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_model::ids::NodeUuid;
use openraft::async_runtime::{Instant as _, WatchReceiver};
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, EmptyNode};
use tokio::time::Instant;

use super::{Inner, Store};
use crate::config::{ELECTION_MAX, HEARTBEAT};
use crate::error::StoreError;
use crate::forms::MembershipForm;
use crate::leadership::Leadership;
use crate::raft::convert;
use crate::raft::types::Config;

/// How long a holder may have been silent that is to lead. It answers every [`HEARTBEAT`], so one
/// that was silent for several is off or cut off; lower refuses one whose disk had a slow moment.
const SILENCE_MAX: Duration = ELECTION_MAX;

/// How many entries a holder may lack that is to lead. Nobody may write until it has them; it gets
/// a thousand within tens of milliseconds.
const LAG_MAX: u64 = 1_000;

impl Store {
    /// Who holds the log, as far as this node knows.
    #[must_use]
    pub fn members(&self) -> MembershipForm {
        let metrics = self.inner.raft.server_metrics();
        let members = metrics.borrow_watched().membership_config.clone();
        convert::membership_form(members.membership())
    }

    /// The term this node is in.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.inner.raft.server_metrics().borrow_watched().vote.leader_id.term
    }

    /// Sends the log to another node, which does not vote yet; returns when it has caught up.
    ///
    /// # Errors
    /// When this node does not lead, the other's program does not know the present level, or it
    /// does not catch up in time.
    pub async fn add_learner(&self, node: NodeUuid, deadline: Duration) -> Result<(), StoreError> {
        let until = Instant::now() + deadline;
        self.check_new_holder(node).await?;
        let deadline = until.saturating_duration_since(Instant::now());
        let adding = self.inner.raft.add_learner(node, EmptyNode {}, true);
        self.change(async { adding.await.map(drop) }, "catching up", deadline).await
    }

    /// Makes these the voters. New ones must have been added as learners before; old ones that are
    /// not among them go on holding the log.
    ///
    /// # Errors
    /// When this node does not lead, a node is no learner, or no quorum answers in time. After a
    /// time-out the change may still happen.
    pub async fn change_voters(
        &self,
        voters: BTreeSet<NodeUuid>,
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let changing = self.inner.raft.change_membership(voters, true);
        self.change(async { changing.await.map(drop) }, "the change of voters", deadline).await
    }

    /// Sends the log to a node no more.
    ///
    /// # Errors
    /// When this node does not lead, the node votes, or no quorum answers in time. After a time-out
    /// the change may still happen.
    pub async fn remove_learner(
        &self,
        node: NodeUuid,
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let removed = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
        let changing = self.inner.raft.change_membership(removed, true);
        self.change(async { changing.await.map(drop) }, "the removal of a holder", deadline).await
    }

    /// Whether another holder could lead at once, as far as this leader knows. Handing over cannot
    /// be taken back, and until somebody leads again nobody may write.
    ///
    /// # Errors
    /// When it does not vote, has not answered lately, or lacks much of the log.
    pub fn check_fit_to_lead(&self, node: NodeUuid) -> Result<(), StoreError> {
        let refuse = |reason| Err(StoreError::NotFit { node, reason });
        if !self.members().voters.iter().all(|voters| voters.contains(&node)) {
            return refuse("it does not vote");
        }
        if self.heard_from(node).is_none_or(|ago| ago > SILENCE_MAX) {
            return refuse("it does not answer");
        }
        match self.lag_of(node) {
            Some(lag) if lag <= LAG_MAX => Ok(()),
            Some(_) | None => refuse("it is far behind"),
        }
    }

    /// How long ago another holder has answered this leader last; nothing if it has not, or this
    /// node does not lead.
    #[must_use]
    pub fn heard_from(&self, node: NodeUuid) -> Option<Duration> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heard = metrics.heartbeat.as_ref()?.get(&node).copied().flatten()?;
        Some(heard.elapsed())
    }

    /// Waits for an answer to something that is sent from now on: one that has just died has
    /// answered lately, too.
    async fn until_it_answers(&self, node: NodeUuid) -> Result<(), StoreError> {
        let since = Instant::now();
        while self.heard_from(node).is_none_or(|ago| ago >= since.elapsed()) {
            if since.elapsed() > SILENCE_MAX {
                return Err(StoreError::NotFit { node, reason: "it does not answer" });
            }
            tokio::time::sleep(HEARTBEAT / 10).await;
        }
        Ok(())
    }

    /// How many entries of this leader's log another holder is not known to have.
    fn lag_of(&self, node: NodeUuid) -> Option<u64> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let has = metrics.replication.as_ref()?.get(&node)?.as_ref().map_or(0, |id| id.index);
        Some(metrics.last_log_index.unwrap_or_default().saturating_sub(has))
    }

    /// Hands leadership to another voter; returns when it leads.
    ///
    /// # Errors
    /// When this node does not lead, the other is not fit to, or does not take over in time.
    pub async fn transfer_leadership(
        &self,
        to: NodeUuid,
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let mut leadership = self.leadership();
        match *leadership.borrow() {
            Leadership::Leader if to == self.inner.node => return Ok(()),
            Leadership::Leader => {}
            Leadership::Follower { leader } => return Err(Inner::elsewhere(leader)),
            Leadership::Candidate => return Err(Inner::elsewhere(None)),
            Leadership::Stopped => return Err(self.inner.stopped()),
        }
        self.until_it_answers(to).await?;
        self.check_fit_to_lead(to)?;
        let inner = &self.inner;
        let trigger = inner.raft.trigger();
        let handing = inner.context.clone().enter(trigger.transfer_leader(to));
        handing.await.map_err(|_fatal| inner.stopped())?;
        let leads = leadership.wait_for(|now| *now == Leadership::Follower { leader: Some(to) });
        match tokio::time::timeout(deadline, leads).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(inner.stopped()),
            Err(_) => Err(StoreError::Timeout { what: "the transfer of leadership", deadline }),
        }
    }

    async fn change(
        &self,
        change: impl Future<Output = Result<(), RaftError<Config, ClientWriteError<Config>>>>,
        what: &'static str,
        deadline: Duration,
    ) -> Result<(), StoreError> {
        let changing = self.inner.context.clone().enter(change);
        let Ok(changed) = tokio::time::timeout(deadline, changing).await else {
            return Err(StoreError::Timeout { what, deadline });
        };
        changed.map_err(|error| match error {
            RaftError::Fatal(_) => self.inner.stopped(),
            RaftError::APIError(
                ClientWriteError::ForwardToLeader(to) | ClientWriteError::LogEntryDiscarded(to),
            ) => Inner::elsewhere(to.leader_id),
            RaftError::APIError(error) => StoreError::Membership { reason: error.to_string() },
        })
    }
}

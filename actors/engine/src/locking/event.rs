//! What is said to the lock table and what it answers.
//!
//! Owns the vocabulary of [`LockTable::step`](super::LockTable::step): events in, effects out, and
//! the reasons of a refusal. Used by the lock actor and by tests. Deliberately absent: anything
//! that is sent over a wire; those types are in `gantry_model::messages::locks`.

use std::collections::BTreeSet;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::locks::{LockChange, LockMode, LockName};

/// Something that happened to the lock table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LockEvent {
    /// A job wants to take, change and release locks, all or nothing (L10).
    ///
    /// A request that only releases never waits, and withdraws a pending request of its job (L16,
    /// L17). The first request of a newer attempt gives up whatever the older attempt had; what a
    /// new placement must keep is given to it by [`LockEvent::Restore`] first.
    Acquire {
        /// The owner.
        job: JobId,
        /// Which placement of it.
        attempt: JobAttempt,
        /// Urgency; lower is more urgent.
        priority: i8,
        /// What to hold, change or release; the order in the list means nothing.
        changes: Vec<(LockName, LockChange)>,
    },
    /// A job wants those of some locks that nobody holds or waits for; it never waits (L21).
    AcquireFree {
        /// The owner.
        job: JobId,
        /// Which placement of it.
        attempt: JobAttempt,
        /// With fewer than this many taken anew, none is taken.
        at_least: usize,
        /// The candidates; those already held do not count.
        names: Vec<LockName>,
        /// How to hold them.
        mode: LockMode,
    },
    /// A job gives up everything, held and asked for. Said only after the release is committed.
    Release {
        /// The owner.
        job: JobId,
    },
    /// A job holds exactly these, says the replicated state. For a new leader before it grants
    /// anything, and for a new placement of a job. Success has no effect of its own.
    Restore {
        /// The owner.
        job: JobId,
        /// Which placement of it.
        attempt: JobAttempt,
        /// All that it holds.
        held: Vec<(LockName, LockMode)>,
    },
    /// The urgency of a job's pending request changed; without one this is nothing (L63).
    ChangePriority {
        /// The owner.
        job: JobId,
        /// The new urgency; lower is more urgent.
        priority: i8,
    },
}

/// Something the lock actor has to tell a job.
///
/// Each acquisition is answered exactly once by `Granted` or `Refused`; `Waiting` may come before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LockEffect {
    /// The request is granted as a whole.
    Granted {
        /// The owner.
        job: JobId,
        /// The attempt that asked.
        attempt: JobAttempt,
        /// Everything that the job holds now, ordered by name.
        held: Vec<(LockName, LockMode)>,
    },
    /// The request is not granted and nothing of it was done.
    Refused {
        /// The owner.
        job: JobId,
        /// The attempt that asked.
        attempt: JobAttempt,
        /// Why.
        reason: LockRefusal,
    },
    /// The request is queued.
    Waiting {
        /// The owner.
        job: JobId,
        /// Jobs that hold what it wants, and for each lock the nearest job ahead of it in the
        /// queue. As of this moment; later see [`LockTable::blockers`](super::LockTable::blockers).
        blockers: BTreeSet<JobId>,
    },
}

/// Why a request was not granted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LockRefusal {
    /// The table knows a newer placement of the job.
    #[error("locks are asked for by an old attempt, the job runs as attempt {known}")]
    StaleAttempt {
        /// The newest attempt known.
        known: JobAttempt,
    },
    /// The job waits for another request (L17).
    #[error("locks are asked for while another request of the job is pending")]
    RequestPending,
    /// More changes than a request may have.
    #[error("{n_changes} locks in one request, at most {max} are possible")]
    TooManyChanges {
        /// As many as were asked for.
        n_changes: usize,
        /// As many as may be.
        max: usize,
    },
    /// One lock stands twice in the request.
    #[error("lock {name} is named twice in one request")]
    NamedTwice {
        /// The lock.
        name: LockName,
    },
    /// The lock comes before one that the job holds (L13).
    #[error("lock {name} is asked for while {highest} is held, which comes after it")]
    OutOfOrder {
        /// The lock wanted.
        name: LockName,
        /// The last of the locks held.
        highest: LockName,
    },
    /// An exclusive member is wanted while its set is held shared (L14).
    #[error("lock {name} is asked for exclusively while its set is held shared")]
    SetHeldShared {
        /// The member wanted.
        name: LockName,
    },
    /// Waiting would never end: the other one waits for this job in the same way (L15).
    #[error("lock {name} cannot be taken, job {other} waits to upgrade against this job")]
    UpgradeContended {
        /// The lock wanted.
        name: LockName,
        /// Who came first.
        other: JobId,
    },
    /// Fewer locks are free than were asked for at least (L21).
    #[error("{n_free} of the locks are free, at least {at_least} are needed")]
    TooFewFree {
        /// So many could have been taken.
        n_free: usize,
        /// So many were needed.
        at_least: usize,
    },
    /// Two jobs cannot hold what the replicated state says they hold.
    #[error("lock {name} cannot be restored, job {owner} holds it")]
    RestoreConflict {
        /// The lock.
        name: LockName,
        /// Who holds it, or a lock in conflict with it.
        owner: JobId,
    },
    /// An earlier request ends because its job gave it up.
    #[error("the request for locks was withdrawn")]
    Withdrawn,
    /// An earlier request ends because its job is placed anew.
    #[error("the request for locks was superseded by attempt {by}")]
    Superseded {
        /// The newer attempt.
        by: JobAttempt,
    },
}

impl LockRefusal {
    /// The code by which others know this refusal.
    #[must_use]
    pub fn code(&self) -> FaultCode {
        match self {
            Self::StaleAttempt { .. } | Self::Superseded { .. } => FaultCode::StaleToken,
            Self::RequestPending | Self::UpgradeContended { .. } => FaultCode::WrongState,
            Self::TooManyChanges { .. } => FaultCode::WrongInput,
            Self::NamedTwice { .. }
            | Self::OutOfOrder { .. }
            | Self::SetHeldShared { .. }
            | Self::RestoreConflict { .. } => FaultCode::InternalError,
            Self::TooFewFree { .. } => FaultCode::TempInsufficientResources,
            Self::Withdrawn => FaultCode::Canceled,
        }
    }

    /// Whether the job may release everything and ask again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::UpgradeContended { .. } | Self::TooFewFree { .. } => true,
            Self::StaleAttempt { .. }
            | Self::RequestPending
            | Self::TooManyChanges { .. }
            | Self::NamedTwice { .. }
            | Self::OutOfOrder { .. }
            | Self::SetHeldShared { .. }
            | Self::RestoreConflict { .. }
            | Self::Withdrawn
            | Self::Superseded { .. } => false,
        }
    }

    /// Whether this answers a request that was pending already, not the one in the event.
    #[must_use]
    pub fn answers_earlier_request(&self) -> bool {
        matches!(self, Self::Withdrawn | Self::Superseded { .. })
    }

    /// The refusal as it is sent.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        let fault = Fault::new(self.code(), self.to_string());
        if self.retryable() { fault.retry_later() } else { fault }
    }
}

//! What is said to `/locks`, by job actors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::ids::{JobAttempt, JobId};
use crate::locks::{LockChange, LockMode, LockName, LockRow};

/// Asks for a set of locks, all or nothing (L10). Answered when they are granted; withdrawn by
/// [`ReleaseLocks`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcquireLocks {
    /// The owner.
    pub job: JobId,
    /// Which placement of it; an older one is refused.
    pub attempt: JobAttempt,
    /// Urgency; lower is more urgent.
    pub priority: i8,
    /// What to hold, change or release, in the global order.
    pub changes: Vec<(LockName, LockChange)>,
}

/// The locks are granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocksGranted {
    /// Everything that the job holds now.
    pub held: Vec<(LockName, LockMode)>,
}

/// Gives up everything, held and asked for. Said only after the release is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseLocks {
    /// The owner.
    pub job: JobId,
}

/// Asks for the lock table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryLocks {}

super::messages! {
    AcquireLocks = "locks.acquire", Consensus, Result<LocksGranted, Fault>;
    ReleaseLocks = "locks.release", Consensus, ();
    QueryLocks = "locks.query", Read, Vec<LockRow>;
}

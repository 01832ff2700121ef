//! The commands of the log.

use std::collections::BTreeMap;

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::Fault;
use gantry_model::ids::{JobAttempt, JobId, NodeUuid, ReignId};
use gantry_model::jobs::{JobStatus, LogKind};
use gantry_model::locks::{LockMode, LockName};
use gantry_model::messages::NewJob;
use gantry_model::objects::{Cluster, Node, NodeGroup};
use gantry_model::steps::{PlanRecord, Step, StepResult};
use gantry_model::transitions::GuestSeen;
use gantry_model::trust::{SealedSecret, SecretName};
use gantry_model::units::Timestamp;
use gantry_wire::RequestId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::level::LEVEL_UNSAID;

/// A decided command with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// The leader's clock when it was proposed.
    pub at: Timestamp,
    /// What is to become true.
    pub command: Command,
}

/// What an entry makes true. Each names the reign that proposed it, except those that begin one.
/// From which level on each may appear says [`Command::level`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The first entry of a cluster.
    Init(Box<InitCluster>),
    /// A leader begins its reign: the index of this entry is its id. Every unfinished job counts as
    /// placed anew.
    TakeOver {
        /// The leader.
        node: NodeUuid,
    },
    /// Jobs are submitted.
    Submit {
        /// Proposed under this reign.
        reign: ReignId,
        /// Repetition gets the same ids.
        #[schemars(with = "String")]
        request: RequestId,
        /// The jobs.
        jobs: Vec<NewJob>,
        /// What their opcodes keep from sight until they end, under the names that these have.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        secrets: BTreeMap<SecretName, SealedSecret>,
    },
    /// A job goes on.
    Job(Box<JobEntry>),
    /// A job is placed on a new actor, because the old one failed: what that one proposed and has
    /// not been applied yet is void.
    Place {
        /// Proposed under this reign.
        reign: ReignId,
        /// Which.
        job: JobId,
    },
    /// Changes of the configuration outside of any job (join tokens).
    Config {
        /// Proposed under this reign.
        reign: ReignId,
        /// The changes, all or none.
        deltas: Vec<ConfigDelta>,
    },
    /// Jobs that have ended leave the state for the history.
    Archive {
        /// Proposed under this reign.
        reign: ReignId,
        /// Which; those that have not ended stay.
        jobs: Vec<JobId>,
    },
    /// Guests were seen to have changed.
    Transitions {
        /// Proposed under this reign.
        reign: ReignId,
        /// What was seen; what is no change when it is applied is left out.
        seen: Vec<GuestSeen>,
    },
    /// What only the version after this one knows.
    #[cfg(feature = "next-version")]
    #[schemars(skip)]
    Trial {
        /// Proposed under this reign.
        reign: ReignId,
        /// The new value of [`ClusterState::trial`](super::ClusterState::trial).
        value: u64,
    },
    /// Every holder of the log knows the next level: what belongs to it may appear from here on.
    RaiseLevel {
        /// Proposed under this reign.
        reign: ReignId,
        /// The level that follows the present one.
        to: u32,
    },
    /// A job is asked to stop.
    Cancel {
        /// Proposed under this reign.
        reign: ReignId,
        /// Which.
        job: JobId,
    },
    /// The opcodes of a job that have not begun get another urgency.
    ChangePriority {
        /// Proposed under this reign.
        reign: ReignId,
        /// Which.
        job: JobId,
        /// The new urgency; lower is more urgent.
        priority: i8,
    },
}

/// The beginning of a cluster.
// The level is in the entry: replicas of later programs must begin where this one did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitCluster {
    /// The cluster.
    pub cluster: Cluster,
    /// Its first group.
    pub group: NodeGroup,
    /// Its first node, the master.
    pub node: Node,
    /// The state level that it begins at: the newest of the program that makes it.
    #[serde(default = "level_unsaid")]
    pub level: u32,
}

fn level_unsaid() -> u32 {
    LEVEL_UNSAID
}

/// What has become of a job; all or none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobEntry {
    /// Proposed under this reign.
    pub reign: ReignId,
    /// The job.
    pub job: JobId,
    /// Proposed by this placement of it.
    pub attempt: JobAttempt,
    /// What has happened, in order.
    pub facts: Vec<JobFact>,
}

/// One thing that has happened in a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobFact {
    /// It holds these locks from now on; replaces what it held. Empty releases all.
    Locks(Vec<(LockName, LockMode)>),
    /// An opcode has its locks and its plan.
    OpBegan {
        /// Which.
        op_idx: u32,
        /// When it began to wait.
        start: Timestamp,
        /// When it had its locks.
        exec: Timestamp,
        /// What was decided.
        plan: PlanRecord,
    },
    /// A line for the log.
    Log {
        /// Of which opcode.
        op_idx: u32,
        /// When it was said.
        at: Timestamp,
        /// Kind.
        kind: LogKind,
        /// The text.
        text: String,
    },
    /// A step begins. A change of the configuration is made by this very entry, and its step is
    /// done with it.
    StepBegan {
        /// Of which opcode.
        op_idx: u32,
        /// Its number, from 0, without gaps.
        seq: u32,
        /// The step.
        step: Step,
    },
    /// The call of a step has ended.
    StepEnded {
        /// Of which opcode.
        op_idx: u32,
        /// Its number.
        seq: u32,
        /// How.
        result: StepResult,
    },
    /// The steps of the opcode are taken back from now on.
    Unwinding {
        /// Which.
        op_idx: u32,
        /// Why.
        fault: Fault,
    },
    /// A step has been taken back, or that failed. A change of the configuration is taken back by
    /// this very entry, unless it says that it could not be.
    UndoEnded {
        /// Of which opcode.
        op_idx: u32,
        /// Its number.
        seq: u32,
        /// How.
        result: StepResult,
    },
    /// An opcode has ended. After an error or a cancellation so have all that follow it.
    OpEnded {
        /// Which.
        op_idx: u32,
        /// `success`, `error` or `canceled`.
        status: JobStatus,
        /// Its answer.
        result: Option<serde_json::Value>,
        /// Its failure.
        fault: Option<Fault>,
    },
}

/// What applying an entry answers to its proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// Done; nothing to say.
    Done,
    /// A reign has begun.
    Reign(ReignId),
    /// The ids of jobs that were submitted or archived, in order.
    Jobs(Vec<JobId>),
    /// A precondition did not hold; nothing has changed.
    Refused(Fault),
}

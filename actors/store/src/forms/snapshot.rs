//! What stands in a snapshot: a head, then items.
//!
//! The state is cut into items because one encoded value may not exceed a frame, and a large
//! cluster's state does. Small parts travel inside the head's state, so that a field that is added
//! to it is carried without anybody thinking of this file; the hash in the head proves it.

use gantry_engine::state::ClusterState;
use gantry_model::ids::{InstanceUuid, JobId, NodeUuid, Revision};
use gantry_model::jobs::{JobRecord, OpRecord};
use gantry_model::locks::{LockMode, LockName};
use gantry_model::names::{InstanceName, NodeName};
use gantry_model::objects::{Instance, Node};
use gantry_model::transitions::Transition;
use gantry_model::units::Timestamp;
use gantry_wire::RequestId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{LogIdForm, MembershipForm};

/// The members, and the entry that made them so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MembershipAt {
    /// The entry; none before there is a log.
    pub at: Option<LogIdForm>,
    /// The members.
    pub members: MembershipForm,
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotHead {
    /// The last entry in it.
    pub last: LogIdForm,
    /// The members as of then.
    pub membership: MembershipAt,
    /// The latest time in any entry up to then.
    pub at: Timestamp,
    /// Hash of the state, hexadecimal: what is put together from the items must have it.
    pub state_hash: String,
    /// How many items follow.
    pub n_items: u64,
    /// The state without what follows as items.
    // A reader looks at the level before anything else of it, so the level is all that belongs to
    // the form of a head: the rest is what the level says, and locked with the state itself.
    #[schemars(with = "StateOfAnyLevel")]
    pub state: ClusterState,
}

/// As much of a head as every version of it has, whatever the level of its state. Read before the
/// head: what follows from a level that is not known need not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct HeadOfAnyLevel {
    /// The state.
    pub state: StateOfAnyLevel,
}

/// As much of a state as every level of it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct StateOfAnyLevel {
    /// Which rules and variants may be in it.
    pub level: u32,
}

/// A piece of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotItem {
    /// A node.
    Node(NodeUuid, Arc<Node>),
    /// An entry of the index of nodes.
    NodeName(NodeName, NodeUuid),
    /// An instance.
    Instance(InstanceUuid, Arc<Instance>),
    /// An entry of the index of instances.
    InstanceName(InstanceName, InstanceUuid),
    /// What last became of the guest of an instance.
    Transition(InstanceUuid, Arc<Transition>),
    /// A job without its opcodes.
    Job(JobId, Box<JobRecord>),
    /// The next opcode of a job that stands before it.
    Op(JobId, Box<OpRecord>),
    /// A job that has not ended.
    Unfinished(JobId),
    /// Locks of a job.
    Locks(JobId, Arc<Vec<(LockName, LockMode)>>),
    /// An answered submission.
    Request(#[schemars(with = "String")] RequestId, Arc<Vec<JobId>>),
    /// When a submission was answered.
    RequestOrder(Revision, #[schemars(with = "String")] RequestId),
}

//! Transitions of guests: that one started, stopped or died. Not samples: nothing is said while
//! nothing changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{InstanceUuid, NodeUuid, Revision, RunEpoch};
use crate::report::GuestState;
use crate::units::Timestamp;

/// What a node was last seen to say of the guest of an instance that is at home there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GuestSeen {
    /// Of which instance.
    pub instance: InstanceUuid,
    /// By which node.
    pub node: NodeUuid,
    /// What it does, and of which start it is; none if there is no guest.
    pub guest: Option<(GuestState, RunEpoch)>,
    /// When the leader heard of it.
    pub at: Timestamp,
}

/// Why the guest of an instance is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransitionCause {
    /// A new start of it runs.
    Started,
    /// It runs, and was not known to have been started or was thought to be gone.
    Adopted,
    /// It was paused.
    Paused,
    /// It goes on after a pause.
    Resumed,
    /// It is gone, and is not wanted to run.
    Stopped,
    /// It is gone, and is wanted to run.
    Died,
    /// It was shut down from inside (row S63).
    UserDown,
}

/// The last transition of the guest of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// On which node.
    pub node: NodeUuid,
    /// What the guest does since then; none if there is none.
    pub state: Option<GuestState>,
    /// The start that it is or was.
    pub epoch: RunEpoch,
    /// Why.
    pub cause: TransitionCause,
    /// When the leader heard of it.
    pub since: Timestamp,
    /// The entry that has it.
    pub revision: Revision,
}

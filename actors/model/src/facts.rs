//! Facts: what a logical unit asks of nodes, under its locks, before it decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{InstanceUuid, NodeUuid};
use crate::objects::GuestSpec;
use crate::params::HypervisorKind;
use crate::report::{GuestReport, NodeInfo};
use crate::trust::{AuthorityRecord, SealedSecret};
use crate::units::{MiB, Timestamp};

/// What is asked of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactQuery {
    /// Its resources.
    Node,
    /// Whether this guest runs there, asked of the hypervisor now.
    Guest {
        /// Which.
        instance: InstanceUuid,
        /// By what.
        hypervisor: HypervisorKind,
    },
    /// Whether it could run this guest: program there, disks there, parameters valid.
    CanRun(Box<GuestSpec>),
    /// Whether it could hold new disks in this directory, and how much is free.
    FileStorage {
        /// Absolute.
        directory: String,
        /// Whether it is the one that all nodes share, and not the node's own.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shared: bool,
    },
    /// Size of an image file that is to be copied onto a disk.
    Image {
        /// Absolute path on that node.
        path: String,
    },
    /// A new authority, its key sealed. Asked of the leader, answered by the leader itself: no
    /// other can seal.
    NewAuthority,
    /// A socket at which a delay may wait. It is made for the question, and goes if no delay comes.
    DelaySocket,
}

/// The answer to a [`FactQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Resources of the node.
    Node(NodeInfo),
    /// The guest, if the hypervisor has it.
    Guest(Option<GuestReport>),
    /// It can; with warnings for the log.
    CanRun {
        /// Such as: emulated, not accelerated.
        warnings: Vec<String>,
    },
    /// It can.
    FileStorage {
        /// Space left.
        free: MiB,
    },
    /// The image is there.
    Image {
        /// Its size, rounded up.
        size: MiB,
    },
    /// A new authority, of which nobody has heard yet.
    NewAuthority {
        /// As everybody may see it.
        authority: AuthorityRecord,
        /// Its key.
        secret: SealedSecret,
    },
    /// The socket is there.
    DelaySocket {
        /// Where, absolute.
        path: String,
    },
    /// The node cannot, or will not; for people.
    No {
        /// Why.
        reason: String,
    },
    /// The node did not answer.
    Unreachable {
        /// Why.
        reason: String,
    },
}

/// Everything that was asked, with the answers and the time; journalled with the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The leader's clock when the answers were complete.
    pub now: Timestamp,
    /// A random number from which the check may derive ids.
    pub seed: u64,
    /// Questions and answers, in the order asked.
    pub answers: Vec<(NodeUuid, FactQuery, Fact)>,
}

impl Facts {
    /// The answer to one question, if it was asked.
    #[must_use]
    pub fn get(&self, node: NodeUuid, query: &FactQuery) -> Option<&Fact> {
        self.answers.iter().find(|(n, q, _)| *n == node && q == query).map(|(_, _, fact)| fact)
    }
}

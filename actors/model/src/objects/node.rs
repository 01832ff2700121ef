//! Nodes and node groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{GroupUuid, NodeUuid, Serial};
use crate::names::{GroupName, NodeName};
use crate::units::Timestamp;

/// A node as configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Never changes.
    pub uuid: NodeUuid,
    /// Its name.
    pub name: NodeName,
    /// Where its daemon listens, `host:port`.
    pub address: String,
    /// Its group.
    pub group: GroupUuid,
    /// Holds, or may be asked to hold, the log.
    pub master_candidate: bool,
    /// Not to be talked to.
    pub offline: bool,
    /// Gets no new instances.
    pub drained: bool,
    /// May become a candidate.
    pub master_capable: bool,
    /// May run instances.
    pub vm_capable: bool,
    /// When it was added.
    pub ctime: Timestamp,
    /// When it changed last.
    pub mtime: Timestamp,
    /// Number of changes.
    pub serial: Serial,
    /// Tags, sorted.
    pub tags: Vec<String>,
}

/// A node group as configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeGroup {
    /// Never changes.
    pub uuid: GroupUuid,
    /// Its name.
    pub name: GroupName,
    /// When it was made.
    pub ctime: Timestamp,
    /// When it changed last.
    pub mtime: Timestamp,
    /// Number of changes.
    pub serial: Serial,
    /// Tags, sorted.
    pub tags: Vec<String>,
}

//! Nodes and node groups.

use std::net::IpAddr;

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
    /// Address to replicate disks over, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_ip: Option<IpAddr>,
}

impl Node {
    /// A new node: able to do everything, and neither a candidate nor out of use.
    #[must_use]
    pub fn new(
        uuid: NodeUuid,
        name: NodeName,
        address: String,
        group: GroupUuid,
        at: Timestamp,
    ) -> Self {
        Self {
            uuid,
            name,
            address,
            group,
            master_candidate: false,
            offline: false,
            drained: false,
            master_capable: true,
            vm_capable: true,
            ctime: at,
            mtime: at,
            serial: Serial(1),
            tags: Vec::new(),
            secondary_ip: None,
        }
    }
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

impl NodeGroup {
    /// A new group.
    #[must_use]
    pub fn new(uuid: GroupUuid, name: GroupName, at: Timestamp) -> Self {
        Self { uuid, name, ctime: at, mtime: at, serial: Serial(1), tags: Vec::new() }
    }
}

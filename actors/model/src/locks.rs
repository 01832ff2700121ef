//! Names, levels and modes of locks (rows L1–L7, L10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{GroupUuid, NodeUuid};
use crate::names::InstanceName;

/// Levels in the order in which they are acquired (L1–L6).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LockLevel {
    /// The big lock.
    Cluster,
    /// Instances, by name.
    Instance,
    /// Node groups.
    Nodegroup,
    /// Nodes.
    Node,
    /// Resources of nodes.
    NodeRes,
    /// Networks.
    Network,
}

impl LockLevel {
    /// All levels, in order.
    pub const ALL: [Self; 6] =
        [Self::Cluster, Self::Instance, Self::Nodegroup, Self::Node, Self::NodeRes, Self::Network];

    /// The prefix of its lock names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Instance => "instance",
            Self::Nodegroup => "nodegroup",
            Self::Node => "node",
            Self::NodeRes => "node-res",
            Self::Network => "network",
        }
    }
}

/// One lock. The derived order *is* the global acquisition order: level by level, in each level the
/// set before its members, members by name.
///
/// A name need not belong to an object: what is about to be created is locked first (L20).
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct LockName {
    /// Its level.
    pub level: LockLevel,
    /// Which lock of the level.
    pub member: LockMember,
}

/// A set lock or a member of it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LockMember {
    /// The whole level.
    Set,
    /// One of it, by name or id.
    One(String),
}

impl LockName {
    /// The big lock, `cluster/BGL`.
    #[must_use]
    pub fn bgl() -> Self {
        Self { level: LockLevel::Cluster, member: LockMember::One("BGL".into()) }
    }

    /// All locks of a level.
    #[must_use]
    pub fn set(level: LockLevel) -> Self {
        Self { level, member: LockMember::Set }
    }

    /// An instance, existing or not.
    #[must_use]
    pub fn instance(name: &InstanceName) -> Self {
        Self { level: LockLevel::Instance, member: LockMember::One(name.to_string()) }
    }

    /// A node group.
    #[must_use]
    pub fn nodegroup(group: GroupUuid) -> Self {
        Self { level: LockLevel::Nodegroup, member: LockMember::One(group.to_string()) }
    }

    /// A node.
    #[must_use]
    pub fn node(node: NodeUuid) -> Self {
        Self { level: LockLevel::Node, member: LockMember::One(node.to_string()) }
    }

    /// The resources of a node.
    #[must_use]
    pub fn node_res(node: NodeUuid) -> Self {
        Self { level: LockLevel::NodeRes, member: LockMember::One(node.to_string()) }
    }
}

/// As `gnt-debug locks` prints it: `node/<uuid>`, `node/[lockset]` (L74).
impl std::fmt::Display for LockName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.member {
            LockMember::Set => write!(f, "{}/[lockset]", self.level.as_str()),
            LockMember::One(name) => write!(f, "{}/{name}", self.level.as_str()),
        }
    }
}

/// How a lock is held.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// With others.
    Shared,
    /// Alone.
    Exclusive,
}

impl LockMode {
    /// Ganeti's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        }
    }
}

/// What one request changes of one lock: take or change to a mode, or release (L10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LockChange {
    /// Hold it in this mode.
    Hold(LockMode),
    /// Hold it no longer.
    Release,
}

/// One line of `gnt-debug locks` (row L23).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockRow {
    /// The lock.
    pub name: LockName,
    /// The mode it is held in, if it is held.
    pub mode: Option<LockMode>,
    /// Jobs that hold it.
    pub owners: Vec<crate::ids::JobId>,
    /// Jobs that wait for it, and how they want it.
    pub pending: Vec<(LockMode, Vec<crate::ids::JobId>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: L1 L2 L3 L4 L5 L6
    #[test]
    fn the_derived_order_is_the_acquisition_order() {
        let name = InstanceName::new("a").expect("valid");
        let ordered = [
            LockName::set(LockLevel::Cluster),
            LockName::bgl(),
            LockName::set(LockLevel::Instance),
            LockName::instance(&name),
            LockName::set(LockLevel::Nodegroup),
            LockName::set(LockLevel::Node),
            LockName::set(LockLevel::NodeRes),
            LockName::set(LockLevel::Network),
        ];
        assert!(ordered.is_sorted());
    }

    // covers: L74
    #[test]
    fn names_are_printed_as_ganeti_prints_them() {
        assert_eq!(LockName::bgl().to_string(), "cluster/BGL");
        assert_eq!(LockName::set(LockLevel::NodeRes).to_string(), "node-res/[lockset]");
    }
}

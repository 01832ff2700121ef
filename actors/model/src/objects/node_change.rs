//! What changes of a node (row O27), and its role.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::{Node, States};

/// What a node is for in the cluster: at most one of its three flags is set (P30).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Holds the log; may become the master.
    Candidate,
    /// Gets no new instances.
    Drained,
    /// Is not talked to.
    Offline,
    /// None of these.
    Regular,
}

impl NodeRole {
    /// Name and value of its flags, in the order in which Ganeti lists them.
    #[must_use]
    pub fn flags(self) -> [(&'static str, bool); 3] {
        [
            ("master_candidate", self == Self::Candidate),
            ("drained", self == Self::Drained),
            ("offline", self == Self::Offline),
        ]
    }
}

/// What changes of a node; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeChange {
    /// Its role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<NodeRole>,
    /// Whether it may become a candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_capable: Option<bool>,
    /// Whether it may run instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_capable: Option<bool>,
    /// Address to replicate disks over; that of its daemon is no second one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary_ip: Option<IpAddr>,
    /// All its own parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ndparams: Option<BTreeMap<String, String>>,
    /// All that hypervisors have of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hv_state: Option<States>,
    /// All that storages have of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_state: Option<States>,
}

impl NodeChange {
    /// Another role and nothing else.
    #[must_use]
    pub fn role(role: NodeRole) -> Self {
        Self { role: Some(role), ..Self::default() }
    }

    /// Changes a node.
    pub fn make(&self, node: &mut Node) {
        let set = |flag: &mut bool, value: Option<bool>| *flag = value.unwrap_or(*flag);
        set(&mut node.master_capable, self.master_capable);
        set(&mut node.vm_capable, self.vm_capable);
        if let Some(role) = self.role {
            node.set_role(role);
        }
        if self.secondary_ip.is_some() {
            node.secondary_ip = self.secondary_ip;
        }
        if let Some(ndparams) = &self.ndparams {
            node.ndparams.clone_from(ndparams);
        }
        if let Some(hv_state) = &self.hv_state {
            node.hv_state.clone_from(hv_state);
        }
        if let Some(disk_state) = &self.disk_state {
            node.disk_state.clone_from(disk_state);
        }
    }
}

impl Node {
    /// Its role.
    #[must_use]
    pub fn role(&self) -> NodeRole {
        match self {
            Self { offline: true, .. } => NodeRole::Offline,
            Self { drained: true, .. } => NodeRole::Drained,
            Self { master_candidate: true, .. } => NodeRole::Candidate,
            _ => NodeRole::Regular,
        }
    }

    fn set_role(&mut self, role: NodeRole) {
        let [(_, candidate), (_, drained), (_, offline)] = role.flags();
        (self.master_candidate, self.drained, self.offline) = (candidate, drained, offline);
    }

    /// Whether it may hold the log now (P31).
    #[must_use]
    pub fn may_be_candidate(&self) -> bool {
        self.master_capable && !self.offline && !self.drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GroupUuid, NodeUuid};
    use crate::names::NodeName;
    use crate::units::Timestamp;

    fn node() -> Node {
        let (id, group) = (NodeUuid(uuid::Uuid::nil()), GroupUuid(uuid::Uuid::nil()));
        let name = NodeName::new("node1").expect("valid");
        Node::new(id, name, "192.0.2.1:1811".into(), group, Timestamp(0))
    }

    // covers: P30
    #[test]
    fn a_node_has_one_role_at_a_time() {
        let mut node = node();
        let all = [NodeRole::Candidate, NodeRole::Drained, NodeRole::Offline, NodeRole::Regular];
        for role in all {
            NodeChange::role(role).make(&mut node);
            assert_eq!(node.role(), role);
            let set = [node.master_candidate, node.drained, node.offline];
            let n_set = set.into_iter().filter(|flag| *flag).count();
            assert_eq!(n_set, usize::from(role != NodeRole::Regular), "{role:?}");
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let mut node = node();
        let ndparams = BTreeMap::from([("ssh_port".to_owned(), "23".to_owned())]);
        let set = NodeChange { ndparams: Some(ndparams.clone()), ..NodeChange::default() };
        set.make(&mut node);
        let before = node.clone();
        NodeChange::default().make(&mut node);
        assert_eq!(node, before);
        NodeChange { vm_capable: Some(false), ..NodeChange::default() }.make(&mut node);
        assert_eq!(
            (node.vm_capable, node.master_capable, &node.ndparams),
            (false, true, &ndparams)
        );
    }
}

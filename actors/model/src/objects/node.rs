//! Nodes and node groups.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{GroupUuid, NodeUuid, Serial};
use crate::levels::{LEVEL_FIRST, LEVEL_NODE_TERMS};
use crate::names::{GroupName, NodeName};
use crate::objects::{CLUSTER_NODE_PARAMETERS, DISK_STATE_KEYS, HV_STATE_KEYS, NODE_PARAMETERS};
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
    /// Its parameters, where they differ from the cluster's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ndparams: BTreeMap<String, String>,
    /// What hypervisors have of it, by hypervisor. Stored only, as in Ganeti.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hv_state: States,
    /// What storages have of it, by type and name. Stored only, as in Ganeti.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disk_state: States,
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
            ndparams: BTreeMap::new(),
            hv_state: BTreeMap::new(),
            disk_state: BTreeMap::new(),
        }
    }

    /// The host at which its daemon listens: Ganeti's primary address, which has no port.
    #[must_use]
    pub fn host(&self) -> &str {
        host_of(&self.address)
    }

    /// The address to replicate disks over; nothing where it is that of the daemon.
    #[must_use]
    pub fn own_secondary_ip(&self) -> Option<IpAddr> {
        let primary = self.host().parse().ok();
        self.secondary_ip.filter(|secondary| Some(*secondary) != primary)
    }

    /// From which state level on it may be in the log as it is.
    #[must_use]
    pub fn level(&self) -> u32 {
        let first = self.secondary_ip.is_none()
            && self.ndparams.is_empty()
            && self.hv_state.is_empty()
            && self.disk_state.is_empty();
        if first { LEVEL_FIRST } else { LEVEL_NODE_TERMS }
    }
}

/// The host of `host:port`.
#[must_use]
pub fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// What a node is to be like that has not joined yet: whoever adds it says so, and its token keeps
/// it (C106).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeTerms {
    /// Its group; nothing is the cluster's only one.
    pub group: Option<GroupUuid>,
    /// Whether it may become a candidate.
    pub master_capable: bool,
    /// Whether it may run instances.
    pub vm_capable: bool,
    /// Address to replicate disks over, where it is another one.
    pub secondary_ip: Option<IpAddr>,
    /// Its parameters, where they differ from the cluster's.
    pub ndparams: BTreeMap<String, String>,
    /// What hypervisors have of it, by hypervisor.
    pub hv_state: States,
    /// What storages have of it, by type and name.
    pub disk_state: States,
}

impl Default for NodeTerms {
    fn default() -> Self {
        Self {
            group: None,
            master_capable: true,
            vm_capable: true,
            secondary_ip: None,
            ndparams: BTreeMap::new(),
            hv_state: BTreeMap::new(),
            disk_state: BTreeMap::new(),
        }
    }
}

/// Why nothing can be like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeTermsError {
    /// DRBD of Ganeti speaks IPv4 only.
    #[error("Secondary IP ({0}) needs to be a valid IPv4 address")]
    SecondaryIp(IpAddr),
    /// No such parameter, or not of one node.
    #[error("{0:?} is no parameter of a node")]
    Parameter(String),
    /// Not a value of that parameter.
    #[error("node parameter {name}: {value:?} is not {expected}")]
    Value {
        /// Which.
        name: String,
        /// What was to be stored.
        value: String,
        /// What is.
        expected: &'static str,
    },
    /// No such number.
    #[error("{0:?} is nothing that a hypervisor or a storage has of a node")]
    State(String),
}

impl NodeTerms {
    /// Whether all that was said has a meaning, in the form in which it is stored.
    ///
    /// # Errors
    /// When something has none.
    pub fn check(&self) -> Result<(), NodeTermsError> {
        if let Some(address @ IpAddr::V6(_)) = self.secondary_ip {
            return Err(NodeTermsError::SecondaryIp(address));
        }
        for (name, value) in &self.ndparams {
            check_own_parameter(name, value)?;
        }
        check_states(&self.hv_state, &self.disk_state)
    }

    /// Whether nothing was said: then it is left out of encodings.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// From which state level on they may be in the log.
    #[must_use]
    pub fn level(&self) -> u32 {
        if self.is_default() { LEVEL_FIRST } else { LEVEL_NODE_TERMS }
    }
}

/// Whether this is a parameter that one node can have, and its value one in the form in which it
/// is stored.
///
/// # Errors
/// When it is not.
pub fn check_own_parameter(name: &str, value: &str) -> Result<(), NodeTermsError> {
    let known = NODE_PARAMETERS.iter().find(|param| param.name == name);
    let own = known.filter(|_| !CLUSTER_NODE_PARAMETERS.contains(&name));
    let param = own.ok_or_else(|| NodeTermsError::Parameter(name.to_owned()))?;
    if param.read(value).as_deref() == Some(value) {
        return Ok(());
    }
    let (name, value) = (name.to_owned(), value.to_owned());
    Err(NodeTermsError::Value { name, value, expected: param.expected() })
}

/// Whether these are numbers that hypervisors and storages have of a node.
///
/// # Errors
/// When one is not.
pub fn check_states(hv_state: &States, disk_state: &States) -> Result<(), NodeTermsError> {
    let of = |states: &States, known: &[&str]| {
        let mut names = states.values().flat_map(BTreeMap::keys);
        names.find(|name| !known.contains(&name.as_str())).cloned()
    };
    let unknown = of(hv_state, &HV_STATE_KEYS);
    match unknown.or_else(|| of(disk_state, &DISK_STATE_KEYS)) {
        Some(name) => Err(NodeTermsError::State(name)),
        None => Ok(()),
    }
}

/// Numbers by name, by what has them: a hypervisor, or a type and name of storage.
pub type States = BTreeMap<String, BTreeMap<String, u64>>;

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

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C106 P12
    #[test]
    fn terms_that_mean_nothing_are_refused() {
        let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let state = |key: &str| {
            let numbers = BTreeMap::from([(key.to_owned(), 1)]);
            BTreeMap::from([("kvm".to_owned(), numbers)])
        };
        let refused = |terms: NodeTerms| terms.check().expect_err("no meaning").to_string();
        let with = |ndparams| NodeTerms { ndparams, ..NodeTerms::default() };
        assert_eq!(with(pair("ssh_port", "22")).check(), Ok(()));
        assert!(refused(with(pair("colour", "red"))).contains("no parameter"));
        assert!(refused(with(pair("exclusive_storage", "True"))).contains("no parameter"));
        assert!(refused(with(pair("ovs", "maybe"))).contains("yes or no"));
        let stored_otherwise = refused(with(pair("ovs", "yes")));
        assert!(stored_otherwise.contains("yes or no"), "{stored_otherwise}");
        let secondary_ip = Some("2001:db8::1".parse().expect("an address"));
        assert!(refused(NodeTerms { secondary_ip, ..NodeTerms::default() }).contains("IPv4"));
        let hv_state = state("colour");
        assert!(refused(NodeTerms { hv_state, ..NodeTerms::default() }).contains("colour"));
        let disk_state = state("mem_hv");
        assert!(refused(NodeTerms { disk_state, ..NodeTerms::default() }).contains("mem_hv"));
    }

    #[test]
    fn an_address_of_the_daemon_is_no_second_one() {
        let id = crate::ids::NodeUuid(uuid::Uuid::nil());
        let (name, group) = (NodeName::new("node1").expect("valid"), GroupUuid(uuid::Uuid::nil()));
        let mut node = Node::new(id, name, "192.0.2.1:1811".into(), group, Timestamp(0));
        assert_eq!((node.host(), node.own_secondary_ip()), ("192.0.2.1", None));
        node.secondary_ip = Some("192.0.2.1".parse().expect("an address"));
        assert_eq!(node.own_secondary_ip(), None);
        node.secondary_ip = Some("192.0.2.101".parse().expect("an address"));
        assert_eq!(node.own_secondary_ip(), node.secondary_ip);
        node.address = "[2001:db8::1]:1811".into();
        assert_eq!(node.host(), "2001:db8::1");
    }
}

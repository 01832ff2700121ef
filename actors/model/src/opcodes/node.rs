//! Opcodes on nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Parameters;
use super::ganeti_json::{GanetiFields, OpJsonError};
use crate::ids::NodeUuid;
use crate::names::NodeName;
use crate::objects::{NodeTerms, States};

/// Adds a node that has presented its join token (O22). Submitted by the cluster actor when that
/// happens, never by a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeAdd {
    /// Its name, as in the token.
    pub node_name: NodeName,
    /// Its id, as in the token.
    pub node_uuid: NodeUuid,
    /// Where its daemon listens, `host:port`.
    pub address: String,
    /// SHA-256 of the token's secret, hexadecimal.
    pub secret_hash: String,
    /// SHA-256 of its certificate request, hexadecimal.
    pub key_hash: String,
    /// What it is to be like, as in the token.
    #[serde(default, skip_serializing_if = "NodeTerms::is_default")]
    pub terms: NodeTerms,
}

impl Parameters for NodeAdd {
    fn summary_detail(&self) -> Option<String> {
        Some(self.node_name.to_string())
    }

    fn level(&self) -> u32 {
        self.terms.level()
    }

    fn shown(&self) -> Option<Map<String, Value>> {
        Some(self.in_ganeti())
    }

    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

/// Removes a node that runs nothing (O21).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeRemove {
    /// Which.
    pub node_name: NodeName,
}

impl Parameters for NodeRemove {
    fn summary_detail(&self) -> Option<String> {
        Some(self.node_name.to_string())
    }

    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

/// In place of the value of a parameter: what the cluster has, whatever that will be.
pub const PARAMETER_DEFAULT: &str = "default";

/// Changes a node (O27). What is not said stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeSetParams {
    /// Which.
    pub node_name: NodeName,
    /// Let the master have a secondary address where no node has one, or none where all have.
    #[serde(default)]
    pub force: bool,
    /// Whether it holds the log.
    #[serde(default)]
    pub master_candidate: Option<bool>,
    /// Whether it is not to be talked to.
    #[serde(default)]
    pub offline: Option<bool>,
    /// Whether it gets no new instances.
    #[serde(default)]
    pub drained: Option<bool>,
    /// Make another node a candidate in its place, if it is needed.
    #[serde(default)]
    pub auto_promote: bool,
    /// Whether it may become a candidate.
    #[serde(default)]
    pub master_capable: Option<bool>,
    /// Whether it may run instances.
    #[serde(default)]
    pub vm_capable: Option<bool>,
    /// Address to replicate disks over.
    #[serde(default)]
    pub secondary_ip: Option<IpAddr>,
    /// Its own parameters that change; [`PARAMETER_DEFAULT`] takes one away.
    #[serde(default)]
    pub ndparams: Option<BTreeMap<String, String>>,
    /// Refused: no power switch of a node is known yet.
    #[serde(default)]
    pub powered: Option<bool>,
    /// What hypervisors have of it, where that changes.
    #[serde(default)]
    pub hv_state: Option<States>,
    /// What storages have of it, where that changes.
    #[serde(default)]
    pub disk_state: Option<States>,
}

impl NodeSetParams {
    /// Changes nothing of this node yet.
    #[must_use]
    pub fn new(node_name: NodeName) -> Self {
        Self {
            node_name,
            force: false,
            master_candidate: None,
            offline: None,
            drained: None,
            auto_promote: false,
            master_capable: None,
            vm_capable: None,
            secondary_ip: None,
            ndparams: None,
            powered: None,
            hv_state: None,
            disk_state: None,
        }
    }

    /// Whether nothing is to change. What only says how to change something is nothing, nor is
    /// power, as in Ganeti.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        let Self { force, auto_promote, powered, .. } = *self;
        *self == Self { force, auto_promote, powered, ..Self::new(self.node_name.clone()) }
    }
}

impl Parameters for NodeSetParams {
    fn summary_detail(&self) -> Option<String> {
        Some(self.node_name.to_string())
    }

    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

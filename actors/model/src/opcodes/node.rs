//! Opcodes on nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Parameters;
use super::ganeti_json::{GanetiFields, OpJsonError};
use crate::ids::NodeUuid;
use crate::names::NodeName;
use crate::objects::NodeTerms;

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

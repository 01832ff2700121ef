//! Opcodes on the cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Parameters;
use super::ganeti_json::{GanetiFields, OpJsonError};

/// Ends the cluster: refused while it has instances or other nodes than the master (O2, C7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ClusterDestroy {}

impl Parameters for ClusterDestroy {
    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

/// Replaces the certificates of nodes and, if wanted, the authority that signs them (O16,
/// C27). Nodes that are off renew by themselves when they come back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterRenewCrypto {
    /// New keys and certificates for all nodes, the operator and the reader.
    pub node_certificates: bool,
    /// A new authority, which takes new certificates for all. Ganeti makes its cluster certificate
    /// outside of the opcode, with the daemons stopped; here nothing is stopped.
    pub cluster_certificate: bool,
    /// Refused: there are no ssh keys.
    pub renew_ssh_keys: bool,
    /// Refused: there are no ssh keys.
    pub ssh_key_type: Option<String>,
    /// Refused: there are no ssh keys.
    pub ssh_key_bits: Option<u32>,
    /// More lines in the job's log.
    pub verbose: bool,
    /// Taken and without effect: what it does is in the journal of the job.
    pub debug: bool,
}

impl Parameters for ClusterRenewCrypto {
    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

/// Changes what the cluster is set to (O12, C12). Only what is listed here can be changed yet; a
/// document with another of Ganeti's fields is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterSetParams {
    /// How many nodes should hold the log; from 1 on. A larger pool is filled at once, a smaller
    /// one is left as it is.
    pub candidate_pool_size: Option<u32>,
}

impl Parameters for ClusterSetParams {
    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

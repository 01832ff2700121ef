//! The cluster itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterUuid, NodeUuid, Serial};
use crate::levels::{LEVEL_FIRST, LEVEL_NODE_TERMS};
use crate::names::{ClusterName, NodeName};
use crate::objects::{ClusterSettings, DiskTemplate, InstancePolicy, NicParams, NodeTerms};
use crate::opcodes::Reason;
use crate::params::{BackendParams, HypervisorDefaults, HypervisorKind};
use crate::units::Timestamp;

/// Cluster-wide configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// Never changes.
    pub uuid: ClusterUuid,
    /// Its name.
    pub name: ClusterName,
    /// When it was made.
    pub ctime: Timestamp,
    /// When its own fields changed last.
    pub mtime: Timestamp,
    /// Number of changes of its own fields.
    pub serial: Serial,
    /// Hypervisors in use; the first is the default.
    pub enabled_hypervisors: Vec<HypervisorKind>,
    /// Disk templates in use.
    pub enabled_disk_templates: Vec<DiskTemplate>,
    /// Directory of `file` disks on every node; absolute.
    pub file_storage_dir: String,
    /// Directory of `sharedfile` disks, the same on every node; absolute, empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shared_file_storage_dir: String,
    /// First three bytes of generated MAC addresses, `aa:00:00`.
    pub mac_prefix: String,
    /// How many nodes should hold the log.
    pub candidate_pool_size: u32,
    /// How many jobs run at the same time.
    pub max_running_jobs: u32,
    /// How many running jobs are tracked.
    pub max_tracked_jobs: u32,
    /// Defaults of hypervisor parameters.
    pub hvparams: HypervisorDefaults,
    /// Defaults of backend parameters.
    pub beparams: BackendParams,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Certificate of the cluster's CA, PEM. Public.
    pub ca_certificate: String,
    /// Parameters of interfaces that have none of their own.
    #[serde(default, skip_serializing_if = "NicParams::is_default")]
    pub nicparams: NicParams,
    /// What else an operator sets.
    #[serde(default, skip_serializing_if = "ClusterSettings::is_default")]
    pub settings: ClusterSettings,
    /// What instances may be like. A cluster from before there were policies has none, and takes
    /// any instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<InstancePolicy>,
}

impl Cluster {
    /// A new cluster, with nothing in use and Ganeti's defaults for the rest.
    #[must_use]
    pub fn new(uuid: ClusterUuid, name: ClusterName, at: Timestamp) -> Self {
        Self {
            uuid,
            name,
            ctime: at,
            mtime: at,
            serial: Serial(1),
            enabled_hypervisors: Vec::new(),
            enabled_disk_templates: Vec::new(),
            file_storage_dir: String::new(),
            shared_file_storage_dir: String::new(),
            mac_prefix: "aa:00:00".to_owned(),
            candidate_pool_size: 10,
            max_running_jobs: 20,
            max_tracked_jobs: 25,
            hvparams: HypervisorDefaults::default(),
            beparams: BackendParams::default(),
            tags: Vec::new(),
            ca_certificate: String::new(),
            nicparams: NicParams::default(),
            settings: ClusterSettings::default(),
            policy: None,
        }
    }
}

/// A one-time token by which a node may join. The secret itself is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct JoinTokenRecord {
    /// SHA-256 of the secret, hexadecimal.
    pub secret_hash: String,
    /// The only node that may use it.
    pub node_name: NodeName,
    /// The id that the node will have.
    pub node: NodeUuid,
    /// From then on it is refused.
    pub expires: Timestamp,
    /// SHA-256 of the certificate request that used it. The same request may come again (its answer
    /// may have been lost), another may not.
    pub redeemed_by: Option<String>,
    /// What the node is to be like.
    #[serde(default, skip_serializing_if = "NodeTerms::is_default")]
    pub terms: NodeTerms,
    /// Urgency of the job that will add the node; 0 is left out.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub priority: i8,
    /// Who asked for the node and why: goes into that job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<Reason>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual(priority: &i8) -> bool {
    *priority == 0
}

impl JoinTokenRecord {
    /// From which state level on it may be in the log as it is.
    #[must_use]
    pub fn level(&self) -> u32 {
        let later = self.priority != 0 || !self.reason.is_empty();
        self.terms.level().max(if later { LEVEL_NODE_TERMS } else { LEVEL_FIRST })
    }
}

//! The replicated state machine: what every entry of the log means.
//!
//! [`ClusterState::apply`] is the only way the state changes. It checks preconditions and sets
//! values; it computes nothing that depends on when or where it runs. Time comes from the entry.
//! Every replica that applies the same entries has an equal state, and [`ClusterState::hash`] says
//! so. A clone is cheap (shared structure): it is what a snapshot, a query and a check work on.
//!
//! Who may call it: the store, for committed entries, in log order. Deliberately absent: deciding
//! what to propose (logical units and the job machine do), and everything volatile (lock queues,
//! waiting jobs, the picture of the nodes).

mod apply;
mod command;
mod config;
mod difference;
mod find;
mod history;
mod holders;
mod journal;
pub mod level;
mod pool;
mod tags;
mod touch;
mod transitions;
mod trust;

pub use find::not_known;
pub(crate) use find::{not_found, unknown};

pub use command::{Applied, Command, Entry, InitCluster, JobEntry, JobFact};
pub use history::{Emitted, HISTORY_RECORD_BYTES_MAX, HistoryEvent, HistoryHead, HistoryRecord};
pub use holders::{HolderStep, HolderWishes, Membership, VOTERS_MAX};
#[cfg(feature = "next-version")]
pub use level::{NEXT_LEVEL, NEXT_LEVELS};
pub use level::{NotPermitted, Rule, STATE_LEVEL, STATE_LEVEL_LOWEST, STATE_LEVELS};
pub use pool::PoolStanding;
pub use transitions::TRANSITIONS_MAX;
pub use trust::SECRETS_MAX;

use std::io::{BufWriter, Write};
use std::sync::Arc;

use gantry_model::ids::{GroupUuid, InstanceUuid, JobId, NodeUuid, ReignId, Revision};
use gantry_model::jobs::JobRecord;
use gantry_model::locks::{LockMode, LockName};
use gantry_model::names::{InstanceName, NodeName};
use gantry_model::objects::{Cluster, Instance, JoinTokenRecord, Node, NodeGroup};
use gantry_model::transitions::Transition;
use gantry_model::trust::{ClusterTrust, SealedSecret, SecretName};
use gantry_wire::RequestId;
use imbl::{OrdMap, OrdSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most unfinished jobs (row Q27). Each holds an actor and a record of a few KiB; lower would
/// refuse what scripts submit at once for a large cluster, higher lets a runaway script fill
/// memory.
pub const UNFINISHED_JOBS_MAX: usize = 5_000;

/// Most finished jobs kept in the state; the oldest are archived first. Ganeti's queue holds 5,000
/// before it must be archived. Lower and lists miss last night's jobs; higher and snapshots grow.
pub const FINISHED_JOBS_MAX: usize = 5_000;

/// Most opcodes in one job, and jobs in one submission: what a frame can carry and one entry of the
/// log should. Scripts that create a whole cluster's instances submit about 1,000.
pub const BATCH_MAX: usize = 5_000;

/// Most answered submissions remembered for repetition. A client repeats within seconds; at 3,000
/// jobs per second submitted one by one this still covers several.
pub const REQUESTS_MAX: usize = 20_000;

/// Everything that the master candidates agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterState {
    /// Rules and variants up to this level may appear in the log.
    pub level: u32,
    /// Log index of the last applied entry.
    pub revision: Revision,
    /// Log index of the last takeover.
    pub reign: ReignId,
    /// The node that took over.
    pub master: Option<NodeUuid>,
    /// The cluster; `None` before its first entry.
    pub cluster: Option<Arc<Cluster>>,
    /// Whether it has been destroyed: nothing is accepted any more.
    pub destroyed: bool,
    /// Node groups.
    #[schemars(with = "std::collections::BTreeMap<GroupUuid, NodeGroup>")]
    pub groups: OrdMap<GroupUuid, Arc<NodeGroup>>,
    /// Nodes.
    #[schemars(with = "std::collections::BTreeMap<NodeUuid, Node>")]
    pub nodes: OrdMap<NodeUuid, Arc<Node>>,
    /// Nodes by name.
    #[schemars(with = "std::collections::BTreeMap<String, NodeUuid>")]
    pub node_names: OrdMap<NodeName, NodeUuid>,
    /// Instances.
    #[schemars(with = "std::collections::BTreeMap<InstanceUuid, Instance>")]
    pub instances: OrdMap<InstanceUuid, Arc<Instance>>,
    /// Instances by name.
    #[schemars(with = "std::collections::BTreeMap<String, InstanceUuid>")]
    pub instance_names: OrdMap<InstanceName, InstanceUuid>,
    /// Instances by the MAC addresses of their interfaces: no two interfaces have the same.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, InstanceUuid>")]
    pub macs: OrdMap<String, InstanceUuid>,
    /// Instances by the ports of their displays.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<u16, InstanceUuid>")]
    pub network_ports: OrdMap<u16, InstanceUuid>,
    /// What last became of the guests of instances; nothing of one that was never seen.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<InstanceUuid, Transition>")]
    pub transitions: OrdMap<InstanceUuid, Arc<Transition>>,
    /// Join tokens, by hash of their secret.
    #[schemars(with = "std::collections::BTreeMap<String, JoinTokenRecord>")]
    pub tokens: OrdMap<String, Arc<JoinTokenRecord>>,
    /// Which authorities are believed, and the generation of the cluster key.
    // Left out where there is none: a state from before has the hash that it had.
    #[serde(default, skip_serializing_if = "is_untouched")]
    #[schemars(with = "ClusterTrust")]
    pub trust: Arc<ClusterTrust>,
    /// Secrets, sealed with the cluster key.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, SealedSecret>")]
    pub secrets: OrdMap<SecretName, Arc<SealedSecret>>,
    /// Jobs.
    #[schemars(with = "std::collections::BTreeMap<JobId, JobRecord>")]
    pub jobs: OrdMap<JobId, Arc<JobRecord>>,
    /// What only the version after this one knows.
    #[cfg(feature = "next-version")]
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(skip)]
    pub trial: u64,
    /// Jobs that have not ended.
    #[schemars(with = "std::collections::BTreeSet<JobId>")]
    pub unfinished: OrdSet<JobId>,
    /// What has left the state for the history.
    #[serde(default)]
    pub history: HistoryHead,
    /// The last job id given.
    pub last_job: JobId,
    /// Locks that jobs hold and have acted under.
    #[schemars(with = "std::collections::BTreeMap<JobId, Vec<(LockName, LockMode)>>")]
    pub locks: OrdMap<JobId, Arc<Vec<(LockName, LockMode)>>>,
    /// Answered submissions: the ids that a repetition gets again.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<JobId>>")]
    pub requests: OrdMap<RequestId, Arc<Vec<JobId>>>,
    /// The same in order of arrival, to forget the oldest.
    #[schemars(with = "std::collections::BTreeMap<Revision, String>")]
    pub request_order: OrdMap<Revision, RequestId>,
}

impl ClusterState {
    /// A node by name.
    #[must_use]
    pub fn node_by_name(&self, name: &NodeName) -> Option<&Arc<Node>> {
        self.node_names.get(name).and_then(|uuid| self.nodes.get(uuid))
    }

    /// An instance by name.
    #[must_use]
    pub fn instance_by_name(&self, name: &InstanceName) -> Option<&Arc<Instance>> {
        self.instance_names.get(name).and_then(|uuid| self.instances.get(uuid))
    }

    /// The lowest job that has not ended: all below it are settled.
    #[must_use]
    pub fn settled_below(&self) -> JobId {
        self.unfinished.get_min().copied().unwrap_or_else(|| self.last_job.next())
    }

    /// A hash that is equal on equal states, whatever way they came to be.
    ///
    /// # Errors
    /// When the state cannot be encoded, which would also make a snapshot impossible.
    pub fn hash(&self) -> Result<[u8; 32], serde_json::Error> {
        let mut hasher = Sha256::new();
        // The encoder writes in pieces of some bytes.
        let mut buffered = BufWriter::with_capacity(HASH_BUFFER_BYTES, HashWriter(&mut hasher));
        serde_json::to_writer(&mut buffered, self)?;
        buffered.flush().map_err(serde_json::Error::io)?;
        drop(buffered);
        Ok(hasher.finalize().into())
    }
}

/// Bytes of an encoded state that are hashed at once. Lower calls the hash for every few bytes,
/// higher gains nothing.
const HASH_BUFFER_BYTES: usize = 16 * 1024;

#[cfg(feature = "next-version")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_untouched(trust: &Arc<ClusterTrust>) -> bool {
    **trust == ClusterTrust::default()
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! What nodes report of themselves and their guests; the picture on the leader is made of it.
//!
//! The picture answers queries. It never decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{InstanceUuid, RunEpoch};
use crate::names::InstanceName;
use crate::params::HypervisorKind;
use crate::units::{MiB, Timestamp};

/// Resources of a node, measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeInfo {
    /// All memory.
    pub memory_total: MiB,
    /// Memory that is free or can be freed.
    pub memory_free: MiB,
    /// Memory used by the node itself.
    pub memory_node: MiB,
    /// Size of the storage for instances.
    pub disk_total: MiB,
    /// What is free of it.
    pub disk_free: MiB,
    /// Processors.
    pub cpus: u32,
    /// When it was booted.
    pub booted: Timestamp,
    /// What its kernel calls this run of the system; nil when it does not say.
    #[serde(default)]
    pub boot_id: Uuid,
    /// Processor sockets; 0 when it does not say.
    #[serde(default)]
    pub cpu_sockets: u32,
    /// NUMA domains; 0 when it does not say.
    #[serde(default)]
    pub numa_nodes: u32,
    /// Versions and abilities of each hypervisor there, for people.
    pub hypervisors: Vec<(HypervisorKind, String)>,
}

/// What a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuestState {
    /// Executes.
    Running,
    /// Exists but is stopped.
    Paused,
    /// Has ended by itself; its hypervisor still holds it or has just said so.
    Shutdown,
}

/// A guest as its hypervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GuestReport {
    /// Which.
    pub instance: InstanceUuid,
    /// Its name, for guests that no configuration knows.
    pub name: InstanceName,
    /// By what.
    pub hypervisor: HypervisorKind,
    /// What it does.
    pub state: GuestState,
    /// The start that it comes from.
    pub epoch: RunEpoch,
    /// Memory it has now.
    pub memory: MiB,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Process id, where there is one.
    pub pid: Option<u32>,
    /// Such as `tcg` or `kvm`: how it is executed.
    pub accelerator: String,
}

/// A guest that is there, or may be, and of which its node cannot say how it is. It counts neither
/// as running nor as gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct UnreadableGuest {
    /// Which.
    pub instance: InstanceUuid,
    /// What would run it.
    pub hypervisor: HypervisorKind,
    /// Why, and what to do, for people.
    pub reason: String,
}

/// A change on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportEvent {
    /// Everything; replaces what was known. Sent first on each connection.
    Full {
        /// Its resources.
        info: NodeInfo,
        /// All its guests.
        guests: Vec<GuestReport>,
        /// Those that could not be found out. A change of it is told by another full report. One
        /// that is in `guests` too is there as it was last seen.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unreadable: Vec<UnreadableGuest>,
    },
    /// New resources.
    Info(NodeInfo),
    /// A guest is new or has changed.
    Guest(GuestReport),
    /// A guest is gone.
    Gone(InstanceUuid),
}

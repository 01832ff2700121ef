//! Instances, and what a node is told of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{InstanceUuid, NodeUuid, RunEpoch, Serial};
use crate::levels::{LEVEL_FIRST, LEVEL_NETWORK};
use crate::names::InstanceName;
use crate::objects::{Disk, DiskTemplate, Nic};
use crate::params::{BackendOverrides, HvOverrides, HvParams, HypervisorKind, PrivateParams};
use crate::units::{MiB, Timestamp};

/// The level of private parameters of an OS.
const LEVEL_PRIVATE: u32 = 6;

/// What the administrator wants (row O116).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdminState {
    /// Should run.
    Up,
    /// Should not run.
    Down,
    /// Must not be started.
    Offline,
}

/// An instance as configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Never changes.
    pub uuid: InstanceUuid,
    /// Its name.
    pub name: InstanceName,
    /// The node it runs on.
    pub primary: NodeUuid,
    /// What runs it, and how that differs from the cluster's defaults.
    pub hvparams: HvOverrides,
    /// How its resources differ from the cluster's defaults.
    pub beparams: BackendOverrides,
    /// Name of its OS; empty if none was installed by us.
    pub os: String,
    /// Parameters of its OS.
    pub osparams: BTreeMap<String, String>,
    /// Those of its OS that nobody is shown.
    #[serde(default, skip_serializing_if = "PrivateParams::is_empty")]
    pub osparams_private: PrivateParams,
    /// How its disks are stored.
    pub disk_template: DiskTemplate,
    /// Its disks, in order.
    pub disks: Vec<Disk>,
    /// Its interfaces, in order.
    pub nics: Vec<Nic>,
    /// What the administrator wants.
    pub admin_state: AdminState,
    /// How often it has been started. A guest of an older epoch must not run.
    pub run_epoch: RunEpoch,
    /// When it was made.
    pub ctime: Timestamp,
    /// When it changed last.
    pub mtime: Timestamp,
    /// Number of changes.
    pub serial: Serial,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// TCP port of its display on its node, for life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_port: Option<u16>,
}

impl Instance {
    /// What runs it.
    #[must_use]
    pub fn hypervisor(&self) -> HypervisorKind {
        self.hvparams.kind()
    }

    /// From which state level on it may be in the log as it is.
    #[must_use]
    pub fn level(&self) -> u32 {
        let networked = !self.nics.is_empty() || self.network_port.is_some();
        let own = if networked { LEVEL_NETWORK } else { LEVEL_FIRST };
        let private = if self.osparams_private.is_empty() { LEVEL_FIRST } else { LEVEL_PRIVATE };
        own.max(private).max(self.hvparams.level()).max(self.disk_template.level())
    }

    /// As views get it: without the values that nobody is shown.
    #[must_use]
    pub fn redacted(&self) -> Self {
        Self { osparams_private: self.osparams_private.redacted(), ..self.clone() }
    }
}

/// All that a node needs to run a guest; complete, because a node keeps no configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GuestSpec {
    /// Which instance.
    pub instance: InstanceUuid,
    /// Its name.
    pub name: InstanceName,
    /// Filled parameters.
    pub hvparams: HvParams,
    /// Memory at start.
    pub memory: MiB,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Its disks, in order.
    pub disks: Vec<Disk>,
    /// Its interfaces, in order.
    pub nics: Vec<Nic>,
    /// The start that this is.
    pub epoch: RunEpoch,
    /// TCP port of its display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_port: Option<u16>,
    /// Tags of the instance, for network scripts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The cluster's pool of user ids, where it runs as one of them: ranges with both ends (H45).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uid_pool: Vec<(u32, u32)>,
}

impl GuestSpec {
    /// From which state level on it may be in the log as it is.
    #[must_use]
    pub fn level(&self) -> u32 {
        let tagged = !self.tags.is_empty();
        let networked = !self.nics.is_empty() || self.network_port.is_some();
        let pooled = !self.uid_pool.is_empty();
        let own = if networked || tagged || pooled { LEVEL_NETWORK } else { LEVEL_FIRST };
        let disks = self.disks.iter().map(Disk::level).max().unwrap_or(LEVEL_FIRST);
        own.max(self.hvparams.level()).max(disks)
    }
}

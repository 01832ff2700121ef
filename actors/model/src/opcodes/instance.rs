//! Opcodes on instances.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Parameters;
use super::ganeti_json::{GanetiFields, OpJsonError};
use crate::levels::LEVEL_FIRST;
use crate::names::{InstanceName, NodeName};
use crate::objects::{DiskMode, DiskTemplate, NicOverrides};
use crate::params::{BackendOverrides, HvOverrides, PrivateParams, SecretParams};
use crate::units::{MiB, Millis};

/// A disk to be made (C220).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct DiskRequest {
    /// Its size; more than 0.
    pub size: MiB,
    /// Whether the guest may write.
    pub mode: DiskMode,
    /// A name.
    pub name: Option<String>,
}

/// An interface to be made (C221).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NicRequest {
    /// Its MAC address; one is made up if none is given.
    pub mac: Option<String>,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// A name.
    pub name: Option<String>,
    /// How it differs from the cluster's defaults.
    pub nicparams: NicOverrides,
}

/// Makes an instance (O31, I1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceCreate {
    /// Its name; must be free.
    pub instance_name: InstanceName,
    /// Where it will run; required until placement exists.
    pub primary_node: Option<NodeName>,
    /// How its disks are stored.
    pub disk_template: DiskTemplate,
    /// Its disks.
    pub disks: Vec<DiskRequest>,
    /// What runs it, and how that differs; `None` is the cluster's default.
    pub hvparams: Option<HvOverrides>,
    /// How its resources differ.
    pub beparams: BackendOverrides,
    /// Its OS; may be empty with `no_install` or an `os-image`.
    pub os: String,
    /// OS parameters. `os-image` is an absolute path on the node, copied onto disk 0.
    pub osparams: BTreeMap<String, String>,
    /// OS parameters that nobody is shown.
    #[serde(default, skip_serializing_if = "PrivateParams::is_empty")]
    pub osparams_private: PrivateParams,
    /// OS parameters for this job alone.
    #[serde(default, skip_serializing_if = "SecretParams::is_empty")]
    pub osparams_secret: SecretParams,
    /// Install nothing.
    pub no_install: bool,
    /// Start it afterwards.
    pub start: bool,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its interfaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<NicRequest>,
    /// Take an address that another interface on the same link has.
    #[serde(default, skip_serializing_if = "is_off")]
    pub no_conflicts_check: bool,
    /// Directory of its disks below that of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_storage_dir: Option<String>,
    /// Make it also when the instance policy does not allow it.
    #[serde(default, skip_serializing_if = "is_off")]
    pub ignore_ipolicy: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_off(flag: &bool) -> bool {
    !*flag
}

impl InstanceCreate {
    fn uses_later_fields(&self) -> bool {
        let later_hvparams = |hvparams: &HvOverrides| hvparams.level() > LEVEL_FIRST;
        !self.tags.is_empty()
            || !self.nics.is_empty()
            || self.no_conflicts_check
            || self.file_storage_dir.is_some()
            || self.ignore_ipolicy
            || !self.osparams_private.is_empty()
            || !self.osparams_secret.is_empty()
            || self.disk_template.level() > LEVEL_FIRST
            || self.hvparams.as_ref().is_some_and(later_hvparams)
    }
}

/// Removes an instance with its disks (O34, I10).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceRemove {
    /// Which.
    pub instance_name: InstanceName,
    /// How long its guest may take to shut down.
    pub shutdown_timeout: Millis,
    /// Go on when the guest cannot be stopped or a disk cannot be removed.
    pub ignore_failures: bool,
}

/// Installs an instance anew: an image is copied onto its first disk (O33, I8). It must be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceReinstall {
    /// Which.
    pub instance_name: InstanceName,
    /// The OS that it has from then on; `None` keeps the one it has.
    #[serde(default)]
    pub os_type: Option<String>,
    /// Take the OS also in a variant that it does not have. Without effect: there are no OS
    /// definitions that could have variants.
    #[serde(default)]
    pub force_variant: bool,
    /// OS parameters that change; `os-image` is an absolute path on the node. What is not named
    /// stays as it is.
    #[serde(default)]
    pub osparams: BTreeMap<String, String>,
    /// The same of those that nobody is shown.
    #[serde(default, skip_serializing_if = "PrivateParams::is_empty")]
    pub osparams_private: PrivateParams,
    /// OS parameters for this job alone.
    #[serde(default, skip_serializing_if = "SecretParams::is_empty")]
    pub osparams_secret: SecretParams,
}

/// Starts an instance (O36, I5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStartup {
    /// Which.
    pub instance_name: InstanceName,
    /// Do not change the configured state.
    pub no_remember: bool,
    /// Leave the guest stopped at its first instruction.
    pub startup_paused: bool,
    /// Start it also when a mirror of its disks cannot be used. Without effect: there are no
    /// mirrored disks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// When its node is offline, only change the configured state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_offline_nodes: bool,
    /// How its hypervisor parameters differ, for this run only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hvparams: Option<HvOverrides>,
    /// How its resources differ, for this run only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beparams: Option<BackendOverrides>,
}

impl InstanceStartup {
    /// The usual start.
    #[must_use]
    pub fn new(instance_name: InstanceName) -> Self {
        Self {
            instance_name,
            no_remember: false,
            startup_paused: false,
            force: false,
            ignore_offline_nodes: false,
            hvparams: None,
            beparams: None,
        }
    }

    fn uses_later_fields(&self) -> bool {
        self.force
            || self.ignore_offline_nodes
            || self.hvparams.is_some()
            || self.beparams.is_some()
    }
}

/// Stops an instance (O37, I6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceShutdown {
    /// Which.
    pub instance_name: InstanceName,
    /// How long its guest may take; then it is killed.
    pub shutdown_timeout: Millis,
    /// Do not change the configured state.
    pub no_remember: bool,
    /// Also when the instance is marked offline.
    pub force: bool,
    /// When its node is offline, only change the configured state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_offline_nodes: bool,
}

/// How to restart (O103).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RebootType {
    /// The hypervisor restarts the guest.
    Soft,
    /// The same for kvm: stop and start with the same runtime.
    Hard,
    /// Shut down, then start anew.
    Full,
}

impl RebootType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Soft, Self::Hard, Self::Full];

    /// Ganeti's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Full => "full",
        }
    }
}

/// Restarts an instance (O38, I7).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceReboot {
    /// Which.
    pub instance_name: InstanceName,
    /// How.
    pub reboot_type: RebootType,
    /// How long its guest may take to shut down, where it is asked to.
    pub shutdown_timeout: Millis,
    /// Start it also when a mirror of its disks cannot be used. Without effect: there are no
    /// mirrored disks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_secondaries: bool,
}

/// The level of fields that were not there at first.
const LATER_FIELDS: u32 = 6;

/// `Opcode, its later fields say something;`: the summary of each is its instance.
macro_rules! on_an_instance {
    ($($op:ident, $uses_later_fields:expr;)*) => { $(
        impl Parameters for $op {
            fn summary_detail(&self) -> Option<String> {
                Some(self.instance_name.to_string())
            }

            fn level(&self) -> u32 {
                let uses_later_fields: fn(&$op) -> bool = $uses_later_fields;
                if uses_later_fields(self) { LATER_FIELDS } else { LEVEL_FIRST }
            }

            fn shown(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
                Some(self.in_ganeti())
            }

            fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
                Self::from_fields(fields)
            }
        }
    )* };
}

on_an_instance! {
    InstanceCreate, InstanceCreate::uses_later_fields;
    InstanceRemove, |_| false;
    InstanceReinstall, |_| false;
    InstanceStartup, InstanceStartup::uses_later_fields;
    InstanceShutdown, |op| op.ignore_offline_nodes;
    InstanceReboot, |op| op.ignore_secondaries;
}

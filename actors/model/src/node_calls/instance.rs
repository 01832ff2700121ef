//! Calls to instance actors.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{InstanceUuid, RunEpoch};
use crate::node_calls::CallTarget;
use crate::objects::{Disk, GuestSpec};
use crate::params::HypervisorKind;
use crate::units::Millis;

/// Starts a guest. If a guest of this epoch runs already, that is the result; if one of an older
/// epoch runs, it is refused: a guest never runs twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStart {
    /// The guest.
    pub spec: GuestSpec,
    /// Leave it stopped at its first instruction.
    pub paused: bool,
}

/// Stops a guest: asks it, waits, then kills it. If it does not run, that is the result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStop {
    /// Which.
    pub instance: InstanceUuid,
    /// By what.
    pub hypervisor: HypervisorKind,
    /// How long to wait before killing it; 0 kills at once.
    pub timeout: Millis,
    /// Stop only the guest of this start. What takes back a start must not end a guest that kept it
    /// from starting.
    #[serde(default)]
    pub epoch: Option<RunEpoch>,
    /// Its disks, which are given up once it does not run. A stop of an older program names none.
    #[serde(default)]
    pub disks: Vec<Disk>,
}

/// Restarts a guest in place: its processor is reset, its process stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InstanceReboot {
    /// Which.
    pub instance: InstanceUuid,
    /// By what.
    pub hypervisor: HypervisorKind,
    /// Names this reboot for ever. It is kept with the guest, so that one whose answer was lost is
    /// known to have happened. A reboot of an older program has none.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub mark: Option<Uuid>,
}

impl InstanceStart {
    pub(super) fn own_time(&self) -> Duration {
        Duration::ZERO
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Instance(self.spec.instance)
    }
}

impl InstanceStop {
    pub(super) fn own_time(&self) -> Duration {
        self.timeout.into()
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Instance(self.instance)
    }
}

impl InstanceReboot {
    pub(super) fn own_time(&self) -> Duration {
        Duration::ZERO
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Instance(self.instance)
    }
}

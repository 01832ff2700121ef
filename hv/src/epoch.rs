//! What the epoch of another start says about this one.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::node_calls::Recovery;

/// What became of a start when one of another epoch is there instead: an older one may still be
/// replaced by it, a newer one means that its time is over.
pub(crate) fn other_epoch(asked: RunEpoch, seen: RunEpoch) -> Recovery {
    if seen < asked {
        return Recovery::NotStarted;
    }
    let message = format!("start of epoch {asked} is over: epoch {seen} was started here since");
    Recovery::Failed(Fault::new(FaultCode::StaleToken, message))
}

/// A reboot without a mark leaves no trace: if the guest runs, nobody can say whether it was reset.
pub(crate) fn unmarked_reboot(instance: InstanceUuid) -> Recovery {
    Recovery::Unknown(format!("instance {instance} runs; whether it was reset cannot be seen"))
}

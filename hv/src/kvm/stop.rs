//! Stopping a guest: ask, ask again, kill.

use std::time::Duration;

use gantry_model::ids::InstanceUuid;
use tokio::time::Instant;

use crate::contract::StoppedBy;
use crate::error::HvError;
use crate::kvm::command_line::kvm_params;
use crate::kvm::hypervisor::KvmHypervisor;
use crate::kvm::watch::Attached;

/// How long after pressing the power button we press it again (row H133): a guest that boots does
/// not see the first. Lower may look to a guest like an impatient user and make it skip work.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How long QEMU gets to close its images when it is told to end. Higher delays every forced stop
/// of one that hangs.
const QUIT_TIME_MAX: Duration = Duration::from_secs(3);

impl KvmHypervisor {
    pub(super) async fn stop_guest(
        &self,
        instance: InstanceUuid,
        timeout: Duration,
    ) -> Result<StoppedBy, HvError> {
        let deadline = Instant::now() + timeout;
        let mut was_asked = false;
        loop {
            let slot = self.slot(instance);
            let mut slot = slot.lock().await;
            let Some(attached) = self.current(&self.dir(instance), &mut slot).await? else {
                return Ok(if was_asked { StoppedBy::Guest } else { StoppedBy::AlreadyDown });
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.ask(attached).await {
                self.end(attached).await?;
                *slot = None;
                let killed = if was_asked {
                    StoppedBy::KilledAfterTimeout
                } else {
                    StoppedBy::KilledUnasked
                };
                return Ok(killed);
            }
            was_asked = true;
            let mut ended = attached.ended();
            // While it shuts down, others may ask about it and use its console.
            drop(slot);
            let _in_time =
                tokio::time::timeout(left.min(ASK_AGAIN), ended.wait_for(|ended| *ended)).await;
        }
    }

    /// Presses the power button. False if nobody would notice.
    async fn ask(&self, attached: &Attached) -> bool {
        let acpi = kvm_params(&attached.record().spec).is_ok_and(|params| params.acpi);
        let executes = attached.run_state().await.is_ok_and(|state| state == "running");
        if !acpi || !executes {
            return false;
        }
        attached.note_asked();
        match attached.execute("system_powerdown").await {
            Ok(()) => true,
            Err(error) => {
                // Ended this moment, or hung: the next look tells which.
                let instance = attached.instance();
                tracing::warn!(%instance, %error, "could not press a guest's power button");
                !attached.is_alive().unwrap_or(true)
            }
        }
    }

    /// Ends the process and waits until its end is noted and told.
    pub(super) async fn end(&self, attached: &Attached) -> Result<(), HvError> {
        let instance = attached.instance();
        let process = attached.process();
        let failed = |attempt| move |source| HvError::Process { attempt, instance, source };
        attached.note_asked();
        process.terminate().map_err(failed("terminate"))?;
        if !process.wait_gone(QUIT_TIME_MAX).await.map_err(failed("wait for"))? {
            tracing::warn!(%instance, pid = process.pid, "qemu does not end, killing it");
            self.kill_process(instance, process).await?;
        }
        if !attached.wait_ended().await {
            tracing::error!(%instance, "the end of a guest was not noted in time");
        }
        Ok(())
    }
}

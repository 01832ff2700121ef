//! How an intent ended whose result was not recorded, asked of the run directory and of QEMU.

use gantry_model::errors::Fault;
use gantry_model::ids::InstanceUuid;
use gantry_model::node_calls::{CallOutcome, InstanceReboot, InstanceStart, Recovery};

use crate::contract::GuestIntent;
use crate::epoch::{other_epoch, unmarked_reboot};
use crate::error::HvError;
use crate::kvm::hypervisor::KvmHypervisor;
use crate::kvm::run_dir::RunDir;

impl KvmHypervisor {
    pub(super) async fn recover_intent(&self, intent: GuestIntent<'_>) -> Recovery {
        let recovered = match intent {
            GuestIntent::Start(start) => self.recover_start(start).await,
            GuestIntent::Stop(stop) => self.running(stop.instance).await.map(|runs| {
                if runs { Recovery::NotStarted } else { Recovery::Done(CallOutcome::default()) }
            }),
            GuestIntent::Reboot(reboot) => self.recover_reboot(reboot).await,
        };
        recovered.unwrap_or_else(|error| {
            let fault = Fault::from_error(error.code(), "ask what became of a guest", &error);
            Recovery::Unknown(fault.one_line())
        })
    }

    async fn recover_start(&self, start: &InstanceStart) -> Result<Recovery, HvError> {
        let spec = &start.spec;
        let dir = self.dir(spec.instance);
        let slot = self.slot(spec.instance);
        let mut slot = slot.lock().await;
        if let Some(running) = self.current(&dir, &mut slot).await? {
            let epoch = running.record().spec.epoch;
            if epoch != spec.epoch {
                return Ok(other_epoch(spec.epoch, epoch));
            }
            let notes = running.record().notes.clone();
            let before_first = running.run_state().await.is_ok_and(|state| state == "prelaunch");
            if !before_first || start.paused {
                return Ok(Recovery::Done(CallOutcome::with_notes(notes)));
            }
            // Half a start: QEMU is there, the guest has not begun. Whether it still may begin is
            // for the caller to find out again, so it is taken back.
            *slot = None;
            self.take_back(&dir, spec).await?;
            return Ok(Recovery::NotStarted);
        }
        Ok(match self.on_disk(&dir, RunDir::ended).await? {
            Some(ended) if ended.epoch > spec.epoch => other_epoch(spec.epoch, ended.epoch),
            Some(ended) if ended.epoch == spec.epoch && ended.executed => {
                let notes = vec!["the guest was started and has ended since".to_owned()];
                Recovery::Done(CallOutcome::with_notes(notes))
            }
            _ => Recovery::NotStarted,
        })
    }

    /// QEMU keeps no trace of a reset; what is known is whether it was about to be told, and
    /// whether it had answered. Only between the two, some milliseconds, nobody can say.
    async fn recover_reboot(&self, reboot: &InstanceReboot) -> Result<Recovery, HvError> {
        let instance = reboot.instance;
        if self.running(instance).await? {
            let Some(mark) = reboot.mark else { return Ok(unmarked_reboot(instance)) };
            let last = self.on_disk(&self.dir(instance), RunDir::reset).await?;
            return Ok(match last.filter(|last| last.mark == mark) {
                None => Recovery::NotStarted,
                Some(last) if last.done => Recovery::Done(CallOutcome::default()),
                Some(_) => {
                    let why = "QEMU was being told to reset it; whether it did cannot be seen";
                    Recovery::Unknown(format!("instance {instance} runs; {why}"))
                }
            });
        }
        let error = HvError::NotRunning { instance };
        Ok(Recovery::Failed(Fault::new(error.code(), error.to_string())))
    }

    async fn running(&self, instance: InstanceUuid) -> Result<bool, HvError> {
        let slot = self.slot(instance);
        let mut slot = slot.lock().await;
        Ok(self.current(&self.dir(instance), &mut slot).await?.is_some())
    }
}

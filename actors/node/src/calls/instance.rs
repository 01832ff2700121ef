//! Calls to guests.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_hv::{DiskSource, GuestIntent, HvError, Hypervisor, StoppedBy};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::node_calls::{
    CallOutcome, InstanceReboot, InstanceStart, InstanceStop, Recovery,
};
use gantry_model::objects::{Disk, GuestSpec};
use gantry_model::params::HypervisorKind;
use gantry_storage::{DiskLink, StorageError};

use super::{CallHandler, disk};
use crate::env::NodeEnv;

/// The fault of a hypervisor error.
pub(crate) fn fault(error: &HvError, attempted: &str) -> Fault {
    Fault::from_error(error.code(), attempted, error)
}

fn hypervisor(
    env: &NodeEnv,
    kind: HypervisorKind,
    attempted: &str,
) -> Result<Arc<dyn Hypervisor>, Fault> {
    env.hypervisors.get(kind).map_err(|error| fault(&error, attempted))
}

async fn recover(env: &NodeEnv, kind: HypervisorKind, intent: GuestIntent<'_>) -> Recovery {
    match hypervisor(env, kind, "find out what became of a guest") {
        Ok(hypervisor) => hypervisor.recover(intent).await,
        // The hypervisor was taken out of the node's set-up meanwhile: its guests cannot be seen.
        Err(fault) => Recovery::Unknown(fault.one_line()),
    }
}

async fn attach(env: &NodeEnv, disk: &Disk) -> Result<DiskSource, StorageError> {
    match env.storage.get(disk.template())?.attach(disk).await? {
        DiskLink::Path(path) => Ok(DiskSource::Path(path)),
        DiskLink::Record => Ok(DiskSource::Record),
    }
}

/// Attaches the disks of a guest, all or none.
async fn attach_all(env: &NodeEnv, spec: &GuestSpec) -> Result<Vec<DiskSource>, Fault> {
    let mut sources = Vec::with_capacity(spec.disks.len());
    for (n_attached, disk) in spec.disks.iter().enumerate() {
        match attach(env, disk).await {
            Ok(source) => sources.push(source),
            Err(error) => {
                let _logged = detach_all(env, &spec.disks[..n_attached]).await;
                let attempted = format!("attach disk {} of instance {}", disk.index, spec.name);
                return Err(disk::fault(&error, &attempted));
            }
        }
    }
    Ok(sources)
}

/// Gives up the disks of a guest that does not run. A disk that stays attached harms nobody:
/// attaching it again says the same. Says which do.
async fn detach_all(env: &NodeEnv, disks: &[Disk]) -> Vec<String> {
    let mut notes = Vec::new();
    for disk in disks {
        let detached = match env.storage.get(disk.template()) {
            Ok(storage) => storage.detach(disk).await,
            Err(error) => Err(error),
        };
        if let Err(error) = detached {
            tracing::warn!(disk = %disk.uuid, %error, "a disk stays attached");
            let fault = disk::fault(&error, &format!("disk {} stays attached", disk.index));
            notes.push(fault.one_line());
        }
    }
    notes
}

impl CallHandler for InstanceStart {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let spec = &self.spec;
            let attempted = format!("start instance {}", spec.name);
            let hypervisor = hypervisor(env, spec.hvparams.kind(), &attempted)?;
            refuse_second(env, spec, &attempted).await?;
            let disks = attach_all(env, spec).await.map_err(|fault| fault.within(&*attempted))?;
            let started = hypervisor.start(spec, &disks, self.paused).await;
            env.resources_changed.notify_one();
            match started {
                Ok(started) => Ok(CallOutcome::with_notes(started.notes)),
                Err(error) => {
                    let _logged = detach_all(env, &spec.disks).await;
                    Err(fault(&error, &attempted))
                }
            }
        }
        .boxed()
    }

    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        recover(env, self.spec.hvparams.kind(), GuestIntent::Start(self)).boxed()
    }
}

/// A guest never runs twice, not under another hypervisor of this node either. Each hypervisor sees
/// to its own guests once more when it starts one; this also spares attaching disks for nothing.
async fn refuse_second(env: &NodeEnv, spec: &GuestSpec, attempted: &str) -> Result<(), Fault> {
    for hypervisor in env.hypervisors.iter() {
        let running = hypervisor.query(spec.instance).await;
        let running = running.map_err(|error| fault(&error, attempted))?;
        let Some(report) = running else { continue };
        if report.hypervisor != spec.hvparams.kind() {
            let text = format!("it runs under hypervisor {}", report.hypervisor);
            return Err(Fault::new(FaultCode::WrongState, text).within(attempted));
        }
        if report.epoch != spec.epoch {
            let error = HvError::OtherEpochRuns {
                instance: spec.instance,
                asked: spec.epoch,
                running: report.epoch,
            };
            return Err(fault(&error, attempted));
        }
    }
    Ok(())
}

impl CallHandler for InstanceStop {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let attempted = format!("stop instance {}", self.instance);
            let hypervisor = hypervisor(env, self.hypervisor, &attempted)?;
            if let Some(epoch) = self.epoch {
                let running = hypervisor.query(self.instance).await;
                let running = running.map_err(|error| fault(&error, &attempted))?;
                if running.is_some_and(|report| report.epoch != epoch) {
                    let note = "the guest of another start was left alone".to_owned();
                    return Ok(CallOutcome::with_notes(vec![note]));
                }
            }
            let stopped = hypervisor.stop(self.instance, self.timeout.into()).await;
            env.resources_changed.notify_one();
            let stopped = stopped.map_err(|error| fault(&error, &attempted))?;
            let mut notes: Vec<String> = note(stopped).map(str::to_owned).into_iter().collect();
            notes.extend(detach_all(env, &self.disks).await);
            Ok(CallOutcome::with_notes(notes))
        }
        .boxed()
    }

    /// The guest tells whether it was stopped. Whether its disks were given up need not be known:
    /// to give them up again changes nothing.
    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        async move {
            let mut recovered = recover(env, self.hypervisor, GuestIntent::Stop(self)).await;
            if let Recovery::Done(outcome) = &mut recovered {
                outcome.notes.extend(detach_all(env, &self.disks).await);
            }
            recovered
        }
        .boxed()
    }
}

/// What the job's log should say of the way a guest ended.
fn note(stopped: StoppedBy) -> Option<&'static str> {
    match stopped {
        // Of one that was down already Ganeti says nothing either.
        StoppedBy::Guest | StoppedBy::KilledUnasked | StoppedBy::AlreadyDown => None,
        StoppedBy::KilledAfterTimeout => Some("it did not shut down in time and was killed"),
    }
}

impl CallHandler for InstanceReboot {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let attempted = format!("reboot instance {}", self.instance);
            let hypervisor = hypervisor(env, self.hypervisor, &attempted)?;
            let rebooted = hypervisor.reboot(self.instance, self.mark).await;
            rebooted.map_err(|error| fault(&error, &attempted))?;
            Ok(CallOutcome::default())
        }
        .boxed()
    }

    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        recover(env, self.hypervisor, GuestIntent::Reboot(self)).boxed()
    }
}

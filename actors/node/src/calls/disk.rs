//! Calls to disks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::node_calls::{
    CallOutcome, DiskCreate, DiskRemove, DiskWipe, DiskWriteImage, Recovery,
};
use gantry_model::objects::Disk;
use gantry_storage::{DiskIntent, Storage, StorageError};
use tokio::time::Instant;

use super::{CallHandler, instance};
use crate::env::NodeEnv;

/// The fault of a storage error.
pub(crate) fn fault(error: &StorageError, attempted: &str) -> Fault {
    Fault::from_error(error.code(), attempted, error)
}

fn storage_of(env: &NodeEnv, disk: &Disk, attempted: &str) -> Result<Arc<dyn Storage>, Fault> {
    env.storage.get(disk.template()).map_err(|error| fault(&error, attempted))
}

/// The disk for people.
fn name_of(disk: &Disk) -> String {
    format!("disk {} of instance {}", disk.index, disk.instance)
}

async fn recover(env: &NodeEnv, disk: &Disk, intent: DiskIntent<'_>) -> Recovery {
    match storage_of(env, disk, "find out what became of a disk") {
        Ok(storage) => storage.recover(intent).await,
        // The storage was taken out of the node's set-up meanwhile: its disks cannot be seen.
        Err(fault) => Recovery::Unknown(fault.one_line()),
    }
}

impl CallHandler for DiskCreate {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let attempted = format!("create {}", name_of(&self.disk));
            let storage = storage_of(env, &self.disk, &attempted)?;
            let created = storage.create(&self.disk).await;
            env.resources_changed.notify_one();
            created.map_err(|error| fault(&error, &attempted))?;
            Ok(CallOutcome::default())
        }
        .boxed()
    }

    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        recover(env, &self.disk, DiskIntent::Create(self)).boxed()
    }
}

impl CallHandler for DiskRemove {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let attempted = format!("remove {}", name_of(&self.disk));
            let storage = storage_of(env, &self.disk, &attempted)?;
            refuse_in_use(env, &self.disk, &attempted).await?;
            // It may still be attached from the guest's last run.
            let detached = storage.detach(&self.disk).await;
            detached.map_err(|error| fault(&error, &attempted))?;
            let removed = storage.remove(&self.disk).await;
            env.resources_changed.notify_one();
            removed.map_err(|error| fault(&error, &attempted))?;
            Ok(CallOutcome::default())
        }
        .boxed()
    }

    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        recover(env, &self.disk, DiskIntent::Remove(self)).boxed()
    }
}

/// A disk is not taken from under a guest, whoever orders it.
async fn refuse_in_use(env: &NodeEnv, disk: &Disk, attempted: &str) -> Result<(), Fault> {
    for hypervisor in env.hypervisors.iter() {
        let running = hypervisor.query(disk.instance).await;
        let running = running.map_err(|error| instance::fault(&error, attempted))?;
        if running.is_some() {
            let text = format!("its guest runs under hypervisor {}", hypervisor.kind());
            return Err(Fault::new(FaultCode::WrongState, text).within(attempted));
        }
    }
    Ok(())
}

impl CallHandler for DiskWriteImage {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let attempted = format!("write image {} to {}", self.image, name_of(&self.disk));
            let storage = storage_of(env, &self.disk, &attempted)?;
            let written = storage.write_image(&self.disk, Path::new(&self.image)).await;
            written.map_err(|error| fault(&error, &attempted))?;
            Ok(CallOutcome::default())
        }
        .boxed()
    }

    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        recover(env, &self.disk, DiskIntent::WriteImage(self)).boxed()
    }
}

/// How long a part takes that is worth a line in the job's log, beside the first of a disk.
/// Ganeti's minute: lower fills the log, higher leaves whoever waits without a sign.
const WORTH_A_LINE: Duration = Duration::from_secs(60);

impl CallHandler for DiskWipe {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let attempted = format!("wipe {} from {} on", name_of(&self.disk), self.offset);
            let storage = storage_of(env, &self.disk, &attempted)?;
            let begun = Instant::now();
            let wiped = storage.wipe(&self.disk, self.offset, self.size).await;
            wiped.map_err(|error| fault(&error, &attempted))?;
            Ok(CallOutcome::with_notes(progress(self, begun.elapsed())))
        }
        .boxed()
    }

    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        recover(env, &self.disk, DiskIntent::Wipe(self)).boxed()
    }
}

/// Ganeti's lines: how much is done, and how long the rest takes if it goes on like this.
fn progress(wipe: &DiskWipe, took: Duration) -> Vec<String> {
    let is_first = wipe.offset.0 == 0;
    let mut lines = Vec::new();
    if is_first {
        lines.push(format!("* Wiping disk {}", wipe.disk.index));
    }
    if is_first || took >= WORTH_A_LINE {
        let (done, all) = (wipe.offset.0 + wipe.size.0, wipe.disk.size.0);
        let rest = u128::from(all.saturating_sub(done));
        let left_s = took.as_millis() * rest / u128::from(wipe.size.0.max(1)) / 1000;
        let tenths = u128::from(done) * 1000 / u128::from(all.max(1));
        let percent = format!("{}.{}", tenths / 10, tenths % 10);
        lines.push(format!(" - done: {percent}% ETA: {}", in_words(left_s)));
    }
    lines
}

/// As Ganeti says how long something takes.
fn in_words(seconds: u128) -> String {
    let mut parts = Vec::new();
    let mut rest = seconds;
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if rest >= length || !parts.is_empty() {
            parts.push(format!("{}{unit}", rest / length));
        }
        rest %= length;
    }
    parts.push(format!("{rest}s"));
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use gantry_model::ids::{DiskUuid, InstanceUuid};
    use gantry_model::objects::{DiskLocation, DiskMode};
    use gantry_model::units::MiB;
    use uuid::Uuid;

    use super::*;

    fn wipe(offset: u64, size: u64) -> DiskWipe {
        let disk = Disk {
            uuid: DiskUuid(Uuid::nil()),
            instance: InstanceUuid(Uuid::nil()),
            index: 1,
            size: MiB(1000),
            mode: DiskMode::Rw,
            name: None,
            location: DiskLocation::Fake,
        };
        DiskWipe { disk, offset: MiB(offset), size: MiB(size) }
    }

    // covers: D59
    #[test]
    fn the_first_part_and_slow_ones_say_how_far_it_is() {
        let quick = Duration::from_secs(1);
        assert_eq!(progress(&wipe(0, 100), quick), ["* Wiping disk 1", " - done: 10.0% ETA: 9s"]);
        assert_eq!(progress(&wipe(100, 100), quick), Vec::<String>::new());
        let slow = Duration::from_secs(600);
        assert_eq!(progress(&wipe(100, 100), slow), [" - done: 20.0% ETA: 1h 20m 0s"]);
        assert_eq!(progress(&wipe(900, 100), slow), [" - done: 100.0% ETA: 0s"]);
    }
}

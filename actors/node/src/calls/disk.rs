//! Calls to disks.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::node_calls::{CallOutcome, DiskCreate, DiskRemove, DiskWriteImage, Recovery};
use gantry_model::objects::Disk;
use gantry_storage::{DiskIntent, Storage, StorageError};

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

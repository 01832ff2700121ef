//! No disks (template `diskless`): every disk asked of it is one too many.

use std::path::Path;

use futures_util::future::BoxFuture;
use gantry_model::node_calls::Recovery;
use gantry_model::objects::{Disk, DiskTemplate};
use gantry_model::units::MiB;

use crate::contract::{Capabilities, DiskIntent, DiskLink, DiskReport, Storage, StorageInfo};
use crate::error::StorageError;

/// The storage of instances without disks.
#[derive(Clone, Copy, Debug, Default)]
pub struct DisklessStorage;

fn refuse<T: Send + 'static>(disk: &Disk) -> BoxFuture<'static, Result<T, StorageError>> {
    let (disk, actual) = (disk.uuid, disk.template());
    let expected = DiskTemplate::Diskless;
    Box::pin(async move { Err(StorageError::WrongTemplate { disk, expected, actual }) })
}

impl Storage for DisklessStorage {
    fn template(&self) -> DiskTemplate {
        DiskTemplate::Diskless
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn info(&self) -> BoxFuture<'_, Result<StorageInfo, StorageError>> {
        Box::pin(async { Ok(StorageInfo::default()) })
    }

    fn create<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        refuse(disk)
    }

    fn remove<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        refuse(disk)
    }

    fn query<'a>(
        &'a self,
        disk: &'a Disk,
    ) -> BoxFuture<'a, Result<Option<DiskReport>, StorageError>> {
        refuse(disk)
    }

    fn write_image<'a>(
        &'a self,
        disk: &'a Disk,
        _image: &'a Path,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        refuse(disk)
    }

    fn wipe<'a>(
        &'a self,
        disk: &'a Disk,
        _offset: MiB,
        _size: MiB,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        refuse(disk)
    }

    fn attach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<DiskLink, StorageError>> {
        refuse(disk)
    }

    fn detach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        refuse(disk)
    }

    fn recover<'a>(&'a self, _intent: DiskIntent<'a>) -> BoxFuture<'a, Recovery> {
        Box::pin(async { Recovery::NotStarted })
    }
}

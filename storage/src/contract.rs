//! What every storage promises; the conformance suite checks it of each.
//!
//! - All or nothing: a disk under its final name has its full size. A creation that fails, or whose
//!   agent dies, leaves nothing that `query` finds.
//! - Absolute: done again, `create` and `remove` change nothing and succeed.
//! - `query` and `recover` ask the world now; nothing is answered from memory.
//! - What was answered as done is on disk.
//! - A future may be dropped at any point: the effect is then there or not, and asking tells which.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use gantry_model::node_calls::{DiskCreate, DiskRemove, DiskWipe, DiskWriteImage, Recovery};
use gantry_model::objects::{Disk, DiskTemplate};
use gantry_model::units::MiB;

use crate::error::StorageError;

/// Space of a storage on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageInfo {
    /// All of it.
    pub total: MiB,
    /// What new disks can have.
    pub free: MiB,
}

/// A disk that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskReport {
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// How a hypervisor reaches an attached disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskLink {
    /// A file or a block device.
    Path(PathBuf),
    /// No bytes: a record of the fake storage.
    Record,
}

/// Optional abilities. What is false here is refused with a typed error, never imitated. Each
/// comes with a trait of its own when it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// A disk can become larger.
    pub grow: bool,
    /// A disk can be frozen beside its original.
    pub snapshot: bool,
    /// A disk is kept on two nodes.
    pub mirrored: bool,
    /// Disks hold real bytes. False where a disk is only a record.
    pub holds_bytes: bool,
}

/// An intent whose result was not recorded.
#[derive(Clone, Copy, Debug)]
pub enum DiskIntent<'a> {
    /// A creation.
    Create(&'a DiskCreate),
    /// A removal.
    Remove(&'a DiskRemove),
    /// An image written.
    WriteImage(&'a DiskWriteImage),
    /// A part overwritten. Whether it was is never looked up: that takes as long as doing it again,
    /// and doing it again is absolute.
    Wipe(&'a DiskWipe),
}

/// A kind of storage on one node.
pub trait Storage: Send + Sync + 'static {
    /// Which disks it holds.
    fn template(&self) -> DiskTemplate;

    /// Its optional abilities.
    fn capabilities(&self) -> Capabilities;

    /// Its space.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn info(&self) -> BoxFuture<'_, Result<StorageInfo, StorageError>>;

    /// Makes a disk of full size that reads as zeros.
    ///
    /// # Errors
    /// When there is no room, the place is not allowed, or another disk of that name is there.
    fn create<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Removes a disk. One that is not there is removed.
    ///
    /// # Errors
    /// When it is still there.
    fn remove<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>>;

    /// The disk, if it is there.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn query<'a>(
        &'a self,
        disk: &'a Disk,
    ) -> BoxFuture<'a, Result<Option<DiskReport>, StorageError>>;

    /// Copies an image to the start of a disk and flushes it. What follows the image stays as it
    /// is.
    ///
    /// # Errors
    /// When one of them is not there, or the image is larger than the disk: then nothing was
    /// written.
    fn write_image<'a>(
        &'a self,
        disk: &'a Disk,
        image: &'a Path,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Overwrites a part of a disk with zeros and flushes it.
    ///
    /// # Errors
    /// When the disk is not there, or ends before the part: then nothing was written.
    fn wipe<'a>(
        &'a self,
        disk: &'a Disk,
        offset: MiB,
        size: MiB,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Makes a disk usable by a hypervisor and says how. Done again, it says the same.
    ///
    /// # Errors
    /// When it is not there or has not its size.
    fn attach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<DiskLink, StorageError>>;

    /// Takes back [`Storage::attach`].
    ///
    /// # Errors
    /// When something still uses the disk.
    fn detach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>>;

    /// How an intent ended, asked of the world. Never a guess.
    fn recover<'a>(&'a self, intent: DiskIntent<'a>) -> BoxFuture<'a, Recovery>;
}

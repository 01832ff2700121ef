//! The world of the fake disks.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gantry_host::{Blocking, Injector, Inline, RecordStore, Records, run_blocking};
use gantry_model::ids::DiskUuid;
use gantry_model::units::MiB;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StorageError;

/// Space of a fake node if nothing else is said: enough for every test that does not want to run
/// out of it.
const CAPACITY_DEFAULT: MiB = MiB(1024 * 1024);

/// The effects that a fake storage has; each can be made to fail, to crash or to take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FakeStoreEffect {
    /// Space is taken for a disk, which is not whole yet.
    Reserve,
    /// The disk is whole.
    Create,
    /// It is removed.
    Remove,
    /// An image is written onto it.
    WriteImage,
    /// A part becomes zeros.
    Wipe,
    /// It is attached.
    Attach,
    /// It is detached.
    Detach,
}

/// A disk on a node of the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FakeDisk {
    /// The disk.
    pub disk: DiskUuid,
    /// The node.
    pub node: String,
    /// Its size.
    pub size: MiB,
    /// Whether its creation came to its end.
    pub whole: bool,
    /// Whether a hypervisor may be using it.
    pub attached: bool,
    /// The image that was written onto it last.
    pub image: Option<String>,
    /// How far it was wiped.
    #[serde(default)]
    pub wiped: MiB,
}

struct Inner {
    store: RecordStore,
    blocking: Arc<dyn Blocking>,
    injector: Injector<FakeStoreEffect>,
    capacity: Mutex<MiB>,
}

/// Where fake disks are; clones are the same world.
#[derive(Clone)]
pub struct FakeStore {
    inner: Arc<Inner>,
}

impl FakeStore {
    /// A world in memory, for nodes of one process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::over(RecordStore::in_memory(), Arc::new(Inline))
    }

    /// A world in a directory, for daemons that share a machine. Blocks.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn in_directory(path: &Path, blocking: Arc<dyn Blocking>) -> Result<Self, StorageError> {
        let store = RecordStore::in_directory(path).map_err(|source| StorageError::Io {
            attempt: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::over(store, blocking))
    }

    fn over(store: RecordStore, blocking: Arc<dyn Blocking>) -> Self {
        let injector = Injector::default();
        let capacity = Mutex::new(CAPACITY_DEFAULT);
        Self { inner: Arc::new(Inner { store, blocking, injector, capacity }) }
    }

    /// What goes wrong in it.
    #[must_use]
    pub fn injector(&self) -> &Injector<FakeStoreEffect> {
        &self.inner.injector
    }

    /// Space of each node from now on, in this process.
    pub fn set_capacity(&self, capacity: MiB) {
        *self.inner.capacity.lock().unwrap_or_else(PoisonError::into_inner) = capacity;
    }

    pub(super) fn capacity(&self) -> MiB {
        *self.inner.capacity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn blocking(&self) -> &dyn Blocking {
        &*self.inner.blocking
    }

    /// Everything that must never happen and did, in order.
    ///
    /// # Errors
    /// When the world cannot be read.
    pub async fn violations(&self) -> Result<Vec<String>, StorageError> {
        self.work(|view| {
            let names = view.records.names("violation.")?;
            names.iter().map(|name| Ok(view.get(name)?.unwrap_or_default())).collect()
        })
        .await
    }

    /// All disks, by id and node, those that are not whole included.
    ///
    /// # Errors
    /// When the world cannot be read.
    pub async fn disks(&self) -> Result<Vec<FakeDisk>, StorageError> {
        self.work(|view| view.disks("disk.")).await
    }

    /// Works on the world while nobody else does.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut View<'_, '_>) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let world = self.clone();
        run_blocking(&*self.inner.blocking, move || {
            world.inner.store.exclusive(|records| work(&mut View { records }))
        })
        .await
        .map_err(|source| StorageError::NoThread { attempt: "change the fake world", source })?
        .map_err(|source| StorageError::Io {
            attempt: "change",
            path: "the fake world".into(),
            source,
        })
    }
}

/// Exclusive access to the world.
pub(super) struct View<'w, 'r> {
    records: &'w mut Records<'r>,
}

impl View<'_, '_> {
    fn get<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        let Some(bytes) = self.records.get(name)? else { return Ok(None) };
        gantry_wire::decode(&bytes).map(Some).map_err(io::Error::other)
    }

    fn put<T: Serialize>(&mut self, name: &str, value: &T) -> io::Result<()> {
        let bytes = gantry_wire::encode(value).map_err(io::Error::other)?;
        self.records.put(name, &bytes)
    }

    fn disks(&self, prefix: &str) -> io::Result<Vec<FakeDisk>> {
        let names = self.records.names(prefix)?;
        let disks = names.iter().filter_map(|name| self.get(name).transpose());
        disks.collect()
    }

    pub(super) fn disk(&self, node: &str, disk: DiskUuid) -> io::Result<Option<FakeDisk>> {
        self.get(&disk_name(node, disk))
    }

    /// Space taken on a node.
    pub(super) fn used(&self, node: &str) -> io::Result<MiB> {
        let disks = self.disks("disk.")?;
        Ok(MiB(disks.iter().filter(|disk| disk.node == node).map(|disk| disk.size.0).sum()))
    }

    fn violate(&mut self, text: &str) -> io::Result<()> {
        let number = self.records.names("violation.")?.len();
        tracing::error!(text, "a violation in the fake world");
        self.put(&format!("violation.{number:08}"), &text.to_owned())
    }

    /// Takes space for a disk. The world lets it happen also where it must not.
    pub(super) fn reserve(&mut self, node: &str, disk: DiskUuid, size: MiB) -> io::Result<()> {
        for other in self.disks(&format!("disk.{disk}."))? {
            let at = &other.node;
            if at != node {
                self.violate(&format!("disk {disk} made on {node} while it exists on {at}"))?;
            } else if other.whole {
                self.violate(&format!("disk {disk} made a second time on {node}"))?;
            }
        }
        let record = FakeDisk {
            disk,
            node: node.to_owned(),
            size,
            whole: false,
            attached: false,
            image: None,
            wiped: MiB(0),
        };
        self.put(&disk_name(node, disk), &record)
    }

    /// Changes a disk, if it is there.
    pub(super) fn change(
        &mut self,
        node: &str,
        disk: DiskUuid,
        change: impl FnOnce(&mut FakeDisk),
    ) -> io::Result<()> {
        let Some(mut record) = self.disk(node, disk)? else { return Ok(()) };
        change(&mut record);
        self.put(&disk_name(node, disk), &record)
    }

    /// Writes an image. The world lets it happen also where it must not.
    pub(super) fn write_image(
        &mut self,
        node: &str,
        disk: DiskUuid,
        image: &str,
    ) -> io::Result<()> {
        if self.disk(node, disk)?.is_some_and(|record| record.attached) {
            self.violate(&format!("disk {disk} on {node} was overwritten while attached"))?;
        }
        self.change(node, disk, |record| record.image = Some(image.to_owned()))
    }

    /// Overwrites a part of a disk. The world lets it happen also where it must not. What is left
    /// of an image is no image.
    pub(super) fn wipe(
        &mut self,
        node: &str,
        disk: DiskUuid,
        offset: MiB,
        size: MiB,
    ) -> io::Result<()> {
        if self.disk(node, disk)?.is_some_and(|record| record.attached) {
            self.violate(&format!("disk {disk} on {node} was wiped while attached"))?;
        }
        self.change(node, disk, |record| {
            record.image = None;
            record.wiped = record.wiped.max(MiB(offset.0 + size.0));
        })
    }

    /// Removes a disk. The world lets it happen also where it must not.
    pub(super) fn remove(&mut self, node: &str, disk: DiskUuid) -> io::Result<()> {
        if self.disk(node, disk)?.is_some_and(|record| record.attached) {
            self.violate(&format!("disk {disk} on {node} was removed while attached"))?;
        }
        self.records.remove(&disk_name(node, disk))
    }
}

fn disk_name(node: &str, disk: DiskUuid) -> String {
    format!("disk.{disk}.{node}")
}

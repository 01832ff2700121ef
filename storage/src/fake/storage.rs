//! The fake storage of one node: a view of the world.

use std::path::Path;

use futures_util::future::BoxFuture;
use gantry_host::run_blocking;
use gantry_model::errors::Fault;
use gantry_model::ids::DiskUuid;
use gantry_model::node_calls::{CallOutcome, Recovery};
use gantry_model::objects::{Disk, DiskLocation, DiskTemplate};
use gantry_model::units::MiB;

use crate::contract::{Capabilities, DiskIntent, DiskLink, DiskReport, Storage, StorageInfo};
use crate::error::{StorageError, check_part};
use crate::fake::world::{FakeDisk, FakeStore, FakeStoreEffect, View};
use crate::image;

/// The storage of one node in a [`FakeStore`].
pub struct FakeStorage {
    world: FakeStore,
    node: String,
}

impl FakeStorage {
    /// Of this node; the name is any that distinguishes it in the world.
    #[must_use]
    pub fn new(world: &FakeStore, node: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        Self { world: world.clone(), node: node.chars().map(plain).collect() }
    }

    fn check(disk: &Disk) -> Result<(), StorageError> {
        if disk.location != DiskLocation::Fake {
            return Err(StorageError::WrongTemplate {
                disk: disk.uuid,
                expected: DiskTemplate::Fake,
                actual: disk.template(),
            });
        }
        if disk.size.0 == 0 {
            return Err(StorageError::BadSize { size: disk.size });
        }
        Ok(())
    }

    /// The disk, if it is whole.
    async fn whole(&self, disk: &Disk) -> Result<Option<FakeDisk>, StorageError> {
        Self::check(disk)?;
        let (node, uuid) = (self.node.clone(), disk.uuid);
        let found = self.world.work(move |view| view.disk(&node, uuid)).await?;
        Ok(found.filter(|found| found.whole))
    }

    /// The disk, which must be there and have its size.
    async fn existing(&self, disk: &Disk) -> Result<FakeDisk, StorageError> {
        let place = || format!("fake disk of {}", self.node);
        match self.whole(disk).await? {
            Some(found) if found.size == disk.size => Ok(found),
            Some(found) => Err(StorageError::Conflict {
                path: place().into(),
                expected_bytes: disk.size.bytes(),
                actual_bytes: found.size.bytes(),
            }),
            None => Err(StorageError::NotFound { disk: disk.uuid, place: place() }),
        }
    }

    /// One effect on the world, with everything that can be made to go wrong with it.
    async fn effect(
        &self,
        effect: FakeStoreEffect,
        disk: DiskUuid,
        act: impl FnOnce(&mut View<'_, '_>, &str) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), StorageError> {
        if self.world.injector().before(effect).await {
            return Err(StorageError::Injected { attempt: attempt(effect), disk });
        }
        let node = self.node.clone();
        self.world.work(move |view| act(view, &node)).await?;
        self.world.injector().after(effect).await;
        Ok(())
    }

    async fn create_disk(&self, disk: &Disk) -> Result<(), StorageError> {
        match self.existing(disk).await {
            Err(StorageError::NotFound { .. }) => {}
            there => return there.map(|_| ()),
        }
        let (uuid, size) = (disk.uuid, disk.size);
        if size > self.free().await? {
            let path = format!("fake disk of {}", self.node).into();
            return Err(StorageError::NoSpace { path, size, source: None });
        }
        let reserve = move |view: &mut View<'_, '_>, node: &str| view.reserve(node, uuid, size);
        self.effect(FakeStoreEffect::Reserve, uuid, reserve).await?;
        let finish = move |view: &mut View<'_, '_>, node: &str| {
            view.change(node, uuid, |record| record.whole = true)
        };
        let finished = self.effect(FakeStoreEffect::Create, uuid, finish).await;
        if finished.is_err() {
            // As real storage does: what is not whole goes.
            self.drop_half(uuid).await?;
        }
        finished
    }

    async fn free(&self) -> Result<MiB, StorageError> {
        let node = self.node.clone();
        let used = self.world.work(move |view| view.used(&node)).await?;
        Ok(MiB(self.world.capacity().0.saturating_sub(used.0)))
    }

    async fn drop_half(&self, disk: DiskUuid) -> Result<(), StorageError> {
        let node = self.node.clone();
        self.world
            .work(move |view| match view.disk(&node, disk)? {
                Some(record) if !record.whole => view.remove(&node, disk),
                _ => Ok(()),
            })
            .await
    }

    async fn remove_disk(&self, disk: &Disk) -> Result<(), StorageError> {
        Self::check(disk)?;
        let uuid = disk.uuid;
        self.effect(FakeStoreEffect::Remove, uuid, move |view, node| view.remove(node, uuid)).await
    }

    async fn write(&self, disk: &Disk, image: &Path) -> Result<(), StorageError> {
        let path = image.to_owned();
        let opened = run_blocking(self.world.blocking(), move || image::open(&path)).await;
        let (_, image_bytes) = opened
            .map_err(|source| StorageError::NoThread { attempt: "read an image", source })??;
        let disk_bytes = self.existing(disk).await?.size.bytes();
        if image_bytes > disk_bytes {
            let path = image.to_owned();
            return Err(StorageError::ImageTooLarge { path, image_bytes, disk_bytes });
        }
        let (uuid, image) = (disk.uuid, image.display().to_string());
        self.effect(FakeStoreEffect::WriteImage, uuid, move |view, node| {
            view.write_image(node, uuid, &image)
        })
        .await
    }

    async fn zero(&self, disk: &Disk, offset: MiB, size: MiB) -> Result<(), StorageError> {
        check_part(disk, offset, size)?;
        self.existing(disk).await?;
        let uuid = disk.uuid;
        self.effect(FakeStoreEffect::Wipe, uuid, move |view, node| {
            view.wipe(node, uuid, offset, size)
        })
        .await
    }

    async fn set_attached(&self, disk: &Disk, attached: bool) -> Result<(), StorageError> {
        let effect = if attached { FakeStoreEffect::Attach } else { FakeStoreEffect::Detach };
        let uuid = disk.uuid;
        self.effect(effect, uuid, move |view, node| {
            view.change(node, uuid, |record| record.attached = attached)
        })
        .await
    }

    async fn recover_intent(&self, intent: DiskIntent<'_>) -> Result<Recovery, StorageError> {
        let done = match intent {
            DiskIntent::Create(create) => match self.existing(&create.disk).await {
                Ok(_) => true,
                Err(StorageError::NotFound { .. }) => {
                    self.drop_half(create.disk.uuid).await?;
                    false
                }
                Err(error) => return Err(error),
            },
            DiskIntent::Remove(remove) => {
                let gone = self.whole(&remove.disk).await?.is_none();
                if gone {
                    self.drop_half(remove.disk.uuid).await?;
                }
                gone
            }
            DiskIntent::Wipe(_) => false,
            DiskIntent::WriteImage(write) => {
                self.existing(&write.disk).await?.image.as_ref() == Some(&write.image)
            }
        };
        Ok(if done { Recovery::Done(CallOutcome::default()) } else { Recovery::NotStarted })
    }
}

fn attempt(effect: FakeStoreEffect) -> &'static str {
    match effect {
        FakeStoreEffect::Reserve => "reservation",
        FakeStoreEffect::Create => "creation",
        FakeStoreEffect::Remove => "removal",
        FakeStoreEffect::WriteImage => "image",
        FakeStoreEffect::Wipe => "wipe",
        FakeStoreEffect::Attach => "attachment",
        FakeStoreEffect::Detach => "detachment",
    }
}

impl Storage for FakeStorage {
    fn template(&self) -> DiskTemplate {
        DiskTemplate::Fake
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn info(&self) -> BoxFuture<'_, Result<StorageInfo, StorageError>> {
        Box::pin(async {
            let free = self.free().await?;
            Ok(StorageInfo { total: self.world.capacity(), free })
        })
    }

    fn create<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(self.create_disk(disk))
    }

    fn remove<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(self.remove_disk(disk))
    }

    fn query<'a>(
        &'a self,
        disk: &'a Disk,
    ) -> BoxFuture<'a, Result<Option<DiskReport>, StorageError>> {
        Box::pin(async move {
            let found = self.whole(disk).await?;
            Ok(found.map(|found| DiskReport { size_bytes: found.size.bytes() }))
        })
    }

    fn write_image<'a>(
        &'a self,
        disk: &'a Disk,
        image: &'a Path,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(self.write(disk, image))
    }

    fn wipe<'a>(
        &'a self,
        disk: &'a Disk,
        offset: MiB,
        size: MiB,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(self.zero(disk, offset, size))
    }

    fn attach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<DiskLink, StorageError>> {
        Box::pin(async move {
            self.existing(disk).await?;
            self.set_attached(disk, true).await?;
            Ok(DiskLink::Record)
        })
    }

    fn detach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            Self::check(disk)?;
            self.set_attached(disk, false).await
        })
    }

    fn recover<'a>(&'a self, intent: DiskIntent<'a>) -> BoxFuture<'a, Recovery> {
        Box::pin(async move {
            self.recover_intent(intent).await.unwrap_or_else(|error| {
                let fault = Fault::from_error(error.code(), "ask what became of a disk", &error);
                Recovery::Unknown(fault.one_line())
            })
        })
    }
}

//! Disks that are records: the conformance suite, and what their world notices.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_host::{CrashPoint, Pool, Verdict};
use gantry_model::ids::{DiskUuid, InstanceUuid};
use gantry_model::node_calls::{CallOutcome, DiskCreate, Recovery};
use gantry_model::objects::{Disk, DiskLocation, DiskMode};
use gantry_model::units::MiB;
use gantry_storage::conformance::Bench;
use gantry_storage::fake::{FakeStorage, FakeStore, FakeStoreEffect};
use gantry_storage::{DiskIntent, DisklessStorage, Storage, StorageError};
use uuid::Uuid;

struct FakeBench {
    dir: tempfile::TempDir,
    in_directory: bool,
    world: FakeStore,
    storage: Arc<dyn Storage>,
    n_files: u32,
}

impl FakeBench {
    fn in_memory() -> Option<Self> {
        Self::over(false)
    }

    fn in_directory() -> Option<Self> {
        Self::over(true)
    }

    fn over(in_directory: bool) -> Option<Self> {
        let dir = tempfile::tempdir().expect("tempdir");
        let world = FakeStore::in_memory();
        let storage = Arc::new(FakeStorage::new(&world, "node1"));
        let mut bench = Self { dir, in_directory, world, storage, n_files: 0 };
        bench.restart();
        Some(bench)
    }

    fn on(&self, node: &str) -> FakeStorage {
        FakeStorage::new(&self.world, node)
    }

    /// Hangs for ever at this point, as an agent does that dies there.
    fn die_at(&self, effect: FakeStoreEffect, point: CrashPoint) {
        self.world.injector().set_crash_hook(Some(Arc::new(move |here, at| {
            if (here, at) == (effect, point) { Verdict::Hang } else { Verdict::Go }
        })));
    }
}

impl Bench for FakeBench {
    fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    fn disk(&mut self, size: MiB) -> Disk {
        self.n_files += 1;
        Disk {
            uuid: DiskUuid(Uuid::from_u128(u128::from(self.n_files))),
            instance: InstanceUuid(Uuid::nil()),
            index: 0,
            size,
            mode: DiskMode::Rw,
            name: None,
            location: DiskLocation::Fake,
        }
    }

    fn too_large(&mut self) -> Disk {
        self.world.set_capacity(MiB(10));
        self.disk(MiB(11))
    }

    fn image(&mut self, bytes: &[u8]) -> PathBuf {
        self.n_files += 1;
        let path = self.dir.path().join(format!("image{}", self.n_files));
        std::fs::write(&path, bytes).expect("writes");
        path
    }

    fn restart(&mut self) {
        if self.in_directory {
            let path = self.dir.path().join("world");
            self.world = FakeStore::in_directory(&path, Arc::new(Pool)).expect("made");
        }
        self.world.injector().set_crash_hook(None);
        self.storage = Arc::new(FakeStorage::new(&self.world, "node1"));
    }

    fn half_make<'a>(&'a mut self, disk: &'a Disk) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.die_at(FakeStoreEffect::Reserve, CrashPoint::AfterEffect);
            tokio::select! {
                biased;
                made = self.storage.create(disk) => panic!("died before its end: {made:?}"),
                () = half_made(&self.world, disk) => {}
            }
        })
    }
}

/// Waits until there is a disk that is not whole.
async fn half_made(world: &FakeStore, disk: &Disk) {
    loop {
        let disks = world.disks().await.expect("reads");
        if disks.iter().any(|found| found.disk == disk.uuid && !found.whole) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

mod in_memory {
    use super::*;
    gantry_storage::conformance_tests!(FakeBench::in_memory);
}

mod in_a_directory {
    use super::*;
    gantry_storage::conformance_tests!(FakeBench::in_directory);
}

#[tokio::test]
async fn the_same_disk_on_two_nodes_is_a_violation() {
    let mut bench = FakeBench::in_memory().expect("always");
    let disk = bench.disk(MiB(1));
    bench.on("node1").create(&disk).await.expect("made");
    bench.on("node1").create(&disk).await.expect("is there");
    assert_eq!(bench.world.violations().await.expect("reads"), Vec::<String>::new());
    bench.on("node2").create(&disk).await.expect("the world lets it happen");
    let violations = bench.world.violations().await.expect("reads");
    assert_eq!(violations.len(), 1);
    assert!(violations[0].ends_with("made on node2 while it exists on node1"), "{violations:?}");
}

#[tokio::test]
async fn removing_or_overwriting_a_disk_in_use_is_a_violation() {
    let mut bench = FakeBench::in_memory().expect("always");
    let disk = bench.disk(MiB(1));
    let image = bench.image(b"x");
    let storage = bench.storage();
    storage.create(&disk).await.expect("made");
    storage.attach(&disk).await.expect("attaches");
    storage.write_image(&disk, &image).await.expect("the world lets it happen");
    storage.remove(&disk).await.expect("the world lets it happen");
    assert_eq!(bench.world.violations().await.expect("reads").len(), 2);
}

#[tokio::test]
async fn injected_failures_leave_no_disk() {
    let mut bench = FakeBench::in_memory().expect("always");
    for effect in [FakeStoreEffect::Reserve, FakeStoreEffect::Create] {
        let disk = bench.disk(MiB(1));
        bench.world.injector().fail_next(effect, 1);
        let error = bench.storage().create(&disk).await.expect_err("told to fail");
        assert!(matches!(error, StorageError::Injected { .. }), "{error}");
        assert_eq!(bench.world.disks().await.expect("reads"), []);
        bench.storage().create(&disk).await.expect("only once");
        bench.storage().remove(&disk).await.expect("removed");
    }
}

#[tokio::test]
async fn an_agent_that_dies_after_the_effect_finds_it_done() {
    let mut bench = FakeBench::in_memory().expect("always");
    let disk = bench.disk(MiB(1));
    bench.die_at(FakeStoreEffect::Create, CrashPoint::AfterEffect);
    let whole = async {
        while bench.on("node1").query(&disk).await.expect("asks").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        made = bench.storage.create(&disk) => panic!("died before its end: {made:?}"),
        () = whole => {}
    }
    bench.restart();
    let recovered = bench.storage().recover(DiskIntent::Create(&DiskCreate { disk })).await;
    assert_eq!(recovered, Recovery::Done(CallOutcome::default()));
}

#[tokio::test]
async fn diskless_refuses_every_disk() {
    let mut bench = FakeBench::in_memory().expect("always");
    let disk = bench.disk(MiB(1));
    let error = DisklessStorage.create(&disk).await.expect_err("one too many");
    assert_eq!(
        error.to_string(),
        format!("disk {} is a fake disk, not a diskless disk", disk.uuid)
    );
    let recovered = DisklessStorage.recover(DiskIntent::Create(&DiskCreate { disk })).await;
    assert_eq!(recovered, Recovery::NotStarted);
}

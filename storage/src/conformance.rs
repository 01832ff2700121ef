//! The tests that every storage passes.
//!
//! A backend implements [`Bench`] and calls [`conformance_tests!`](crate::conformance_tests), which
//! makes one test per case. What needs real bytes is checked of storages that hold them
//! ([`Capabilities::holds_bytes`](crate::Capabilities::holds_bytes)).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_model::errors::FaultCode;
use gantry_model::node_calls::{
    CallOutcome, DiskCreate, DiskRemove, DiskWipe, DiskWriteImage, Recovery,
};
use gantry_model::objects::Disk;
use gantry_model::units::MiB;

use crate::contract::{DiskIntent, DiskLink, Storage};
use crate::error::StorageError;

/// A place to test a storage in.
pub trait Bench: Send {
    /// The storage under test.
    fn storage(&self) -> Arc<dyn Storage>;

    /// A disk of this size that was never made.
    fn disk(&mut self, size: MiB) -> Disk;

    /// A disk for which there is certainly no room.
    fn too_large(&mut self) -> Disk;

    /// A file on this node with this content.
    fn image(&mut self, bytes: &[u8]) -> PathBuf;

    /// The daemon dies and another takes its place over the same world.
    fn restart(&mut self);

    /// Leaves the disk as a daemon leaves it that dies while making it.
    fn half_make<'a>(&'a mut self, disk: &'a Disk) -> BoxFuture<'a, ()>;
}

/// Makes one test per case: `conformance_tests!(bench)` where `bench()` gives `Some` [`Bench`], or
/// `None` after having said why it cannot here.
#[macro_export]
macro_rules! conformance_tests {
    ($bench:expr) => {
        $crate::conformance_cases! { $bench;
            a_created_disk_has_its_full_size_and_reads_as_zeros
            created_again_it_keeps_its_content
            another_size_under_the_same_name_is_refused
            a_removed_disk_is_gone_and_stays_removed
            without_room_nothing_is_left
            an_image_is_written_and_what_follows_it_stays
            an_image_that_does_not_fit_writes_nothing
            what_is_wiped_reads_as_zeros
            what_is_not_in_the_disk_is_not_wiped
            images_and_disks_that_are_not_there_are_named
            an_attached_disk_is_found_the_same_way_twice
            what_was_done_is_there_after_a_restart
            half_a_disk_is_no_disk
            a_lost_creation_is_resolved
            a_lost_removal_is_resolved
            a_lost_image_is_resolved
            free_space_is_part_of_all_space
            an_empty_disk_is_refused
        }
    };
}

/// Used by [`conformance_tests!`](crate::conformance_tests).
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($bench:expr; $($case:ident)*) => { $(
        #[tokio::test]
        async fn $case() {
            if let Some(mut bench) = ($bench)() {
                $crate::conformance::$case(&mut bench).await;
            }
        }
    )* };
}

const SIZE: MiB = MiB(2);

async fn made(bench: &mut dyn Bench) -> Disk {
    let disk = bench.disk(SIZE);
    bench.storage().create(&disk).await.expect("has room");
    disk
}

async fn exists(bench: &dyn Bench, disk: &Disk) -> bool {
    bench.storage().query(disk).await.expect("asks").is_some()
}

/// The bytes of a disk, where it has bytes.
async fn content(bench: &dyn Bench, disk: &Disk) -> Option<Vec<u8>> {
    let storage = bench.storage();
    match storage.attach(disk).await.expect("attaches") {
        DiskLink::Path(path) => Some(std::fs::read(path).expect("reads")),
        DiskLink::Record => {
            assert!(!storage.capabilities().holds_bytes);
            storage.detach(disk).await.expect("detaches");
            None
        }
    }
}

fn write_of(disk: &Disk, image: &Path) -> DiskWriteImage {
    DiskWriteImage { disk: disk.clone(), image: image.display().to_string() }
}

fn done() -> Recovery {
    Recovery::Done(CallOutcome::default())
}

/// All of it is there from the beginning.
pub async fn a_created_disk_has_its_full_size_and_reads_as_zeros(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let report = bench.storage().query(&disk).await.expect("asks").expect("is there");
    assert_eq!(report.size_bytes, SIZE.bytes());
    if let Some(bytes) = content(bench, &disk).await {
        assert!(bytes.len() as u64 == SIZE.bytes() && bytes.iter().all(|byte| *byte == 0));
    }
}

/// Done again, a creation changes nothing.
pub async fn created_again_it_keeps_its_content(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let image = bench.image(b"precious");
    let storage = bench.storage();
    storage.write_image(&disk, &image).await.expect("written");
    storage.create(&disk).await.expect("is there");
    let recovered = storage.recover(DiskIntent::WriteImage(&write_of(&disk, &image))).await;
    assert_eq!(recovered, done());
}

/// A name that is taken by something else is not overwritten.
pub async fn another_size_under_the_same_name_is_refused(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let other = Disk { size: MiB(SIZE.0 + 1), ..disk.clone() };
    let error = bench.storage().create(&other).await.expect_err("taken");
    assert_eq!(error.code(), FaultCode::AlreadyExists, "{error}");
    let error = bench.storage().attach(&other).await.expect_err("not this disk");
    assert_eq!(error.code(), FaultCode::AlreadyExists, "{error}");
    assert!(exists(bench, &disk).await);
}

/// Removing is absolute too.
pub async fn a_removed_disk_is_gone_and_stays_removed(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let storage = bench.storage();
    storage.remove(&disk).await.expect("removed");
    assert!(!exists(bench, &disk).await);
    storage.remove(&disk).await.expect("is removed");
    let error = storage.attach(&disk).await.expect_err("gone");
    assert_eq!(error.code(), FaultCode::WrongState, "{error}");
    storage.create(&disk).await.expect("the name is free again");
}

/// A full storage is found at the creation, with a typed error.
pub async fn without_room_nothing_is_left(bench: &mut dyn Bench) {
    let disk = bench.too_large();
    let storage = bench.storage();
    let before = storage.info().await.expect("measures").free;
    let error = storage.create(&disk).await.expect_err("no room");
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
    assert_eq!(error.code(), FaultCode::InsufficientResources);
    assert!(!exists(bench, &disk).await);
    let recovered = storage.recover(DiskIntent::Create(&DiskCreate { disk })).await;
    assert_eq!(recovered, Recovery::NotStarted);
    let after = storage.info().await.expect("measures").free;
    // Others use the same file system; what must not be is space lost to the failed disk.
    assert!(after.0 + 64 >= before.0, "{before} free before, {after} after");
}

/// Only the beginning of the disk is the image's.
pub async fn an_image_is_written_and_what_follows_it_stays(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let long = bench.image(&[7; 3000]);
    let short = bench.image(&[8; 1000]);
    let storage = bench.storage();
    storage.write_image(&disk, &long).await.expect("written");
    storage.write_image(&disk, &short).await.expect("written");
    if let Some(bytes) = content(bench, &disk).await {
        assert_eq!(bytes.len() as u64, SIZE.bytes());
        assert_eq!(bytes[..1000], [8; 1000]);
        assert_eq!(bytes[1000..3000], [7; 2000]);
        assert!(bytes[3000..].iter().all(|byte| *byte == 0));
    }
}

/// Too large is found before the first byte is written.
pub async fn an_image_that_does_not_fit_writes_nothing(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let image = bench.image(&vec![1; SIZE.bytes() as usize + 1]);
    let error = bench.storage().write_image(&disk, &image).await.expect_err("too large");
    assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
    if let Some(bytes) = content(bench, &disk).await {
        assert!(bytes.len() as u64 == SIZE.bytes() && bytes.iter().all(|byte| *byte == 0));
    }
}

/// A part becomes zeros, the rest stays.
pub async fn what_is_wiped_reads_as_zeros(bench: &mut dyn Bench) {
    let disk = bench.disk(MiB(3));
    let storage = bench.storage();
    storage.create(&disk).await.expect("has room");
    let image = bench.image(&vec![7; MiB(3).bytes() as usize]);
    storage.write_image(&disk, &image).await.expect("written");
    let part = DiskWipe { disk: disk.clone(), offset: MiB(1), size: MiB(1) };
    for _ in 0..2 {
        storage.wipe(&disk, part.offset, part.size).await.expect("wiped, however often");
        // Whoever does not know whether it was done does it again.
        assert_eq!(storage.recover(DiskIntent::Wipe(&part)).await, Recovery::NotStarted);
    }
    if let Some(bytes) = content(bench, &disk).await {
        let mib = MiB(1).bytes() as usize;
        let is = |range: std::ops::Range<usize>, value| bytes[range].iter().all(|b| *b == value);
        assert!(is(0..mib, 7) && is(mib..2 * mib, 0) && is(2 * mib..3 * mib, 7));
    }
}

/// Nothing is written then.
pub async fn what_is_not_in_the_disk_is_not_wiped(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let storage = bench.storage();
    for (offset, size) in [(0, SIZE.0 + 1), (SIZE.0, 1), (u64::MAX, 1)] {
        let error = storage.wipe(&disk, MiB(offset), MiB(size)).await.expect_err("too far");
        assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
    }
    let never_made = bench.disk(SIZE);
    let error = storage.wipe(&never_made, MiB(0), SIZE).await.expect_err("no disk");
    assert_eq!(error.code(), FaultCode::WrongState);
}

/// What is missing is said.
pub async fn images_and_disks_that_are_not_there_are_named(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let image = bench.image(b"x");
    let missing = image.with_file_name("missing.img");
    let storage = bench.storage();
    let error = storage.write_image(&disk, &missing).await.expect_err("no image");
    assert!(error.to_string().contains("missing.img"), "{error}");
    let never_made = bench.disk(SIZE);
    let error = storage.write_image(&never_made, &image).await.expect_err("no disk");
    assert!(error.to_string().contains(&never_made.uuid.to_string()), "{error}");
    assert_eq!(error.code(), FaultCode::WrongState);
}

/// Attaching is absolute.
pub async fn an_attached_disk_is_found_the_same_way_twice(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let storage = bench.storage();
    let first = storage.attach(&disk).await.expect("attaches");
    assert_eq!(storage.attach(&disk).await.expect("attaches"), first);
    storage.detach(&disk).await.expect("detaches");
    storage.detach(&disk).await.expect("is detached");
}

/// The world is outside of the daemon.
pub async fn what_was_done_is_there_after_a_restart(bench: &mut dyn Bench) {
    let kept = made(bench).await;
    let removed = made(bench).await;
    let image = bench.image(b"system");
    bench.storage().write_image(&kept, &image).await.expect("written");
    bench.storage().remove(&removed).await.expect("removed");
    bench.restart();
    assert!(exists(bench, &kept).await && !exists(bench, &removed).await);
    let recovered = bench.storage().recover(DiskIntent::WriteImage(&write_of(&kept, &image))).await;
    assert_eq!(recovered, done());
}

/// What a crash leaves of a creation is not found, is not in the way, and is cleaned up.
pub async fn half_a_disk_is_no_disk(bench: &mut dyn Bench) {
    for resolve_first in [true, false] {
        let disk = bench.disk(SIZE);
        bench.half_make(&disk).await;
        bench.restart();
        assert!(!exists(bench, &disk).await);
        let storage = bench.storage();
        if resolve_first {
            let create = DiskCreate { disk: disk.clone() };
            let recovered = storage.recover(DiskIntent::Create(&create)).await;
            assert_eq!(recovered, Recovery::NotStarted);
        }
        storage.create(&disk).await.expect("made whole");
        storage.remove(&disk).await.expect("removed");
    }
}

/// Before and after.
pub async fn a_lost_creation_is_resolved(bench: &mut dyn Bench) {
    let disk = bench.disk(SIZE);
    let create = DiskCreate { disk: disk.clone() };
    let storage = bench.storage();
    assert_eq!(storage.recover(DiskIntent::Create(&create)).await, Recovery::NotStarted);
    storage.create(&disk).await.expect("made");
    assert_eq!(storage.recover(DiskIntent::Create(&create)).await, done());
    let other = DiskCreate { disk: Disk { size: MiB(SIZE.0 + 1), ..disk } };
    let recovered = storage.recover(DiskIntent::Create(&other)).await;
    assert!(matches!(recovered, Recovery::Unknown(_)), "another disk is there: {recovered:?}");
}

/// Before and after.
pub async fn a_lost_removal_is_resolved(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let remove = DiskRemove { disk: disk.clone() };
    let storage = bench.storage();
    assert_eq!(storage.recover(DiskIntent::Remove(&remove)).await, Recovery::NotStarted);
    storage.remove(&disk).await.expect("removed");
    assert_eq!(storage.recover(DiskIntent::Remove(&remove)).await, done());
}

/// Before, after, and when nobody can say.
pub async fn a_lost_image_is_resolved(bench: &mut dyn Bench) {
    let disk = made(bench).await;
    let image = bench.image(&[9; 5000]);
    let write = write_of(&disk, &image);
    let storage = bench.storage();
    assert_eq!(storage.recover(DiskIntent::WriteImage(&write)).await, Recovery::NotStarted);
    storage.write_image(&disk, &image).await.expect("written");
    assert_eq!(storage.recover(DiskIntent::WriteImage(&write)).await, done());
    storage.remove(&disk).await.expect("removed");
    let recovered = storage.recover(DiskIntent::WriteImage(&write)).await;
    assert!(matches!(recovered, Recovery::Unknown(_)), "the disk is gone: {recovered:?}");
}

/// Numbers make sense.
pub async fn free_space_is_part_of_all_space(bench: &mut dyn Bench) {
    let info = bench.storage().info().await.expect("measures");
    assert!(info.total.0 > 0 && info.free <= info.total, "{info:?}");
}

/// A size of nothing is a mistake.
pub async fn an_empty_disk_is_refused(bench: &mut dyn Bench) {
    let disk = bench.disk(MiB(0));
    let error = bench.storage().create(&disk).await.expect_err("no size");
    assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
}

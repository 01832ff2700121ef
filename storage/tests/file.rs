//! Disks that are files: the conformance suite, and what only files can do wrong.
//!
//! covers: D72 D73

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_host::{Blocking, DiskSpace, Inline, Pool, durable};
use gantry_model::errors::FaultCode;
use gantry_model::ids::{DiskUuid, InstanceUuid};
use gantry_model::node_calls::{DiskWriteImage, Recovery};
use gantry_model::objects::{Disk, DiskLocation, DiskMode};
use gantry_model::units::MiB;
use gantry_storage::conformance::Bench;
use gantry_storage::{
    AllowedPaths, DiskIntent, DiskLink, FileStorage, Storage, StorageError, image_size,
};
use uuid::Uuid;

struct FileBench {
    dir: tempfile::TempDir,
    blocking: Arc<dyn Blocking>,
    storage: Arc<dyn Storage>,
    n_files: u32,
    shared: bool,
}

impl FileBench {
    /// On a file system in memory where there is one: there a disk larger than all of it is refused
    /// without first filling it, so that being full can be tested for real and quickly.
    fn over(blocking: Arc<dyn Blocking>, shared: bool) -> Option<Self> {
        let shm = Path::new("/dev/shm");
        let place = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(place).expect("tempdir");
        let storage = Self::open(dir.path().join("disks"), Arc::clone(&blocking), shared);
        Some(Self { dir, blocking, storage, n_files: 0, shared })
    }

    fn open(directory: PathBuf, blocking: Arc<dyn Blocking>, shared: bool) -> Arc<dyn Storage> {
        let opened = match shared {
            true => FileStorage::shared(directory, blocking),
            false => FileStorage::new(directory, blocking),
        };
        Arc::new(opened.expect("absolute"))
    }

    fn on_shared() -> Option<Self> {
        Self::over(Arc::new(Inline), true)
    }

    fn pool() -> Option<Self> {
        Self::over(Arc::new(Pool), false)
    }

    fn inline() -> Option<Self> {
        Self::over(Arc::new(Inline), false)
    }

    fn directory(&self) -> PathBuf {
        self.dir.path().join("disks")
    }

    fn disk_at(&mut self, path: &Path, size: MiB) -> Disk {
        self.n_files += 1;
        Disk {
            uuid: DiskUuid(Uuid::from_u128(u128::from(self.n_files))),
            instance: InstanceUuid(Uuid::nil()),
            index: 0,
            size,
            mode: DiskMode::Rw,
            name: None,
            location: match self.shared {
                true => DiskLocation::SharedFile { path: path.display().to_string() },
                false => DiskLocation::File { path: path.display().to_string() },
            },
        }
    }

    fn path_of(disk: &Disk) -> PathBuf {
        match &disk.location {
            DiskLocation::File { path } | DiskLocation::SharedFile { path } => PathBuf::from(path),
            DiskLocation::Fake => panic!("a file disk"),
        }
    }
}

impl Bench for FileBench {
    fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    fn disk(&mut self, size: MiB) -> Disk {
        let path = self.directory().join(format!("instance{}", self.n_files)).join("disk0.raw");
        self.disk_at(&path, size)
    }

    fn too_large(&mut self) -> Disk {
        let space = DiskSpace::of(self.dir.path()).expect("measures");
        self.disk(MiB(space.total_bytes / 1024 / 1024 + 1))
    }

    fn image(&mut self, bytes: &[u8]) -> PathBuf {
        self.n_files += 1;
        let path = self.dir.path().join(format!("image{}", self.n_files));
        std::fs::write(&path, bytes).expect("writes");
        path
    }

    fn restart(&mut self) {
        let blocking = Arc::clone(&self.blocking);
        self.storage = Self::open(self.directory(), blocking, self.shared);
    }

    fn half_make<'a>(&'a mut self, disk: &'a Disk) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let path = Self::path_of(disk);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
            let temporary = durable::temporary_of(&path).expect("has a name");
            std::fs::write(temporary, [1; 1000]).expect("writes");
        })
    }
}
// covers: D5 D73
mod shared_by_nodes {
    use super::*;
    gantry_storage::conformance_tests!(FileBench::on_shared);
}
mod on_the_pool {
    use super::*;
    gantry_storage::conformance_tests!(FileBench::pool);
}

mod inline {
    use super::*;
    gantry_storage::conformance_tests!(FileBench::inline);
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.map(|entry| entry.expect("lists").path()).collect()
}

#[tokio::test]
async fn the_space_of_a_disk_is_reserved_at_its_creation() {
    use std::os::unix::fs::MetadataExt;
    let mut bench = FileBench::pool().expect("always");
    let disk = bench.disk(MiB(4));
    bench.storage().create(&disk).await.expect("has room");
    let blocks = std::fs::metadata(FileBench::path_of(&disk)).expect("is there").blocks();
    assert!(blocks * 512 >= MiB(4).bytes(), "{blocks} blocks of 512 bytes");
}

#[tokio::test]
async fn the_directory_of_an_instance_goes_with_its_last_disk() {
    let mut bench = FileBench::pool().expect("always");
    let disk = bench.disk(MiB(1));
    let storage = bench.storage();
    storage.create(&disk).await.expect("has room");
    assert_eq!(files_in(&bench.directory()).len(), 1);
    storage.remove(&disk).await.expect("removed");
    assert_eq!(files_in(&bench.directory()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn without_room_no_file_is_left_under_any_name() {
    let mut bench = FileBench::pool().expect("always");
    let disk = bench.too_large();
    bench.storage().create(&disk).await.expect_err("no room");
    let parent = FileBench::path_of(&disk).parent().expect("has one").to_owned();
    assert_eq!(files_in(&parent), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_size_beyond_all_files_is_no_room() {
    let mut bench = FileBench::pool().expect("always");
    let disk = bench.disk(MiB(u64::MAX));
    let error = bench.storage().create(&disk).await.expect_err("no room");
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
}

#[tokio::test]
async fn paths_outside_the_directory_are_refused_and_named() {
    let mut bench = FileBench::pool().expect("always");
    let outside = bench.dir.path().join("outside.raw");
    std::fs::write(&outside, b"not ours").expect("writes");
    let inside = bench.directory();
    let bad = [
        outside.clone(),
        inside.join("../outside.raw"),
        inside.join("./a.raw"),
        inside.join("a/../../outside.raw"),
        inside.clone(),
        PathBuf::from("disks/a.raw"),
        PathBuf::new(),
    ];
    for path in bad {
        let disk = bench.disk_at(&path, MiB(1));
        let storage = bench.storage();
        for error in [
            storage.create(&disk).await.expect_err("outside"),
            storage.remove(&disk).await.expect_err("outside"),
            storage.attach(&disk).await.expect_err("outside"),
        ] {
            assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
            assert!(error.to_string().contains(&format!("{path:?}")), "{error}");
        }
    }
    assert_eq!(std::fs::read(&outside).expect("untouched"), b"not ours");
}

#[tokio::test]
async fn symbolic_links_do_not_lead_outside() {
    let mut bench = FileBench::pool().expect("always");
    let outside = bench.dir.path().join("outside");
    std::fs::create_dir_all(bench.directory()).expect("made");
    std::fs::create_dir(&outside).expect("made");
    std::fs::write(outside.join("file"), b"not ours").expect("writes");
    std::os::unix::fs::symlink(&outside, bench.directory().join("dir")).expect("linked");
    std::os::unix::fs::symlink(outside.join("file"), bench.directory().join("file"))
        .expect("linked");
    for name in ["dir/file", "dir/new", "dir/new/new", "file"] {
        let disk = bench.disk_at(&bench.directory().join(name), MiB(1));
        let error = bench.storage().create(&disk).await.expect_err("leads outside");
        assert_eq!(error.code(), FaultCode::WrongInput, "{name}: {error}");
        bench.storage().remove(&disk).await.expect_err("leads outside");
    }
    assert_eq!(std::fs::read(outside.join("file")).expect("untouched"), b"not ours");
}

#[tokio::test]
async fn an_image_half_written_is_written_again() {
    let mut bench = FileBench::pool().expect("always");
    let disk = bench.disk(MiB(1));
    let storage = bench.storage();
    storage.create(&disk).await.expect("has room");
    let image = bench.image(&[5; 600_000]);
    let half = bench.image(&[5; 300_000]);
    storage.write_image(&disk, &half).await.expect("written");
    let write = DiskWriteImage { disk: disk.clone(), image: image.display().to_string() };
    let recovered = storage.recover(DiskIntent::WriteImage(&write)).await;
    assert_eq!(recovered, Recovery::NotStarted);
    storage.write_image(&disk, &image).await.expect("written");
    let DiskLink::Path(path) = storage.attach(&disk).await.expect("attaches") else {
        panic!("a file has a path")
    };
    assert_eq!(std::fs::read(path).expect("reads")[..600_000], [5; 600_000]);
}

#[tokio::test]
async fn what_became_of_an_image_that_is_gone_is_unknown() {
    let mut bench = FileBench::pool().expect("always");
    let disk = bench.disk(MiB(1));
    let storage = bench.storage();
    storage.create(&disk).await.expect("has room");
    let image = bench.dir.path().join("gone").display().to_string();
    let write = DiskWriteImage { disk, image };
    let recovered = storage.recover(DiskIntent::WriteImage(&write)).await;
    assert!(matches!(recovered, Recovery::Unknown(_)), "{recovered:?}");
}

#[tokio::test]
async fn a_directory_in_place_of_a_disk_or_image_is_refused() {
    let mut bench = FileBench::pool().expect("always");
    let disk = bench.disk(MiB(1));
    let storage = bench.storage();
    storage.create(&disk).await.expect("has room");
    let error = storage.write_image(&disk, bench.dir.path()).await.expect_err("not a file");
    assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
    let inside = bench.directory().join("d");
    std::fs::create_dir(&inside).expect("made");
    let disk = bench.disk_at(&inside, MiB(1));
    storage.create(&disk).await.expect_err("a directory is there");
    storage.remove(&disk).await.expect_err("a directory is there");
    assert!(inside.is_dir());
}

#[tokio::test]
async fn the_size_of_an_image_is_rounded_up() {
    let mut bench = FileBench::pool().expect("always");
    for (bytes, size) in [(0, MiB(0)), (1, MiB(1)), (1 << 20, MiB(1)), ((1 << 20) + 1, MiB(2))] {
        let image = bench.image(&vec![1; bytes]);
        assert_eq!(image_size(&Pool, &image).await.expect("reads"), size);
    }
    image_size(&Pool, Path::new("relative")).await.expect_err("relative");
}

#[test]
fn a_relative_directory_is_refused() {
    for path in ["disks", "/a/../b", "/a/./b", "/a/", ""] {
        assert!(FileStorage::new(path, Arc::new(Inline)).is_err(), "{path:?}");
    }
}

// covers: S33
#[tokio::test]
async fn a_disk_is_made_only_where_the_node_allows_it() {
    let mut bench = FileBench::inline().expect("a bench");
    let list = bench.dir.path().join("file-storage-paths");
    let blocking: Arc<dyn Blocking> = Arc::new(Inline);
    let storage = FileStorage::new(bench.directory(), blocking)
        .expect("absolute")
        .allowed_by(AllowedPaths::new(&list));
    let disk = bench.disk(MiB(1));
    let error = storage.create(&disk).await.expect_err("no list");
    assert!(matches!(error, StorageError::PathNotAllowed { .. }), "{error}");
    let directory = bench.directory();
    let text = AllowedPaths::text([directory.to_str().expect("plain")]);
    std::fs::write(&list, text).expect("writes");
    storage.create(&disk).await.expect("allowed");
    std::fs::remove_file(&list).expect("removes");
    storage.remove(&disk).await.expect("what is there can go");
}

#[tokio::test]
async fn a_disk_of_the_other_kind_of_file_is_not_touched() {
    let mut bench = FileBench::on_shared().expect("a bench");
    let disk = bench.disk(MiB(1));
    let blocking: Arc<dyn Blocking> = Arc::new(Inline);
    let own = FileStorage::new(bench.directory(), blocking).expect("absolute");
    let error = own.create(&disk).await.expect_err("of another template");
    assert!(matches!(error, StorageError::WrongTemplate { .. }), "{error}");
}

// covers: D5
#[tokio::test]
async fn nodes_that_share_a_directory_have_the_same_disks() {
    let mut bench = FileBench::on_shared().expect("a bench");
    let disk = bench.disk(MiB(1));
    let image = bench.image(&[7; 512]);
    let node = |blocking: Arc<dyn Blocking>| {
        FileStorage::shared(bench.directory(), blocking).expect("absolute")
    };
    let (first, second) = (node(Arc::new(Inline)), node(Arc::new(Pool)));
    first.create(&disk).await.expect("has room");
    first.write_image(&disk, &image).await.expect("written");
    // Told again to another node, it is the same disk and not an empty one.
    second.create(&disk).await.expect("is there");
    let DiskLink::Path(path) = second.attach(&disk).await.expect("is there") else {
        panic!("a file has a path")
    };
    assert_eq!(std::fs::read(&path).expect("reads")[..512], [7; 512]);
    // A node that goes, or has nothing to do with it any more, takes nothing away.
    drop(first);
    second.detach(&disk).await.expect("given up");
    assert!(second.query(&disk).await.expect("asked").is_some());
    let third = node(Arc::new(Inline));
    third.remove(&disk).await.expect("removed");
    assert!(second.query(&disk).await.expect("asked").is_none());
}

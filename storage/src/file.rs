//! Disks that are raw image files in one directory: of the node (template `file`, row D72), or one
//! that all nodes share (template `sharedfile`, row D73).
//!
//! A disk is made under a temporary name with all its space reserved, flushed, and then renamed:
//! what has the final name is whole. Nothing outside the directory is touched, symbolic links
//! included.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use gantry_host::{Blocking, DiskSpace, durable, run_blocking};
use gantry_model::errors::Fault;
use gantry_model::node_calls::{CallOutcome, Recovery};
use gantry_model::objects::{Disk, DiskLocation, DiskTemplate};
use gantry_model::units::MiB;

use crate::allowed_paths::AllowedPaths;
use crate::contract::{Capabilities, DiskIntent, DiskLink, DiskReport, Storage, StorageInfo};
use crate::error::{StorageError, check_part};
use crate::image;

const MIB_BYTES: u64 = 1024 * 1024;

/// Image files in one directory.
pub struct FileStorage {
    directory: Directory,
    blocking: Arc<dyn Blocking>,
    allowed: Option<AllowedPaths>,
}

impl FileStorage {
    /// In this directory, an absolute path; it is made with the first disk.
    ///
    /// # Errors
    /// When the path is not absolute or contains `.` or `..`.
    pub fn new(
        directory: impl Into<PathBuf>,
        blocking: Arc<dyn Blocking>,
    ) -> Result<Self, StorageError> {
        let path = directory.into();
        if !is_plain(&path) {
            return Err(StorageError::PathNotAllowed {
                path: path.display().to_string(),
                accepted: "an absolute path without . and ..".to_owned(),
            });
        }
        let directory = Directory { path, template: DiskTemplate::File, busy: Arc::default() };
        Ok(Self { directory, blocking, allowed: None })
    }

    /// The same in a directory that every node has under this path. Who may use a disk is not its
    /// business: the run epochs of guests see to that.
    ///
    /// # Errors
    /// When the path is not absolute or contains `.` or `..`.
    pub fn shared(
        directory: impl Into<PathBuf>,
        blocking: Arc<dyn Blocking>,
    ) -> Result<Self, StorageError> {
        let mut storage = Self::new(directory, blocking)?;
        storage.directory.template = DiskTemplate::SharedFile;
        Ok(storage)
    }

    /// Makes new disks only where this list allows it. What is there can be used and removed all
    /// the same: taking a line out of the list must not strand disks.
    #[must_use]
    pub fn allowed_by(self, list: AllowedPaths) -> Self {
        Self { allowed: Some(list), ..self }
    }

    /// Where its disks are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory.path
    }

    /// Does work on the file of a disk, one at a time for each file.
    async fn on_file<T: Send + 'static>(
        &self,
        attempt: &'static str,
        disk: &Disk,
        work: impl FnOnce(&Place) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let directory = self.directory.clone();
        let disk = disk.clone();
        run_blocking(&*self.blocking, move || {
            let place = directory.place(&disk)?;
            let _mine = directory.busy.take(&place.path);
            work(&place)
        })
        .await
        .map_err(|source| StorageError::NoThread { attempt, source })?
    }

    async fn recover_intent(&self, intent: DiskIntent<'_>) -> Result<Recovery, StorageError> {
        let done = |there| if there { done() } else { Recovery::NotStarted };
        match intent {
            DiskIntent::Create(create) => self
                .on_file("recover", &create.disk, |place| place.recover_create())
                .await
                .map(done),
            DiskIntent::Remove(remove) => {
                self.on_file("recover", &remove.disk, |place| place.is_removed()).await.map(done)
            }
            DiskIntent::Wipe(_) => Ok(Recovery::NotStarted),
            DiskIntent::WriteImage(write) => {
                let image = PathBuf::from(&write.image);
                self.on_file("recover", &write.disk, move |place| place.has_image(&image))
                    .await
                    .map(done)
            }
        }
    }
}

fn done() -> Recovery {
    Recovery::Done(CallOutcome::default())
}

impl Storage for FileStorage {
    fn template(&self) -> DiskTemplate {
        self.directory.template
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { holds_bytes: true, ..Capabilities::default() }
    }

    fn info(&self) -> BoxFuture<'_, Result<StorageInfo, StorageError>> {
        Box::pin(async {
            let path = self.directory.path.clone();
            run_blocking(&*self.blocking, move || space_at(&path))
                .await
                .map_err(|source| StorageError::NoThread { attempt: "measure", source })?
        })
    }

    fn create<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        let allowed = self.allowed.clone();
        Box::pin(self.on_file("create a disk", disk, move |place| {
            if let Some(allowed) = allowed {
                allowed.check(&place.path)?;
            }
            place.create()
        }))
    }

    fn remove<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(self.on_file("remove a disk", disk, |place| place.remove()))
    }

    fn query<'a>(
        &'a self,
        disk: &'a Disk,
    ) -> BoxFuture<'a, Result<Option<DiskReport>, StorageError>> {
        Box::pin(async {
            let size = self.on_file("look for a disk", disk, |place| place.size()).await?;
            Ok(size.map(|size_bytes| DiskReport { size_bytes }))
        })
    }

    fn write_image<'a>(
        &'a self,
        disk: &'a Disk,
        image: &'a Path,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        let image = image.to_owned();
        Box::pin(self.on_file("write an image", disk, move |place| place.write_image(&image)))
    }

    fn wipe<'a>(
        &'a self,
        disk: &'a Disk,
        offset: MiB,
        size: MiB,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(self.on_file("wipe a disk", disk, move |place| place.wipe(offset, size)))
    }

    fn attach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<DiskLink, StorageError>> {
        Box::pin(self.on_file("attach a disk", disk, |place| {
            place.check_whole()?;
            Ok(DiskLink::Path(place.path.clone()))
        }))
    }

    fn detach<'a>(&'a self, disk: &'a Disk) -> BoxFuture<'a, Result<(), StorageError>> {
        // A file is used by opening it: there is nothing to take back, only a place to check.
        Box::pin(self.on_file("detach a disk", disk, |_| Ok(())))
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

/// Whether a path is absolute and has nothing in it that could lead elsewhere.
fn is_plain(path: &Path) -> bool {
    // By the text: Path::components() hides dots and slashes.
    let mut names = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    path.is_absolute()
        && names.next() == Some(b"")
        && names.all(|name| !matches!(name, b"" | b"." | b".."))
}

/// Space of the file system of a directory, or of where it would be made.
fn space_at(path: &Path) -> Result<StorageInfo, StorageError> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let space = DiskSpace::of(existing).map_err(|error| StorageError::Io {
        attempt: "measure",
        path: existing.to_owned(),
        source: io::Error::other(error),
    })?;
    Ok(StorageInfo {
        total: MiB(space.total_bytes / MIB_BYTES),
        free: MiB(space.free_bytes / MIB_BYTES),
    })
}

#[derive(Clone)]
struct Directory {
    path: PathBuf,
    template: DiskTemplate,
    busy: Arc<Busy>,
}

impl Directory {
    /// Where a disk is, if it may be there.
    fn place(&self, disk: &Disk) -> Result<Place, StorageError> {
        let path = match &disk.location {
            DiskLocation::File { path } | DiskLocation::SharedFile { path }
                if disk.template() == self.template =>
            {
                path
            }
            DiskLocation::File { .. } | DiskLocation::SharedFile { .. } | DiskLocation::Fake => {
                return Err(StorageError::WrongTemplate {
                    disk: disk.uuid,
                    expected: self.template,
                    actual: disk.template(),
                });
            }
        };
        let refuse = || StorageError::PathNotAllowed {
            path: path.clone(),
            accepted: format!("an absolute path without . and .. under {}", self.path.display()),
        };
        let place = PathBuf::from(path);
        let inside = place != self.path && place.starts_with(&self.path);
        if !is_plain(&place) || !inside || !self.holds(&place)? {
            return Err(refuse());
        }
        let size_bytes = disk.size.bytes();
        if disk.size.0 == 0 {
            return Err(StorageError::BadSize { size: disk.size });
        }
        let (path, base, disk) = (place, self.path.clone(), disk.clone());
        Ok(Place { path, base, disk, size_bytes })
    }

    /// Whether a path is inside also when symbolic links are followed.
    fn holds(&self, place: &Path) -> Result<bool, StorageError> {
        let real = |path: &Path| path.canonicalize().map_err(io_error("resolve", path));
        if !self.path.exists() {
            // Nothing is in it yet, so no link either.
            return Ok(true);
        }
        if place.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
            return Ok(false);
        }
        let parents = place.ancestors().skip(1);
        let Some(existing) = parents.into_iter().find(|path| path.exists()) else {
            return Ok(false);
        };
        Ok(real(existing)?.starts_with(real(&self.path)?))
    }
}

/// Files that are being worked on. A future that is dropped leaves its work running; whoever comes
/// next waits for that here.
#[derive(Default)]
struct Busy {
    paths: Mutex<BTreeSet<PathBuf>>,
    released: Condvar,
}

impl Busy {
    fn take(self: &Arc<Self>, path: &Path) -> Mine {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths = self
            .released
            .wait_while(paths, |paths| paths.contains(path))
            .unwrap_or_else(PoisonError::into_inner);
        paths.insert(path.to_owned());
        Mine { busy: Arc::clone(self), path: path.to_owned() }
    }
}

struct Mine {
    busy: Arc<Busy>,
    path: PathBuf,
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.busy.paths.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
        self.busy.released.notify_all();
    }
}

fn io_error(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError::Io { attempt, path, source }
}

/// The file of one disk.
struct Place {
    path: PathBuf,
    base: PathBuf,
    disk: Disk,
    size_bytes: u64,
}

impl Place {
    fn size(&self) -> Result<Option<u64>, StorageError> {
        match self.path.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => {
                let source = io::Error::new(ErrorKind::InvalidInput, "not a regular file");
                Err(io_error("use", &self.path)(source))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error("look for", &self.path)(source)),
        }
    }

    fn temporary(&self) -> Result<PathBuf, StorageError> {
        durable::temporary_of(&self.path).map_err(io_error("name a file beside", &self.path))
    }

    /// That the disk is there, of its size.
    fn check_whole(&self) -> Result<(), StorageError> {
        match self.size()? {
            Some(actual) if actual == self.size_bytes => Ok(()),
            Some(actual_bytes) => Err(StorageError::Conflict {
                path: self.path.clone(),
                expected_bytes: self.size_bytes,
                actual_bytes,
            }),
            None => Err(StorageError::NotFound {
                disk: self.disk.uuid,
                place: self.path.display().to_string(),
            }),
        }
    }

    fn create(&self) -> Result<(), StorageError> {
        match self.check_whole() {
            Err(StorageError::NotFound { .. }) => {}
            there => return there,
        }
        if let Some(parent) = self.path.parent() {
            durable::create_dir(parent).map_err(self.no_space_or("create", parent))?;
        }
        let temporary = self.temporary()?;
        let made = self.make(&temporary);
        if made.is_err()
            && let Err(error) = durable::remove(&temporary)
        {
            let path = temporary.display();
            tracing::warn!(%path, %error, "could not remove a half-made disk");
        }
        made
    }

    fn make(&self, temporary: &Path) -> Result<(), StorageError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(temporary).map_err(self.no_space_or("create", temporary))?;
        durable::preallocate(&mut file, self.size_bytes)
            .and_then(|()| file.sync_all())
            .map_err(self.no_space_or("reserve space for", temporary))?;
        durable::rename(temporary, &self.path).map_err(self.no_space_or("rename", temporary))
    }

    /// What the system said, as "no room" if that is what it means.
    fn no_space_or(
        &self,
        attempt: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> StorageError {
        let (wanted, size, path) = (self.path.clone(), self.disk.size, path.to_owned());
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded => {
                StorageError::NoSpace { path: wanted, size, source: Some(source) }
            }
            _ => StorageError::Io { attempt, path, source },
        }
    }

    fn remove(&self) -> Result<(), StorageError> {
        for path in [self.path.clone(), self.temporary()?] {
            match durable::remove(&path) {
                // Then its directory is not there either.
                Err(error) if error.kind() == ErrorKind::NotADirectory => {}
                removed => removed.map_err(io_error("remove", &path))?,
            }
        }
        self.remove_empty_parents();
        Ok(())
    }

    /// The directory of an instance goes with its last disk. That it stays harms nobody.
    fn remove_empty_parents(&self) {
        let parents = self.path.ancestors().skip(1);
        for parent in parents.take_while(|path| *path != self.base) {
            if std::fs::remove_dir(parent).is_err() || durable::sync_parent(parent).is_err() {
                break;
            }
        }
    }

    fn open_disk(&self, write: bool) -> Result<File, StorageError> {
        let mut options = OpenOptions::new();
        options.read(true).write(write);
        options.open(&self.path).map_err(io_error("open", &self.path))
    }

    fn write_image(&self, image: &Path) -> Result<(), StorageError> {
        let (from, bytes) = self.fitting_image(image)?;
        let mut to = self.open_disk(true)?;
        let copied = io::copy(&mut from.take(bytes), &mut to)
            .and_then(|copied| to.sync_all().map(|()| copied))
            .map_err(io_error("write an image to", &self.path))?;
        if copied < bytes {
            let source = io::Error::new(ErrorKind::UnexpectedEof, "it became shorter meanwhile");
            return Err(StorageError::BadImage { path: image.to_owned(), source: Some(source) });
        }
        Ok(())
    }

    fn wipe(&self, offset: MiB, size: MiB) -> Result<(), StorageError> {
        check_part(&self.disk, offset, size)?;
        self.check_whole()?;
        let mut disk = self.open_disk(true)?;
        disk.seek(io::SeekFrom::Start(offset.bytes()))
            .and_then(|_| io::copy(&mut io::repeat(0).take(size.bytes()), &mut disk))
            .and_then(|_| disk.sync_all())
            .map_err(io_error("wipe", &self.path))
    }

    /// The image, if it and the disk are there and it fits.
    fn fitting_image(&self, image: &Path) -> Result<(File, u64), StorageError> {
        let (file, image_bytes) = image::open(image)?;
        self.check_whole()?;
        if image_bytes > self.size_bytes {
            return Err(StorageError::ImageTooLarge {
                path: image.to_owned(),
                image_bytes,
                disk_bytes: self.size_bytes,
            });
        }
        Ok((file, image_bytes))
    }

    /// Whether the disk was made; what is left of one half made goes.
    fn recover_create(&self) -> Result<bool, StorageError> {
        match self.check_whole() {
            Ok(()) => {
                // Renamed, but perhaps the directory was not flushed.
                durable::sync_parent(&self.path).map_err(io_error("flush", &self.path))?;
                Ok(true)
            }
            Err(StorageError::NotFound { .. }) => {
                let temporary = self.temporary()?;
                match durable::remove(&temporary) {
                    Ok(()) => Ok(false),
                    Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
                    Err(source) => Err(io_error("remove", &temporary)(source)),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn is_removed(&self) -> Result<bool, StorageError> {
        if self.size()?.is_some() {
            return Ok(false);
        }
        self.remove().map(|()| true)
    }

    /// Whether the disk begins with the image, on disk. Half an image counts as none: writing it
    /// is absolute, so whoever does it again writes it whole.
    fn has_image(&self, image: &Path) -> Result<bool, StorageError> {
        let (mut from, bytes) = self.fitting_image(image)?;
        let mut disk = self.open_disk(true)?;
        let compared = image::begins_with(&mut disk, &mut from, bytes)
            .and_then(|equal| disk.sync_all().map(|()| equal));
        compared.map_err(io_error("compare with an image", &self.path))
    }
}

//! Files that are whole or not there, whatever happens in between.
//!
//! These block their thread: call them through [`Blocking`](crate::Blocking).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};

/// Replaces a file: temporary file beside it, flush, rename, flush of the directory. One writer per
/// path; a temporary file left by a crash is overwritten by the next.
///
/// # Errors
/// What the system says; then the old content is still there.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_of(path)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    rename(&temporary, path)
}

/// The temporary name beside a path that [`write()`] uses.
///
/// # Errors
/// When the path has no file name.
pub fn temporary_of(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "path has no file name"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    Ok(path.with_file_name(temporary))
}

/// Renames and flushes the directory.
///
/// # Errors
/// What the system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_parent(to)
}

/// Removes a file, if it is there, and flushes the directory.
///
/// # Errors
/// What the system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a directory with its parents, each flushed into its own parent.
///
/// # Errors
/// What the system says.
pub fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    match std::fs::create_dir(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Flushes the directory that holds `path`.
///
/// # Errors
/// What the system says.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

/// Makes a file this long with space for all of it, so that a full disk is found now and not when a
/// guest writes. It reads as zeros where nothing was written.
///
/// # Errors
/// What the system says; `StorageFull`, `FileTooLarge` or `QuotaExceeded` when there is no room.
pub fn preallocate(file: &mut File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    match fallocate(&*file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        // Some network file systems cannot reserve: there, only writing tells.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => write_zeros(file, bytes),
        Err(errno) => Err(errno.into()),
    }
}

fn write_zeros(file: &mut File, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(bytes), file).map(|_| ())
}

/// The content of a file, `None` if it is not there.
///
/// # Errors
/// What the system says.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An exclusive lock between processes; released when dropped, and by the kernel when we die.
#[derive(Debug)]
pub struct FileLock {
    _held: Flock<File>,
}

impl FileLock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// What the system says.
    pub fn acquire(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let held = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| io::Error::from(errno))?;
        Ok(Self { _held: held })
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// What the system says; not that another holds it.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Some(Self { _held: held })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_content_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a");
        write(&path, b"one").expect("writes");
        write(&path, b"two").expect("writes");
        assert_eq!(read(&path).expect("reads").as_deref(), Some(b"two".as_slice()));
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1);
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_content() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a");
        write(&path, b"one").expect("writes");
        // The temporary name is taken by a directory: the write cannot even begin.
        std::fs::create_dir(temporary_of(&path).expect("named")).expect("mkdir");
        write(&path, b"two").expect_err("the way is blocked");
        assert_eq!(read(&path).expect("reads").as_deref(), Some(b"one".as_slice()));
    }

    #[test]
    fn what_is_not_there_reads_as_none_and_can_be_removed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a");
        assert_eq!(read(&path).expect("reads"), None);
        remove(&path).expect("removed");
    }

    #[test]
    fn directories_are_made_with_their_parents_and_again() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a/b/c");
        create_dir(&path).expect("made");
        create_dir(&path).expect("made again");
        assert!(path.is_dir());
    }

    #[test]
    fn both_ways_of_preallocating_give_zeros_of_full_length() {
        let dir = tempfile::tempdir().expect("tempdir");
        for (name, make) in
            [("a", preallocate as fn(&mut File, u64) -> io::Result<()>), ("b", write_zeros)]
        {
            let path = dir.path().join(name);
            let mut file = File::create(&path).expect("creates");
            make(&mut file, 70_000).expect("has room");
            assert_eq!(std::fs::read(&path).expect("reads"), vec![0; 70_000], "{name}");
        }
    }

    #[test]
    fn a_length_beyond_all_file_systems_is_too_large() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut file = File::create(dir.path().join("a")).expect("creates");
        let error = preallocate(&mut file, u64::MAX).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("lock");
        let held = FileLock::acquire(&path).expect("free");
        assert!(FileLock::try_acquire(&path).expect("asks").is_none());
        drop(held);
        assert!(FileLock::try_acquire(&path).expect("asks").is_some());
    }
}

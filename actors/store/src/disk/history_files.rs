//! Where the files of the history are kept.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

/// Small files that only grow, and go as a whole. What a method has done is durable when it
/// returns.
pub trait HistoryFiles: Debug + Send + Sync + 'static {
    /// Names and sizes of all files, in order of their names.
    ///
    /// # Errors
    /// When the disk refuses.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Reads from `offset` on, exactly as much as `out` holds.
    ///
    /// # Errors
    /// When the disk refuses, or the file is shorter.
    fn read(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Cuts the file at `len` and appends; a file that does not exist is made. After a crash
    /// anything may stand behind `len`, but nothing before it has changed.
    ///
    /// # Errors
    /// When the disk refuses; then as after a crash.
    fn append(&self, name: &str, len: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes or replaces a whole file, which after a crash is there as a whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When the disk refuses; it is no error if it does not exist.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Files in a directory of their own.
#[derive(Debug)]
pub(super) struct RealFiles {
    dir: PathBuf,
}

/// What a file is called before it is whole.
const NEW_SUFFIX: &str = ".new";

impl RealFiles {
    /// The directory is made if it does not exist.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { dir })
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

impl HistoryFiles for RealFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(NEW_SUFFIX) {
                // What a crash left in the middle of being made.
                fs::remove_file(entry.path())?;
            } else {
                files.push((name, entry.metadata()?.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn read(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()> {
        File::open(self.dir.join(name))?.read_exact_at(out, offset)
    }

    fn append(&self, name: &str, len: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(name);
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        file.set_len(len)?;
        file.write_all_at(bytes, len)?;
        file.sync_data()?;
        if is_new { self.sync_dir() } else { Ok(()) }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}{NEW_SUFFIX}");
        self.append(&new, 0, bytes)?;
        fs::rename(self.dir.join(new), self.dir.join(name))?;
        self.sync_dir()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => self.sync_dir(),
        }
    }
}

//! Files in a directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::history_files::RealFiles;
use super::{Disk, HistoryFiles};

/// Name of the log file.
const LOG_FILE: &str = "raft.redb";

/// Name of the directory of the history.
const HISTORY_DIR: &str = "history";

/// The real disk.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
}

impl RealDisk {
    /// The files of one store in `dir`, which is made if it does not exist.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

impl Disk for RealDisk {
    fn open_log(&self) -> io::Result<Box<dyn StorageBackend>> {
        let path = self.dir.join(LOG_FILE);
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = restrict(&mut options).open(path)?;
        if is_new {
            self.sync_dir()?;
        }
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn open_history(&self) -> io::Result<Box<dyn HistoryFiles>> {
        Ok(Box::new(RealFiles::open(self.dir.join(HISTORY_DIR))?))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.dir.join(format!("{name}.new"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let written = restrict(&mut options).open(&new).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        if let Err(error) = written {
            // What was written so far would only keep a full disk full.
            let _already_failing = fs::remove_file(&new);
            return Err(error);
        }
        fs::rename(&new, self.dir.join(name))?;
        self.sync_dir()
    }
}

/// The state holds what only the daemon may read.
fn restrict(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

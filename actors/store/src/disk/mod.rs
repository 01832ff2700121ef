//! Where bytes are kept: the log file, the snapshot file, the real disk and one that breaks.
//!
//! It owns durability: what the log file has committed and the snapshot file has replaced survives
//! a loss of power. Deliberately absent: anything about Raft; it keeps forms of [`crate::forms`].

pub(crate) mod checksum;
mod dirty_pages;
mod error;
mod faulty;
mod faulty_files;
mod history_files;
pub(crate) mod level_file;
pub(crate) mod log_file;
mod real;
pub(crate) mod snapshot_codec;
pub(crate) mod snapshot_file;

pub use error::DiskError;
pub use faulty::{FaultyBackend, FaultyDisk, Medium};
pub use history_files::HistoryFiles;
pub use real::RealDisk;

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use redb::StorageBackend;

/// Name of the file that is there when the state was found to differ from the other holders'.
pub(crate) const DIVERGED_FILE: &str = "diverged";

/// A place that keeps the files of one store.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens the file of the log, made empty if it does not exist.
    ///
    /// # Errors
    /// When the disk refuses.
    fn open_log(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Reads a whole file; `None` if it does not exist.
    ///
    /// # Errors
    /// When the disk refuses.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Replaces a whole file. After a crash it has either its old or its new content; when this
    /// has returned it has the new one.
    ///
    /// # Errors
    /// When the disk refuses; the old content is still there then.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Opens the files of the history.
    ///
    /// # Errors
    /// When the disk refuses.
    fn open_history(&self) -> io::Result<Box<dyn HistoryFiles>>;

    /// How long the disk pretends that one flush takes, in the time of the runtime. Real disks take
    /// their time without pretending.
    fn simulated_sync(&self) -> Duration {
        Duration::ZERO
    }
}

//! The place where the world of the fakes is kept: outside of every agent, so that it survives the
//! agent's crash.
//!
//! In memory for a simulation, in a file for daemons that share a machine. Every access is
//! exclusive among all that use the same place.
//!
//! The file is a log of changes, so that an access costs what it changes and not what there is:
//! every process has the records in memory and reads only what others have appended since. What one
//! access changes is one frame, there as a whole or not at all. Nothing is flushed: a fake is to
//! survive its agent, not the power of its machine, and flushes would be most of what it costs.

mod log;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::durable::{self, FileLock};
use log::{Change, LogFile};

/// Named records of bytes.
#[derive(Debug)]
pub struct RecordStore {
    /// The directory of the file, if there is one.
    directory: Option<PathBuf>,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    records: BTreeMap<String, Vec<u8>>,
    /// The file, as far as it was read; `None` before the first access and after a failed one.
    file: Option<LogFile>,
}

impl RecordStore {
    /// In memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { directory: None, content: Mutex::default() }
    }

    /// In this directory, which is made. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn in_directory(path: &Path) -> io::Result<Self> {
        durable::create_dir(path)?;
        Ok(Self { directory: Some(path.to_owned()), content: Mutex::default() })
    }

    /// Works on the records while nobody else does. Blocks if they are in a directory. What was
    /// changed before an error stays changed.
    ///
    /// # Errors
    /// What the system says, or what `work` gives.
    pub fn exclusive<R>(
        &self,
        work: impl FnOnce(&mut Records<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(directory) = &self.directory else {
            return work(&mut Records { records: &mut content.records, changes: None });
        };
        let _lock = FileLock::acquire(&directory.join(".lock"))?;
        let mut file = LogFile::follow(directory, content.file.take(), &mut content.records)?;
        let mut changes = Vec::new();
        let mut records = Records { records: &mut content.records, changes: Some(&mut changes) };
        let outcome = work(&mut records);
        // If this fails, memory is ahead of the file: the next access reads it anew.
        file.append(&changes)?;
        if file.is_wasteful(&content.records) {
            file = LogFile::rewrite(directory, &content.records)?;
        }
        content.file = Some(file);
        outcome
    }
}

/// Exclusive access to the records.
pub struct Records<'a> {
    records: &'a mut BTreeMap<String, Vec<u8>>,
    /// What was changed, where it has to be written down.
    changes: Option<&'a mut Vec<Change>>,
}

impl Records<'_> {
    /// One record.
    ///
    /// # Errors
    /// When the name is none.
    pub fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.records.get(checked(name)?).cloned())
    }

    /// Writes a record.
    ///
    /// # Errors
    /// When the name is none.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let name = checked(name)?;
        self.records.insert(name.to_owned(), bytes.to_owned());
        if let Some(changes) = &mut self.changes {
            changes.push(Change { name: name.to_owned(), bytes: Some(bytes.to_owned()) });
        }
        Ok(())
    }

    /// Removes a record, if it is there.
    ///
    /// # Errors
    /// When the name is none.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.records.remove(checked(name)?).is_some()
            && let Some(changes) = &mut self.changes
        {
            changes.push(Change { name: name.to_owned(), bytes: None });
        }
        Ok(())
    }

    /// The names that begin with `prefix`, in order.
    ///
    /// # Errors
    /// None today; a place that has to look for them may have some.
    pub fn names(&self, prefix: &str) -> io::Result<Vec<String>> {
        let after = self.records.range(prefix.to_owned()..);
        let matching = after.take_while(|(name, _)| name.starts_with(prefix));
        Ok(matching.map(|(name, _)| name.clone()).collect())
    }
}

/// Names are plain, as those of files that they once were.
fn checked(name: &str) -> io::Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let text = format!("{name:?} is not a name of a record");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;

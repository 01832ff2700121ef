//! The place where the world of the fakes is kept: outside of every agent, so that it survives the
//! agent's crash.
//!
//! In memory for a simulation, in a directory (one file per record) for daemons that share a
//! machine. Every access is exclusive among all that use the same place.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::durable::{self, FileLock};

/// Named records of bytes.
#[derive(Debug)]
pub struct RecordStore {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Mutex<BTreeMap<String, Vec<u8>>>),
    Directory(PathBuf),
}

impl RecordStore {
    /// In memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { place: Place::Memory(Mutex::new(BTreeMap::new())) }
    }

    /// In this directory, which is made. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn in_directory(path: &Path) -> io::Result<Self> {
        durable::create_dir(path)?;
        Ok(Self { place: Place::Directory(path.to_owned()) })
    }

    /// Works on the records while nobody else does. Blocks if they are in a directory.
    ///
    /// # Errors
    /// What the system says, or what `work` gives.
    pub fn exclusive<R>(
        &self,
        work: impl FnOnce(&mut Records<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        match &self.place {
            Place::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                work(&mut Records { view: View::Memory(&mut map) })
            }
            Place::Directory(path) => {
                let _lock = FileLock::acquire(&path.join(".lock"))?;
                work(&mut Records { view: View::Directory(path) })
            }
        }
    }
}

enum View<'a> {
    Memory(&'a mut BTreeMap<String, Vec<u8>>),
    Directory(&'a Path),
}

/// Exclusive access to the records.
pub struct Records<'a> {
    view: View<'a>,
}

impl Records<'_> {
    /// One record.
    ///
    /// # Errors
    /// What the system says.
    pub fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match &self.view {
            View::Memory(map) => Ok(map.get(name).cloned()),
            View::Directory(path) => durable::read(&path.join(checked(name)?)),
        }
    }

    /// Writes a record.
    ///
    /// # Errors
    /// When the name is not a plain file name, or what the system says.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let name = checked(name)?;
        match &mut self.view {
            View::Memory(map) => {
                map.insert(name.to_owned(), bytes.to_owned());
                Ok(())
            }
            View::Directory(path) => durable::write(&path.join(name), bytes),
        }
    }

    /// Removes a record, if it is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        match &mut self.view {
            View::Memory(map) => {
                map.remove(name);
                Ok(())
            }
            View::Directory(path) => durable::remove(&path.join(checked(name)?)),
        }
    }

    /// The names that begin with `prefix`, in order.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self, prefix: &str) -> io::Result<Vec<String>> {
        match &self.view {
            View::Memory(map) => {
                let after = map.range(prefix.to_owned()..);
                let matching = after.take_while(|(name, _)| name.starts_with(prefix));
                Ok(matching.map(|(name, _)| name.clone()).collect())
            }
            View::Directory(path) => {
                let mut names = Vec::new();
                for entry in std::fs::read_dir(path)? {
                    let name = entry?.file_name().to_string_lossy().into_owned();
                    if name.starts_with(prefix) && checked(&name).is_ok() {
                        names.push(name);
                    }
                }
                names.sort();
                Ok(names)
            }
        }
    }
}

/// Names are file names; those with a dot in front are ours.
fn checked(name: &str) -> io::Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let text = format!("{name:?} is not a name of a record");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(check: impl Fn(&RecordStore)) {
        check(&RecordStore::in_memory());
        let dir = tempfile::tempdir().expect("tempdir");
        check(&RecordStore::in_directory(&dir.path().join("world")).expect("made"));
    }

    #[test]
    fn records_come_back_by_prefix_and_in_order() {
        both(|store| {
            let names = store
                .exclusive(|records| {
                    for name in ["b.2", "a.1", "b.1", "c"] {
                        records.put(name, name.as_bytes())?;
                    }
                    records.remove("c")?;
                    assert_eq!(records.get("b.1")?.as_deref(), Some(b"b.1".as_slice()));
                    assert_eq!(records.get("c")?, None);
                    records.names("b.")
                })
                .expect("works");
            assert_eq!(names, ["b.1", "b.2"]);
        });
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        both(|store| {
            for name in ["", ".lock", "../a", "a/b"] {
                store.exclusive(|records| records.put(name, b"")).expect_err(name);
            }
        });
    }

    #[test]
    fn a_directory_keeps_them_for_the_next() {
        let dir = tempfile::tempdir().expect("tempdir");
        let first = RecordStore::in_directory(dir.path()).expect("made");
        first.exclusive(|records| records.put("a", b"1")).expect("written");
        let second = RecordStore::in_directory(dir.path()).expect("made");
        let found = second.exclusive(|records| records.get("a")).expect("read");
        assert_eq!(found.as_deref(), Some(b"1".as_slice()));
    }
}

//! Opening the journal file, the first time and again after the disk failed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, StorageBackend};

use super::JournalError;
use super::tables::{FORMAT, META_FORMAT, Tables};

/// Memory for pages of the journal. It holds the steps of unsettled jobs, some hundred kilobytes on
/// a busy node. Lower makes lookups read the disk; higher is memory of every node for nothing.
const CACHE_BYTES: usize = 1024 * 1024;

/// Where a journal is kept.
#[derive(Clone)]
pub enum Medium {
    /// A file.
    File(PathBuf),
    /// Something that behaves like one, such as a simulated disk: a name for messages, and how to
    /// get at it. Asked again when the journal is opened again after a failure.
    Backend(PathBuf, Arc<dyn Fn() -> Box<dyn StorageBackend> + Send + Sync>),
}

impl std::fmt::Debug for Medium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Medium").field(&self.path()).finish()
    }
}

impl Medium {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Backend(path, _) => path,
        }
    }

    /// An error of this medium.
    pub(super) fn error(
        &self,
        attempt: &'static str,
        source: impl Into<redb::Error>,
    ) -> JournalError {
        JournalError::Disk {
            attempt,
            path: self.path().to_owned(),
            source: Arc::new(source.into()),
        }
    }

    /// Opens the database, made if it is not there, and checks its form.
    pub(super) fn open(&self) -> Result<Database, JournalError> {
        let db = match self {
            Self::File(path) => self.open_file(path)?,
            Self::Backend(_, make) => {
                let db = builder()
                    .create_with_backend(Boxed(make()))
                    .map_err(|error| self.error("open", error))?;
                self.write_format(&db)?;
                db
            }
        };
        self.check_format(&db)?;
        Ok(db)
    }

    /// A new file is made under another name first, so that no half-made journal is ever found.
    fn open_file(&self, path: &Path) -> Result<Database, JournalError> {
        let at = |attempt| move |error: std::io::Error| self.error(attempt, error_of(error));
        if !path.try_exists().map_err(at("look for"))? {
            let fresh = path.with_extension("redb.new");
            if fresh.try_exists().map_err(at("look for"))? {
                std::fs::remove_file(&fresh).map_err(at("remove the half-made"))?;
            }
            let db = builder().create(&fresh).map_err(|error| self.error("make", error))?;
            self.write_format(&db)?;
            drop(db);
            std::fs::rename(&fresh, path).map_err(at("name"))?;
            if let Some(dir) = path.parent() {
                std::fs::File::open(dir)
                    .and_then(|dir| dir.sync_all())
                    .map_err(at("flush the directory of"))?;
            }
        }
        builder().open(path).map_err(|error| self.error("open", error))
    }

    /// Writes the form into a file that has none.
    fn write_format(&self, db: &Database) -> Result<(), JournalError> {
        let write = || {
            let txn = begin_write(db)?;
            {
                let mut tables = Tables::of(&txn)?;
                if tables.meta(META_FORMAT)? == 0 {
                    tables.set_meta(META_FORMAT, FORMAT)?;
                }
            }
            Ok::<_, redb::Error>(txn.commit()?)
        };
        write().map_err(|error| self.error("make", error))
    }

    fn check_format(&self, db: &Database) -> Result<(), JournalError> {
        let read = || {
            let txn = begin_write(db)?;
            let found = Tables::of(&txn)?.meta(META_FORMAT)?;
            txn.abort()?;
            Ok::<_, redb::Error>(found)
        };
        let found = read().map_err(|error| self.error("read", error))?;
        if found != FORMAT {
            let path = self.path().to_owned();
            return Err(JournalError::Format { path, found, supported: FORMAT });
        }
        Ok(())
    }
}

/// A transaction with two-phase commit, always: one-phase has lost data in double crashes.
pub(super) fn begin_write(db: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_two_phase_commit(true);
    Ok(txn)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn error_of(error: std::io::Error) -> redb::Error {
    redb::Error::Io(error)
}

/// A backend whose type is forgotten.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.0.close()
    }
}

//! The one snapshot that a store keeps.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gantry_model::levels::Levels;

use super::{Disk, DiskError, snapshot_codec};
use crate::forms::{LogIdForm, SnapshotHead};

/// Name of the snapshot file.
const SNAPSHOT_FILE: &str = "state.snapshot";

/// The file that holds the newest snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    disk: Arc<dyn Disk>,
    /// The last entry in what is kept. Held while the file is replaced, so that a slow build cannot
    /// put an older snapshot over one that a leader has sent meanwhile.
    kept: Mutex<Option<LogIdForm>>,
}

impl SnapshotFile {
    /// Opens it and reads what is there, whole and checked.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        levels: Levels,
    ) -> Result<(Self, Option<SnapshotHead>), DiskError> {
        let file = Self { disk, kept: Mutex::new(None) };
        let Some(bytes) = file.bytes()? else { return Ok((file, None)) };
        let head = snapshot_codec::decode(&bytes, levels)?;
        *file.lock() = Some(head.last);
        Ok((file, Some(head)))
    }

    /// Keeps a snapshot in place of an older one. Says whether it was kept.
    pub(crate) fn keep(&self, last: LogIdForm, bytes: &[u8]) -> Result<bool, DiskError> {
        let mut kept = self.lock();
        if kept.is_some_and(|kept| kept > last) {
            return Ok(false);
        }
        self.disk
            .replace(SNAPSHOT_FILE, bytes)
            .map_err(|e| DiskError::io("replace", SNAPSHOT_FILE, e))?;
        *kept = Some(last);
        Ok(true)
    }

    /// What is kept, encoded.
    pub(crate) fn bytes(&self) -> Result<Option<Bytes>, DiskError> {
        let read = self.disk.read(SNAPSHOT_FILE);
        Ok(read.map_err(|e| DiskError::io("read", SNAPSHOT_FILE, e))?.map(Bytes::from))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<LogIdForm>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

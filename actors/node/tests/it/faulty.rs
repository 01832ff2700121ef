//! A disk in memory that can be full, refuse to flush, and lose what was not flushed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use gantry_node::journal::Medium;
use redb::StorageBackend;

#[derive(Debug, Default)]
struct Platter {
    /// What survives a power cut.
    flushed: Vec<u8>,
    /// What reads give.
    present: Vec<u8>,
    bytes_max: Option<u64>,
    sync_fails: bool,
}

/// Shared by all who open it, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Platter>>);

impl FaultyDisk {
    pub(crate) fn medium(&self) -> Medium {
        let disk = self.clone();
        Medium::Backend(
            PathBuf::from("/simulated/agent.redb"),
            Arc::new(move || Box::new(disk.clone())),
        )
    }

    /// What was not flushed is gone.
    pub(crate) fn cut_power(&self) {
        let mut platter = self.0.lock().expect("no panic inside");
        platter.present = platter.flushed.clone();
    }

    /// No byte more than there are now, and none where there was none; `false` gives room again.
    pub(crate) fn set_full(&self, full: bool) {
        let mut platter = self.0.lock().expect("no panic inside");
        platter.bytes_max = full.then_some(platter.present.len() as u64);
    }

    pub(crate) fn fail_sync(&self, fails: bool) {
        self.0.lock().expect("no panic inside").sync_fails = fails;
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.lock().expect("no panic inside").present.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let platter = self.0.lock().expect("no panic inside");
        let from = offset as usize;
        let bytes = platter.present.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        let mut platter = self.0.lock().expect("no panic inside");
        if platter.bytes_max.is_some_and(|max| len > max) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        platter.present.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut platter = self.0.lock().expect("no panic inside");
        if platter.sync_fails {
            return Err(std::io::Error::other("simulated: the disk is gone"));
        }
        platter.flushed = platter.present.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let mut platter = self.0.lock().expect("no panic inside");
        let end = offset as usize + data.len();
        platter
            .present
            .get_mut(offset as usize..end)
            .ok_or(std::io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        Ok(())
    }
}

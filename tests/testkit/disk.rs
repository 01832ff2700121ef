//! The disk of a simulated machine: memory that can lose its power, with a crash point around each
//! flush.

use std::io;
use std::time::Duration;

use gantry_store::disk::{Disk, FaultyDisk, HistoryFiles};
use redb::StorageBackend;

use crate::crash::{CrashSchedule, Moment};
use crate::machine::MachineNumber;

/// What a machine's disk is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskUse {
    /// The replicated log.
    Log,
    /// The intent journal.
    Journal,
}

/// One disk of a machine. A clone is the same disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    pub(crate) machine: MachineNumber,
    pub(crate) used_for: DiskUse,
    pub(crate) bytes: FaultyDisk,
    pub(crate) schedule: CrashSchedule,
}

impl Disk for SimDisk {
    fn open_log(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(SimBackend { disk: self.clone(), bytes: self.bytes.open_log()? }))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.bytes.read(name)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.bytes.replace(name, bytes)
    }

    fn open_history(&self) -> io::Result<Box<dyn HistoryFiles>> {
        self.bytes.open_history()
    }

    fn simulated_sync(&self) -> Duration {
        self.bytes.simulated_sync()
    }
}

/// An open file on it.
#[derive(Debug)]
struct SimBackend {
    disk: SimDisk,
    bytes: Box<dyn StorageBackend>,
}

impl StorageBackend for SimBackend {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let SimDisk { machine, used_for, schedule, .. } = &self.disk;
        schedule.at_disk(*machine, *used_for, Moment::Before);
        // When the power has just gone, this fails.
        let synced = self.bytes.sync_data();
        if synced.is_ok() {
            schedule.at_disk(*machine, *used_for, Moment::After);
        }
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.bytes.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.bytes.close()
    }
}

//! The highest state level that this node's log has reached, in a file of its own.
//!
//! It is written before anything of a new level is applied, and read before anything else is: a
//! program that does not know the level refuses the directory without looking into files that it
//! may misread. Written by whoever meets a level, also by a program that does not know it and
//! stops.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Disk, DiskError};

/// Name of the file; its content is the number in decimal digits.
const LEVEL_FILE: &str = "level";

/// The file that has the level.
#[derive(Debug)]
pub(crate) struct LevelFile {
    disk: Arc<dyn Disk>,
    kept: Mutex<u32>,
}

impl LevelFile {
    /// Reads it; 0 where it was never written.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Self, DiskError> {
        let read = disk.read(LEVEL_FILE).map_err(|e| DiskError::io("read", LEVEL_FILE, e))?;
        let kept = match read {
            None => 0,
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let number = text.trim().parse();
                number.map_err(|_| DiskError::corrupt("the level file", format!("{text:?}")))?
            }
        };
        Ok(Self { disk, kept: Mutex::new(kept) })
    }

    /// The highest level that was reached.
    pub(crate) fn level(&self) -> u32 {
        *self.lock()
    }

    /// Notes a level, durably, if it is higher. Blocks.
    pub(crate) fn reached(&self, level: u32) -> Result<(), DiskError> {
        let mut kept = self.lock();
        if level > *kept {
            self.disk
                .replace(LEVEL_FILE, format!("{level}\n").as_bytes())
                .map_err(|e| DiskError::io("replace", LEVEL_FILE, e))?;
            *kept = level;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u32> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultyDisk;

    #[test]
    fn the_highest_level_is_what_stays() {
        let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::in_memory());
        let file = LevelFile::open(disk.clone()).expect("opens");
        assert_eq!(file.level(), 0);
        for level in [4, 5, 3] {
            file.reached(level).expect("writes");
        }
        assert_eq!(LevelFile::open(disk).expect("opens").level(), 5);
    }

    #[test]
    fn a_file_that_is_no_number_is_not_taken_for_one() {
        let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::in_memory());
        disk.replace(LEVEL_FILE, b"five").expect("writes");
        assert!(matches!(LevelFile::open(disk), Err(DiskError::Corrupt { .. })));
    }
}

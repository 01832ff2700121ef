//! The files of the history on a [`FaultyDisk`].

use std::io;
use std::sync::MutexGuard;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::dirty_pages::SECTOR_BYTES;
use super::faulty::{FaultyDisk, World};
use super::history_files::HistoryFiles;

/// What the names of these files begin with on the disk.
const PREFIX: &str = "history@";

/// A loss of power in the middle of an append that is still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedCrash {
    /// Appends that go well before.
    pub(super) n_before: u64,
    /// What decides which sectors reach the disk; none do without.
    pub(super) torn_by: Option<u64>,
}

/// Opened once; dead after a loss of power.
#[derive(Debug)]
pub(super) struct FaultyFiles {
    disk: FaultyDisk,
    power_cycle: u64,
}

impl FaultyFiles {
    pub(super) fn new(disk: FaultyDisk, power_cycle: u64) -> Self {
        Self { disk, power_cycle }
    }

    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.world();
        if world.power_cycle == self.power_cycle { Ok(world) } else { Err(lost()) }
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "injected: the power was lost")
}

impl World {
    /// Whether the power is lost now, and what reaches the disk nevertheless.
    fn crash_is_due(&mut self) -> Option<PlannedCrash> {
        let plan = self.append_crash.as_mut()?;
        if plan.n_before > 0 {
            plan.n_before -= 1;
            return None;
        }
        self.append_crash.take()
    }

    fn append(&mut self, name: &str, len: u64, bytes: &[u8]) -> io::Result<()> {
        if self.sync_fails {
            return Err(io::Error::other("injected: flush failed"));
        }
        self.use_space(bytes.len())?;
        self.n_appends += 1;
        let crash = self.crash_is_due();
        let file = self.file(name)?;
        file.set_len(len)?;
        match crash {
            None => {
                file.write(len, bytes)?;
                file.sync()
            }
            Some(PlannedCrash { torn_by, .. }) => {
                if let Some(seed) = torn_by {
                    let mut rng = StdRng::seed_from_u64(seed);
                    for (i, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if rng.random_bool(0.5) {
                            file.write(len + (i * SECTOR_BYTES) as u64, sector)?;
                        }
                    }
                    file.sync()?;
                }
                self.cut_power();
                Err(lost())
            }
        }
    }
}

impl HistoryFiles for FaultyFiles {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut world = self.world()?;
        let names: Vec<String> =
            world.names().filter_map(|name| name.strip_prefix(PREFIX)).map(str::to_owned).collect();
        let mut files = Vec::new();
        for name in names {
            let len = world.file(&format!("{PREFIX}{name}"))?.len()?;
            files.push((name, len));
        }
        Ok(files)
    }

    fn read(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.world()?.file(&format!("{PREFIX}{name}"))?.read(offset, out)
    }

    fn append(&self, name: &str, len: u64, bytes: &[u8]) -> io::Result<()> {
        self.world()?.append(&format!("{PREFIX}{name}"), len, bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world()?;
        if world.sync_fails {
            return Err(io::Error::other("injected: flush failed"));
        }
        world.use_space(bytes.len())?;
        if world.crash_is_due().is_some() {
            world.cut_power();
            return Err(lost());
        }
        let file = world.file(&format!("{PREFIX}{name}"))?;
        file.set_len(bytes.len() as u64)?;
        file.write(0, bytes)?;
        file.sync()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.world()?.remove(&format!("{PREFIX}{name}"))
    }
}

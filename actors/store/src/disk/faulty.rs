//! A disk that breaks on purpose.
//!
//! It is the disk of simulated nodes and of tests. Its content lives outside of the store, so that
//! it survives the store's crash. It knows what was flushed and what was not: a loss of power drops
//! what was not, or tears it. Files opened before a loss of power are dead: whoever still holds one
//! gets errors, as a process that no longer exists would write nothing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

use super::dirty_pages::{DirtyPages, PAGE_BYTES, Page, SECTOR_BYTES};
use super::faulty_files::{FaultyFiles, PlannedCrash};
use super::{Disk, HistoryFiles};

/// What holds the flushed bytes.
#[derive(Debug)]
pub enum Medium {
    /// Memory.
    Memory,
    /// Files in a directory.
    Files(PathBuf),
}

/// A disk that breaks on purpose. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    world: Arc<Mutex<World>>,
}

#[derive(Debug)]
pub(super) struct World {
    files: BTreeMap<String, FlushedFile>,
    medium: Medium,
    /// Rises with every loss of power; a file opened before is dead.
    pub(super) power_cycle: u64,
    /// Unflushed writes of the open log.
    dirty: DirtyPages,
    /// Length of the open log, flushed or not.
    log_len: u64,
    /// The flushed log is valid up to here: beyond, it has been cut off and not flushed yet.
    valid_len: u64,
    space_bytes: Option<u64>,
    pub(super) sync_fails: bool,
    sync_takes: Duration,
    n_syncs: u64,
    /// Appends to files of the history, and a loss of power during one.
    pub(super) n_appends: u64,
    pub(super) append_crash: Option<PlannedCrash>,
}

#[derive(Debug)]
pub(super) enum FlushedFile {
    Memory(Vec<u8>),
    File(File),
}

const LOG: &str = "log";

impl FaultyDisk {
    /// An empty disk that works until told otherwise.
    ///
    /// # Errors
    /// When the directory of the medium cannot be made.
    pub fn new(medium: Medium) -> io::Result<Self> {
        if let Medium::Files(dir) = &medium {
            std::fs::create_dir_all(dir)?;
        }
        let world = World {
            files: BTreeMap::new(),
            medium,
            power_cycle: 0,
            dirty: DirtyPages::default(),
            log_len: 0,
            valid_len: 0,
            space_bytes: None,
            sync_fails: false,
            sync_takes: Duration::ZERO,
            n_syncs: 0,
            n_appends: 0,
            append_crash: None,
        };
        Ok(Self { world: Arc::new(Mutex::new(world)) })
    }

    /// An empty disk in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Medium::Memory).expect("memory needs no directory")
    }

    /// The disk is full when `bytes` more have been written; `None` makes room again. Overwriting
    /// counts too, as on a disk that never overwrites in place.
    pub fn fill_up(&self, bytes: Option<u64>) {
        self.world().space_bytes = bytes;
    }

    /// Whether flushes fail from now on.
    pub fn fail_syncs(&self, fail: bool) {
        self.world().sync_fails = fail;
    }

    /// How long a flush takes from now on, in the time of the runtime.
    pub fn slow_syncs(&self, takes: Duration) {
        self.world().sync_takes = takes;
    }

    /// How many flushes there were.
    #[must_use]
    pub fn n_syncs(&self) -> u64 {
        self.world().n_syncs
    }

    /// The power fails: what was not flushed is gone. With a `seed` it is torn instead: of every
    /// sector written since the last flush, the seed decides whether it reached the disk.
    ///
    /// # Errors
    /// When the medium itself fails.
    pub fn lose_power(&self, torn_by: Option<u64>) -> io::Result<()> {
        let mut world = self.world();
        let dirty = world.cut_power();
        if let Some(seed) = torn_by {
            world.tear(dirty, seed)?;
        }
        Ok(())
    }

    /// The power fails during an append to the history: after `n_before` that go well, and torn as
    /// by [`FaultyDisk::lose_power`].
    pub fn crash_at_append(&self, n_before: u64, torn_by: Option<u64>) {
        self.world().append_crash = Some(PlannedCrash { n_before, torn_by });
    }

    /// How many appends to the history there were.
    #[must_use]
    pub fn n_appends(&self) -> u64 {
        self.world().n_appends
    }

    /// Flips one bit of a file other than the log.
    ///
    /// # Errors
    /// When it is shorter, or the medium fails.
    pub fn flip_bit_of(&self, name: &str, offset: u64, bit: u8) -> io::Result<()> {
        self.world().flip_bit(name, offset, bit)
    }

    /// All files with their sizes, in order of their names.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let mut world = self.world();
        let names: Vec<String> = world.names().map(str::to_owned).collect();
        names
            .into_iter()
            .map(|name| {
                let len = world.file(&name)?.len()?;
                Ok((name, len))
            })
            .collect()
    }

    /// Flips one bit of the flushed log.
    ///
    /// # Errors
    /// When the log is shorter, or the medium fails.
    pub fn flip_bit(&self, offset: u64, bit: u8) -> io::Result<()> {
        self.world().flip_bit(LOG, offset, bit)
    }

    /// Where `needle` stands in the flushed log, every occurrence.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn find(&self, needle: &[u8]) -> io::Result<Vec<u64>> {
        let mut world = self.world();
        let file = world.file(LOG)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read(0, &mut bytes)?;
        let found = bytes.windows(needle.len()).enumerate().filter(|(_, part)| *part == needle);
        Ok(found.map(|(at, _)| at as u64).collect())
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // A panic elsewhere cannot leave it half-changed in a way that matters: it is a disk.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub(super) fn file(&mut self, name: &str) -> io::Result<&mut FlushedFile> {
        if !self.files.contains_key(name) {
            let file = match &self.medium {
                Medium::Memory => FlushedFile::Memory(Vec::new()),
                Medium::Files(dir) => FlushedFile::File(open(&dir.join(name))?),
            };
            self.files.insert(name.to_owned(), file);
        }
        self.files.get_mut(name).ok_or_else(|| io::Error::other("the file was just inserted"))
    }

    /// Whoever has a file open has it no more; what was not flushed is given back.
    pub(super) fn cut_power(&mut self) -> BTreeMap<u64, Page> {
        self.power_cycle += 1;
        self.dirty.take()
    }

    /// All files, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        if let (Some(_), Medium::Files(dir)) = (self.files.remove(name), &self.medium) {
            std::fs::remove_file(dir.join(name))?;
        }
        Ok(())
    }

    fn flushed_page(&mut self, number: u64) -> io::Result<Page> {
        let valid = self.valid_len;
        let file = self.file(LOG)?;
        let mut page: Page = Box::new([0; PAGE_BYTES as usize]);
        let start = number * PAGE_BYTES;
        let n_bytes = valid.min(file.len()?).saturating_sub(start).min(PAGE_BYTES) as usize;
        file.read(start, &mut page[..n_bytes])?;
        Ok(page)
    }

    pub(super) fn use_space(&mut self, n_bytes: usize) -> io::Result<()> {
        if let Some(space) = &mut self.space_bytes {
            *space = space.checked_sub(n_bytes as u64).ok_or(io::ErrorKind::StorageFull)?;
        }
        Ok(())
    }

    fn flip_bit(&mut self, name: &str, offset: u64, bit: u8) -> io::Result<()> {
        let file = self.file(name)?;
        let mut byte = [0];
        file.read(offset, &mut byte)?;
        byte[0] ^= 1 << (bit % 8);
        file.write(offset, &byte)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.n_syncs += 1;
        if self.sync_fails {
            return Err(io::Error::other("injected: flush failed"));
        }
        let (len, valid, dirty) = (self.log_len, self.valid_len, self.dirty.take());
        self.valid_len = len;
        let file = self.file(LOG)?;
        // Cut first, so that what grows again is blank.
        file.set_len(valid)?;
        file.set_len(len)?;
        for (number, page) in dirty {
            let start = number * PAGE_BYTES;
            let n_bytes = len.saturating_sub(start).min(PAGE_BYTES) as usize;
            file.write(start, &page[..n_bytes])?;
        }
        file.sync()
    }

    fn tear(&mut self, dirty: BTreeMap<u64, Page>, seed: u64) -> io::Result<()> {
        let mut rng = StdRng::seed_from_u64(seed);
        let len = self.log_len;
        let file = self.file(LOG)?;
        // A grown length reaches the disk before what was written beyond the old one.
        if file.len()? < len {
            file.set_len(len)?;
        }
        for (number, page) in dirty {
            for (i, sector) in page.chunks(SECTOR_BYTES).enumerate() {
                let start = number * PAGE_BYTES + (i * SECTOR_BYTES) as u64;
                let n_bytes = len.saturating_sub(start).min(SECTOR_BYTES as u64) as usize;
                if rng.random_bool(0.5) {
                    file.write(start, &sector[..n_bytes])?;
                }
            }
        }
        file.sync()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

impl FlushedFile {
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                let found =
                    bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                out.copy_from_slice(found);
                Ok(())
            }
            Self::File(file) => file.read_exact_at(out, offset),
        }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                let end = start + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(data);
                Ok(())
            }
            Self::File(file) => file.write_all_at(data, offset),
        }
    }

    pub(super) fn set_len(&mut self, len: u64) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                bytes.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
                Ok(())
            }
            Self::File(file) => file.set_len(len),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::File(file) => file.sync_data(),
        }
    }
}

impl Disk for FaultyDisk {
    fn open_log(&self) -> io::Result<Box<dyn StorageBackend>> {
        let mut world = self.world();
        world.power_cycle += 1;
        world.dirty = DirtyPages::default();
        world.log_len = world.file(LOG)?.len()?;
        world.valid_len = world.log_len;
        let power_cycle = world.power_cycle;
        Ok(Box::new(FaultyBackend { disk: self.clone(), power_cycle }))
    }

    fn open_history(&self) -> io::Result<Box<dyn HistoryFiles>> {
        let power_cycle = self.world().power_cycle;
        Ok(Box::new(FaultyFiles::new(self.clone(), power_cycle)))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut world = self.world();
        let file = world.file(name)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read(0, &mut bytes)?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world();
        if world.sync_fails {
            return Err(io::Error::other("injected: flush failed"));
        }
        world.use_space(bytes.len())?;
        let file = world.file(name)?;
        file.set_len(bytes.len() as u64)?;
        file.write(0, bytes)?;
        file.sync()
    }

    fn simulated_sync(&self) -> Duration {
        self.world().sync_takes
    }
}

/// The log of a [`FaultyDisk`], opened once.
#[derive(Debug)]
pub struct FaultyBackend {
    disk: FaultyDisk,
    power_cycle: u64,
}

impl FaultyBackend {
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.world();
        if world.power_cycle == self.power_cycle {
            Ok(world)
        } else {
            Err(io::Error::new(io::ErrorKind::NotConnected, "injected: the power was lost"))
        }
    }
}

impl StorageBackend for FaultyBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.world()?.log_len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut world = self.world()?;
        if offset + out.len() as u64 > world.log_len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let dirty = std::mem::take(&mut world.dirty);
        let done = dirty.read(offset, out, |number| world.flushed_page(number));
        world.dirty = dirty;
        done
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = self.world()?;
        if len < world.log_len {
            world.dirty.cut(len);
            world.valid_len = world.valid_len.min(len);
        }
        world.log_len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.world()?.flush()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut world = self.world()?;
        world.use_space(data.len())?;
        let mut dirty = std::mem::take(&mut world.dirty);
        let done = dirty.write(offset, data, |number| world.flushed_page(number));
        world.dirty = dirty;
        done
    }
}

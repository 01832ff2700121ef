//! The file of the records: frames of changes, read by many, written by whoever holds the lock.
//!
//! ```text
//! frame   = length of the body (u32 LE)   checksum of the body (u64 LE)   body
//! body    = change …
//! change  = length of the name (u16 LE)  name  0 | 1 length (u32 LE) bytes
//! ```
//!
//! A writer that is killed leaves at most one torn frame at the end, which nobody was told of; the
//! next writer cuts it off. Anything else that cannot be read is damage, and is said.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::durable;

/// The file. The name is not that of a record.
const NAME: &str = ".records";

/// The file being made anew.
const NEW_NAME: &str = ".records.new";

/// Length and checksum of a frame.
const HEAD_BYTES: usize = 12;

/// A file smaller than this is never made anew. Lower rewrites a small world again and again,
/// higher keeps more of what nobody needs.
const REWRITE_BYTES_MIN: u64 = 1024 * 1024;

/// How much larger than what it holds a file may become. Lower rewrites more often, higher makes a
/// process that comes to it read more.
const WASTE_FACTOR: u64 = 4;

/// By which part of itself a file has to grow before it is looked at again for waste. Every look
/// goes through all records, and every access to them would wait for it. Lower makes accesses to a
/// large world slow, higher lets the file grow by that much more.
const GROWTH_PART: u64 = 4;

/// One changed record; without bytes it is gone.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) bytes: Option<Vec<u8>>,
}

/// The file as far as this process has read it.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    inode: u64,
    /// Everything before this is in memory.
    read_bytes: u64,
    /// The size from which on it is looked for waste.
    weigh_at_bytes: u64,
}

impl LogFile {
    /// Brings `records` up to date with the file. The lock is held.
    pub(super) fn follow(
        directory: &Path,
        known: Option<Self>,
        records: &mut BTreeMap<String, Vec<u8>>,
    ) -> io::Result<Self> {
        let path = directory.join(NAME);
        let found = match std::fs::metadata(&path) {
            Ok(found) => Some(found.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut log = match (known, found) {
            (Some(known), Some(inode)) if known.inode == inode => known,
            (_, Some(_)) => {
                records.clear();
                Self::of(OpenOptions::new().read(true).write(true).open(&path)?)?
            }
            (_, None) => {
                *records = read_old_form(directory)?;
                return Self::rewrite(directory, records);
            }
        };
        log.read_on(&path, records)?;
        Ok(log)
    }

    fn of(file: File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode, read_bytes: 0, weigh_at_bytes: REWRITE_BYTES_MIN })
    }

    /// Makes the file anew with only what there is.
    pub(super) fn rewrite(
        directory: &Path,
        records: &BTreeMap<String, Vec<u8>>,
    ) -> io::Result<Self> {
        let path = directory.join(NEW_NAME);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
        let mut log = Self::of(file)?;
        let all = records.iter();
        let all: Vec<Change> = all
            .map(|(name, bytes)| Change { name: name.clone(), bytes: Some(bytes.clone()) })
            .collect();
        log.append(&all)?;
        std::fs::rename(&path, directory.join(NAME))?;
        Ok(log)
    }

    /// Reads what others have appended, and cuts off what one of them could not finish.
    fn read_on(&mut self, path: &Path, records: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length <= self.read_bytes {
            return Ok(());
        }
        let new_bytes = usize::try_from(length - self.read_bytes).map_err(io::Error::other)?;
        let mut new = vec![0; new_bytes];
        self.file.read_exact_at(&mut new, self.read_bytes)?;
        let mut rest = new.as_slice();
        while let Some((body, after)) = next_frame(rest) {
            apply(body, records).ok_or_else(|| damaged(path, self.read_bytes))?;
            self.read_bytes += (rest.len() - after.len()) as u64;
            rest = after;
        }
        if !rest.is_empty() {
            tracing::info!(n_bytes = rest.len(), "a torn change of a fake world is cut off");
            self.file.set_len(self.read_bytes)?;
        }
        Ok(())
    }

    /// Appends one frame.
    pub(super) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut frame = vec![0; HEAD_BYTES];
        for Change { name, bytes } in changes {
            frame.extend(u16::try_from(name.len()).map_err(io::Error::other)?.to_le_bytes());
            frame.extend(name.as_bytes());
            match bytes {
                None => frame.push(0),
                Some(bytes) => {
                    frame.push(1);
                    frame.extend(
                        u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes(),
                    );
                    frame.extend(bytes);
                }
            }
        }
        let body = &frame[HEAD_BYTES..];
        let (length, sum) = (u32::try_from(body.len()).map_err(io::Error::other)?, checksum(body));
        frame[..4].copy_from_slice(&length.to_le_bytes());
        frame[4..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&frame, self.read_bytes)?;
        self.read_bytes += frame.len() as u64;
        Ok(())
    }

    /// Whether most of the file is what nobody needs, as far as it was looked for since it grew.
    pub(super) fn is_wasteful(&mut self, records: &BTreeMap<String, Vec<u8>>) -> bool {
        if self.read_bytes < self.weigh_at_bytes {
            return false;
        }
        self.weigh_at_bytes = self.read_bytes + self.read_bytes / GROWTH_PART;
        let live: usize = records.iter().map(|(name, bytes)| name.len() + bytes.len()).sum();
        self.read_bytes > WASTE_FACTOR * live as u64
    }
}

/// Takes `n` bytes off the front.
fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(n)?;
    *rest = after;
    Some(taken)
}

/// The body of the next frame and what follows it; `None` if it is not whole.
fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    let length = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
    let sum = u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let body = take(&mut rest, length as usize)?;
    (checksum(body) == sum).then_some((body, rest))
}

/// Makes the changes of a frame; `None` if it is no frame of ours.
fn apply(body: &[u8], records: &mut BTreeMap<String, Vec<u8>>) -> Option<()> {
    let mut rest = body;
    while !rest.is_empty() {
        let length = u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?);
        let name = std::str::from_utf8(take(&mut rest, usize::from(length))?).ok()?;
        match take(&mut rest, 1)? {
            [0] => drop(records.remove(name)),
            [1] => {
                let length = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
                let bytes = take(&mut rest, length as usize)?;
                records.insert(name.to_owned(), bytes.to_owned());
            }
            _ => return None,
        }
    }
    Some(())
}

/// FNV-1a: tells a torn frame from a whole one, which is all that is needed.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn damaged(path: &Path, at: u64) -> io::Error {
    let text = format!("{} is damaged at byte {at}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The records of a directory that was written before there was a log: one file each.
fn read_old_form(directory: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut records = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if super::checked(&name).is_ok()
            && let Some(bytes) = durable::read(&entry.path())?
        {
            records.insert(name, bytes);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_weighed_only_when_it_has_grown() {
        let file = tempfile::tempfile().expect("a file");
        let mut log = LogFile::of(file).expect("it has an inode");
        log.read_bytes = REWRITE_BYTES_MIN - 1;
        let nothing = BTreeMap::new();
        assert!(!log.is_wasteful(&nothing), "it is small");
        log.read_bytes = REWRITE_BYTES_MIN;
        let all = BTreeMap::from([("a".to_owned(), vec![0; REWRITE_BYTES_MIN as usize])]);
        assert!(!log.is_wasteful(&all), "all of it is needed");
        log.read_bytes += REWRITE_BYTES_MIN / GROWTH_PART - 1;
        assert!(!log.is_wasteful(&nothing), "it has not grown enough to be looked at");
        log.read_bytes += 1;
        assert!(log.is_wasteful(&nothing));
    }
}

//! The history: what has left the state, in files beside the log.
//!
//! Records come from applying entries, in order of their positions, and stand in segments: files
//! that only grow, are sealed when they are full, and go as a whole when they are too old. A record
//! is on disk before a snapshot is kept in whose state it is counted; what a crash takes comes
//! again when the entries behind the snapshot are applied again, and is not doubled, because a
//! record has its position. What a replica never applied, because it got a snapshot, it fetches
//! from the others (`fetch`), newest first, each piece checked against the chain in its own state.
//! So it does with a segment that turns out to be damaged when it is read (`damage`): the others
//! are read on, it is fetched as a whole and takes the place of the damaged one; until then, or
//! when nobody has it, it is named.
//!
//! The state machine feeds it, [`crate::Store`] reads it. Deliberately absent: what is archived
//! (the state decides).

mod damage;
mod fetch;
mod opening;
mod reading;
mod segment;
#[cfg(test)]
mod tests;

pub(crate) use fetch::Fetcher;
pub use reading::{Archived, ArchivedJobs};

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use damage::Damage;
use gantry_engine::state::{Emitted, HistoryHead};
use gantry_model::units::Timestamp;
use segment::{Summary, file_name, head_bytes, push_record};
use tokio::sync::Notify;

use crate::config::{
    HISTORY_FLUSH_BYTES, HISTORY_KEPT, HISTORY_RECORDS_MAX, SEGMENT_BYTES_MAX, SEGMENT_RECORDS,
};
use crate::disk::{DiskError, HistoryFiles};

/// The history of one replica.
#[derive(Debug)]
pub(crate) struct History {
    files: Box<dyn HistoryFiles>,
    inner: Mutex<Inner>,
    /// Held while files change, so that nobody waits for a disk who only hands over records.
    writing: Mutex<()>,
    /// Told when something became missing, or was found to be damaged.
    gap: Notify,
}

#[derive(Debug)]
struct Inner {
    /// By the position of their first record.
    segments: BTreeMap<u64, Summary>,
    /// The end of what is on disk: the next segment or record begins here.
    durable: HistoryHead,
    /// What is not on disk yet; the first has the position `durable.count`.
    pending: VecDeque<Emitted>,
    pending_bytes: usize,
    /// Records below this position are gone for good, here and everywhere.
    floor: u64,
    /// By the position of their first record: segments that could not be read.
    damaged: BTreeMap<u64, Damage>,
}

/// Records that are missing here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gap {
    /// From this position on.
    from: u64,
    /// Position after the last one that is missing, and the chain that must come out there.
    until: HistoryHead,
}

/// One change of a file.
struct Work {
    name: String,
    len: u64,
    bytes: Vec<u8>,
    n_records: usize,
    summary: Summary,
    is_full: bool,
}

impl History {
    /// Takes what applying an entry gave out. Says whether so much waits that it should be flushed.
    pub(crate) fn push(&self, emitted: Vec<Emitted>) -> bool {
        let mut inner = self.inner();
        for one in emitted {
            let next = inner.durable.count + inner.pending.len() as u64;
            // Entries that are applied again after a restart give out what is there already.
            if one.record.position == next {
                inner.pending_bytes += one.encoded.len();
                inner.pending.push_back(one);
            }
        }
        inner.pending_bytes >= HISTORY_FLUSH_BYTES
    }

    /// Makes everything durable that was handed over.
    pub(crate) fn flush(&self) -> Result<(), DiskError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush_locked()
    }

    fn flush_locked(&self) -> Result<(), DiskError> {
        loop {
            let Some(work) = self.inner().next_work()? else { return Ok(()) };
            let written = self.files.append(&work.name, work.len, &work.bytes);
            written.map_err(|e| DiskError::io("append to", &work.name, e))?;
            let is_full = work.is_full;
            {
                let mut inner = self.inner();
                for flushed in inner.pending.drain(..work.n_records).collect::<Vec<_>>() {
                    inner.pending_bytes -= flushed.encoded.len();
                }
                inner.durable = work.summary.after.clone();
                inner.segments.insert(work.summary.before.count, work.summary);
            }
            // Sealed only when its records are durable: a torn append could leave a seal behind
            // records that did not reach the disk.
            if is_full {
                self.seal_tail()?;
                self.retire()?;
            }
        }
    }

    /// A snapshot was installed: what it counts and was never handed over is missing from now on.
    pub(crate) fn installed(&self, head: &HistoryHead) -> Result<(), DiskError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush_locked()?;
        self.skip_to(head)
    }

    fn skip_to(&self, head: &HistoryHead) -> Result<(), DiskError> {
        if self.inner().durable.count >= head.count {
            return Ok(());
        }
        self.seal_tail()?;
        self.inner().durable = head.clone();
        self.gap.notify_one();
        Ok(())
    }

    /// The last segment gets no more records.
    fn seal_tail(&self) -> Result<(), DiskError> {
        let tail = self.inner().tail().cloned();
        tail.map_or(Ok(()), |tail| self.seal(tail))
    }

    fn seal(&self, mut summary: Summary) -> Result<(), DiskError> {
        let (name, bytes) = (file_name(summary.before.count), summary.seal_bytes()?);
        let sealed = self.files.append(&name, summary.len, &bytes);
        sealed.map_err(|e| DiskError::io("seal", &name, e))?;
        summary.len += bytes.len() as u64;
        summary.is_sealed = true;
        self.inner().segments.insert(summary.before.count, summary);
        Ok(())
    }

    /// Removes the oldest segments while they are too old or too many.
    fn retire(&self) -> Result<(), DiskError> {
        loop {
            let oldest = self.inner().too_old();
            let Some(summary) = oldest else { return Ok(()) };
            let name = file_name(summary.before.count);
            self.files.remove(&name).map_err(|e| DiskError::io("remove", &name, e))?;
            tracing::info!(
                segment = name,
                records = summary.count(),
                "history removed for its age"
            );
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The segment that gets the next record; none if that begins a new one.
    fn tail(&self) -> Option<&Summary> {
        let (_, last) = self.segments.last_key_value()?;
        (!last.is_sealed && last.after.count == self.durable.count).then_some(last)
    }

    fn next_work(&self) -> Result<Option<Work>, DiskError> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut summary = match self.tail() {
            Some(tail) => tail.clone(),
            None => {
                bytes = head_bytes(&self.durable)?;
                Summary::empty(self.durable.clone(), 0)
            }
        };
        let (len, mut n_records) = (summary.len, 0);
        let is_full = |summary: &Summary, bytes: &[u8]| {
            summary.count() >= SEGMENT_RECORDS || len + bytes.len() as u64 >= SEGMENT_BYTES_MAX
        };
        for one in &self.pending {
            push_record(&mut bytes, one.record.position, &one.encoded);
            summary.add(&one.record, &one.encoded);
            n_records += 1;
            if is_full(&summary, &bytes) || bytes.len() >= HISTORY_FLUSH_BYTES {
                break;
            }
        }
        let is_full = is_full(&summary, &bytes);
        summary.len = len + bytes.len() as u64;
        let name = file_name(summary.before.count);
        Ok(Some(Work { name, len, bytes, n_records, summary, is_full }))
    }

    /// Takes the oldest segment out, if it is to go. The newest always stays.
    fn too_old(&mut self) -> Option<Summary> {
        let newest = self.newest();
        let n_records: u64 = self.segments.values().map(Summary::count).sum();
        let (first, oldest) = self.segments.first_key_value()?;
        let goes = n_records > HISTORY_RECORDS_MAX || is_too_old(oldest.newest, newest);
        if self.segments.len() < 2 || !goes {
            return None;
        }
        let (first, oldest) = (*first, oldest.clone());
        self.segments.remove(&first);
        self.damaged.remove(&first);
        self.floor = self.floor.max(oldest.after.count);
        Some(oldest)
    }

    /// The time that ages are counted from: that of the log, not of a clock.
    fn newest(&self) -> Timestamp {
        self.segments.last_key_value().map(|(_, last)| last.newest).unwrap_or_default()
    }

    /// The newest records that are missing.
    fn gap(&self) -> Option<Gap> {
        let mut until = self.durable.clone();
        for summary in self.segments.values().rev() {
            if summary.after.count < until.count {
                return Some(Gap { from: summary.after.count.max(self.floor), until });
            }
            until = summary.before.clone();
        }
        (until.count > self.floor).then_some(Gap { from: self.floor, until })
    }
}

fn is_too_old(made: Timestamp, now: Timestamp) -> bool {
    u128::from(now.micros_since(made)) > HISTORY_KEPT.as_micros()
}

//! Reading the history, for people and for other replicas.

use bytes::Bytes;
use gantry_engine::state::{HistoryHead, HistoryRecord};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobRecord;
use gantry_wire::ErrorChain;

use super::History;
use super::opening::read;
use super::segment::{Found, Frames, Summary, corrupt, file_name, record_at};
use crate::config::HISTORY_CHUNK_BYTES;
use crate::disk::DiskError;
use crate::forms::HistoryAnswer;

/// What the history knows of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archived {
    /// This.
    Found(Box<JobRecord>),
    /// Nothing yet: a part of the history is missing or damaged here, and is still being fetched
    /// from another replica.
    BeingFetched,
    /// Nothing: it was never there, or it was removed for its age.
    Unknown,
}

/// The newest jobs in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivedJobs {
    /// Newest first.
    pub jobs: Vec<JobRecord>,
    /// Whether a part of the history is still being fetched, so that some may be missing.
    pub being_fetched: bool,
    /// Parts that are damaged and that no other replica has: what is wrong with each.
    pub damaged: Vec<String>,
}

/// What was left out while segments were read.
struct Unread {
    /// Some of it is missing or damaged, and another replica may have it.
    being_fetched: bool,
    /// What is wrong with the rest.
    damaged: Vec<DiskError>,
}

/// The records of one segment, decoded when they are looked at.
struct Records {
    first: u64,
    bytes: Vec<u8>,
    ranges: Vec<std::ops::Range<usize>>,
}

impl Records {
    fn get(&self, position: u64) -> Result<HistoryRecord, DiskError> {
        let bad = |e: String| corrupt(self.first, format!("record {position}: {e}"));
        record_at(position, self.encoded(position)).map_err(bad)
    }

    fn encoded(&self, position: u64) -> &[u8] {
        &self.bytes[self.ranges[(position - self.first) as usize].clone()]
    }

    fn positions(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.ranges.len() as u64
    }
}

impl History {
    /// Looks for a job. A damaged segment hides nothing but what is in it. Blocks.
    ///
    /// # Errors
    /// When the job may be in a segment that is damaged and that no other replica has.
    pub(crate) fn find(&self, job: JobId) -> Result<Archived, DiskError> {
        let (segments, has_gap) = {
            let inner = self.inner();
            let mut waiting = inner.pending.iter().rev().filter_map(|one| one.record.job());
            if let Some(found) = waiting.find(|record| record.id == job) {
                return Ok(Archived::Found(Box::new(found.clone())));
            }
            let may_hold = |summary: &&Summary| {
                summary.jobs.is_some_and(|(low, high)| (low..=high).contains(&job))
            };
            let segments: Vec<Summary> =
                inner.segments.values().rev().filter(may_hold).cloned().collect();
            (segments, inner.gap().is_some())
        };
        let mut unread = Unread { being_fetched: has_gap, damaged: Vec::new() };
        for summary in segments {
            let Some(records) = self.records_or(&summary, &mut unread) else { continue };
            for position in records.positions().rev() {
                let record = records.get(position)?;
                if let Some(found) = record.job().filter(|found| found.id == job) {
                    return Ok(Archived::Found(Box::new(found.clone())));
                }
            }
        }
        match unread.damaged.into_iter().next() {
            Some(error) => Err(error),
            None if unread.being_fetched => Ok(Archived::BeingFetched),
            None => Ok(Archived::Unknown),
        }
    }

    /// The newest jobs, at most `max`, of the segments that can be read. Blocks.
    pub(crate) fn newest_jobs(&self, max: usize) -> Result<ArchivedJobs, DiskError> {
        let (mut jobs, segments, being_fetched) = {
            let inner = self.inner();
            let waiting = inner.pending.iter().rev().filter_map(|one| one.record.job().cloned());
            let jobs: Vec<JobRecord> = waiting.take(max).collect();
            let segments: Vec<Summary> = inner.segments.values().rev().cloned().collect();
            (jobs, segments, inner.gap().is_some())
        };
        let mut unread = Unread { being_fetched, damaged: Vec::new() };
        for summary in segments {
            if jobs.len() >= max {
                break;
            }
            let Some(records) = self.records_or(&summary, &mut unread) else { continue };
            for position in records.positions().rev() {
                if jobs.len() < max
                    && let Some(job) = records.get(position)?.job()
                {
                    jobs.push(job.clone());
                }
            }
        }
        let damaged = unread.damaged.iter().map(|error| ErrorChain(error).to_string()).collect();
        Ok(ArchivedJobs { jobs, being_fetched: unread.being_fetched, damaged })
    }

    /// The records before a position, for another replica: some of them, from one segment. Blocks.
    pub(crate) fn chunk_before(&self, before: u64) -> Result<HistoryAnswer, DiskError> {
        let (summary, lowest) = {
            let inner = self.inner();
            let below = inner.segments.range(..before).next_back().map(|(_, summary)| summary);
            let summary = below.filter(|s| before > 0 && s.holds(before - 1)).cloned();
            // With a gap of its own it cannot say where everything begins.
            let lowest = inner.gap().is_none().then(|| {
                let first = inner.segments.first_key_value().map(|(first, _)| *first);
                first.unwrap_or(inner.durable.count)
            });
            (summary, lowest.filter(|_| inner.durable.count >= before))
        };
        let none = HistoryAnswer { first: before, chain: String::new(), records: vec![], lowest };
        let Some(summary) = summary else { return Ok(none) };
        let records = self.records(&summary).inspect_err(|error| {
            self.note_damage(&summary, error);
        })?;
        let Some(records) = records else { return Ok(none) };
        let (mut first, mut n_bytes) = (before, 0);
        while first > records.first && n_bytes < HISTORY_CHUNK_BYTES {
            first -= 1;
            n_bytes += records.encoded(first).len();
        }
        let start = summary.before.clone();
        let head = (start.count..first)
            .fold(start, |head: HistoryHead, position| head.after(records.encoded(position)));
        let copied = (first..before).map(|at| Bytes::copy_from_slice(records.encoded(at)));
        Ok(HistoryAnswer { first, chain: head.chain, records: copied.collect(), lowest })
    }

    /// Reads a segment; notes what cannot be read and goes on without it.
    fn records_or(&self, summary: &Summary, unread: &mut Unread) -> Option<Records> {
        match self.records(summary) {
            Ok(records) => return records,
            Err(error) if self.note_damage(summary, &error) => unread.being_fetched = true,
            Err(error) => unread.damaged.push(error),
        }
        None
    }

    /// Reads a segment; none if it was removed for its age just now.
    fn records(&self, summary: &Summary) -> Result<Option<Records>, DiskError> {
        let first = summary.before.count;
        let bytes = match read(self.files.as_ref(), &file_name(first), 0, summary.len) {
            Ok(bytes) => bytes,
            Err(_) if !self.inner().segments.contains_key(&first) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut frames = Frames::begin(first, &bytes)?;
        let mut head = frames.head()?;
        let mut ranges = Vec::new();
        for position in first..summary.after.count {
            match frames.next(position)? {
                Found::Record(range) => {
                    head = head.after(&bytes[range.clone()]);
                    ranges.push(range);
                }
                Found::Seal | Found::End => {
                    let detail = format!("it ends before record {position}");
                    return Err(corrupt(first, detail));
                }
            }
        }
        if head != summary.after {
            return Err(corrupt(first, "its records do not lead to its chain"));
        }
        Ok(Some(Records { first, bytes, ranges }))
    }
}

//! The log as Raft sees it: appended in memory at once, durable when the writer says so.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gantry_model::levels::Levels;
use gantry_model::units::Timestamp;
use gantry_wire::ErrorChain;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, RaftLogReader};
use tokio::sync::oneshot;

use super::brake::Halt;
use super::convert;
use super::types::{Config, LogEntry, LogId, Vote};
use super::writer::{Done, Orders, WriteOrder};
use crate::config::{APPEND_BYTES_MAX, LOG_CACHE_BYTES};
use crate::disk::level_file::LevelFile;
use crate::disk::log_file::{LogFile, LogWrite, Marks};
use crate::disk::{Disk, DiskError};
use crate::forms::{LogIdForm, RecordForm, VoteForm};

/// A flush that takes so long is told to the operator. Every change waits for one; lower would tell
/// of a busy disk, higher would leave a dying one untold while jobs crawl.
const SLOW_FLUSH: Duration = Duration::from_secs(1);

/// What the log, its readers and its writer share.
#[derive(Debug)]
pub(crate) struct LogShared {
    file: LogFile,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    /// What this program knows.
    levels: Levels,
    level_file: Arc<LevelFile>,
    /// The latest time in any entry, in microseconds: no later entry is stamped with less.
    latest_at: AtomicU64,
    /// Why the failure is none of the disk, if so. Beside the lock, because whoever reads the state
    /// looks.
    halt: OnceLock<Halt>,
    flushes: Flushes,
}

/// What the disk has taken for the log so far.
#[derive(Debug, Default)]
struct Flushes {
    count: AtomicU64,
    time_us: AtomicU64,
}

#[derive(Debug)]
struct State {
    marks: Marks,
    /// The end of the log: all that is not durable yet, and some of what is.
    cache: BTreeMap<u64, Cached>,
    cache_bytes: usize,
    /// Entries before this index are durable.
    durable_end: u64,
    /// A commit that is not noted on disk yet.
    committed: Option<LogIdForm>,
    failure: Option<String>,
}

#[derive(Debug)]
struct Cached {
    entry: LogEntry,
    cost_bytes: usize,
}

impl LogShared {
    pub(crate) fn new(
        file: LogFile,
        disk: Arc<dyn Disk>,
        marks: Marks,
        levels: Levels,
        level_file: Arc<LevelFile>,
    ) -> Self {
        let latest_at = AtomicU64::new(marks.latest_at.0);
        let state = State {
            cache: BTreeMap::new(),
            cache_bytes: 0,
            durable_end: marks.last.map_or(0, |last| last.index + 1),
            committed: None,
            failure: None,
            marks,
        };
        let (state, halt) = (Mutex::new(state), OnceLock::new());
        let flushes = Flushes::default();
        Self { file, disk, state, levels, level_file, latest_at, halt, flushes }
    }

    /// Why nothing is written any more, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Whether there is a log at all.
    pub(crate) fn is_initialised(&self) -> bool {
        self.state().marks.last.is_some()
    }

    /// A time for a new entry: the clock's, but never before that of an earlier entry.
    pub(crate) fn stamp(&self, now: Timestamp) -> Timestamp {
        let earlier = self.latest_at.fetch_max(now.0, Ordering::AcqRel);
        Timestamp(earlier.max(now.0))
    }

    /// The latest time in any entry.
    pub(crate) fn latest_at(&self) -> Timestamp {
        Timestamp(self.latest_at.load(Ordering::Acquire))
    }

    pub(crate) fn file(&self) -> &LogFile {
        &self.file
    }

    pub(super) fn simulated_sync(&self) -> Duration {
        self.disk.simulated_sync()
    }

    /// A transaction was made durable, or was not; either way the disk took so long.
    pub(super) fn note_flush_time(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.flushes.count.fetch_add(1, Ordering::Relaxed);
        self.flushes.time_us.fetch_add(took_us, Ordering::Relaxed);
        if took >= SLOW_FLUSH {
            tracing::warn!(took_ms = took_us / 1000, "the disk was slow to flush the log");
        }
    }

    /// How many transactions there were, and how long they took together.
    pub(crate) fn flushes(&self) -> (u64, Duration) {
        let time_us = self.flushes.time_us.load(Ordering::Relaxed);
        (self.flushes.count.load(Ordering::Relaxed), Duration::from_micros(time_us))
    }

    pub(super) fn take_committed(&self) -> Option<LogIdForm> {
        self.state().committed.take()
    }

    /// The first failure is remembered and told to everybody who comes later.
    pub(super) fn fail(&self, error: &DiskError) -> String {
        let mut state = self.state();
        if state.failure.is_none() {
            let reason = ErrorChain(error).to_string();
            tracing::error!(reason, "writing the log failed; the store stops");
            state.failure = Some(reason);
        }
        state.failure.clone().unwrap_or_default()
    }

    /// As after a failure of the disk nothing is written, applied or acknowledged any more. The
    /// first reason counts.
    pub(crate) fn halt(&self, halt: Halt) {
        let reason = halt.to_string();
        if self.halt.set(halt).is_ok() {
            tracing::error!(reason, "this node takes no part any more; the store stops");
            self.state().failure.get_or_insert(reason);
        }
    }

    /// Why it was halted, if it was.
    pub(crate) fn halted(&self) -> Option<&Halt> {
        self.halt.get()
    }

    /// How the state differs from that of the other holders, if it was found to.
    pub(crate) fn divergence(&self) -> Option<&Arc<str>> {
        match self.halt.get() {
            Some(Halt::Diverged(reason)) => Some(reason),
            Some(Halt::Level(_)) | None => None,
        }
    }

    /// Entries cannot be read: if it is this program that does not know them, it stops, and is
    /// not started again.
    fn unreadable(&self, error: DiskError) -> DiskError {
        if let Some(unknown) = error.level_error(self.levels) {
            if let Err(error) = self.level_file.reached(unknown.needs()) {
                tracing::error!(%error, "why it stops could not be noted on disk");
            }
            self.halt(Halt::Level(unknown));
        }
        error
    }

    pub(super) fn note_flushed(&self, writes: &[LogWrite]) {
        let mut state = self.state();
        for write in writes {
            if let LogWrite::Append(records) = write
                && let Some((last, _)) = records.last()
            {
                state.durable_end = state.durable_end.max(last + 1);
            }
        }
        state.shrink_cache();
    }

    /// Entries of `range`, at most `bytes_max` of them but at least one if there is one.
    pub(crate) fn entries(
        &self,
        range: std::ops::Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, DiskError> {
        let mut found = Found { entries: Vec::new(), bytes: 0, bytes_max };
        let mut next = range.start;
        while next < range.end {
            // The writer may move the border between memory and disk at any time.
            let cached_from = {
                let state = self.state();
                match state.cache.range(next..range.end).next() {
                    Some((index, _)) if *index == next => {
                        for cached in state.cache.range(next..range.end).map(|(_, cached)| cached) {
                            if !found.add(cached.entry.clone(), cached.cost_bytes) {
                                break;
                            }
                        }
                        break;
                    }
                    Some((index, _)) => *index,
                    None => range.end,
                }
            };
            let records = self.file.read(next..cached_from)?;
            for record in records {
                let cost_bytes = record.cost_bytes();
                let entry = convert::log_entry(record, self.levels);
                if !found.add(entry.map_err(|error| self.unreadable(error))?, cost_bytes) {
                    return Ok(found.entries);
                }
            }
            next = cached_from;
        }
        Ok(found.entries)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Found {
    entries: Vec<LogEntry>,
    bytes: usize,
    bytes_max: usize,
}

impl Found {
    /// Says whether there is room for more; the entry that did not fit is left out.
    fn add(&mut self, entry: LogEntry, cost_bytes: usize) -> bool {
        if !self.entries.is_empty() && self.bytes.saturating_add(cost_bytes) > self.bytes_max {
            return false;
        }
        self.bytes += cost_bytes;
        self.entries.push(entry);
        true
    }
}

impl State {
    fn push(&mut self, entry: LogEntry, record: &RecordForm) {
        let cost_bytes = record.cost_bytes();
        self.marks.last = Some(record.id);
        self.cache_bytes += cost_bytes;
        self.cache.insert(record.id.index, Cached { entry, cost_bytes });
    }

    /// Forgets the oldest that is durable, as long as there is too much.
    fn shrink_cache(&mut self) {
        while self.cache_bytes > LOG_CACHE_BYTES {
            match self.cache.first_entry() {
                Some(oldest) if *oldest.key() < self.durable_end => {
                    self.cache_bytes -= oldest.remove().cost_bytes;
                }
                Some(_) | None => break,
            }
        }
    }

    fn drop_cached(&mut self, gone: impl RangeBounds<u64>) {
        let indexes: Vec<u64> = self.cache.range(gone).map(|(index, _)| *index).collect();
        for index in indexes {
            if let Some(cached) = self.cache.remove(&index) {
                self.cache_bytes -= cached.cost_bytes;
            }
        }
    }
}

/// The log; a clone is the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<LogShared>,
    orders: Orders,
}

impl LogStore {
    pub(super) fn new(shared: Arc<LogShared>, orders: Orders) -> Self {
        Self { shared, orders }
    }

    async fn order(&self, write: LogWrite, done: Done) -> io::Result<()> {
        if let Some(reason) = self.shared.failure() {
            return Err(DiskError::Failed { reason }.into());
        }
        let sent = self.orders.send(WriteOrder { write, done }).await;
        sent.map_err(|_| io::Error::other("the log's writer has ended"))
    }

    async fn order_and_wait(&self, write: LogWrite) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        self.order(write, Done::Caller(done)).await?;
        durable.await.map_err(|_| io::Error::other("the log's writer has ended"))?
    }
}

/// Reads the log.
#[derive(Clone)]
pub(crate) struct LogReader(Arc<LogShared>);

impl RaftLogReader<Config> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<LogEntry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        Ok(self.0.entries(start..end, usize::MAX)?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<LogEntry>> {
        Ok(self.0.entries(start..end, APPEND_BYTES_MAX)?)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.0.state().marks.vote.map(convert::vote))
    }
}

impl RaftLogStorage<Config> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Config>> {
        let state = self.shared.state();
        Ok(LogState {
            last_purged_log_id: state.marks.purged.map(convert::log_id),
            last_log_id: state.marks.last.map(convert::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader(self.shared.clone())
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let form: VoteForm = convert::vote_form(vote);
        self.order_and_wait(LogWrite::Vote(form)).await?;
        self.shared.state().marks.vote = Some(form);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        // It rides on the next transaction: a flush of its own would double the cost of an entry,
        // and a mark that lags only makes a restart apply later what it applies anyway.
        if let Some(committed) = committed {
            self.shared.state().committed = Some(convert::log_id_form(&committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.state().marks.committed.map(convert::log_id))
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Config>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + Send,
        I::IntoIter: Send,
    {
        let mut records: Vec<(u64, Bytes)> = Vec::new();
        let mut latest = 0;
        let mut encoded = Vec::new();
        for entry in entries {
            let record = convert::record_form(&entry);
            let what = format!("log record {}", record.id.index);
            let bytes = gantry_wire::encode(&record)
                .map_err(|source| DiskError::Encode { what, source })?;
            records.push((record.id.index, bytes.into()));
            if let EntryPayload::Normal(proposal) = &entry.payload {
                latest = latest.max(proposal.entry.at.0);
            }
            encoded.push((entry, record));
        }
        self.shared.latest_at.fetch_max(latest, Ordering::AcqRel);
        {
            let mut state = self.shared.state();
            for (entry, record) in encoded {
                state.push(entry, &record);
            }
        }
        self.order(LogWrite::Append(records), Done::Raft(flushed)).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.as_ref().map_or(0, |last| last.index + 1);
        self.order_and_wait(LogWrite::Truncate { from }).await?;
        let mut state = self.shared.state();
        state.drop_cached(from..);
        state.durable_end = state.durable_end.min(from);
        state.marks.last = last.as_ref().map(convert::log_id_form).or(state.marks.purged);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let upto = convert::log_id_form(&upto);
        {
            let mut state = self.shared.state();
            state.drop_cached(..=upto.index);
            state.marks.purged = Some(upto);
            if state.marks.last.is_none_or(|last| last.index <= upto.index) {
                state.marks.last = Some(upto);
                state.durable_end = upto.index + 1;
            }
        }
        // Nobody waits: what is still there after a crash is purged again.
        self.order(LogWrite::Purge { upto }, Done::Nobody).await
    }
}

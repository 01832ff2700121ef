//! The log file: records, vote and marks in one redb database.
//!
//! Every transaction is a two-phase commit, without exception: mixing the two kinds is where redb
//! had its crash bugs, and only this kind survives a second crash during repair.

use std::io;
use std::ops::{Bound, Range};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use gantry_model::ids::NodeUuid;
use gantry_model::levels::Levels;
use gantry_model::units::Timestamp;
use redb::{
    BackendError, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, WriteTransaction,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::checksum::{RECORD_SUM_BYTES, record_sum};
use super::{Disk, DiskError};
use crate::config::PAGE_CACHE_BYTES;
use crate::forms::{LOG_VERSION, LogIdForm, PayloadForm, RecordForm, VoteForm};
use crate::level::known_entry;

const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const MARKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("marks");

const HEADER: &str = "header";
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";

/// Index under which a mark is summed; records have indexes that fit a log.
const MARK_SUM_INDEX: u64 = u64::MAX;

/// Says what the file is; its shape never changes, so that any version can be told.
#[derive(Debug, Serialize, Deserialize)]
struct HeaderForm {
    version: u32,
    node: NodeUuid,
}

/// One change of the log; a transaction makes many, in order.
#[derive(Debug)]
pub(crate) enum LogWrite {
    /// Encoded records, in order.
    Append(Vec<(u64, Bytes)>),
    /// The vote.
    Vote(VoteForm),
    /// Records from this index on go.
    Truncate { from: u64 },
    /// Records up to this one go.
    Purge { upto: LogIdForm },
}

impl LogWrite {
    pub(crate) fn cost_bytes(&self) -> usize {
        match self {
            Self::Append(records) => records.iter().map(|(_, bytes)| bytes.len()).sum(),
            Self::Vote(_) | Self::Truncate { .. } | Self::Purge { .. } => size_of::<Self>(),
        }
    }
}

/// What a log file holds beside its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The vote.
    pub(crate) vote: Option<VoteForm>,
    /// The last entry known to be committed; may lag.
    pub(crate) committed: Option<LogIdForm>,
    /// The last entry that was removed at the front.
    pub(crate) purged: Option<LogIdForm>,
    /// The last record.
    pub(crate) last: Option<LogIdForm>,
    /// The time of the last entry that has one; times never go back, so it is the latest.
    pub(crate) latest_at: Timestamp,
}

/// A log file: open, until it is closed.
#[derive(Debug)]
pub(crate) struct LogFile {
    database: RwLock<Option<Database>>,
}

impl LogFile {
    /// Opens or makes the log of `node` and checks all of it.
    pub(crate) fn open(
        disk: &dyn Disk,
        node: NodeUuid,
        levels: Levels,
    ) -> Result<(Self, Marks), DiskError> {
        let backend = disk.open_log().map_err(|e| DiskError::io("open", "the log", e))?;
        let database = Database::builder()
            .set_cache_size(PAGE_CACHE_BYTES)
            // A plain open trusts the pages and may panic on an altered file.
            .set_check_integrity_on_open(true)
            .create_with_backend(Boxed(backend))
            .map_err(|e| DiskError::log("open", e))?;
        let file = Self { database: RwLock::new(Some(database)) };
        file.check_header(node)?;
        let marks = file.check_records(levels)?;
        Ok((file, marks))
    }

    /// Makes all changes durable, or none.
    pub(crate) fn write(
        &self,
        writes: &[LogWrite],
        committed: Option<LogIdForm>,
    ) -> Result<(), DiskError> {
        self.transaction("write", |tx| {
            let mut records = tx.open_table(RECORDS).map_err(|e| DiskError::log("write", e))?;
            let mut marks = tx.open_table(MARKS).map_err(|e| DiskError::log("write", e))?;
            for write in writes {
                match write {
                    LogWrite::Append(new) => {
                        for (index, bytes) in new {
                            let kept = summed(*index, bytes);
                            records
                                .insert(index, kept.as_slice())
                                .map_err(|e| DiskError::log("append to", e))?;
                        }
                    }
                    LogWrite::Vote(vote) => put(&mut marks, VOTE, vote)?,
                    LogWrite::Truncate { from } => records
                        .retain_in(*from.., |_, _| false)
                        .map_err(|e| DiskError::log("truncate", e))?,
                    LogWrite::Purge { upto } => {
                        records
                            .retain_in(..=upto.index, |_, _| false)
                            .map_err(|e| DiskError::log("purge", e))?;
                        put(&mut marks, PURGED, upto)?;
                    }
                }
            }
            if let Some(committed) = committed {
                put(&mut marks, COMMITTED, &committed)?;
            }
            Ok(())
        })
    }

    /// Reads the records of `range` that are there; those that are must be consecutive.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<RecordForm>, DiskError> {
        let tx = self.begin_read()?;
        let table = tx.open_table(RECORDS).map_err(|e| DiskError::log("read", e))?;
        let mut records = Vec::new();
        for row in table.range(range).map_err(|e| DiskError::log("read", e))? {
            let (index, kept) = row.map_err(|e| DiskError::log("read", e))?;
            let record = unsummed(index.value(), kept.value())?;
            check_follows(records.last().map(|r: &RecordForm| r.id.index), index.value())?;
            records.push(record);
        }
        Ok(records)
    }

    /// Closes the file, after what is going on. Others may open it then, although somebody may
    /// still hold this.
    pub(crate) fn close(&self) {
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn transaction(
        &self,
        action: &'static str,
        change: impl FnOnce(&WriteTransaction) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(DiskError::Closed)?;
        let mut tx = database.begin_write().map_err(|e| DiskError::log(action, e))?;
        tx.set_two_phase_commit(true);
        change(&tx)?;
        tx.commit().map_err(|e| DiskError::log("commit to", e))
    }

    fn begin_read(&self) -> Result<ReadTransaction, DiskError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(DiskError::Closed)?;
        database.begin_read().map_err(|e| DiskError::log("read", e))
    }

    fn check_header(&self, node: NodeUuid) -> Result<(), DiskError> {
        let mut found = None;
        self.transaction("open", |tx| {
            tx.open_table(RECORDS).map_err(|e| DiskError::log("open", e))?;
            let mut marks = tx.open_table(MARKS).map_err(|e| DiskError::log("open", e))?;
            found = get::<HeaderForm>(&marks, HEADER)?;
            if found.is_none() {
                put(&mut marks, HEADER, &HeaderForm { version: LOG_VERSION, node })?;
            }
            Ok(())
        })?;
        match found {
            Some(header) if header.version != LOG_VERSION => Err(DiskError::UnknownVersion {
                file: "the log",
                found: header.version,
                known: LOG_VERSION,
            }),
            Some(header) if header.node != node => {
                Err(DiskError::WrongNode { found: header.node.to_string(), this: node.to_string() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads every record, so that a corrupt one is named now and not when it is needed.
    fn check_records(&self, levels: Levels) -> Result<Marks, DiskError> {
        let tx = self.begin_read()?;
        let table = tx.open_table(MARKS).map_err(|e| DiskError::log("read", e))?;
        let mut marks = Marks {
            vote: get(&table, VOTE)?,
            committed: get(&table, COMMITTED)?,
            purged: get(&table, PURGED)?,
            last: None,
            latest_at: Timestamp::default(),
        };
        marks.last = marks.purged;
        let mut last_entry = None;
        let table = tx.open_table(RECORDS).map_err(|e| DiskError::log("read", e))?;
        for row in table.iter().map_err(|e| DiskError::log("read", e))? {
            let (index, kept) = row.map_err(|e| DiskError::log("read", e))?;
            let record = unsummed(index.value(), kept.value())?;
            check_follows(marks.last.map(|last| last.index), index.value())?;
            marks.last = Some(record.id);
            if let PayloadForm::Entry(encoded) = record.payload {
                last_entry = Some((record.id.index, encoded));
            }
        }
        if let Some((index, encoded)) = last_entry {
            marks.latest_at = known_entry(index, &encoded, levels)?.at;
        }
        Ok(marks)
    }
}

fn check_follows(previous: Option<u64>, index: u64) -> Result<(), DiskError> {
    match previous {
        Some(previous) if previous + 1 != index => {
            let detail = format!("it is followed by record {index}");
            Err(DiskError::corrupt(format!("log record {previous}"), detail))
        }
        Some(_) | None => Ok(()),
    }
}

fn summed(index: u64, bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(RECORD_SUM_BYTES + bytes.len());
    kept.extend(record_sum(index, bytes));
    kept.extend(bytes);
    kept
}

/// What [`summed`] kept, if it is still the same.
fn intact<'a>(index: u64, kept: &'a [u8], what: &str) -> Result<&'a [u8], DiskError> {
    let (sum, bytes) = kept
        .split_at_checked(RECORD_SUM_BYTES)
        .ok_or_else(|| DiskError::corrupt(what, "it is shorter than its checksum"))?;
    if sum == record_sum(index, bytes) {
        Ok(bytes)
    } else {
        Err(DiskError::corrupt(what, "its checksum does not match"))
    }
}

fn unsummed(index: u64, kept: &[u8]) -> Result<RecordForm, DiskError> {
    let what = format!("log record {index}");
    let bytes = intact(index, kept, &what)?;
    let record: RecordForm =
        gantry_wire::decode(bytes).map_err(|e| DiskError::corrupt(&*what, e.to_string()))?;
    if record.id.index != index {
        return Err(DiskError::corrupt(what, format!("it calls itself {}", record.id.index)));
    }
    Ok(record)
}

fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &'static str,
) -> Result<Option<T>, DiskError> {
    let Some(kept) = table.get(name).map_err(|e| DiskError::log("read", e))? else {
        return Ok(None);
    };
    let what = format!("log mark {name}");
    let bytes = intact(MARK_SUM_INDEX, kept.value(), &what)?;
    gantry_wire::decode(bytes).map(Some).map_err(|e| DiskError::corrupt(what, e.to_string()))
}

fn put<T: Serialize>(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    name: &'static str,
    value: &T,
) -> Result<(), DiskError> {
    let bytes = gantry_wire::encode(value)
        .map_err(|source| DiskError::Encode { what: format!("log mark {name}"), source })?;
    table
        .insert(name, summed(MARK_SUM_INDEX, &bytes).as_slice())
        .map_err(|e| DiskError::log("mark", e))?;
    Ok(())
}

/// The backend that a disk chose, as one type.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_engine::state::STATE_LEVELS;
    use gantry_wire::ErrorChain;

    use crate::disk::FaultyDisk;

    const NODE: NodeUuid = NodeUuid(uuid::Uuid::nil());

    fn record(index: u64) -> (u64, Bytes) {
        let id = LogIdForm { term: 1, index };
        let bytes = gantry_wire::encode(&RecordForm { id, payload: PayloadForm::Blank });
        (index, bytes.expect("encodes").into())
    }

    fn log_of(indexes: &[u64]) -> (FaultyDisk, LogFile) {
        let disk = FaultyDisk::in_memory();
        let (file, marks) = LogFile::open(&disk, NODE, STATE_LEVELS).expect("opens");
        assert_eq!(marks, Marks::default());
        let records = indexes.iter().map(|index| record(*index)).collect();
        file.write(&[LogWrite::Append(records)], None).expect("writes");
        (disk, file)
    }

    /// Puts something else where record `index` is, as a bug or a bad memory would.
    fn overwrite(file: &LogFile, index: u64, kept: &[u8]) {
        file.transaction("write", |tx| {
            let mut table = tx.open_table(RECORDS).expect("opens");
            table.insert(index, kept).expect("inserts");
            Ok(())
        })
        .expect("commits");
    }

    fn reopened(disk: &FaultyDisk, file: &LogFile) -> Result<Marks, String> {
        file.close();
        LogFile::open(disk, NODE, STATE_LEVELS)
            .map(|(_, marks)| marks)
            .map_err(|error| ErrorChain(&error).to_string())
    }

    #[test]
    fn a_log_comes_back_with_its_marks() {
        let (disk, file) = log_of(&[0, 1, 2, 3]);
        let vote = VoteForm { term: 3, node: NODE, committed: true };
        let purged = LogIdForm { term: 1, index: 1 };
        let committed = LogIdForm { term: 1, index: 2 };
        let writes = [
            LogWrite::Vote(vote),
            LogWrite::Truncate { from: 3 },
            LogWrite::Purge { upto: purged },
        ];
        file.write(&writes, Some(committed)).expect("writes");
        let marks = reopened(&disk, &file).expect("opens");
        let expected = Marks {
            vote: Some(vote),
            committed: Some(committed),
            purged: Some(purged),
            last: Some(LogIdForm { term: 1, index: 2 }),
            latest_at: Timestamp::default(),
        };
        assert_eq!(marks, expected);
    }

    #[test]
    fn a_corrupt_record_is_named_at_opening_and_at_reading() {
        let (disk, file) = log_of(&[0, 1, 2]);
        let mut kept = summed(1, &record(1).1);
        *kept.last_mut().expect("not empty") ^= 4;
        overwrite(&file, 1, &kept);
        let text = "log record 1 is corrupt: its checksum does not match";
        assert_eq!(ErrorChain(&file.read(0..3).expect_err("corrupt")).to_string(), text);
        assert_eq!(reopened(&disk, &file), Err(text.to_owned()));
    }

    #[test]
    fn a_record_in_the_wrong_place_is_named() {
        let (disk, file) = log_of(&[0, 1, 2]);
        overwrite(&file, 1, &summed(2, &record(2).1));
        let error = reopened(&disk, &file).expect_err("misplaced");
        assert_eq!(error, "log record 1 is corrupt: its checksum does not match");
    }

    #[test]
    fn a_hole_in_the_log_is_named() {
        let (disk, file) = log_of(&[0, 1, 3]);
        let error = reopened(&disk, &file).expect_err("a hole");
        assert_eq!(error, "log record 1 is corrupt: it is followed by record 3");
    }

    #[test]
    fn a_log_of_another_version_is_refused() {
        let (disk, file) = log_of(&[0]);
        file.transaction("write", |tx| {
            let mut marks = tx.open_table(MARKS).expect("opens");
            put(&mut marks, HEADER, &HeaderForm { version: LOG_VERSION + 1, node: NODE })
        })
        .expect("commits");
        let error = reopened(&disk, &file).expect_err("unknown");
        assert_eq!(error, "the log has format 2, this program reads 1");
    }

    #[test]
    fn a_closed_log_is_not_written() {
        let (_disk, file) = log_of(&[0]);
        file.close();
        let error = file.write(&[], None).expect_err("closed");
        assert!(matches!(error, DiskError::Closed), "{error:?}");
    }
}

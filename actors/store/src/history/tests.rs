//! Crashes, corruption, age and gaps of one history.

use gantry_engine::state::{Emitted, HistoryEvent, HistoryHead, HistoryRecord};
use gantry_model::ids::{JobAttempt, JobId, Revision};
use gantry_model::jobs::JobRecord;
use gantry_model::units::Timestamp;
use gantry_wire::ErrorChain;

use super::damage::Pieces;
use super::fetch::FillError;
use super::{Archived, Gap, History};
use crate::config::{HISTORY_KEPT, HISTORY_RECORDS_MAX, SEGMENT_RECORDS};
use crate::disk::{Disk, DiskError, FaultyDisk};

/// What the state gives out: record 0 holds job 1, and so on.
#[derive(Clone, Default)]
struct Source {
    head: HistoryHead,
    at: Timestamp,
    all: Vec<Emitted>,
}

impl Source {
    fn with(n: u64) -> Self {
        let mut source = Self::default();
        source.emit(n);
        source
    }

    fn emit(&mut self, n: u64) {
        for _ in 0..n {
            let position = self.head.count;
            let job = JobRecord {
                id: JobId(position + 1),
                ops: Vec::new(),
                received: self.at,
                start: None,
                end: Some(self.at),
                attempt: JobAttempt(1),
                cancel: false,
            };
            let event = HistoryEvent::Job { job: Box::new(job), cut: false };
            let (revision, at) = (Revision(position + 10), self.at);
            let record = HistoryRecord { position, revision, at, event };
            let encoded = record.encode().expect("encodes");
            self.head = self.head.after(&encoded);
            self.all.push(Emitted { record, encoded });
        }
    }

    fn head_at(&self, count: u64) -> HistoryHead {
        let encoded = self.all[..count as usize].iter().map(|one| &one.encoded);
        encoded.fold(HistoryHead::default(), |head, encoded| head.after(encoded))
    }

    fn from(&self, position: u64) -> Vec<Emitted> {
        self.all[position as usize..].to_vec()
    }
}

fn open(disk: &FaultyDisk, kept: &HistoryHead) -> Result<History, DiskError> {
    History::open(disk.open_history().expect("the medium works"), kept)
}

fn filled(disk: &FaultyDisk, source: &Source) -> History {
    let history = open(disk, &HistoryHead::default()).expect("opens");
    history.push(source.from(0));
    history.flush().expect("the medium works");
    history
}

/// Reads everything back as another replica would, checked against the chain.
fn check_whole(history: &History, source: &Source) {
    let mut until = source.head.clone();
    while until.count > 0 {
        let answer = history.chunk_before(until.count).expect("reads");
        assert!(!answer.records.is_empty(), "records before {} are missing", until.count);
        let head = HistoryHead { count: answer.first, chain: answer.chain.clone() };
        let end = answer.records.iter().fold(head.clone(), |head, encoded| head.after(encoded));
        assert_eq!(end, until);
        until = head;
    }
    assert_eq!(until, HistoryHead::default());
}

#[test]
fn a_crash_at_any_append_loses_and_doubles_nothing() {
    let n_records = 2 * SEGMENT_RECORDS + 40;
    let source = Source::with(n_records);
    let step = SEGMENT_RECORDS as usize / 3;
    for torn_by in [None, Some(1), Some(2), Some(3), Some(4)] {
        for n_before in 0.. {
            let disk = FaultyDisk::in_memory();
            disk.crash_at_append(n_before, torn_by);
            let history = open(&disk, &HistoryHead::default()).expect("opens");
            let mut kept = 0;
            let mut crashed = false;
            for some in source.all.chunks(step) {
                history.push(some.to_vec());
                if history.flush().is_err() {
                    crashed = true;
                    break;
                }
                kept += some.len() as u64;
            }
            drop(history);
            // The entries behind the last snapshot are applied again.
            let history = open(&disk, &source.head_at(kept)).expect("repairs what is torn");
            history.push(source.from(kept));
            history.flush().expect("the medium works again");
            check_whole(&history, &source);
            drop(history);
            check_whole(&open(&disk, &source.head).expect("opens"), &source);
            if !crashed {
                assert!(n_before > 5, "only {n_before} appends were tried");
                break;
            }
        }
    }
}

#[test]
fn a_torn_end_is_cut_off_and_comes_again() {
    let source = Source::with(20);
    let disk = FaultyDisk::in_memory();
    drop(filled(&disk, &source));
    // Ten of them were counted by a snapshot; the last is damaged.
    let (name, len) = disk.files().expect("the medium works").remove(0);
    disk.flip_bit_of(&name, len - 3, 1).expect("the medium works");
    let history = open(&disk, &source.head_at(10)).expect("repairs");
    assert_eq!(history.inner().durable.count, 19);
    history.push(source.from(10));
    history.flush().expect("the medium works");
    check_whole(&history, &source);
}

#[test]
fn a_damaged_record_that_was_counted_on_is_named_at_opening() {
    let source = Source::with(20);
    let disk = FaultyDisk::in_memory();
    drop(filled(&disk, &source));
    let (name, len) = disk.files().expect("the medium works").remove(0);
    disk.flip_bit_of(&name, len / 2, 1).expect("the medium works");
    let error = ErrorChain(&open(&disk, &source.head).expect_err("corrupt")).to_string();
    assert!(error.starts_with("history segment 0 is corrupt: record "), "{error}");
    assert!(error.ends_with("its checksum does not match"), "{error}");
}

#[test]
fn a_damaged_record_of_a_sealed_segment_is_named_at_reading_and_not_read_over() {
    let source = Source::with(SEGMENT_RECORDS + 10);
    let disk = FaultyDisk::in_memory();
    drop(filled(&disk, &source));
    let (name, len) = disk.files().expect("the medium works").remove(0);
    disk.flip_bit_of(&name, len / 2, 1).expect("the medium works");
    let history = open(&disk, &source.head).expect("opens");
    assert_eq!(history.find(JobId(SEGMENT_RECORDS)).expect("noticed"), Archived::BeingFetched);
    history.nobody_has(&history.damaged().expect("noticed"));
    let error = ErrorChain(&history.find(JobId(SEGMENT_RECORDS)).expect_err("corrupt")).to_string();
    assert!(error.starts_with("history segment 0 is corrupt: record "), "{error}");
    let behind = history.find(JobId(SEGMENT_RECORDS + 1)).expect("the other one is whole");
    assert!(matches!(behind, Archived::Found(_)), "{behind:?}");
    let newest = history.newest_jobs(1_000).expect("the other one is whole");
    assert_eq!((newest.jobs.len(), newest.damaged), (10, vec![error]));
}

#[test]
fn a_damaged_segment_is_replaced_by_what_another_replica_has_and_by_nothing_else() {
    let source = Source::with(2 * SEGMENT_RECORDS + 10);
    let there = filled(&FaultyDisk::in_memory(), &source);
    let disk = FaultyDisk::in_memory();
    drop(filled(&disk, &source));
    let (name, len) = disk.files().expect("the medium works").remove(1);
    disk.flip_bit_of(&name, len / 2, 1).expect("the medium works");
    let history = open(&disk, &source.head).expect("opens");
    let job = JobId(SEGMENT_RECORDS + 7);
    assert_eq!(history.find(job).expect("noticed"), Archived::BeingFetched);
    let damaged = history.damaged().expect("noticed");
    assert_eq!(damaged.before.count, SEGMENT_RECORDS);

    let mut pieces = Pieces::of(&damaged);
    while let Some(wanted) = pieces.wanted() {
        let answer = there.chunk_before(wanted.count).expect("reads");
        // One record too many of the segment before it, as from segments that are cut otherwise.
        let begin = source.head_at(answer.first - 1);
        let before = source.all[answer.first as usize - 1].encoded.clone().into();
        let records: Vec<_> = std::iter::once(before).chain(answer.records).collect();
        pieces.take(begin, &records);
    }
    let whole = pieces.into_records();
    let mut forged = whole.clone();
    forged.swap(3, 4);
    let error = history.replace(&damaged, &forged).expect_err("not what was there");
    assert!(matches!(error, FillError::Wrong(_)), "{error:?}");
    assert_eq!(history.find(job).expect("still damaged"), Archived::BeingFetched);

    history.replace(&damaged, &whole).expect("it is what was there");
    assert!(history.damaged().is_none());
    check_whole(&history, &source);
    drop(history);
    check_whole(&open(&disk, &source.head).expect("opens"), &source);
}

#[test]
fn a_history_of_another_state_is_refused() {
    let source = Source::with(20);
    let disk = FaultyDisk::in_memory();
    drop(filled(&disk, &source));
    let other = HistoryHead { chain: "00".into(), ..source.head };
    let error = ErrorChain(&open(&disk, &other).expect_err("refused")).to_string();
    assert!(error.contains("corrupt"), "{error}");
}

// covers: S229
#[test]
fn segments_go_when_their_newest_record_is_too_old() {
    let mut source = Source::with(SEGMENT_RECORDS);
    source.at = Timestamp(source.at.0 + HISTORY_KEPT.as_micros() as u64);
    source.emit(SEGMENT_RECORDS);
    let disk = FaultyDisk::in_memory();
    let history = filled(&disk, &source);
    assert_eq!(disk.files().expect("the medium works").len(), 2, "not older than that");
    source.at.0 += 1;
    source.emit(SEGMENT_RECORDS);
    history.push(source.from(2 * SEGMENT_RECORDS));
    history.flush().expect("the medium works");
    assert_eq!(disk.files().expect("the medium works").len(), 2);
    assert_eq!(history.find(JobId(1)).expect("reads"), Archived::Unknown);
    let kept = history.find(JobId(SEGMENT_RECORDS + 1)).expect("reads");
    assert!(matches!(kept, Archived::Found(_)), "{kept:?}");
}

#[test]
fn the_oldest_segments_go_when_there_are_too_many_records() {
    let disk = FaultyDisk::in_memory();
    let history = filled(&disk, &Source::with(3 * SEGMENT_RECORDS));
    let mut inner = history.inner();
    assert_eq!(inner.too_old(), None);
    inner.segments.last_entry().expect("some").get_mut().after.count += HISTORY_RECORDS_MAX;
    assert_eq!(inner.too_old().map(|gone| gone.before.count), Some(0));
    assert_eq!(inner.too_old().map(|gone| gone.before.count), Some(SEGMENT_RECORDS));
    assert_eq!(inner.too_old(), None, "the newest stays");
}

#[test]
fn what_a_snapshot_skipped_is_filled_from_another_replica_newest_first() {
    let mut source = Source::with(3 * SEGMENT_RECORDS + 7);
    let there = filled(&FaultyDisk::in_memory(), &source);
    let disk = FaultyDisk::in_memory();
    let here = open(&disk, &HistoryHead::default()).expect("opens");
    here.push(source.all[..10].to_vec());
    here.installed(&source.head).expect("the medium works");
    assert_eq!(here.find(JobId(500)).expect("reads"), Archived::BeingFetched);
    // It goes on meanwhile.
    let before = source.head.count;
    source.emit(5);
    here.push(source.from(before));
    here.flush().expect("the medium works");

    let mut n_pieces = 0;
    loop {
        let gap = here.inner().gap();
        let Some(gap) = gap else { break };
        let answer = there.chunk_before(gap.until.count).expect("reads");
        here.fill(&gap, &answer).expect("fits");
        n_pieces += 1;
    }
    assert_eq!(n_pieces, 4);
    check_whole(&here, &source);
    assert!(matches!(here.find(JobId(500)).expect("reads"), Archived::Found(_)));
    assert_eq!(here.find(JobId(5_000)).expect("reads"), Archived::Unknown);
    drop(here);
    check_whole(&open(&disk, &source.head).expect("opens"), &source);
}

#[test]
fn a_record_that_the_chain_does_not_know_is_not_taken() {
    let source = Source::with(20);
    let there = filled(&FaultyDisk::in_memory(), &source);
    let here = open(&FaultyDisk::in_memory(), &source.head).expect("opens");
    let gap = here.inner().gap().expect("everything is missing");
    assert_eq!(gap, Gap { from: 0, until: source.head.clone() });
    let mut answer = there.chunk_before(20).expect("reads");
    let mut forged = HistoryRecord::decode(&answer.records[4]).expect("decodes");
    forged.at.0 += 1;
    answer.records[4] = forged.encode().expect("encodes").into();
    let error = here.fill(&gap, &answer).expect_err("refused");
    assert!(matches!(error, FillError::Wrong(_)), "{error:?}");
    assert!(here.inner().segments.is_empty(), "nothing of it was kept");
}

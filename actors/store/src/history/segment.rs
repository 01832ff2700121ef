//! A segment of the history as bytes.
//!
//! Layout: magic, version, then frames (kind, length, checksum, bytes): the head, the records, and
//! when it gets no more of them a seal, whose length and another magic end the file. The checksum
//! of a frame is over its position too, so that one in the wrong place is found.

use std::ops::Range;

use bytes::Bytes;
use gantry_engine::state::{HistoryHead, HistoryRecord};
use gantry_model::ids::JobId;
use gantry_model::units::Timestamp;
use serde::Serialize;

use super::fetch::FillError;
use crate::disk::DiskError;
use crate::disk::checksum::{RECORD_SUM_BYTES, record_sum};
use crate::forms::{HISTORY_VERSION, SegmentHead, SegmentSeal};

const MAGIC: &[u8; 8] = b"GANTRYHI";
const END_MAGIC: &[u8; 8] = b"GANTRYHE";
const PREFIX_BYTES: usize = MAGIC.len() + size_of::<u32>();
const FRAME_HEAD_BYTES: usize = 1 + size_of::<u32>() + RECORD_SUM_BYTES;
/// Bytes behind the seal: its length and the magic.
pub(super) const TRAILER_BYTES: usize = size_of::<u32>() + END_MAGIC.len();
/// Longest seal: some 200 bytes are needed.
const SEAL_BYTES_MAX: usize = 4096;

/// Kinds of frames.
const HEAD: u8 = b'H';
const RECORD: u8 = b'R';
const SEAL: u8 = b'S';

/// Name of the file of the segment that begins at this position.
pub(super) fn file_name(first: u64) -> String {
    format!("history-{first:020}")
}

/// The position that a file name names.
pub(super) fn position_in(name: &str) -> Option<u64> {
    name.strip_prefix("history-").filter(|digits| digits.len() == 20)?.parse().ok()
}

pub(super) fn corrupt(first: u64, detail: impl Into<String>) -> DiskError {
    DiskError::corrupt(format!("history segment {first}"), detail)
}

fn frame(bytes: &mut Vec<u8>, kind: u8, index: u64, content: &[u8]) {
    let length = u32::try_from(content.len()).expect("a record is limited to some MiB");
    bytes.push(kind);
    bytes.extend(length.to_be_bytes());
    bytes.extend(record_sum(index, content));
    bytes.extend(content);
}

fn encoded<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, DiskError> {
    gantry_wire::encode(value).map_err(|source| DiskError::Encode { what: what.to_owned(), source })
}

/// How a segment begins.
pub(super) fn head_bytes(head: &HistoryHead) -> Result<Vec<u8>, DiskError> {
    let form = SegmentHead { first: head.count, chain: head.chain.clone() };
    let mut bytes = Vec::new();
    bytes.extend(MAGIC);
    bytes.extend(HISTORY_VERSION.to_be_bytes());
    frame(&mut bytes, HEAD, form.first, &encoded("a segment's head", &form)?);
    Ok(bytes)
}

/// A record in a segment.
pub(super) fn push_record(bytes: &mut Vec<u8>, position: u64, content: &[u8]) {
    frame(bytes, RECORD, position, content);
}

/// What is known of a segment without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// Position and chain before its first record.
    pub(super) before: HistoryHead,
    /// The same after its last.
    pub(super) after: HistoryHead,
    pub(super) newest: Timestamp,
    pub(super) jobs: Option<(JobId, JobId)>,
    pub(super) is_sealed: bool,
    /// Bytes of the file that are meant.
    pub(super) len: u64,
}

impl Summary {
    /// Of a segment without records.
    pub(super) fn empty(before: HistoryHead, len: u64) -> Self {
        let after = before.clone();
        let newest = Timestamp::default();
        Self { before, after, newest, jobs: None, is_sealed: false, len }
    }

    pub(super) fn count(&self) -> u64 {
        self.after.count - self.before.count
    }

    pub(super) fn holds(&self, position: u64) -> bool {
        (self.before.count..self.after.count).contains(&position)
    }

    /// Counts one more record in; its bytes are counted elsewhere.
    pub(super) fn add(&mut self, record: &HistoryRecord, encoded: &[u8]) {
        self.after = self.after.after(encoded);
        self.newest = self.newest.max(record.at);
        if let Some(job) = record.job() {
            let (low, high) = self.jobs.unwrap_or((job.id, job.id));
            self.jobs = Some((low.min(job.id), high.max(job.id)));
        }
    }

    /// How it ends when it gets no more records.
    pub(super) fn seal_bytes(&self) -> Result<Vec<u8>, DiskError> {
        let form = SegmentSeal {
            count: self.count(),
            chain: self.after.chain.clone(),
            newest: self.newest,
            jobs: self.jobs,
        };
        let mut bytes = Vec::new();
        frame(&mut bytes, SEAL, self.after.count, &encoded("a segment's seal", &form)?);
        let length = u32::try_from(bytes.len()).expect("a seal is small");
        bytes.extend(length.to_be_bytes());
        bytes.extend(END_MAGIC);
        Ok(bytes)
    }
}

/// A whole segment of these records, as a file.
pub(super) fn sealed_segment(
    before: HistoryHead,
    records: &[Bytes],
) -> Result<(Summary, Vec<u8>), FillError> {
    let mut bytes = head_bytes(&before).map_err(FillError::Disk)?;
    let mut summary = Summary::empty(before, 0);
    for encoded in records {
        let position = summary.after.count;
        let record = record_at(position, encoded).map_err(FillError::Wrong)?;
        push_record(&mut bytes, position, encoded);
        summary.add(&record, encoded);
    }
    bytes.extend(summary.seal_bytes().map_err(FillError::Disk)?);
    summary.len = bytes.len() as u64;
    summary.is_sealed = true;
    Ok((summary, bytes))
}

/// Length of the seal in front of the trailer that ends a file, if one does.
pub(super) fn seal_len(trailer: &[u8; TRAILER_BYTES]) -> Option<usize> {
    let (length, magic) = trailer.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    (magic == END_MAGIC && length <= SEAL_BYTES_MAX).then_some(length)
}

/// Reads head and seal of a sealed segment.
pub(super) fn summary_of(
    first: u64,
    head: &[u8],
    seal: &[u8],
    len: u64,
) -> Result<Summary, DiskError> {
    let mut frames = Frames::begin(first, head)?;
    let head = frames.head()?;
    let form = seal_form(first, seal)?;
    Ok(Summary {
        after: HistoryHead { count: first + form.count, chain: form.chain },
        before: head,
        newest: form.newest,
        jobs: form.jobs,
        is_sealed: true,
        len,
    })
}

fn seal_form(first: u64, bytes: &[u8]) -> Result<SegmentSeal, DiskError> {
    let frame = next_frame(bytes, 0).map_err(|detail| corrupt(first, format!("seal: {detail}")))?;
    let form: SegmentSeal = gantry_wire::decode(&bytes[frame.content.clone()])
        .map_err(|e| corrupt(first, format!("seal: {e}")))?;
    if frame.kind != SEAL || !frame.sums_to(bytes, first + form.count) {
        return Err(corrupt(first, "its seal does not match its checksum"));
    }
    Ok(form)
}

struct Frame {
    kind: u8,
    sum: [u8; RECORD_SUM_BYTES],
    content: Range<usize>,
}

impl Frame {
    fn sums_to(&self, bytes: &[u8], index: u64) -> bool {
        record_sum(index, &bytes[self.content.clone()]) == self.sum
    }
}

fn next_frame(bytes: &[u8], at: usize) -> Result<Frame, &'static str> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((kind, rest)) = rest.split_first() else { return Err("it ends before a frame") };
    let Some((length, rest)) = rest.split_first_chunk::<4>() else {
        return Err("it ends in a length");
    };
    let Some((sum, rest)) = rest.split_first_chunk::<RECORD_SUM_BYTES>() else {
        return Err("it ends in a checksum");
    };
    let length = u32::from_be_bytes(*length) as usize;
    if rest.len() < length {
        return Err("it ends inside a frame");
    }
    let begin = at + FRAME_HEAD_BYTES;
    Ok(Frame { kind: *kind, sum: *sum, content: begin..begin + length })
}

/// Walks the frames of a segment.
pub(super) struct Frames<'a> {
    first: u64,
    bytes: &'a [u8],
    at: usize,
}

/// What was found next.
pub(super) enum Found {
    /// The record with this position; its bytes.
    Record(Range<usize>),
    /// The seal.
    Seal,
    /// The end.
    End,
}

impl<'a> Frames<'a> {
    pub(super) fn begin(first: u64, bytes: &'a [u8]) -> Result<Self, DiskError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| corrupt(first, "it is no segment"))?;
        let Some((version, _)) = rest.split_first_chunk() else {
            return Err(corrupt(first, "it ends in its version"));
        };
        let found = u32::from_be_bytes(*version);
        if found != HISTORY_VERSION {
            let (file, known) = ("a segment of the history", HISTORY_VERSION);
            return Err(DiskError::UnknownVersion { file, found, known });
        }
        Ok(Self { first, bytes, at: PREFIX_BYTES })
    }

    /// Where the next frame begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn head(&mut self) -> Result<HistoryHead, DiskError> {
        let first = self.first;
        let frame = next_frame(self.bytes, self.at).map_err(|detail| corrupt(first, detail))?;
        if frame.kind != HEAD || !frame.sums_to(self.bytes, first) {
            return Err(corrupt(first, "its head does not match its checksum"));
        }
        let form: SegmentHead = gantry_wire::decode(&self.bytes[frame.content.clone()])
            .map_err(|e| corrupt(first, e.to_string()))?;
        if form.first != first {
            return Err(corrupt(first, format!("its head says {}", form.first)));
        }
        self.at = frame.content.end;
        Ok(HistoryHead { count: first, chain: form.chain })
    }

    /// The record at `position`, or what stands there instead.
    pub(super) fn next(&mut self, position: u64) -> Result<Found, DiskError> {
        if self.at == self.bytes.len() {
            return Ok(Found::End);
        }
        let bad = |detail: &str| corrupt(self.first, format!("record {position}: {detail}"));
        let frame = next_frame(self.bytes, self.at).map_err(bad)?;
        if !frame.sums_to(self.bytes, position) {
            return Err(bad("its checksum does not match"));
        }
        match frame.kind {
            RECORD => {
                self.at = frame.content.end;
                Ok(Found::Record(frame.content))
            }
            SEAL if self.bytes.len() == frame.content.end + TRAILER_BYTES => Ok(Found::Seal),
            _ => Err(bad("it is no record")),
        }
    }
}

/// Decodes a record and checks that it is the one that is meant.
pub(super) fn record_at(position: u64, encoded: &[u8]) -> Result<HistoryRecord, String> {
    let record = HistoryRecord::decode(encoded).map_err(|e| e.to_string())?;
    if record.position != position {
        return Err(format!("it says that it is record {}", record.position));
    }
    Ok(record)
}

//! Opening a history: what a crash has torn is cut off, what is corrupt is named.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use gantry_engine::state::HistoryHead;
use tokio::sync::Notify;

use super::segment::{
    Found, Frames, Summary, TRAILER_BYTES, corrupt, file_name, position_in, record_at, seal_len,
    summary_of,
};
use super::{History, Inner};
use crate::disk::{DiskError, HistoryFiles};

/// Longest head of a segment: some 100 bytes are needed.
const HEAD_BYTES_MAX: u64 = 4096;

impl History {
    /// Opens what is there. `kept` is the head in the snapshot that is kept: what it counts was
    /// durable, so if it is not there any more it is corrupt or was never here; what is behind it
    /// comes again and may be torn.
    pub(crate) fn open(
        files: Box<dyn HistoryFiles>,
        kept: &HistoryHead,
    ) -> Result<Self, DiskError> {
        let mut segments = BTreeMap::new();
        let mut end: Option<HistoryHead> = None;
        let listed = files.list().map_err(|e| DiskError::io("list", "the history", e))?;
        for (name, len) in listed {
            let Some(first) = position_in(&name) else {
                return Err(DiskError::corrupt("the history", format!("{name} is no segment")));
            };
            let Some(summary) = open_segment(files.as_ref(), first, len, kept)? else { continue };
            check_follows(end.as_ref(), &summary, kept)?;
            end = Some(summary.after.clone());
            segments.insert(first, summary);
        }
        let durable = end.unwrap_or_default();
        if durable.count == kept.count && durable.chain != kept.chain {
            let detail = format!("its {} records are not those of the snapshot", kept.count);
            return Err(DiskError::corrupt("the history", detail));
        }
        let inner = Inner {
            segments,
            durable,
            pending: VecDeque::new(),
            pending_bytes: 0,
            floor: 0,
            damaged: BTreeMap::new(),
        };
        let history =
            Self { files, inner: Mutex::new(inner), writing: Mutex::new(()), gap: Notify::new() };
        history.seal_full()?;
        history.skip_to(kept)?;
        if history.inner().gap().is_some() {
            history.gap.notify_one();
        }
        Ok(history)
    }

    /// Whatever is not the last segment gets no more records; a crash may have come in between.
    fn seal_full(&self) -> Result<(), DiskError> {
        let last = self.inner().segments.last_key_value().map(|(first, _)| *first);
        let open: Vec<Summary> = {
            let inner = self.inner();
            let unsealed = inner.segments.values().filter(|summary| !summary.is_sealed);
            unsealed.filter(|summary| Some(summary.before.count) != last).cloned().collect()
        };
        open.into_iter().try_for_each(|summary| self.seal(summary))
    }
}

/// Two segments may have a gap between them, but not an overlap, and no other chain.
fn check_follows(
    end: Option<&HistoryHead>,
    summary: &Summary,
    kept: &HistoryHead,
) -> Result<(), DiskError> {
    let (first, Some(end)) = (summary.before.count, end) else { return Ok(()) };
    if first < end.count {
        return Err(corrupt(first, format!("the one before it ends at {}", end.count)));
    }
    if first == end.count && summary.before.chain != end.chain {
        return Err(corrupt(first, "it does not continue the one before it"));
    }
    if first > end.count && first > kept.count {
        return Err(corrupt(first, format!("records from {} on are missing", end.count)));
    }
    Ok(())
}

/// Opens one segment; none if nothing of it was durable.
fn open_segment(
    files: &dyn HistoryFiles,
    first: u64,
    len: u64,
    kept: &HistoryHead,
) -> Result<Option<Summary>, DiskError> {
    let name = file_name(first);
    if let Some(summary) = read_seal(files, first, len)? {
        return Ok(Some(summary));
    }
    let bytes = read(files, &name, 0, len)?;
    let scanned = scan(first, &bytes, kept);
    match scanned {
        Ok(summary) => {
            if summary.len < len {
                tracing::warn!(segment = name, at = summary.len, "a torn end was cut off");
                let cut = files.append(&name, summary.len, &[]);
                cut.map_err(|e| DiskError::io("repair", &name, e))?;
            }
            Ok(Some(summary))
        }
        // Not even its head reached the disk, and nothing in it was counted on.
        Err(DiskError::Corrupt { .. }) if first >= kept.count => {
            tracing::warn!(segment = name, "a torn segment was removed");
            files.remove(&name).map_err(|e| DiskError::io("remove", &name, e))?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn read(
    files: &dyn HistoryFiles,
    name: &str,
    offset: u64,
    len: u64,
) -> Result<Vec<u8>, DiskError> {
    let io = |e| DiskError::io("read", name, e);
    let mut bytes = vec![0; usize::try_from(len).map_err(|e| io(std::io::Error::other(e)))?];
    files.read(name, offset, &mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Head and seal of a sealed segment; none if it ends in no seal.
fn read_seal(files: &dyn HistoryFiles, first: u64, len: u64) -> Result<Option<Summary>, DiskError> {
    let name = file_name(first);
    let Some(end) = len.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER_BYTES];
    files.read(&name, end, &mut trailer).map_err(|e| DiskError::io("read", &name, e))?;
    let Some(seal_len) = seal_len(&trailer) else { return Ok(None) };
    let Some(begin) = end.checked_sub(seal_len as u64) else { return Ok(None) };
    let head = read(files, &name, 0, len.min(HEAD_BYTES_MAX))?;
    let seal = read(files, &name, begin, seal_len as u64)?;
    // A torn append may have left its end without its middle: then it is scanned like any other.
    Ok(summary_of(first, &head, &seal, len).ok())
}

/// Reads a segment that is not sealed. Behind what the snapshot counts its end may be torn.
fn scan(first: u64, bytes: &[u8], kept: &HistoryHead) -> Result<Summary, DiskError> {
    let mut frames = Frames::begin(first, bytes)?;
    let mut summary = Summary::empty(frames.head()?, frames.at() as u64);
    loop {
        let position = summary.after.count;
        if position == kept.count && summary.after.chain != kept.chain {
            return Err(corrupt(first, format!("record {position}: its chain is not the state's")));
        }
        match frames.next(position) {
            Ok(Found::Record(range)) => {
                let encoded = &bytes[range];
                let record = record_at(position, encoded)
                    .map_err(|e| corrupt(first, format!("record {position}: {e}")))?;
                summary.add(&record, encoded);
                summary.len = frames.at() as u64;
            }
            // A seal that stands there whole was seen before.
            Ok(Found::Seal | Found::End) => return Ok(summary),
            Err(_) if position >= kept.count => return Ok(summary),
            Err(error) => return Err(error),
        }
    }
}

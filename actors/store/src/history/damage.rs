//! Segments that cannot be read any more: noticed, named, replaced by what another holder has.
//!
//! Noticed when somebody reads them: each record has a checksum, and all of them lead to the chain
//! in the seal. Deliberately absent: looking for damage without a reader, and damage of the head or
//! the seal itself, which is named when the history is opened.

use bytes::Bytes;
use gantry_engine::state::HistoryHead;

use super::History;
use super::fetch::FillError;
use super::segment::{Summary, file_name, sealed_segment};
use crate::disk::DiskError;

/// What is known of a damaged segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Whether all other holders were asked for it, and none had it.
    nobody_has_it: bool,
}

impl History {
    /// A segment could not be read. Says whether another holder may still have it; if not, the
    /// error is all there is to say.
    pub(super) fn note_damage(&self, summary: &Summary, error: &DiskError) -> bool {
        let first = summary.before.count;
        let mut inner = self.inner();
        if let Some(known) = inner.damaged.get(&first) {
            return !known.nobody_has_it;
        }
        let error = gantry_wire::ErrorChain(error).to_string();
        let segment = file_name(first);
        tracing::error!(segment, error, "a segment of the history is damaged");
        // Only a sealed one is whole elsewhere; the last one goes on growing here.
        inner.damaged.insert(first, Damage { nobody_has_it: !summary.is_sealed });
        drop(inner);
        self.gap.notify_one();
        summary.is_sealed
    }

    /// The newest of the damaged segments that others may have.
    pub(super) fn damaged(&self) -> Option<Summary> {
        let inner = self.inner();
        let mut firsts = inner.damaged.keys().rev();
        firsts.find_map(|first| inner.segments.get(first).filter(|found| found.is_sealed).cloned())
    }

    /// All others were asked for a damaged segment in vain.
    pub(super) fn nobody_has(&self, summary: &Summary) {
        let first = summary.before.count;
        let mut inner = self.inner();
        let Some(damage) = inner.damaged.get_mut(&first) else { return };
        if !std::mem::replace(&mut damage.nobody_has_it, true) {
            let segment = file_name(first);
            tracing::error!(segment, "no other holder of the log has the damaged segment");
        }
    }

    /// Puts what another holder has in the place of a damaged segment. Blocks.
    pub(super) fn replace(&self, damaged: &Summary, records: &[Bytes]) -> Result<(), FillError> {
        let (whole, bytes) = sealed_segment(damaged.before.clone(), records)?;
        if whole.after != damaged.after {
            let text = "its records are not those that were there";
            return Err(FillError::Wrong(text.into()));
        }
        let name = file_name(damaged.before.count);
        let put = self.files.put(&name, &bytes);
        put.map_err(|e| FillError::Disk(DiskError::io("replace", &name, e)))?;
        let mut inner = self.inner();
        inner.damaged.remove(&damaged.before.count);
        // Unless it was removed for its age meanwhile: then the file goes again.
        if let Some(segment) = inner.segments.get_mut(&damaged.before.count) {
            *segment = whole;
            tracing::info!(segment = name, "a damaged segment of the history was replaced");
            return Ok(());
        }
        drop(inner);
        let removed = self.files.remove(&name);
        removed.map_err(|e| FillError::Disk(DiskError::io("remove", &name, e)))
    }
}

/// The pieces of one segment, as they come from another holder, newest first.
#[derive(Debug)]
pub(super) struct Pieces {
    from: u64,
    /// What is still missing ends here.
    until: HistoryHead,
    /// Newest first.
    records: Vec<Bytes>,
}

impl Pieces {
    pub(super) fn of(damaged: &Summary) -> Self {
        let (from, until) = (damaged.before.count, damaged.after.clone());
        Self { from, until, records: Vec::new() }
    }

    /// Where the next piece must end; none when all is there.
    pub(super) fn wanted(&self) -> Option<&HistoryHead> {
        (self.until.count > self.from).then_some(&self.until)
    }

    /// Takes records whose last one is right before what is wanted, and where they begin.
    pub(super) fn take(&mut self, begin: HistoryHead, records: &[Bytes]) {
        let foreign = self.from.saturating_sub(begin.count);
        let own = records.iter().skip(usize::try_from(foreign).unwrap_or(usize::MAX));
        self.records.extend(own.rev().cloned());
        self.until = begin;
    }

    /// All of them, oldest first.
    pub(super) fn into_records(mut self) -> Vec<Bytes> {
        self.records.reverse();
        self.records
    }
}

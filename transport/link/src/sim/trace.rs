//! What happened on the simulated network, to compare two runs of one seed.

use std::time::Duration;

use gantry_wire::NodeId;
use sha2::{Digest, Sha256};

/// Events kept for reading. A run of some minutes has fewer; a longer one keeps its digest only, or
/// it would fill the memory. Lower shows less of a failed run.
pub const TRACE_EVENTS_MAX: usize = 500_000;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceKind {
    /// A message without a reply was handed over.
    Tell,
    /// A message with a reply was handed over.
    Ask,
    /// A reply was handed over.
    Reply,
    /// `to` counts `from` as connected.
    Up,
    /// `to` lost `from`, and cannot tell how.
    DownSilent,
    /// `to` knows that this boot of `from` is over.
    DownGone,
    /// A packet was lost; its content comes later.
    Retransmitted,
    /// A packet came twice; its content counted once.
    Duplicated,
    /// Something waits for the end of a partition.
    Stalled,
    /// Something arrived for nobody.
    Dropped,
    /// The two cannot reach each other from here on.
    Cut,
    /// They can again.
    Healed,
    /// `from` was killed.
    Crashed,
    /// `from` was started.
    Started,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// Virtual time since the network was made.
    pub at: Duration,
    /// Who sent, or whom it is about.
    pub from: NodeId,
    /// Who got it.
    pub to: NodeId,
    /// What it was.
    pub kind: TraceKind,
    /// The wire name, where there is a message.
    pub message: String,
    /// Bytes of its body.
    pub bytes: usize,
}

/// The events so far, and a digest of all of them.
#[derive(Default)]
pub(super) struct Trace {
    events: Vec<TraceEvent>,
    digest: Sha256,
}

impl Trace {
    pub(super) fn add(&mut self, event: TraceEvent) {
        self.digest.update(event.at.as_nanos().to_be_bytes());
        self.digest.update(event.from.0.as_bytes());
        self.digest.update(event.to.0.as_bytes());
        self.digest.update([event.kind as u8]);
        self.digest.update(event.bytes.to_be_bytes());
        self.digest.update(event.message.as_bytes());
        // Texts of any length follow each other; this keeps "ab" + "c" and "a" + "bc" apart.
        self.digest.update(event.message.len().to_be_bytes());
        if self.events.len() < TRACE_EVENTS_MAX {
            self.events.push(event);
        }
    }

    pub(super) fn events(&self) -> Vec<TraceEvent> {
        self.events.clone()
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }
}

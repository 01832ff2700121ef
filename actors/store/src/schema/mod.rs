//! Schema locks: what leaves the process may not change by accident.
//!
//! Every form has a checked-in JSON schema with the version it belongs to. A test generates the
//! schema again: a compatible change must be acknowledged by writing the lock anew, an incompatible
//! one also by raising the version. [`compare`] and [`verify`] know nothing of the store: tests of
//! other crates lock their wire types with them.

mod compare;
mod lock;

pub use compare::{Change, Incompatibility, compare};
pub use lock::{BLESS_VARIABLE, Form, LockError, verify};

use gantry_engine::state::level::STATE_LEVEL_SETTLED;
use gantry_engine::state::{ClusterState, Entry, HistoryRecord, STATE_LEVEL};
use schemars::JsonSchema;

use crate::forms::{
    HISTORY_VERSION, LOG_VERSION, RaftReply, RaftRequest, RecordForm, SNAPSHOT_VERSION,
    SegmentHead, SegmentSeal, SnapshotHead, SnapshotItem, VoteForm, WIRE_VERSION,
};

/// Every form that the store writes or sends.
#[must_use]
pub fn forms() -> Vec<Form> {
    vec![
        of_the_level::<Entry>("entry"),
        of_the_level::<ClusterState>("cluster-state"),
        Form::of::<RecordForm>("log-record", LOG_VERSION),
        Form::of::<VoteForm>("log-vote", LOG_VERSION),
        Form::of::<SnapshotHead>("snapshot-head", SNAPSHOT_VERSION),
        // What it may have is what the level of the state permits, which a reader checks before.
        of_the_level::<SnapshotItem>("snapshot-item"),
        Form::of::<SegmentHead>("history-head", HISTORY_VERSION),
        // What stands in it is what stands in the log.
        of_the_level::<HistoryRecord>("history-record"),
        Form::of::<SegmentSeal>("history-seal", HISTORY_VERSION),
        Form::of::<RaftRequest>("raft-request", WIRE_VERSION),
        Form::of::<RaftReply>("raft-reply", WIRE_VERSION),
    ]
}

/// A form that may have what the level of the state permits.
fn of_the_level<T: JsonSchema>(name: &'static str) -> Form {
    Form::of::<T>(name, STATE_LEVEL).growing_since(STATE_LEVEL_SETTLED)
}

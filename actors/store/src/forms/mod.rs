//! The forms that leave the process: what is written to disk and sent to peers.
//!
//! They are ours, versioned, with named fields; the types of the Raft library never leave it.
//! Checked-in schemas (`schema/`) fail the build when one changes incompatibly.

mod history;
mod record;
mod snapshot;
mod wire;

pub use history::{SegmentHead, SegmentSeal};
pub use record::{LogIdForm, MembershipForm, PayloadForm, RecordForm, VoteForm};
pub use snapshot::{HeadOfAnyLevel, MembershipAt, SnapshotHead, SnapshotItem, StateOfAnyLevel};
pub use wire::{
    AppendAnswer, AppendCall, HistoryAnswer, HistoryCall, LevelsAnswer, LevelsCall, RaftAnswer,
    RaftCall, RaftReply, RaftRequest, SnapshotAnswer, SnapshotCall, SnapshotId, StateHashAnswer,
    StateHashCall, TransferAnswer, TransferCall, VoteAnswer, VoteCall,
};

/// Version of the log file: its tables and [`RecordForm`]. A file of another version is refused.
pub const LOG_VERSION: u32 = 1;

/// Version of the snapshot file: its layout and [`SnapshotHead`] down to the level of its state.
/// What the state and the items may have is a matter of that level: a reader who does not know the
/// level refuses the snapshot by it, and one that knows it can read a snapshot of an older one.
pub const SNAPSHOT_VERSION: u32 = 2;

/// The oldest version that can still be read. Since it, variants and optional fields were added,
/// which a reader of today knows and a reader of then does not.
pub const SNAPSHOT_VERSION_OLDEST: u32 = 1;

/// Version of a segment of the history: its layout, [`SegmentHead`], [`SegmentSeal`] and the
/// records, which are [`gantry_engine::state::HistoryRecord`].
pub const HISTORY_VERSION: u32 = 1;

/// Newest version of [`RaftRequest`] and [`RaftReply`]. A request has the version of its call
/// ([`RaftCall::version`]), a reply that of its request: so a program that only knows an older
/// version understands all but the calls that it does not have, and a cluster of both works.
pub const WIRE_VERSION: u32 = 4;

/// Oldest version that is understood. It rises when a call is given up.
pub const WIRE_VERSION_OLDEST: u32 = 3;

//! The replicated log: openraft behind a plain API, redb underneath.
//!
//! It owns the log, the snapshot, and the applied [`ClusterState`](gantry_engine::state). Master
//! candidates hold one [`Store`] each; together they agree on every entry, and nothing is
//! acknowledged before a majority has it on disk. A node that is alone is a majority of one.
//!
//! Who may call it: actors of the master (propose, read), the daemon (open, pass requests of peers
//! to [`Store::handle`], carry requests to peers as [`RaftTransport`]). Deliberately absent: what a
//! command means, who may send a request (the link checks roles), and any type of openraft or of
//! its serialised forms: [`forms`] are ours.

mod config;
pub mod disk;
mod error;
pub mod forms;
mod handle;
mod history;
mod leadership;
mod level;
mod raft;
pub mod schema;

pub use config::{
    APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, APPEND_TIMEOUT, COMPARE_DEADLINE, COMPARE_RETRY,
    COMPARE_TIMEOUT, Clock, Compaction, DiskKind, ELECTION_MAX, ELECTION_MIN, ENTRY_BYTES_MAX,
    GROUP_BYTES_MAX, HEARTBEAT, HISTORY_CHUNK_BYTES, HISTORY_FETCH_RETRY, HISTORY_FETCH_TIMEOUT,
    HISTORY_FLUSH_BYTES, HISTORY_KEPT, HISTORY_RECORDS_MAX, Home, KEPT_ENTRIES, LEVELS_TIMEOUT,
    LOG_CACHE_BYTES, PAGE_CACHE_BYTES, POINTS_KEPT, POINTS_WAITING_MAX, PROPOSE_RETRY,
    RECOVERY_WAIT, RaftTiming, RaftTransport, SEGMENT_BYTES_MAX, SEGMENT_RECORDS,
    SNAPSHOT_BYTES_MAX, SNAPSHOT_CHUNK_BYTES, SNAPSHOT_EVERY_ENTRIES, SNAPSHOT_RESTARTS_MAX,
    SNAPSHOT_TIMEOUT, StoreConfig, TransportError, WRITER_QUEUE_MAX,
};
pub use error::{OpenError, ProposeError, StoreError};
pub use forms::{MembershipForm, RaftReply, RaftRequest};
pub use handle::{
    BOOTSTRAP_WAIT, CommitMoment, CommitWatcher, Committed, SHUTDOWN_WAIT, Snapshot, Store,
};
pub use history::{Archived, ArchivedJobs};
pub use leadership::Leadership;
pub use level::LevelError;

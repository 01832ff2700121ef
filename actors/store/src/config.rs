//! What a store needs to be opened, and its limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_model::ids::NodeUuid;
use gantry_model::levels::Levels;
use gantry_model::units::Timestamp;

use crate::disk::Disk;
use crate::forms::{RaftReply, RaftRequest};

/// Largest encoded entry. The largest real one submits 5,000 jobs (about 3 MiB). Lower would refuse
/// such a batch; higher and one entry with its envelope no longer fits a frame of the link, so it
/// could be stored but never replicated.
pub const ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most bytes of entries in one append message. Lower costs round trips while a follower catches
/// up; higher lets one message delay heartbeats on a slow line.
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;

/// Most entries in one append message. An entry is rarely below 200 bytes, so 4,096 of them fill
/// [`APPEND_BYTES_MAX`] anyway; the limit bounds the work of decoding one message.
pub const APPEND_ENTRIES_MAX: u64 = 4_096;

/// Bytes of a snapshot in one message. Lower costs round trips; higher delays heartbeats that share
/// the connection.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;

/// Largest snapshot that is accepted from a leader. 20,000 instances with full job history make
/// about 100 MiB. Lower would lock out a follower of a large cluster; higher lets a faulty leader
/// fill a follower's memory.
pub const SNAPSHOT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Entries applied since the last snapshot before the next one is made. Lower and a large state is
/// written again every few seconds under load; higher and a restart replays longer (20,000 entries
/// take about a second) and the log file grows.
pub const SNAPSHOT_EVERY_ENTRIES: u64 = 20_000;

/// Entries kept in the log although a snapshot covers them. A follower that was away for less than
/// this many catches up by entries instead of a whole snapshot. Higher only costs disk.
pub const KEPT_ENTRIES: u64 = 5_000;

/// Memory for entries of the log that were written or read last. Followers that keep up and the
/// state machine read from here; lower sends them to the disk, higher costs resident memory: twice
/// as much, because each entry is kept as bytes and as what they mean.
pub const LOG_CACHE_BYTES: usize = 1024 * 1024;

/// Memory that redb may use for pages of the log file. The hot part is its right edge, some pages;
/// lower reads them again for every commit, higher costs resident memory for nothing.
pub const PAGE_CACHE_BYTES: usize = 1024 * 1024;

/// Operations that may wait for the log's writer. Each carries up to a batch of entries. When it is
/// full Raft waits for the disk; lower does so at a short stall of the disk, higher only queues
/// what would time out anyway.
pub const WRITER_QUEUE_MAX: usize = 1_024;

/// Most bytes of records in one transaction of the log. One transaction holds its pages in memory;
/// lower and a burst needs more flushes, higher and it costs memory and latency for the first.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often a leader says that it is alive. With a third of the shortest election time two lost
/// heartbeats change nothing; lower costs packets, higher forces longer elections.
pub const HEARTBEAT: Duration = Duration::from_millis(100);

/// Shortest silence after which a follower asks for an election. Lower and a stall of the scheduler
/// or a slow disk deposes a healthy leader; higher and a dead one is replaced later (the budget for
/// a leader change is 2 s).
pub const ELECTION_MIN: Duration = Duration::from_millis(300);

/// Longest silence; the spread above [`ELECTION_MIN`] keeps two followers from asking at once. It
/// is also the leader's lease: a new leader accepts nothing sooner.
pub const ELECTION_MAX: Duration = Duration::from_millis(600);

/// How long an append message with entries may take, the follower's flush included. The heartbeat
/// goes its own way, so this may be longer than it: lower repeats messages to a follower with a
/// slow disk, higher notices a lost message late.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one chunk of a snapshot may take; the last includes installing it.
pub const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a receiver may ask for a snapshot from its beginning before the sender gives up for
/// now and Raft backs off. It does when it restarts, or when another leader sends one too; lower
/// gives up at the first restart, higher keeps a line busy with what never arrives.
pub const SNAPSHOT_RESTARTS_MAX: u32 = 3;

/// Pause before a proposal is offered again that was refused because there is no leader yet. A
/// lease becomes valid within a round trip; lower spins, higher delays the first write after an
/// election.
pub const PROPOSE_RETRY: Duration = Duration::from_millis(5);

/// Longest wait at opening for the log to be applied again when this node is the only voter. It is
/// normally milliseconds; after this time the store opens anyway and catches up while it serves.
pub const RECOVERY_WAIT: Duration = Duration::from_secs(30);

/// States that may wait to be hashed and compared with those of the other holders. Each is a clone
/// that shares its structure, but keeps alive what changed since. Lower skips comparisons while a
/// restart applies its log again, higher holds more old states in memory then.
pub const POINTS_WAITING_MAX: usize = 4;

/// Hashes of this node's state that are remembered for others who come to the same entry later. At
/// one per snapshot this covers a holder that is some hundred thousand entries behind; one that is
/// further back gets a snapshot anyway. Lower leaves a slow holder uncompared, higher costs 100
/// bytes each.
pub const POINTS_KEPT: usize = 16;

/// How long one holder may take to tell the hash of its state. Lower counts a busy one as silent,
/// higher delays the next round of questions.
pub const COMPARE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause between two rounds of questions for the hashes that are still missing. Lower costs
/// messages while a holder catches up, higher finds a difference later.
pub const COMPARE_RETRY: Duration = Duration::from_secs(1);

/// How long one comparison goes on while too few have answered. Lower gives up while another
/// holder restarts, higher asks a dead one for nothing; the next snapshot compares again.
pub const COMPARE_DEADLINE: Duration = Duration::from_secs(120);

/// Records in one segment of the history. A segment is read as a whole to find one record, and
/// goes as a whole when it is too old. Lower makes more files (500,000 records are 2,000 of them),
/// higher reads more for each look at an archived job.
pub const SEGMENT_RECORDS: u64 = 256;

/// Bytes of a segment beyond which it gets no more records, however few it has: jobs with
/// thousands of opcodes are some MiB each. Lower makes small files, higher reads more at once.
pub const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Bytes of records that wait in memory before they are written to the history; they are written
/// with every snapshot anyway. Lower costs a flush for fewer of them, higher costs memory.
pub const HISTORY_FLUSH_BYTES: usize = 1024 * 1024;

/// Bytes of the history in one message to another holder, as soon as there are that many. Lower
/// costs round trips, higher delays what shares the connection.
pub const HISTORY_CHUNK_BYTES: usize = 1024 * 1024;

/// How long a holder may take to say which state levels its program knows. Lower counts a busy one
/// as silent, which keeps the level where it is until it is asked again; higher delays that.
pub const LEVELS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long records of the history are kept (row S229: archived jobs are removed after 21 days),
/// counted from when they were archived, in the time of the log. Lower forgets what people still
/// ask for, higher costs disk.
pub const HISTORY_KEPT: Duration = Duration::from_secs(21 * 24 * 3600);

/// Most records of the history, whatever their age: about 1 GiB. Lower forgets the jobs of a busy
/// cluster early, higher costs disk on every holder of the log.
pub const HISTORY_RECORDS_MAX: u64 = 500_000;

/// How long a holder may take to send a piece of its history; it reads a segment for it.
pub const HISTORY_FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause before the others are asked again for history that none of them had. Lower asks in vain
/// more often, higher leaves a gap longer after one came back.
pub const HISTORY_FETCH_RETRY: Duration = Duration::from_secs(2);

const _: () = assert!(HEARTBEAT.as_millis() * 3 <= ELECTION_MIN.as_millis());
const _: () = assert!(ELECTION_MIN.as_millis() < ELECTION_MAX.as_millis());
const _: () = assert!(ENTRY_BYTES_MAX + 64 * 1024 <= gantry_wire::FRAME_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_MAX <= ENTRY_BYTES_MAX);
const _: () = assert!(KEPT_ENTRIES < SNAPSHOT_EVERY_ENTRIES);

/// The clock that entries are stamped with.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a store is opened with.
#[derive(Clone)]
pub struct StoreConfig {
    /// Directory of the log and the snapshot; made if it does not exist. Only named in messages
    /// when the disk is not the real one.
    pub dir: PathBuf,
    /// This node.
    pub node: NodeUuid,
    /// Stamps entries.
    pub clock: Clock,
    /// Carries requests to the other holders of the log.
    pub transport: Arc<dyn RaftTransport>,
    /// Where bytes are kept.
    pub disk: DiskKind,
    /// Which thread Raft runs on.
    pub home: Home,
    /// Heartbeats and elections.
    pub timing: RaftTiming,
    /// When snapshots are made.
    pub compaction: Compaction,
    /// The state levels that this program knows: [`gantry_engine::state::STATE_LEVELS`]. Less than
    /// that makes it behave as an older program does.
    pub levels: Levels,
    /// Seeds the election times. Equal seeds on two nodes make split votes likely.
    pub seed: u64,
}

/// Where bytes are kept.
#[derive(Clone)]
pub enum DiskKind {
    /// Files in the directory.
    Real,
    /// Something else that keeps its promises, or breaks them on purpose.
    Backend(Arc<dyn Disk>),
}

/// Which thread Raft runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// One of its own with a single-threaded runtime, the log's writer on another: heartbeats queue
    /// neither behind actors nor behind a flush.
    OwnThread,
    /// Tasks on the caller's runtime, the disk inline. With a paused clock and a single-threaded
    /// runtime the same seed gives the same run.
    Caller,
}

/// Heartbeats and elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTiming {
    /// See [`HEARTBEAT`].
    pub heartbeat: Duration,
    /// See [`ELECTION_MIN`].
    pub election_min: Duration,
    /// See [`ELECTION_MAX`].
    pub election_max: Duration,
}

impl Default for RaftTiming {
    fn default() -> Self {
        Self { heartbeat: HEARTBEAT, election_min: ELECTION_MIN, election_max: ELECTION_MAX }
    }
}

/// When snapshots are made and what they leave of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// See [`SNAPSHOT_EVERY_ENTRIES`]. At multiples of it the holders compare their states, so it
    /// must be the same on all of them.
    pub snapshot_every: u64,
    /// See [`KEPT_ENTRIES`].
    pub keep: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self { snapshot_every: SNAPSHOT_EVERY_ENTRIES, keep: KEPT_ENTRIES }
    }
}

/// Carries requests between the holders of the log; the daemon puts a link behind it, tests a
/// simulated network.
pub trait RaftTransport: Send + Sync + 'static {
    /// Sends a request and waits for the reply, at most for `timeout`. The receiver passes it to
    /// its [`crate::Store::handle`]. Nothing here may be repeated or answered out of a cache.
    fn send(
        &self,
        to: NodeUuid,
        request: RaftRequest,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<RaftReply, TransportError>>;
}

/// Why a request between holders of the log has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// There is no way to the node now; trying again at once is useless.
    #[error("unreachable: {reason}")]
    Unreachable {
        /// What the link said.
        reason: String,
    },
    /// It was sent, and no reply came in time.
    #[error("no reply in time")]
    Timeout,
    /// It was sent, and what came back is not a reply.
    #[error("bad reply: {reason}")]
    BadReply {
        /// What is wrong with it.
        reason: String,
    },
}

//! How a store fails. No variant repeats its source.

use std::path::PathBuf;
use std::time::Duration;

use gantry_engine::state::NotPermitted;
use gantry_model::errors::Fault;
use gantry_model::ids::{NodeUuid, Revision};
use gantry_model::levels::Levels;

use crate::config::ENTRY_BYTES_MAX;
use crate::disk::DiskError;
use crate::level::LevelError;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its files cannot be used.
    #[error("cannot open the store in {}", dir.display())]
    Disk {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        #[source]
        source: DiskError,
    },
    /// The times contradict each other.
    #[error("raft timing is not usable: {reason}")]
    Timing {
        /// Which rule is broken.
        reason: String,
    },
    /// The state was found to differ from that of the other holders.
    #[error(
        "the state in {} is not that of the other holders of the log ({reason}); take this node \
         out of the voters, move the directory aside and add the node again: it then gets a \
         snapshot",
        dir.display()
    )]
    Diverged {
        /// The directory.
        dir: PathBuf,
        /// Where it was noticed.
        reason: String,
    },
    /// The program does not know the level of the log.
    #[error("cannot use the log in {}", dir.display())]
    Level {
        /// The directory.
        dir: PathBuf,
        /// What is not known.
        #[source]
        source: LevelError,
    },
    /// The thread of the store could not be started.
    #[error("cannot start the thread {name}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Raft refused what it found, or ended while it started.
    #[error("raft did not start in {}: {reason}", dir.display())]
    Raft {
        /// The directory.
        dir: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// Why something other than a proposal failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is a log already.
    #[error("the store holds a cluster already")]
    AlreadyInitialised,
    /// The state machine refused.
    #[error("refused by the state")]
    Refused(#[source] Fault),
    /// Proposing failed.
    #[error("cannot propose {what}")]
    Propose {
        /// What was proposed.
        what: &'static str,
        /// How it failed.
        #[source]
        source: ProposeError,
    },
    /// This node is not the leader.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, where known.
        leader: Option<NodeUuid>,
    },
    /// A leader could not confirm that it still leads.
    #[error("no quorum confirmed the leader")]
    NoQuorum,
    /// It took too long.
    #[error("{what} did not end within {deadline:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        deadline: Duration,
    },
    /// The revision was not reached in time.
    #[error("revision {wanted} was not reached, the state is at {reached}")]
    Behind {
        /// What was waited for.
        wanted: Revision,
        /// What was reached.
        reached: Revision,
    },
    /// The members cannot be changed like this.
    #[error("cannot change the voters: {reason}")]
    Membership {
        /// What raft said.
        reason: String,
    },
    /// A node is not fit to lead now. Nothing has changed.
    #[error("node {node} cannot lead: {reason}")]
    NotFit {
        /// Which.
        node: NodeUuid,
        /// Why not.
        reason: &'static str,
    },
    /// The history could not be read.
    #[error("cannot read the history")]
    History(#[source] DiskError),
    /// The store has ended.
    #[error("the store has stopped")]
    Stopped,
    /// The store has ended because its state is not that of the other holders.
    #[error("the store has stopped, its state is wrong: {reason}")]
    Diverged {
        /// Where it was noticed.
        reason: String,
    },
    /// The store has ended because its program does not know the level of the log.
    #[error("the store has stopped")]
    Level(#[source] LevelError),
    /// A node may not hold the log, because its program does not know the present level.
    #[error(
        "node {node} cannot hold the log: its program {}, the log is at state level {level}; \
         upgrade gantry on that node and try again",
        knows.map_or_else(
            || "does not say which state levels it knows".to_owned(),
            |levels| format!("knows state levels {levels}")
        )
    )]
    MemberLevel {
        /// Which node.
        node: NodeUuid,
        /// What it knows, if it said so.
        knows: Option<Levels>,
        /// The present level.
        level: u32,
    },
    /// The store has ended because its disk failed; nothing more is accepted.
    #[error("the store has stopped, its disk failed: {reason}")]
    Storage {
        /// What the disk said.
        reason: String,
    },
}

/// How a proposal failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not done: this node did not lead.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, where known.
        leader: Option<NodeUuid>,
    },
    /// Certainly not done: larger than an entry may be.
    #[error("an entry of {bytes} bytes exceeds the limit of {ENTRY_BYTES_MAX}")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
    },
    /// Certainly not done: the command cannot be encoded.
    #[error("the command cannot be encoded: {reason}")]
    NotEncodable {
        /// What the codec said.
        reason: String,
    },
    /// Certainly not done: it does not belong to the present level.
    #[error("the state does not permit it yet")]
    NotPermitted(#[source] NotPermitted),
    /// Outcome unknown: it was accepted, and not committed in time.
    #[error("not committed within {deadline:?}, outcome unknown")]
    Timeout {
        /// How long was waited.
        deadline: Duration,
    },
    /// Outcome unknown: another leader took over while it was on its way.
    #[error("the leader changed meanwhile, outcome unknown")]
    LeaderChanged {
        /// The new one, where known.
        leader: Option<NodeUuid>,
    },
    /// Outcome unknown: the store ended while it was on its way, or had ended before.
    #[error("the store has stopped, outcome unknown")]
    Stopped,
    /// Outcome unknown, never acknowledged: this node's state is not that of the other holders.
    #[error("the store has stopped, its state is wrong: {reason}")]
    Diverged {
        /// Where it was noticed.
        reason: String,
    },
    /// Outcome unknown, never acknowledged: this node's program does not know the level of the log.
    #[error("the store has stopped")]
    Level(#[source] LevelError),
    /// Outcome unknown, never acknowledged: the disk failed. Nothing more is accepted until the
    /// store is opened again.
    #[error("the store has stopped, its disk failed: {reason}")]
    Storage {
        /// What the disk said.
        reason: String,
    },
}

impl ProposeError {
    /// Whether it is certain that nothing was proposed.
    #[must_use]
    pub fn had_no_effect(&self) -> bool {
        match self {
            Self::NotLeader { .. }
            | Self::TooLarge { .. }
            | Self::NotEncodable { .. }
            | Self::NotPermitted(_) => true,
            Self::Timeout { .. }
            | Self::LeaderChanged { .. }
            | Self::Stopped
            | Self::Diverged { .. }
            | Self::Level(_)
            | Self::Storage { .. } => false,
        }
    }
}

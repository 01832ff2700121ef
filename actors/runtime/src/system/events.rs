//! What a system tells about itself to whoever listens.

use std::time::Duration;

use gantry_wire::{ActorPath, NodeId};

use crate::flight::{FlightRecord, Stall};
use crate::system::Thread;

/// Events kept for a listener that lags. A listener that reads at all misses nothing in ordinary
/// life; lower would lose the cause of a cascade of panics, higher keeps more text in memory.
pub const EVENTS_KEPT: usize = 1024;

/// Something that happened to an actor or to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemEvent {
    /// Code of an actor panicked, or a child's failure escalated to it.
    Failed {
        /// The actor.
        path: ActorPath,
        /// What it was doing: a wire name, or the name of a continuation.
        during: &'static str,
        /// The panic's text.
        text: String,
    },
    /// It was made again.
    Restarted {
        /// The actor.
        path: ActorPath,
        /// How often by now.
        restarts: u32,
    },
    /// One turn of it occupies its thread for longer than [`crate::STUCK_AFTER`]. Said while that
    /// is so, again at each doubling.
    Stuck {
        /// The actor.
        path: ActorPath,
        /// What it is doing: a wire name, or the name of a continuation.
        during: &'static str,
        /// For how long by now.
        took: Duration,
    },
    /// It failed too often and was stopped.
    Escalated {
        /// The actor.
        path: ActorPath,
        /// The parent that fails for it, if one lives and is meant to.
        parent: Option<ActorPath>,
        /// The text of the last failure.
        text: String,
    },
    /// A message from a peer was refused.
    Rejected {
        /// The peer.
        from: NodeId,
        /// The receiver that it named.
        path: ActorPath,
        /// The wire name that it gave.
        message: String,
        /// Why.
        reason: String,
    },
}

/// What became of an actor that is watched.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorEvent {
    /// No actor lives at the path, or the one that did has stopped for good.
    Stopped {
        /// Why.
        reason: String,
    },
    /// It failed and was made again: its state is fresh.
    Restarted,
    /// It failed too often and was stopped.
    Escalated {
        /// The text of the last failure.
        text: String,
    },
    /// The connection to the node it lives on ended.
    NodeDown {
        /// How sure it is that the actor is gone.
        certainty: NodeCertainty,
    },
    /// So many events were lost because this watcher was slow; look again.
    Missed(u64),
}

/// [`gantry_link::Certainty`] in a form that travels.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum NodeCertainty {
    /// A timer said so.
    Silent,
    /// It said goodbye, or a new boot of it appeared.
    Gone,
    /// Proven powerless. Only this permits taking over what it held.
    Fenced,
}

/// One actor as a debugger sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorInfo {
    /// Where it lives.
    pub path: ActorPath,
    /// [`crate::Actor::KIND`].
    pub kind: &'static str,
    /// Under whom it restarts and escalates.
    pub parent: Option<ActorPath>,
    /// The thread it was given.
    pub thread: Thread,
    /// Messages that have not started.
    pub mailbox_messages: u64,
    /// Their bytes.
    pub mailbox_bytes: u64,
    /// Turns so far: messages and continuations.
    pub handled: u64,
    /// How often it was made again.
    pub restarts: u32,
    /// How many of its turns were found to occupy their thread for too long.
    pub stalls: u32,
    /// The last of them.
    pub last_stall: Option<Stall>,
    /// It failed and waits to be made again.
    pub is_down: bool,
    /// The turn that runs now, and for how long.
    pub busy: Option<(&'static str, Duration)>,
    /// The slowest turns by name, slowest first.
    pub slowest: Vec<(&'static str, Duration)>,
}

/// The last turns of one actor, oldest first.
pub type FlightLog = Vec<FlightRecord>;

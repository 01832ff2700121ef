//! What every link promises; the conformance suite checks it of each.
//!
//! - Order: tells and asks from one node to one other, in one lane, arrive in the order sent.
//! - At most once: an envelope is handed to [`Inbound`] at most once.
//! - Honesty: `NotDelivered` is said only when the envelope certainly did not reach `Inbound`; once
//!   bytes may have left, a lost connection or a passed deadline is `Unknown`.
//! - Every ask ends, at the latest a grace after its deadline.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gantry_wire::{AskError, BootId, Envelope, NodeId, NotDelivered, Role};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::bulk::{BulkAcceptor, BulkError, BulkOpen, BulkRate, BulkStream};

/// Who is at the other end, as proven by its certificate and told in its hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The id in its certificate; for a joiner, one made for this connection.
    pub node: NodeId,
    /// The role in its certificate.
    pub role: Role,
    /// Which run of it.
    pub boot: BootId,
    /// Where its packets come from.
    pub addr: SocketAddr,
    /// The version of the protocol that the hellos agreed on.
    pub version: u16,
    /// What both ends can do beyond that version.
    pub features: Features,
}

/// A connected peer, and what has gone over the connection.
#[derive(Clone, Debug)]
pub struct PeerTraffic {
    /// Who.
    pub peer: Peer,
    /// What has gone, where the link counts.
    pub counts: Option<TrafficCounts>,
}

/// What has gone over a connection since it was made.
#[derive(Clone, Copy, Debug)]
pub struct TrafficCounts {
    /// When it was made.
    pub since: Instant,
    /// The time to the peer and back, smoothed.
    pub rtt: Duration,
    /// Bytes sent, headers of UDP left out.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets of ours that were lost.
    pub lost_packets: u64,
    /// Streams that lanes have used; more than two mean that some broke.
    pub streams: u64,
}

/// What both ends of a connection can do beyond the version of its protocol, as their hellos
/// agreed. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(Arc<BTreeSet<String>>);

impl Features {
    /// Whether both ends have it.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.0.contains(feature)
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromIterator<String> for Features {
    fn from_iter<T: IntoIterator<Item = String>>(names: T) -> Self {
        Self(Arc::new(names.into_iter().collect()))
    }
}

/// How sure it is that a peer's actors are gone. Only [`Certainty::Fenced`] permits taking over
/// what they held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// A timer said so: it may be slow, paused, or behind a cut cable.
    Silent,
    /// It said goodbye, or a new boot of it appeared: that process is gone. Its guests may live.
    Gone,
    /// Proven powerless: power cut confirmed, watchdog fired, storage fenced.
    Fenced,
}

/// A change in the life of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// A hello was exchanged with this peer.
    Up(Peer),
    /// The connection to this boot of it ended. Told again, with a higher certainty, when more is
    /// learnt: a silent boot is gone once a newer one says hello.
    Down {
        /// Which node.
        node: NodeId,
        /// Which run of it.
        boot: BootId,
        /// How sure that is.
        certainty: Certainty,
        /// For people: what ended it.
        reason: String,
    },
}

/// The receiving side, implemented by the runtime.
pub trait Inbound: Send + Sync + 'static {
    /// Takes a one-way message.
    ///
    /// # Errors
    /// When no mailbox accepted it; nothing has happened then.
    fn tell(&self, from: &Peer, envelope: Envelope) -> Result<(), NotDelivered>;

    /// Takes a message that is to be answered through `answer`, now or later. The link keeps its
    /// deadline: once that has passed, the message may not start any more, and the answer is not
    /// wanted.
    fn ask(&self, from: &Peer, envelope: Envelope, answer: Answer);
}

/// The sending side.
pub trait Link: Send + Sync + 'static {
    /// This node.
    fn this_node(&self) -> NodeId;

    /// This run of it.
    fn boot(&self) -> BootId;

    /// Makes a peer known: where it can be reached. Connections are made when first needed and made
    /// again when lost. Told again, it replaces the addresses.
    fn know(&self, node: NodeId, addrs: Vec<SocketAddr>);

    /// Forgets a peer and closes its connections. The peer is told that it was forgotten, which is
    /// no proof of death: it sees [`Certainty::Silent`].
    fn forget(&self, node: NodeId);

    /// Queues a one-way message.
    ///
    /// # Errors
    /// When the peer is unknown, its send queue is full, or the link is closed.
    fn tell(&self, to: NodeId, envelope: Envelope) -> Result<(), NotDelivered>;

    /// Sends a message and waits for the encoded reply, at most until the envelope's deadline (and,
    /// once it was sent, a short grace for the receiver's own word on the deadline). The message is
    /// queued by this call, not by the first poll; dropping the future does not take it back. The
    /// future must be polled on a tokio runtime with time.
    fn ask(&self, to: NodeId, envelope: Envelope) -> BoxFuture<'static, Result<Bytes, AskError>>;

    /// Changes in the life of peers from now on. A receiver that lags misses the oldest; it must
    /// then ask [`Link::peers`].
    fn events(&self) -> broadcast::Receiver<PeerEvent>;

    /// The peers that are connected now.
    fn peers(&self) -> Vec<Peer>;

    /// The same peers, and what has gone over their connections. For people: nothing is decided by
    /// it.
    fn traffic(&self) -> Vec<PeerTraffic>;

    /// Opens a bulk transfer to a peer, on a connection of its own.
    fn open_bulk(
        &self,
        to: NodeId,
        open: BulkOpen,
    ) -> BoxFuture<'static, Result<BulkStream, BulkError>>;

    /// Takes bulk transfers of `kind` from now on; told again, it replaces the acceptor.
    fn accept_bulk(&self, kind: &str, acceptor: Arc<dyn BulkAcceptor>);

    /// How fast all bulk transfers together may send from here.
    fn set_bulk_rate(&self, rate: BulkRate);

    /// Says goodbye to everybody and waits until that is sent, at most `grace`.
    fn close(&self, grace: Duration) -> BoxFuture<'static, ()>;
}

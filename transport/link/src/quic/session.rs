//! One connection that has had its hello: the state that its tasks and senders share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hub::Seat;
use super::inbound_asks::{InboundAsks, Origin};
use super::tls::Tls;
use crate::asking::AskResult;
use crate::contract::{Peer, PeerTraffic, TrafficCounts};
use crate::frame::{Lane, append_reply_bounded};
use crate::limits::REPLY_QUEUE_BYTES_MAX;

/// A connected peer.
pub(super) struct Session {
    /// Unique in this process.
    pub(super) id: u64,
    pub(super) peer: Peer,
    pub(super) connection: quinn::Connection,
    since: Instant,
    /// What its handshake was done with.
    pub(super) tls: Arc<Tls>,
    /// Nothing that comes on this connection is taken any more.
    pub(super) stop: CancellationToken,
    /// The tasks of its lanes.
    pub(super) tasks: TaskTracker,
    /// The peer said that its process is ending.
    pub(super) goodbye_seen: AtomicBool,
    /// One permit per lane on which our goodbye was acknowledged.
    pub(super) goodbyes_sent: Semaphore,
    lanes: [LaneOut; 2],
    pub(super) asks: InboundAsks,
    /// Taken while the session lives, where peers of its role are counted.
    _seat: Option<Seat>,
}

struct LaneOut {
    wake: Notify,
    stream: Mutex<LaneStream>,
}

/// The stream that a lane has now; each new one has the next generation.
struct LaneStream {
    generation: u64,
    stop: CancellationToken,
    replies: BytesMut,
}

impl Session {
    pub(super) fn new(
        id: u64,
        peer: Peer,
        (connection, tls): (quinn::Connection, Arc<Tls>),
        seat: Option<Seat>,
    ) -> Self {
        let stop = CancellationToken::new();
        let lane = || LaneOut {
            wake: Notify::new(),
            stream: Mutex::new(LaneStream {
                generation: 0,
                stop: stop.child_token(),
                replies: BytesMut::new(),
            }),
        };
        Self {
            id,
            peer,
            connection,
            since: Instant::now(),
            tls,
            lanes: [lane(), lane()],
            stop,
            tasks: TaskTracker::new(),
            goodbye_seen: AtomicBool::new(false),
            goodbyes_sent: Semaphore::new(0),
            asks: InboundAsks::default(),
            _seat: seat,
        }
    }

    fn stream(&self, lane: Lane) -> MutexGuard<'_, LaneStream> {
        self.lanes[lane.index()].stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has gone over it so far.
    pub(super) fn traffic(&self) -> PeerTraffic {
        let stats = self.connection.stats();
        let streams = Lane::ALL.map(|lane| self.stream(lane).generation).iter().sum();
        let counts = TrafficCounts {
            since: self.since,
            rtt: stats.path.rtt,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lost_packets: stats.path.lost_packets,
            streams,
        };
        PeerTraffic { peer: self.peer.clone(), counts: Some(counts) }
    }

    /// Tells the writer of a lane that there is something to write.
    pub(super) fn wake(&self, lane: Lane) {
        self.lanes[lane.index()].wake.notify_one();
    }

    pub(super) async fn woken(&self, lane: Lane) {
        self.lanes[lane.index()].wake.notified().await;
    }

    /// A new stream takes over a lane; the one before is not read any further.
    pub(super) fn begin_lane(&self, lane: Lane) -> (u64, CancellationToken) {
        let mut stream = self.stream(lane);
        stream.stop.cancel();
        stream.generation += 1;
        stream.stop = self.stop.child_token();
        stream.replies = BytesMut::new();
        (stream.generation, stream.stop.clone())
    }

    /// Whether that stream is still the one of its lane.
    pub(super) fn is_current(&self, lane: Lane, generation: u64) -> bool {
        self.stream(lane).generation == generation
    }

    /// Moves the replies that wait for that stream to `out`.
    pub(super) fn take_replies(&self, lane: Lane, generation: u64, out: &mut BytesMut) {
        let mut stream = self.stream(lane);
        if stream.generation != generation {
            return;
        }
        if out.is_empty() {
            std::mem::swap(out, &mut stream.replies);
        } else {
            out.extend_from_slice(&stream.replies);
            stream.replies.clear();
        }
    }

    /// Queues what became of an ask. Dropped when the stream that it came on is gone: its sender
    /// has been told "unknown" by then.
    pub(super) fn push_reply(&self, origin: Origin, id: u64, result: AskResult) {
        let Origin { lane, generation } = origin;
        let mut stream = self.stream(lane);
        if stream.generation != generation {
            return;
        }
        append_reply_bounded(id, result, REPLY_QUEUE_BYTES_MAX, &mut stream.replies);
        drop(stream);
        self.wake(lane);
    }
}

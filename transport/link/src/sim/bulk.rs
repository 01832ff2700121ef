//! Bulk transfers on the simulated network: chunks that take their time, and are cut by what cuts
//! connections.
//!
//! A transfer is a pair of bounded queues. Bandwidth is the sender's [`crate::BulkRate`]; a chunk
//! arrives one latency after it was sent. A transfer between nodes that are cut off from each other
//! stands still, and is lost when that has lasted [`SimConfig::silence`](super::SimConfig).

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_wire::{BootId, NodeId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::world::{Between, World};
use super::{Shared, SimNetwork};
use crate::bulk::{
    BulkError, BulkOpen, BulkRefusal, BulkSink, BulkSource, BulkStream, check_header,
};
use crate::limits::{BULK_OPEN_MAX, SIM_BULK_CHUNKS_MAX};

/// One end of a transfer, as the network knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BulkEnd {
    pub(super) node: NodeId,
    pub(super) boot: BootId,
}

/// How a line stands.
pub(super) enum Line {
    Clear {
        latency: Duration,
    },
    /// Cut off from each other, which may heal, or the other is dead.
    Still {
        again: Duration,
        silence: Duration,
    },
    /// The process at this end is gone.
    Dead {
        reason: &'static str,
    },
}

/// Both ends of one transfer.
#[derive(Clone)]
struct Ends {
    network: Weak<Shared>,
    here: BulkEnd,
    there: BulkEnd,
}

fn cut(reason: impl Into<String>) -> BulkError {
    BulkError::Cut { reason: reason.into() }
}

impl Ends {
    fn line(&self) -> Line {
        match self.network.upgrade().map(SimNetwork) {
            Some(network) => network.with(|world, _| world.line(self.here, self.there)),
            None => Line::Dead { reason: "the network is gone" },
        }
    }

    /// Waits until the line is clear.
    async fn clear(&self) -> Result<Duration, BulkError> {
        let since = Instant::now();
        loop {
            match self.line() {
                Line::Clear { latency } => return Ok(latency),
                Line::Still { again, silence } if since.elapsed() < silence => sleep(again).await,
                Line::Still { .. } => return Err(cut("nothing came from it for too long")),
                Line::Dead { reason } => return Err(cut(reason)),
            }
        }
    }

    /// The other end has dropped its half: it said so, or died and says nothing.
    async fn given_up(&self) -> BulkError {
        match self.clear().await {
            Ok(_) => cut("the other end gave it up"),
            Err(error) => error,
        }
    }

    fn reversed(&self) -> Self {
        Self { network: self.network.clone(), here: self.there, there: self.here }
    }
}

/// What lies between two halves.
enum Piece {
    Chunk { bytes: Bytes, arrives: Instant },
    End { arrives: Instant },
}

struct SimSink {
    ends: Ends,
    queue: mpsc::Sender<Piece>,
}

impl SimSink {
    async fn put(&self, piece: impl FnOnce(Instant) -> Piece) -> Result<(), BulkError> {
        let latency = self.ends.clear().await?;
        let place = self.queue.reserve().await;
        let Ok(place) = place else { return Err(self.ends.given_up().await) };
        place.send(piece(Instant::now() + latency));
        Ok(())
    }
}

impl BulkSink for SimSink {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BulkError>> {
        self.put(|arrives| Piece::Chunk { bytes: chunk, arrives }).boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), BulkError>> {
        async move {
            self.put(|arrives| Piece::End { arrives }).await?;
            // The word that it has arrived comes back.
            sleep(self.ends.clear().await? * 2).await;
            self.ends.clear().await.map(drop)
        }
        .boxed()
    }
}

struct SimSource {
    ends: Ends,
    queue: mpsc::Receiver<Piece>,
    /// Taken while the transfer lives, where transfers are counted.
    _seat: Option<Arc<()>>,
}

impl BulkSource for SimSource {
    fn read(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, BulkError>> {
        async move {
            let piece = loop {
                // A dead line is only noticed by looking: nobody is left to say so.
                let look = match self.ends.line() {
                    Line::Clear { .. } => Duration::from_millis(100),
                    Line::Still { .. } => self.ends.clear().await?,
                    Line::Dead { reason } => return Err(cut(reason)),
                };
                tokio::select! {
                    biased;
                    piece = self.queue.recv() => break piece,
                    () = sleep(look) => {}
                }
            };
            let (bytes, arrives) = match piece {
                Some(Piece::Chunk { bytes, arrives }) => (Some(bytes), arrives),
                Some(Piece::End { arrives }) => (None, arrives),
                None => return Err(self.ends.given_up().await),
            };
            sleep_until(arrives).await;
            self.ends.clear().await?;
            Ok(bytes)
        }
        .boxed()
    }
}

impl World {
    fn line(&mut self, here: BulkEnd, there: BulkEnd) -> Line {
        let lives = |end: BulkEnd| {
            self.ends.get(&end.node).is_some_and(|live| live.boot == end.boot && !live.closed)
        };
        if !lives(here) {
            return Line::Dead { reason: "this process has ended" };
        }
        let config = self.config();
        let (again, silence) = (config.latency_max.max(Duration::from_millis(10)), config.silence);
        // The dead and the unreachable look alike: nothing comes from them.
        match !lives(there) || self.is_cut(Between::new(here.node, there.node)) {
            true => Line::Still { again, silence },
            false => Line::Clear { latency: self.latency() },
        }
    }
}

/// Opens a transfer from the process `here`.
pub(super) async fn open(
    network: SimNetwork,
    here: BulkEnd,
    to: NodeId,
    open: BulkOpen,
) -> Result<BulkStream, BulkError> {
    check_header(&open)?;
    let node = to.to_string();
    let unreachable =
        |reason: &str| BulkError::Unreachable { node: node.clone(), reason: reason.to_owned() };
    let boot = network.with(|world, _| world.ends.get(&to).map(|end| end.boot));
    let there = BulkEnd { node: to, boot: boot.ok_or_else(|| unreachable("nobody answers"))? };
    let known = network.with(|world, _| {
        let toward = world.ends.get(&here.node).and_then(|end| end.toward.get(&to));
        toward.is_some_and(|toward| !toward.addrs.is_empty()) || world.is_up(here.node, to)
    });
    if !known {
        return Err(unreachable("it is not known"));
    }
    let ends = Ends { network: Arc::downgrade(&network.0), here, there };
    let latency = ends.clear().await.map_err(|error| unreachable(&error.to_string()))?;
    // Handshake and hello there and back.
    sleep(latency * 4).await;
    ends.clear().await.map_err(|error| unreachable(&error.to_string()))?;
    let (back_sink, source) = mpsc::channel(SIM_BULK_CHUNKS_MAX);
    let (sink, back_source) = mpsc::channel(SIM_BULK_CHUNKS_MAX);
    let admitted = network.with(|world, _| {
        let from = world.ends.get(&here.node)?.as_peer();
        let end = world.ends.get(&to)?;
        // One is the end's own.
        let is_full = Arc::strong_count(&end.bulk_seat) > BULK_OPEN_MAX;
        let admitted = end.acceptors.admit(&from, &open).and_then(|acceptor| match is_full {
            true => Err(BulkRefusal::Busy { open: BULK_OPEN_MAX }),
            false => Ok((acceptor, end.bulk_seat.clone())),
        });
        Some((admitted, from, end.bulk_limiter.clone()))
    });
    let Some((admitted, from, limiter)) = admitted else {
        return Err(unreachable("it ended just now"));
    };
    let refused = |why| BulkError::Refused { node: node.clone(), why };
    let (acceptor, seat) = admitted.map_err(refused)?;
    let their_ends = ends.reversed();
    let theirs = BulkStream::new(
        SimSink { ends: their_ends.clone(), queue: back_sink },
        SimSource { ends: their_ends, queue: back_source, _seat: Some(seat) },
        limiter,
    );
    acceptor.accept(&from, open.header, theirs);
    let ours =
        network.with(|world, _| world.ends.get(&here.node).map(|end| end.bulk_limiter.clone()));
    let limiter = ours.ok_or_else(|| unreachable("this process has ended"))?;
    Ok(BulkStream::new(
        SimSink { ends: ends.clone(), queue: sink },
        SimSource { ends, queue: source, _seat: None },
        limiter,
    ))
}

//! [`SimLink`]: the contract on the simulated network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_wire::{BootId, Envelope, FRAME_BYTES_MAX, NodeId, NotDelivered};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};

use super::SimNetwork;
use super::bulk::{self, BulkEnd};
use super::end::{End, Queued};
use super::world::{Farewell, World};
use crate::asking::{AskBook, AskResult, AtDeadline, WaitingAsk, deadline_of};
use crate::bulk::{BulkAcceptor, BulkError, BulkOpen, BulkRate, BulkStream};
use crate::contract::{Link, Peer, PeerEvent, PeerTraffic};
use crate::frame::Lane;
use crate::limits::FRAME_OVERHEAD_BYTES_MAX;

/// A link over a [`SimNetwork`]. It belongs to one boot: after a crash, or when a newer boot of the
/// same node was started, it is closed for good.
#[derive(Clone)]
pub struct SimLink {
    network: SimNetwork,
    node: NodeId,
    boot: BootId,
    events: broadcast::Sender<PeerEvent>,
}

impl SimLink {
    pub(super) fn new(
        network: SimNetwork,
        node: NodeId,
        boot: BootId,
        events: broadcast::Sender<PeerEvent>,
    ) -> Self {
        Self { network, node, boot, events }
    }

    /// Works on the world if this boot still lives.
    fn alive<T>(&self, work: impl FnOnce(&mut World, Instant) -> T) -> Option<T> {
        let (node, boot) = (self.node, self.boot);
        self.network.with(|world, now| {
            let lives = world.ends.get(&node).is_some_and(|end| end.boot == boot && !end.closed);
            lives.then(|| work(world, now))
        })
    }

    fn with_end<T>(&self, work: impl FnOnce(&mut End) -> T) -> Option<T> {
        let node = self.node;
        self.alive(|world, _| world.ends.get_mut(&node).map(work)).flatten()
    }

    /// Queues a message and, for an ask, its place for the answer.
    fn enqueue<T>(
        &self,
        to: NodeId,
        envelope: Envelope,
        begin: impl FnOnce(&mut World, Instant) -> Result<(Option<u64>, T), NotDelivered>,
    ) -> Result<T, NotDelivered> {
        let bytes = envelope.body.len() + FRAME_OVERHEAD_BYTES_MAX;
        if bytes > FRAME_BYTES_MAX {
            return Err(NotDelivered::TooLarge { bytes, bytes_max: FRAME_BYTES_MAX });
        }
        let from = self.node;
        let queue = |world: &mut World, now: Instant| {
            let is_up = world.is_up(from, to);
            let lane = match world.config().control_kinds.iter().any(|k| k == envelope.to.kind()) {
                true => Lane::Control,
                false => Lane::User,
            };
            let known = world
                .ends
                .get(&from)
                .and_then(|end| end.toward.get(&to))
                .is_some_and(|toward| !toward.addrs.is_empty());
            if to == from || !(known || is_up) {
                let reason = "it is not known and not connected".to_owned();
                return Err(NotDelivered::Unreachable { node: to.to_string(), reason });
            }
            let (ask, begun) = begin(world, now)?;
            let deadline = deadline_of(&envelope, now);
            let end = world.ends.get_mut(&from).expect("checked to be alive");
            end.enqueue(to, Queued { ask, lane, envelope, deadline }, now)?;
            match is_up {
                true => world.flush(from, to, now),
                false => world.ensure_dialing(from, to, now),
            }
            Ok(begun)
        };
        let stopped = || NotDelivered::Stopped("the link is closed".to_owned());
        self.alive(queue).ok_or_else(stopped)?
    }
}

impl Link for SimLink {
    fn this_node(&self) -> NodeId {
        self.node
    }

    fn boot(&self) -> BootId {
        self.boot
    }

    fn know(&self, node: NodeId, addrs: Vec<SocketAddr>) {
        let from = self.node;
        self.alive(|world, _| {
            if let Some(end) = world.ends.get_mut(&from) {
                end.toward.entry(node).or_default().addrs = addrs;
            }
        });
    }

    fn forget(&self, node: NodeId) {
        let from = self.node;
        self.alive(|world, now| world.forget(from, node, now));
    }

    fn tell(&self, to: NodeId, envelope: Envelope) -> Result<(), NotDelivered> {
        self.enqueue(to, envelope, |_, _| Ok((None, ())))
    }

    fn ask(&self, to: NodeId, envelope: Envelope) -> BoxFuture<'static, AskResult> {
        let from = self.node;
        let timeout_ms = envelope.deadline_ms;
        let begun = self.enqueue(to, envelope, |world, now| {
            let deadline = now + Duration::from_millis(u64::from(timeout_ms));
            let end = world.ends.get_mut(&from).expect("checked to be alive");
            let (id, outcome) = end.begin_ask(to, deadline)?;
            Ok((Some(id), (id, outcome, deadline)))
        });
        match begun {
            Ok((id, outcome, deadline)) => {
                let book = Arc::new(self.clone());
                WaitingAsk { book, id, outcome, deadline }.outcome().boxed()
            }
            Err(refusal) => std::future::ready(Err(refusal.into())).boxed(),
        }
    }

    fn events(&self) -> broadcast::Receiver<PeerEvent> {
        self.events.subscribe()
    }

    fn peers(&self) -> Vec<Peer> {
        let node = self.node;
        self.alive(|world, _| world.peers(node)).unwrap_or_default()
    }

    fn traffic(&self) -> Vec<PeerTraffic> {
        // Nothing is counted where latency and loss are made up.
        self.peers().into_iter().map(|peer| PeerTraffic { peer, counts: None }).collect()
    }

    fn open_bulk(
        &self,
        to: NodeId,
        open: BulkOpen,
    ) -> BoxFuture<'static, Result<BulkStream, BulkError>> {
        let here = BulkEnd { node: self.node, boot: self.boot };
        bulk::open(self.network.clone(), here, to, open).boxed()
    }

    fn accept_bulk(&self, kind: &str, acceptor: Arc<dyn BulkAcceptor>) {
        let acceptors = self.with_end(|end| end.acceptors.clone());
        if let Some(acceptors) = acceptors {
            acceptors.set(kind, acceptor);
        }
    }

    fn set_bulk_rate(&self, rate: BulkRate) {
        self.with_end(|end| end.bulk_limiter.set(rate));
    }

    fn close(&self, grace: Duration) -> BoxFuture<'static, ()> {
        let node = self.node;
        let arrived = self.alive(|world, now| {
            let peers: Vec<NodeId> = world.peers(node).iter().map(|peer| peer.node).collect();
            let goodbye = |to| world.close(node, to, Farewell::Goodbye, now);
            let arrived = peers.into_iter().filter_map(goodbye).max().unwrap_or(now);
            if let Some(end) = world.ends.get_mut(&node) {
                end.stop_asks(None, "the link is closing");
                end.closed = true;
            }
            // The acknowledgement comes back.
            (arrived + world.config().latency_max).min(now + grace)
        });
        let (network, boot) = (self.network.clone(), self.boot);
        async move {
            let Some(arrived) = arrived else { return };
            sleep_until(arrived).await;
            network.end(node, boot);
        }
        .boxed()
    }
}

impl AskBook for SimLink {
    fn at_deadline(&self, id: u64) -> AtDeadline {
        let (node, boot) = (self.node, self.boot);
        self.network.with(|world, _| match world.ends.get_mut(&node) {
            Some(end) if end.boot == boot => end.at_deadline(id),
            _ => AtDeadline::Sent,
        })
    }

    fn abandon(&self, id: u64) {
        let (node, boot) = (self.node, self.boot);
        self.network.with(|world, _| {
            if let Some(end) = world.ends.get_mut(&node).filter(|end| end.boot == boot) {
                end.abandon(id);
            }
        });
    }
}

//! One process on the simulated network.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use gantry_wire::{AskError, BootId, Envelope, NodeId, NotDelivered, Role};
use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::asking::{AskResult, AtDeadline};
use crate::bulk::{Acceptors, RateLimiter};
use crate::contract::{Certainty, Inbound, Peer, PeerEvent};
use crate::frame::Lane;
use crate::hello::{FEATURES, protocol_version};
use crate::limits::{
    ASKS_PER_PEER_MAX, EVENTS_BUFFERED, SEND_QUEUE_BYTES_MAX, SEND_QUEUE_MESSAGES_MAX,
};

/// A message that waits for a connection.
pub(super) struct Queued {
    pub(super) ask: Option<u64>,
    pub(super) lane: Lane,
    pub(super) envelope: Envelope,
    pub(super) deadline: Instant,
}

/// An ask without an answer.
pub(super) struct PendingAsk {
    pub(super) to: NodeId,
    pub(super) reply: Option<oneshot::Sender<AskResult>>,
    pub(super) deadline: Instant,
    /// The connection that took it.
    pub(super) sent: Option<u64>,
}

/// What an end keeps about one other.
#[derive(Default)]
pub(super) struct Toward {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) queue_bytes: usize,
    pub(super) dialing: bool,
    pub(super) dials: u32,
    pub(super) probe_until: Option<Instant>,
    pub(super) last_down: Option<(BootId, Certainty)>,
}

/// A process: its identity, its link's state, and who takes what comes.
pub(super) struct End {
    pub(super) node: NodeId,
    pub(super) boot: BootId,
    pub(super) role: Role,
    pub(super) addr: SocketAddr,
    pub(super) inbound: Arc<dyn Inbound>,
    pub(super) events: broadcast::Sender<PeerEvent>,
    /// Cancelled when the process dies: what it was doing stops.
    pub(super) life: CancellationToken,
    pub(super) closed: bool,
    pub(super) toward: BTreeMap<NodeId, Toward>,
    pub(super) asks: BTreeMap<u64, PendingAsk>,
    next_ask: u64,
    pub(super) acceptors: Acceptors,
    pub(super) bulk_limiter: Arc<RateLimiter>,
    /// Held once by each transfer that a peer has open here.
    pub(super) bulk_seat: Arc<()>,
}

impl End {
    pub(super) fn new(
        node: NodeId,
        boot: BootId,
        role: Role,
        addr: SocketAddr,
        inbound: Arc<dyn Inbound>,
    ) -> Self {
        Self {
            node,
            boot,
            role,
            addr,
            inbound,
            events: broadcast::channel(EVENTS_BUFFERED).0,
            life: CancellationToken::new(),
            closed: false,
            toward: BTreeMap::new(),
            asks: BTreeMap::new(),
            next_ask: 0,
            acceptors: Acceptors::default(),
            bulk_limiter: Arc::new(RateLimiter::new()),
            bulk_seat: Arc::default(),
        }
    }

    pub(super) fn as_peer(&self) -> Peer {
        let Self { node, role, boot, addr, .. } = *self;
        let features = FEATURES.iter().map(ToString::to_string).collect();
        Peer { node, role, boot, addr, version: protocol_version(), features }
    }

    pub(super) fn is_node(&self) -> bool {
        matches!(self.role, Role::Candidate | Role::Node)
    }

    pub(super) fn announce(&self, event: PeerEvent) {
        // No subscriber is no error: the picture can be asked for.
        drop(self.events.send(event));
    }

    /// Puts a message into the queue to `to`, within the limits of every link.
    pub(super) fn enqueue(
        &mut self,
        to: NodeId,
        queued: Queued,
        now: Instant,
    ) -> Result<(), NotDelivered> {
        self.drop_expired(to, now);
        let toward = self.toward.entry(to).or_default();
        let cost = queued.envelope.cost_bytes();
        let is_full = toward.queue.len() >= SEND_QUEUE_MESSAGES_MAX
            || toward.queue_bytes + cost > SEND_QUEUE_BYTES_MAX;
        if is_full {
            return Err(NotDelivered::MailboxFull(format!("the link to node {to}")));
        }
        toward.queue_bytes += cost;
        toward.queue.push_back(queued);
        Ok(())
    }

    /// Makes an ask that waits for its answer.
    pub(super) fn begin_ask(
        &mut self,
        to: NodeId,
        deadline: Instant,
    ) -> Result<(u64, oneshot::Receiver<AskResult>), NotDelivered> {
        let unanswered = self.asks.values().filter(|ask| ask.to == to).count();
        if unanswered >= ASKS_PER_PEER_MAX {
            let link = format!("the link to node {to} ({unanswered} asks unanswered)");
            return Err(NotDelivered::MailboxFull(link));
        }
        let id = self.next_ask;
        self.next_ask += 1;
        let (reply, outcome) = oneshot::channel();
        self.asks.insert(id, PendingAsk { to, reply: Some(reply), deadline, sent: None });
        Ok((id, outcome))
    }

    /// The next message for `to`, if its sender still wants it sent.
    pub(super) fn pop(&mut self, to: NodeId, connection: u64) -> Option<Queued> {
        let toward = self.toward.get_mut(&to)?;
        loop {
            let queued = toward.queue.pop_front()?;
            toward.queue_bytes -= queued.envelope.cost_bytes();
            let Some(id) = queued.ask else { return Some(queued) };
            let Some(ask) = self.asks.get_mut(&id) else { continue };
            ask.sent = Some(connection);
            if ask.reply.is_none() {
                self.asks.remove(&id);
            }
            return Some(queued);
        }
    }

    /// Drops what nobody waits for any more.
    pub(super) fn drop_expired(&mut self, to: NodeId, now: Instant) {
        let Some(toward) = self.toward.get_mut(&to) else { return };
        let (asks, mut freed) = (&self.asks, 0);
        toward.queue.retain(|queued| {
            let withdrawn = queued.ask.is_some_and(|id| !asks.contains_key(&id));
            let keep = queued.deadline > now && !withdrawn;
            freed += if keep { 0 } else { queued.envelope.cost_bytes() };
            keep
        });
        toward.queue_bytes -= freed;
        self.asks.retain(|_, ask| ask.reply.is_some() || ask.deadline > now);
    }

    /// Whether a connection to `to` is needed.
    pub(super) fn wants(&self, to: NodeId, now: Instant) -> bool {
        !self.closed
            && self.toward.get(&to).is_some_and(|toward| {
                !toward.addrs.is_empty()
                    && (!toward.queue.is_empty()
                        || toward.probe_until.is_some_and(|until| now < until))
            })
    }

    /// A reply came on a connection.
    pub(super) fn complete(&mut self, connection: u64, id: u64, result: AskResult) {
        if self.asks.get(&id).is_some_and(|ask| ask.sent == Some(connection))
            && let Some(ask) = self.asks.remove(&id)
        {
            ask.answer(result);
        }
    }

    /// A connection ended: what it took has an unknown outcome.
    pub(super) fn fail_sent(&mut self, connection: u64, reason: &str) {
        let lost: Vec<u64> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.sent == Some(connection))
            .map(|(id, _)| *id)
            .collect();
        for ask in lost.into_iter().filter_map(|id| self.asks.remove(&id)) {
            ask.answer(Err(AskError::Unknown(reason.to_owned())));
        }
    }

    /// Ends every ask, to one peer or to all.
    pub(super) fn stop_asks(&mut self, to: Option<NodeId>, reason: &str) {
        let concerned = |ask: &PendingAsk| to.is_none_or(|to| ask.to == to);
        let ids: Vec<u64> =
            self.asks.iter().filter(|(_, ask)| concerned(ask)).map(|(id, _)| *id).collect();
        for ask in ids.into_iter().filter_map(|id| self.asks.remove(&id)) {
            let outcome = match ask.sent {
                None => NotDelivered::Stopped(reason.to_owned()).into(),
                Some(_) => AskError::Unknown(reason.to_owned()),
            };
            ask.answer(Err(outcome));
        }
    }

    pub(super) fn at_deadline(&mut self, id: u64) -> AtDeadline {
        match self.asks.get(&id) {
            Some(ask) if ask.sent.is_none() => {
                let node = ask.to.to_string();
                self.asks.remove(&id);
                let reason = "no connection before the deadline".to_owned();
                AtDeadline::NotSent(NotDelivered::Unreachable { node, reason }.into())
            }
            _ => AtDeadline::Sent,
        }
    }

    pub(super) fn abandon(&mut self, id: u64) {
        match self.asks.get_mut(&id) {
            Some(ask) if ask.sent.is_none() => ask.reply = None,
            _ => {
                self.asks.remove(&id);
            }
        }
    }
}

impl PendingAsk {
    fn answer(self, result: AskResult) {
        if let Some(reply) = self.reply {
            // The caller may have gone this very moment.
            drop(reply.send(result));
        }
    }
}

//! What one side keeps per peer: queues, asks without an answer, the connection, and its life.
//!
//! A [`PeerCell`] outlives connections: what is queued waits for the next one. All of it is under
//! one short lock that is never held across an await. Senders on any thread use it; connections are
//! made and ended only on the network thread.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_wire::{AskError, BootId, Envelope, NodeId, NotDelivered, Role};
use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;

use super::rivalry::{Rivalry, Verdict};
use super::session::Session;
use crate::asking::{AskBook, AskResult, AtDeadline, remaining_ms};
use crate::contract::{Certainty, PeerEvent};
use crate::frame::Lane;
use crate::hello::{AcceptedDial, Hello};
use crate::limits::{
    ASKS_PER_PEER_MAX, PEER_SILENCE, SEND_QUEUE_BYTES_MAX, SEND_QUEUE_MESSAGES_MAX,
    WRITE_BATCH_BYTES,
};

/// A message that has not been given to a stream yet.
pub(super) struct Queued {
    pub(super) ask: Option<u64>,
    pub(super) envelope: Envelope,
    deadline: Instant,
}

/// An ask that its caller still waits for, or has left in the queue.
struct PendingAsk {
    /// `None` when the caller stopped waiting before the deadline: the message is still sent.
    reply: Option<oneshot::Sender<AskResult>>,
    deadline: Instant,
    /// The session and lane whose stream took it.
    sent: Option<(u64, Lane)>,
}

struct PeerState {
    addrs: Vec<SocketAddr>,
    queues: [VecDeque<Queued>; 2],
    queue_bytes: usize,
    asks: BTreeMap<u64, PendingAsk>,
    next_ask: u64,
    session: Option<Arc<Session>>,
    rivalry: Rivalry,
    /// The last boot whose connection ended, and the highest certainty told of it.
    last_down: Option<(BootId, Certainty)>,
    dialing: bool,
    /// Dial until then even if nothing waits: to learn whether a lost peer lives.
    probe_until: Option<Instant>,
    last_failure: Option<String>,
    /// Nothing more is accepted for sending.
    closing: bool,
}

/// One peer.
pub(super) struct PeerCell {
    pub(super) node: NodeId,
    state: Mutex<PeerState>,
    events: broadcast::Sender<PeerEvent>,
}

/// What became of an attempt to make a connection the connection.
pub(super) enum Admission {
    /// It is, and the one before, if any, has to be closed.
    Admitted {
        /// The connection that was given up.
        replaced: Option<Arc<Session>>,
    },
    /// It is not.
    Refused(Verdict),
}

impl PeerCell {
    pub(super) fn new(
        node: NodeId,
        us: NodeId,
        our_boot: BootId,
        events: broadcast::Sender<PeerEvent>,
    ) -> Self {
        let state = PeerState {
            addrs: Vec::new(),
            queues: [VecDeque::new(), VecDeque::new()],
            queue_bytes: 0,
            asks: BTreeMap::new(),
            next_ask: 0,
            session: None,
            rivalry: Rivalry::new(us, our_boot, node),
            last_down: None,
            dialing: false,
            probe_until: None,
            last_failure: None,
            closing: false,
        };
        Self { node, state: Mutex::new(state), events }
    }

    fn lock(&self) -> MutexGuard<'_, PeerState> {
        // No code under this lock can leave it half changed, so a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_addrs(&self, addrs: Vec<SocketAddr>) {
        self.lock().addrs = addrs;
    }

    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        self.lock().addrs.clone()
    }

    /// Whether it leads nowhere: no address and no connection.
    pub(super) fn is_spent(&self) -> bool {
        let state = self.lock();
        state.addrs.is_empty() && state.session.is_none()
    }

    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.lock().session.clone()
    }

    // ---- sending --------------------------------------------------------------------------

    /// Queues a message. `Ok(true)` when somebody has to dial.
    pub(super) fn enqueue_tell(
        &self,
        lane: Lane,
        envelope: Envelope,
        deadline: Instant,
    ) -> Result<bool, NotDelivered> {
        self.lock().enqueue(self.node, lane, Queued { ask: None, envelope, deadline })
    }

    /// Queues an ask; the receiver gets its outcome.
    pub(super) fn enqueue_ask(
        &self,
        lane: Lane,
        envelope: Envelope,
        deadline: Instant,
    ) -> Result<(u64, oneshot::Receiver<AskResult>, bool), NotDelivered> {
        let mut state = self.lock();
        if state.asks.len() >= ASKS_PER_PEER_MAX {
            let link =
                format!("the link to node {} ({} asks unanswered)", self.node, state.asks.len());
            return Err(NotDelivered::MailboxFull(link));
        }
        let id = state.next_ask;
        state.next_ask += 1;
        let dial = state.enqueue(self.node, lane, Queued { ask: Some(id), envelope, deadline })?;
        let (reply, outcome) = oneshot::channel();
        state.asks.insert(id, PendingAsk { reply: Some(reply), deadline, sent: None });
        Ok((id, outcome, dial))
    }

    /// The next messages for a lane of `session`, appended to `out`. Asks in it count as sent from
    /// here on. `false` when the session is not the connection any more.
    pub(super) fn next_batch(&self, session: u64, lane: Lane, out: &mut Vec<Queued>) -> bool {
        let mut state = self.lock();
        if state.session.as_ref().is_none_or(|current| current.id != session) {
            return false;
        }
        if state.queues[lane.index()].is_empty() {
            return true;
        }
        let (now, mut bytes) = (Instant::now(), 0);
        while bytes < WRITE_BATCH_BYTES {
            let Some(mut queued) = state.pop(lane) else { break };
            bytes += queued.envelope.cost_bytes();
            queued.envelope.deadline_ms = remaining_ms(queued.deadline, now);
            if let Some(id) = queued.ask {
                let Some(ask) = state.asks.get_mut(&id) else { continue };
                ask.sent = Some((session, lane));
                let nobody_waits = ask.reply.is_none();
                if nobody_waits {
                    state.asks.remove(&id);
                }
            }
            out.push(queued);
        }
        true
    }

    /// Whether nothing more is accepted for sending.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Whether nothing waits on a lane and nothing more will.
    pub(super) fn is_drained(&self, lane: Lane) -> bool {
        let state = self.lock();
        state.closing && state.queues[lane.index()].is_empty()
    }

    // ---- asks -----------------------------------------------------------------------------

    /// A reply came on a session.
    pub(super) fn complete(&self, session: u64, id: u64, result: AskResult) {
        let mut state = self.lock();
        let is_of_session =
            state.asks.get(&id).is_some_and(|ask| matches!(ask.sent, Some((s, _)) if s == session));
        if is_of_session && let Some(ask) = state.asks.remove(&id) {
            ask.answer(result);
        }
    }

    /// A lane's stream broke: what was sent on it has an unknown outcome.
    pub(super) fn lane_broke(&self, session: u64, lane: Lane, reason: &str) {
        self.lock().fail_sent(reason, |sent| sent == (session, lane));
    }

    /// Throws away what nobody waits for any more.
    pub(super) fn sweep(&self, now: Instant) {
        let mut state = self.lock();
        if state.session.is_none() {
            let dropped = state.drop_expired(now);
            if dropped > 0 {
                tracing::warn!(peer = %self.node, dropped, "messages expired before a connection");
            }
        }
        state.asks.retain(|_, ask| ask.reply.is_some() || ask.deadline > now);
    }

    // ---- dialing --------------------------------------------------------------------------

    /// Claims the right to dial: one at a time.
    pub(super) fn claim_dialing(&self) -> bool {
        let mut state = self.lock();
        let free = !state.dialing && state.session.is_none() && !state.closing;
        state.dialing |= free;
        free
    }

    /// Where to dial next; `None` gives the right back: connected, closing, or nothing waits.
    pub(super) fn dial_targets(&self, now: Instant) -> Option<Vec<SocketAddr>> {
        let mut state = self.lock();
        state.drop_expired(now);
        let wanted = state.queues.iter().any(|queue| !queue.is_empty())
            || state.probe_until.is_some_and(|until| now < until);
        if state.session.is_none() && !state.closing && wanted && !state.addrs.is_empty() {
            return Some(state.addrs.clone());
        }
        state.dialing = false;
        None
    }

    pub(super) fn begin_dial(&self, dial: u64) -> Result<Option<AcceptedDial>, Verdict> {
        self.lock().rivalry.begin_dial(dial)
    }

    pub(super) fn dial_failed(&self, dial: u64) {
        self.lock().rivalry.dial_failed(dial);
    }

    pub(super) fn note_failure(&self, reason: String) {
        self.lock().last_failure = Some(reason);
    }

    // ---- life -----------------------------------------------------------------------------

    /// Their hello came on `session`.
    pub(super) fn admit_accepted(&self, hello: &Hello, session: &Arc<Session>) -> Admission {
        let mut state = self.lock();
        if state.closing {
            return Admission::Refused(Verdict::Stale);
        }
        let verdict = state.rivalry.on_hello(session.peer.boot, hello.dial, hello.accepted);
        self.admit(&mut state, verdict, session)
    }

    /// Their reply to our hello came on `session`.
    pub(super) fn admit_dialed(&self, dial: u64, session: &Arc<Session>) -> Admission {
        let mut state = self.lock();
        if state.closing {
            return Admission::Refused(Verdict::Stale);
        }
        let verdict = state.rivalry.on_reply(dial, session.peer.boot);
        self.admit(&mut state, verdict, session)
    }

    fn admit(&self, state: &mut PeerState, verdict: Verdict, session: &Arc<Session>) -> Admission {
        if verdict != Verdict::Accept {
            return Admission::Refused(verdict);
        }
        let boot = session.peer.boot;
        let replaced = state.session.take();
        if let Some(old) = &replaced {
            let certainty = if old.peer.boot == boot { Certainty::Silent } else { Certainty::Gone };
            self.down(state, old, certainty, "a newer connection replaced it");
        } else if let Some((last, told)) = state.last_down
            && last != boot
            && told < Certainty::Gone
        {
            state.rivalry.boot_ended(last);
            self.tell_down(last, Certainty::Gone, "a new boot of it appeared".to_owned());
        }
        state.last_down = None;
        state.last_failure = None;
        state.probe_until = None;
        state.session = Some(session.clone());
        if session.peer.role == Role::Lapsed {
            let dropped = state.refuse_queued(self.node);
            if dropped > 0 {
                tracing::warn!(peer = %self.node, dropped, "messages to a lapsed node dropped");
            }
        }
        tracing::info!(peer = %self.node, %boot, role = %session.peer.role, "peer is up");
        self.announce(PeerEvent::Up(session.peer.clone()));
        Admission::Admitted { replaced }
    }

    /// A session ended. `true` when somebody should look whether the peer lives, or messages wait.
    pub(super) fn session_ended(
        &self,
        session: &Session,
        certainty: Certainty,
        reason: &str,
    ) -> bool {
        let mut state = self.lock();
        if state.session.as_ref().is_none_or(|current| current.id != session.id) {
            return false;
        }
        state.session = None;
        state.rivalry.ended();
        self.down(&mut state, session, certainty, reason);
        if certainty >= Certainty::Gone {
            state.rivalry.boot_ended(session.peer.boot);
        } else {
            state.probe_until = Some(Instant::now() + PEER_SILENCE);
        }
        !state.addrs.is_empty() && !state.closing
    }

    fn down(&self, state: &mut PeerState, session: &Session, certainty: Certainty, reason: &str) {
        state.fail_sent(reason, |(of, _)| of == session.id);
        state.last_down = Some((session.peer.boot, certainty));
        self.tell_down(session.peer.boot, certainty, reason.to_owned());
    }

    fn tell_down(&self, boot: BootId, certainty: Certainty, reason: String) {
        tracing::info!(peer = %self.node, %boot, ?certainty, reason, "peer is down");
        self.announce(PeerEvent::Down { node: self.node, boot, certainty, reason });
    }

    fn announce(&self, event: PeerEvent) {
        // No subscriber is no error: the picture can be asked for.
        drop(self.events.send(event));
    }

    /// The link has ended.
    pub(super) fn drop_session(&self) {
        drop(self.lock().session.take());
    }

    /// Stops taking messages. Asks end now; accepted tells are still written where there is a
    /// connection, unless `drop_queued`.
    pub(super) fn close(&self, drop_queued: bool, reason: &str) -> Option<Arc<Session>> {
        let mut state = self.lock();
        state.closing = true;
        for (_, ask) in std::mem::take(&mut state.asks) {
            let outcome = match ask.sent {
                None => NotDelivered::Stopped(reason.to_owned()).into(),
                Some(_) => AskError::Unknown(reason.to_owned()),
            };
            ask.answer(Err(outcome));
        }
        if drop_queued || state.session.is_none() {
            let dropped: usize = state.queues.iter().map(VecDeque::len).sum();
            state.queues = [VecDeque::new(), VecDeque::new()];
            state.queue_bytes = 0;
            if dropped > 0 {
                tracing::warn!(peer = %self.node, dropped, reason, "queued messages dropped");
            }
        }
        state.session.clone()
    }
}

impl AskBook for PeerCell {
    fn at_deadline(&self, id: u64) -> AtDeadline {
        let mut state = self.lock();
        match state.asks.get(&id) {
            Some(PendingAsk { sent: None, .. }) => {
                state.asks.remove(&id);
                let reason = match (&state.session, &state.last_failure) {
                    (Some(_), _) => "it does not take what is sent".to_owned(),
                    (None, Some(failure)) => failure.clone(),
                    (None, None) => "no connection before the deadline".to_owned(),
                };
                AtDeadline::NotSent(unreachable(self.node, reason).into())
            }
            _ => AtDeadline::Sent,
        }
    }

    fn abandon(&self, id: u64) {
        let mut state = self.lock();
        match state.asks.get_mut(&id) {
            Some(ask) if ask.sent.is_none() => ask.reply = None,
            _ => {
                state.asks.remove(&id);
            }
        }
    }
}

impl PeerState {
    fn enqueue(&mut self, node: NodeId, lane: Lane, queued: Queued) -> Result<bool, NotDelivered> {
        if self.closing {
            return Err(NotDelivered::Stopped(format!("the link to node {node}")));
        }
        if self.session.is_none() && self.addrs.is_empty() {
            return Err(unreachable(node, "it is not known and not connected".to_owned()));
        }
        if self.session.as_ref().is_some_and(|session| session.peer.role == Role::Lapsed) {
            return Err(lapsed(node));
        }
        let cost = queued.envelope.cost_bytes();
        if self.is_full(cost) && self.session.is_none() {
            self.drop_expired(Instant::now());
        }
        if self.is_full(cost) {
            return Err(NotDelivered::MailboxFull(format!("the link to node {node}")));
        }
        self.queue_bytes += cost;
        self.queues[lane.index()].push_back(queued);
        match &self.session {
            Some(session) => {
                session.wake(lane);
                Ok(false)
            }
            None => Ok(!self.dialing),
        }
    }

    fn is_full(&self, cost: usize) -> bool {
        self.queue_bytes + cost > SEND_QUEUE_BYTES_MAX
            || self.queues.iter().map(VecDeque::len).sum::<usize>() >= SEND_QUEUE_MESSAGES_MAX
    }

    /// Nothing that waits may go to this peer; returns how many tells were among it.
    fn refuse_queued(&mut self, node: NodeId) -> usize {
        let queues = std::mem::take(&mut self.queues);
        self.queue_bytes = 0;
        let mut tells = 0;
        for queued in queues.into_iter().flatten() {
            match queued.ask {
                None => tells += 1,
                Some(id) => {
                    if let Some(ask) = self.asks.remove(&id) {
                        ask.answer(Err(lapsed(node).into()));
                    }
                }
            }
        }
        tells
    }

    fn pop(&mut self, lane: Lane) -> Option<Queued> {
        let queued = self.queues[lane.index()].pop_front()?;
        self.queue_bytes -= queued.envelope.cost_bytes();
        Some(queued)
    }

    /// Drops queued messages whose deadline passed; returns how many tells were among them. The
    /// outcome of an ask is told by who waits for it.
    fn drop_expired(&mut self, now: Instant) -> usize {
        let (asks, mut freed, mut tells) = (&self.asks, 0, 0);
        for queue in &mut self.queues {
            queue.retain(|queued| {
                let withdrawn = queued.ask.is_some_and(|id| !asks.contains_key(&id));
                let keep = queued.deadline > now && !withdrawn;
                if !keep {
                    freed += queued.envelope.cost_bytes();
                    tells += usize::from(queued.ask.is_none());
                }
                keep
            });
        }
        self.queue_bytes -= freed;
        tells
    }

    fn fail_sent(&mut self, reason: &str, is_lost: impl Fn((u64, Lane)) -> bool) {
        let lost: Vec<u64> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.sent.is_some_and(&is_lost))
            .map(|(id, _)| *id)
            .collect();
        for ask in lost.into_iter().filter_map(|id| self.asks.remove(&id)) {
            ask.answer(Err(AskError::Unknown(reason.to_owned())));
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

/// Only an authority that is being retired stands for it, whose key others may have: it is
/// answered, so that it can renew, and told nothing.
fn lapsed(node: NodeId) -> NotDelivered {
    let reason = "its certificate is of the authority that was replaced; it has to renew it first";
    unreachable(node, reason.to_owned())
}

pub(super) fn unreachable(node: NodeId, reason: String) -> NotDelivered {
    NotDelivered::Unreachable { node: node.to_string(), reason }
}

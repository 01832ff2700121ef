//! What all tasks of one link share, and the tasks that belong to no lane.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use gantry_wire::{BootId, Envelope, NodeId, NotDelivered, Role};
use quinn::{ConnectionError, Endpoint};
use tokio::sync::broadcast;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::cell::{PeerCell, unreachable};
use super::close_code::CloseCode;
use super::handshake::{DialError, accept, dial};
use super::inbound_asks::InboundAsks;
use super::lane::{accept_lanes, keep_lane};
use super::session::Session;
use super::tasks::Tasks;
use super::tls::Tls;
use super::transfers::Transfers;
use crate::bulk::{Acceptors, RateLimiter};
use crate::contract::{Certainty, Inbound, Peer, PeerEvent};
use crate::frame::{FRAME_BYTES_MAX, Lane, UNPROVEN_FRAME_BYTES_MAX};
use crate::identity::ClusterUuid;
use crate::limits::{
    BACKOFF_FIRST, BACKOFF_MAX, BULK_OPEN_MAX, CLIENTS_MAX, FRAME_OVERHEAD_BYTES_MAX,
    HALF_OPEN_MAX, HANDSHAKES_PER_SECOND_MAX, JOINER_SESSION_MAX, JOINERS_MAX, PEER_SILENCE,
    SWEEP_INTERVAL,
};

/// How long what came before a connection was lost may take to be read.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// The shared part of a link.
pub(super) struct Hub {
    pub(super) node: NodeId,
    pub(super) boot: BootId,
    /// A joiner belongs to none.
    pub(super) cluster: Option<ClusterUuid>,
    pub(super) inbound: Arc<dyn Inbound>,
    pub(super) events: broadcast::Sender<PeerEvent>,
    pub(super) stop: CancellationToken,
    control_kinds: Vec<String>,
    frame_bytes_max: usize,
    /// Everything that this link does runs there.
    pub(super) tasks: Arc<Tasks>,
    endpoint: Mutex<Option<Endpoint>>,
    tls: Mutex<Arc<Tls>>,
    transport: Arc<quinn::TransportConfig>,
    cells: RwLock<BTreeMap<NodeId, Arc<PeerCell>>>,
    closed: AtomicBool,
    last_session: AtomicU64,
    last_dial: AtomicU64,
    half_open: Arc<AtomicUsize>,
    clients: Arc<AtomicUsize>,
    joiners: Arc<AtomicUsize>,
    pub(super) acceptors: Acceptors,
    pub(super) bulk_limiter: Arc<RateLimiter>,
    bulk_open: Arc<AtomicUsize>,
    pub(super) transfers: Transfers,
}

/// What a hub is made from.
pub(super) struct HubParts {
    pub(super) node: NodeId,
    pub(super) boot: BootId,
    pub(super) cluster: Option<ClusterUuid>,
    pub(super) inbound: Arc<dyn Inbound>,
    pub(super) events: broadcast::Sender<PeerEvent>,
    pub(super) control_kinds: Vec<String>,
    pub(super) tasks: Arc<Tasks>,
    pub(super) endpoint: Endpoint,
    pub(super) tls: Tls,
    pub(super) transport: Arc<quinn::TransportConfig>,
}

impl Hub {
    pub(super) fn new(parts: HubParts) -> Self {
        // A peer without a certificate would have its stream closed for more.
        let frame_bytes_max = match parts.cluster {
            Some(_) => FRAME_BYTES_MAX,
            None => UNPROVEN_FRAME_BYTES_MAX,
        };
        Self {
            node: parts.node,
            boot: parts.boot,
            cluster: parts.cluster,
            inbound: parts.inbound,
            events: parts.events,
            stop: CancellationToken::new(),
            control_kinds: parts.control_kinds,
            frame_bytes_max,
            tasks: parts.tasks,
            endpoint: Mutex::new(Some(parts.endpoint)),
            tls: Mutex::new(Arc::new(parts.tls)),
            transport: parts.transport,
            cells: RwLock::new(BTreeMap::new()),
            closed: AtomicBool::new(false),
            last_session: AtomicU64::new(0),
            last_dial: AtomicU64::new(0),
            half_open: Arc::new(AtomicUsize::new(0)),
            clients: Arc::new(AtomicUsize::new(0)),
            joiners: Arc::new(AtomicUsize::new(0)),
            acceptors: Acceptors::default(),
            bulk_limiter: Arc::new(RateLimiter::new()),
            bulk_open: Arc::new(AtomicUsize::new(0)),
            transfers: Transfers::default(),
        }
    }

    // ---- parts ----------------------------------------------------------------------------

    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of the socket, as the link is about to end: whoever still holds the link
    /// must not keep the port.
    pub(super) fn let_go(&self) {
        drop(self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.all_cells().iter().for_each(|cell| cell.drop_session());
        self.transfers.close("the link has ended");
    }

    /// How to dial now, and what that is done with.
    pub(super) fn client_config(&self) -> (quinn::ClientConfig, Arc<Tls>) {
        let tls = self.tls();
        let mut config = quinn::ClientConfig::new(tls.client.clone());
        config.transport_config(self.transport.clone());
        (config, tls)
    }

    /// What TLS is done with now.
    pub(super) fn tls(&self) -> Arc<Tls> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Handshakes from now on use these.
    pub(super) fn replace_tls(&self, tls: Arc<Tls>) {
        if let (Some(endpoint), Some(server)) = (self.endpoint(), &tls.server) {
            endpoint.set_server_config(Some(server_config(server.clone(), &self.transport)));
        }
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls;
    }

    pub(super) fn next_session(&self) -> u64 {
        self.last_session.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn next_dial(&self) -> u64 {
        self.last_dial.fetch_add(1, Ordering::Relaxed) + 1
    }

    // ---- cells ----------------------------------------------------------------------------

    pub(super) fn cell(&self, node: NodeId) -> Option<Arc<PeerCell>> {
        self.cells.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    pub(super) fn cell_or_new(&self, node: NodeId) -> Arc<PeerCell> {
        if let Some(cell) = self.cell(node) {
            return cell;
        }
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        let make = || PeerCell::new(node, self.node, self.boot, self.events.clone());
        cells.entry(node).or_insert_with(|| Arc::new(make())).clone()
    }

    pub(super) fn all_cells(&self) -> Vec<Arc<PeerCell>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.values().cloned().collect()
    }

    pub(super) fn remove_cell(&self, node: NodeId) -> Option<Arc<PeerCell>> {
        self.cells.write().unwrap_or_else(PoisonError::into_inner).remove(&node)
    }

    /// Throws away the cell of a peer whose id was made for one connection. A node's stays: its
    /// next boot proves that the last one is gone.
    pub(super) fn retire(&self, cell: &PeerCell, role: Role) {
        let is_node = matches!(role, Role::Candidate | Role::Node | Role::Lapsed);
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if !is_node && cell.is_spent() {
            cells.remove(&cell.node);
        }
    }

    pub(super) fn peers(&self) -> Vec<Peer> {
        self.sessions().iter().map(|session| session.peer.clone()).collect()
    }

    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.all_cells().into_iter().filter_map(|cell| cell.session()).collect()
    }

    // ---- sending --------------------------------------------------------------------------

    /// The cell and lane that a message takes.
    pub(super) fn route(
        &self,
        to: NodeId,
        envelope: &Envelope,
    ) -> Result<(Arc<PeerCell>, Lane), NotDelivered> {
        if self.closed.load(Ordering::Acquire) {
            return Err(NotDelivered::Stopped("the link is closed".to_owned()));
        }
        let bytes = envelope.body.len() + FRAME_OVERHEAD_BYTES_MAX;
        if bytes > self.frame_bytes_max {
            return Err(NotDelivered::TooLarge { bytes, bytes_max: self.frame_bytes_max });
        }
        let unknown = || unreachable(to, "it is not known and not connected".to_owned());
        let cell = self.cell(to).ok_or_else(unknown)?;
        let kind = envelope.to.kind();
        let is_control = self.control_kinds.iter().any(|control| control == kind);
        Ok((cell, if is_control { Lane::Control } else { Lane::User }))
    }

    /// Dials a peer until it is connected or nothing waits for it any more.
    pub(super) fn ensure_dialing(self: &Arc<Self>, cell: &Arc<PeerCell>) {
        if cell.claim_dialing() {
            self.tasks.spawn(keep_dialing(self.clone(), cell.clone()));
        }
    }

    // ---- sessions -------------------------------------------------------------------------

    /// Starts the tasks of a session that was just admitted; on the network thread only.
    pub(super) fn begin_session(
        self: &Arc<Self>,
        cell: &Arc<PeerCell>,
        session: &Arc<Session>,
        replaced: Option<&Session>,
        dialed: bool,
    ) {
        if let Some(old) = replaced {
            // Before anything of the new one is read, so that nothing is overtaken.
            old.stop.cancel();
            old.connection.close(CloseCode::Superseded.number(), b"a newer connection is used");
        }
        let (hub, cell, session) = (self.clone(), cell.clone(), session.clone());
        if dialed {
            for lane in Lane::ALL {
                let task = keep_lane(hub.clone(), cell.clone(), session.clone(), lane);
                self.tasks.spawn(session.tasks.track_future(task));
            }
        } else {
            let task = accept_lanes(hub.clone(), cell.clone(), session.clone());
            self.tasks.spawn(session.tasks.track_future(task));
        }
        if let Some(words) = self.outdated(&session.connection, &session.tls) {
            session.connection.close(CloseCode::Untrusted.number(), words.as_bytes());
        }
        self.tasks.spawn(watch_session(hub, cell, session));
    }

    /// A seat for a peer of that role; `None` when all are taken. Nodes need none: their number is
    /// bounded by their certificates.
    pub(super) fn seat_for(&self, role: Role) -> Option<Seat> {
        let mut seat = Seat(Vec::new());
        let limits = match role {
            Role::Candidate | Role::Node | Role::Lapsed => vec![],
            Role::Admin | Role::Reader => vec![(&self.clients, CLIENTS_MAX)],
            Role::Joiner => vec![(&self.clients, CLIENTS_MAX), (&self.joiners, JOINERS_MAX)],
        };
        for (counter, max) in limits {
            seat.take(counter, max)?;
        }
        Some(seat)
    }

    /// A seat for a transfer that a peer opens.
    pub(super) fn bulk_seat(&self) -> Option<Seat> {
        let mut seat = Seat(Vec::new());
        seat.take(&self.bulk_open, BULK_OPEN_MAX)?;
        Some(seat)
    }

    pub(super) fn set_closed(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

/// Counted places; given back when dropped.
pub(super) struct Seat(Vec<Arc<AtomicUsize>>);

impl Seat {
    fn take(&mut self, counter: &Arc<AtomicUsize>, max: usize) -> Option<()> {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        self.0.push(counter.clone());
        (before < max).then_some(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for counter in &self.0 {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

pub(super) fn server_config(
    tls: Arc<quinn::crypto::rustls::QuicServerConfig>,
    transport: &Arc<quinn::TransportConfig>,
) -> quinn::ServerConfig {
    let mut config = quinn::ServerConfig::with_crypto(tls);
    config.transport_config(transport.clone());
    config
}

/// Takes connections, as many as the limits allow.
pub(super) async fn accept_all(hub: Arc<Hub>, endpoint: Endpoint) {
    let mut budget = HandshakeBudget::full(Instant::now());
    while let Some(incoming) = endpoint.accept().await {
        let mut seat = Seat(Vec::new());
        let has_seat = seat.take(&hub.half_open, HALF_OPEN_MAX).is_some();
        if !has_seat || !budget.take(Instant::now()) {
            tracing::debug!(addr = %incoming.remote_address(), "too many handshakes");
            incoming.refuse();
            continue;
        }
        let accepting = hub.clone();
        hub.tasks.spawn(async move {
            accept(accepting, incoming).await;
            drop(seat);
        });
    }
}

/// Handshakes that may still be begun; refills with time.
struct HandshakeBudget {
    left: u32,
    refilled: Instant,
}

impl HandshakeBudget {
    fn full(now: Instant) -> Self {
        Self { left: HANDSHAKES_PER_SECOND_MAX, refilled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / HANDSHAKES_PER_SECOND_MAX;
        let earned = now.saturating_duration_since(self.refilled).as_nanos() / each.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(HANDSHAKES_PER_SECOND_MAX);
        // What was earned in part stays for the next time.
        self.refilled += each.saturating_mul(earned);
        let granted = self.left > 0;
        self.left -= u32::from(granted);
        granted
    }
}

async fn keep_dialing(hub: Arc<Hub>, cell: Arc<PeerCell>) {
    let mut pause = BACKOFF_FIRST;
    while let Some(addrs) = cell.dial_targets(Instant::now()) {
        if let Err(error) = dial_any(&hub, &addrs, Some(cell.node)).await {
            let reason = error.with_cause();
            tracing::debug!(peer = %cell.node, reason, "dial failed");
            cell.note_failure(reason);
            sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }
}

/// Dials each address until one answers.
pub(super) async fn dial_any(
    hub: &Arc<Hub>,
    addrs: &[SocketAddr],
    expected: Option<NodeId>,
) -> Result<Arc<Session>, DialError> {
    let mut failure = DialError::NoAddress;
    for addr in addrs {
        match dial(hub, *addr, expected).await {
            Ok(session) => return Ok(session),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Waits for the end of a session and tells what it means.
async fn watch_session(hub: Arc<Hub>, cell: Arc<PeerCell>, session: Arc<Session>) {
    let cause = tokio::select! {
        biased;
        cause = session.connection.closed() => cause,
        () = InboundAsks::keep_time(session.clone()) => ConnectionError::LocallyClosed,
        () = overstay(session.peer.role) => {
            session.connection.close(CloseCode::TooBusy.number(), b"joining took too long");
            ConnectionError::LocallyClosed
        }
    };
    session.tasks.close();
    // Replies that had come before the end still count.
    drop(timeout(DRAIN_TIMEOUT, session.tasks.wait()).await);
    session.stop.cancel();
    let (certainty, reason) = meaning_of(&cause, session.goodbye_seen.load(Ordering::Relaxed));
    if cell.session_ended(&session, certainty, &reason) {
        hub.ensure_dialing(&cell);
    }
    hub.retire(&cell, session.peer.role);
}

async fn overstay(role: Role) {
    match role {
        Role::Joiner => sleep(JOINER_SESSION_MAX).await,
        _ => std::future::pending().await,
    }
}

/// How sure the end of a connection makes us that the process is gone.
fn meaning_of(cause: &ConnectionError, goodbye_seen: bool) -> (Certainty, String) {
    let said =
        |close: &quinn::ApplicationClose| String::from_utf8_lossy(&close.reason).into_owned();
    match cause {
        ConnectionError::ApplicationClosed(close)
            if CloseCode::from_number(close.error_code) == Some(CloseCode::Goodbye) =>
        {
            (Certainty::Gone, "it said goodbye".to_owned())
        }
        _ if goodbye_seen => (Certainty::Gone, "it said goodbye".to_owned()),
        ConnectionError::ApplicationClosed(close) => (Certainty::Silent, closed(&said(close))),
        ConnectionError::TimedOut => {
            (Certainty::Silent, format!("nothing came from it for {} ms", PEER_SILENCE.as_millis()))
        }
        // A live process that gave the connection up answers the same way, so this is no proof; the
        // next hello tells.
        ConnectionError::Reset => {
            (Certainty::Silent, "it does not know the connection any more".to_owned())
        }
        other => (Certainty::Silent, other.to_string()),
    }
}

fn closed(why: &str) -> String {
    match why.is_empty() {
        true => "it closed the connection".to_owned(),
        false => format!("it closed the connection: {why}"),
    }
}

/// Throws away, now and then, what nobody waits for any more.
pub(super) async fn sweep(hub: Arc<Hub>) {
    let mut ticks = interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        hub.all_cells().iter().for_each(|cell| cell.sweep(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_granted_at_the_limit_and_no_faster() {
        let start = Instant::now();
        let mut budget = HandshakeBudget::full(start);
        let granted = |budget: &mut HandshakeBudget, at: Instant| {
            (0..10 * HANDSHAKES_PER_SECOND_MAX).filter(|_| budget.take(at)).count()
        };
        assert_eq!(granted(&mut budget, start), HANDSHAKES_PER_SECOND_MAX as usize);
        let later = start + Duration::from_millis(100);
        assert_eq!(granted(&mut budget, later), HANDSHAKES_PER_SECOND_MAX as usize / 10);
        let much_later = start + Duration::from_secs(3600);
        assert_eq!(granted(&mut budget, much_later), HANDSHAKES_PER_SECOND_MAX as usize);
    }

    #[test]
    fn only_a_goodbye_proves_that_a_process_is_gone() {
        let timed_out = ConnectionError::TimedOut;
        assert_eq!(meaning_of(&timed_out, false).0, Certainty::Silent);
        assert_eq!(meaning_of(&ConnectionError::Reset, false).0, Certainty::Silent);
        assert_eq!(meaning_of(&timed_out, true).0, Certainty::Gone);
    }
}

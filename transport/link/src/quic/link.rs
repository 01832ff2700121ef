//! [`QuicLink`]: starting, closing, and the contract.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_wire::{BootId, Envelope, NodeId, NotDelivered};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::bulk;
use super::close_code::CloseCode;
use super::handshake::DialError;
use super::hub::{Hub, HubParts, accept_all, dial_any, server_config, sweep};
use super::renewal::chain_of;
use super::session::Session;
use super::socket::{bind, endpoint_config, transport_config};
use super::tasks::{LinkRuntime, Tasks};
use super::tls::{Tls, TlsError};
use crate::answer::Answer;
use crate::asking::{AskResult, WaitingAsk, deadline_of};
use crate::bulk::{BulkAcceptor, BulkError, BulkOpen, BulkRate, BulkStream};
use crate::contract::{Inbound, Link, Peer, PeerEvent, PeerTraffic};
use crate::frame::Lane;
use crate::hello::derived_node_id;
use crate::identity::{
    ClusterUuid, Credentials, EndpointKeys, Fingerprint, IdentityError, JoinToken, Trust,
};
use crate::limits::EVENTS_BUFFERED;

const THREAD_NAME: &str = "gantry-net";

/// How long the packets that close connections may take to leave, after the goodbye has arrived.
/// QUIC would linger for three probe timeouts (90 to 450 ms) in case they are lost, which every
/// command would wait for at its end; a command waits only until they have left. Less and they do
/// not leave on a busy machine.
const CLOSE_LINGER: Duration = Duration::from_millis(20);

/// Who this end is, and whom it believes.
#[derive(Clone, Debug)]
pub enum LinkIdentity {
    /// A node, an admin or a reader of a cluster.
    Certified {
        /// Its key and certificate.
        credentials: Credentials,
        /// The authorities it believes.
        trust: Trust,
    },
    /// Nobody yet: it may only present a join token.
    Joiner {
        /// The authority named by the token.
        authority: Fingerprint,
    },
}

impl LinkIdentity {
    /// An identity that believes the authority in its own chain.
    #[must_use]
    pub fn certified(credentials: Credentials) -> Self {
        let trust = Trust::of(&credentials);
        Self::Certified { credentials, trust }
    }

    /// The identity of whoever holds a join token.
    #[must_use]
    pub fn joiner(token: &JoinToken) -> Self {
        Self::Joiner { authority: token.authority }
    }

    /// The id under which peers will know this end.
    pub(super) fn node_id(&self, boot: BootId) -> NodeId {
        match self {
            Self::Certified { credentials, .. } if credentials.name().is_node() => {
                credentials.name().node()
            }
            Self::Certified { credentials, .. } => {
                derived_node_id(credentials.chain().first().map(AsRef::as_ref), boot)
            }
            Self::Joiner { .. } => derived_node_id(None, boot),
        }
    }

    fn cluster(&self) -> Option<ClusterUuid> {
        match self {
            Self::Certified { trust, .. } => Some(trust.cluster),
            Self::Joiner { .. } => None,
        }
    }
}

/// How to start a link.
pub struct QuicConfig {
    /// Where to bind; port 0 takes any.
    pub bind: SocketAddr,
    /// Who this end is. Only nodes accept connections.
    pub identity: LinkIdentity,
    /// This run of this process.
    pub boot: BootId,
    /// The endpoint's keys, the same at every run of a node.
    pub keys: EndpointKeys,
    /// Kinds of actors (first segment of the path) whose messages take the control lane.
    pub control_kinds: Vec<String>,
    /// Who takes what comes.
    pub inbound: Arc<dyn Inbound>,
    /// Where the link runs: on the event loop of one thread that is never blocked, best the one
    /// that the control actors share, so that a message to them changes no thread. Without one it
    /// starts a thread of its own.
    pub runtime: Option<Handle>,
}

/// Why a link could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot bind {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The network thread cannot be started.
    #[error("cannot start the network thread")]
    Thread(#[source] std::io::Error),
    /// The identity cannot be used.
    #[error("cannot use the identity")]
    Tls(#[from] TlsError),
    /// Keys for a client's endpoint cannot be made.
    #[error("cannot make keys for the endpoint")]
    Keys(#[source] IdentityError),
}

/// An inbound that takes nothing: for ends that only ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefuseInbound;

impl Inbound for RefuseInbound {
    fn tell(&self, _from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        Err(NotDelivered::NoSuchActor(envelope.to.to_string()))
    }

    fn ask(&self, _from: &Peer, envelope: Envelope, answer: Answer) {
        answer.refuse(NotDelivered::NoSuchActor(envelope.to.to_string()));
    }
}

/// A link over QUIC. Dropped without [`Link::close`], it ends at once and without a goodbye.
pub struct QuicLink {
    hub: Arc<Hub>,
    local_addr: SocketAddr,
    /// Turns true when all its tasks have ended and the port is free.
    ended: watch::Receiver<bool>,
}

impl QuicLink {
    /// Binds the socket and starts the link, on a thread of its own unless it is given one.
    ///
    /// # Errors
    /// When the address is taken, or the identity cannot be used.
    pub fn start(config: QuicConfig) -> Result<Self, StartError> {
        let tls = Tls::new(&config.identity)?;
        let bind_error = |source| StartError::Bind { addr: config.bind, source };
        let socket = bind(config.bind).map_err(bind_error)?;
        let local_addr = socket.local_addr().map_err(bind_error)?;
        let (ending, ended) = watch::channel(false);
        let hub = match config.runtime.clone() {
            Some(handle) => {
                let hub = {
                    let _entered = handle.enter();
                    make_hub(config, tls, socket, handle.clone())?
                };
                drop(handle.spawn(run_until_stopped(hub.clone(), ending)));
                hub
            }
            None => start_thread(config, tls, socket, ending)?,
        };
        Ok(Self { hub, local_addr, ended })
    }

    /// Starts the link of a command or a joiner: any port, fresh keys, no connections accepted.
    ///
    /// # Errors
    /// As [`QuicLink::start`].
    pub fn client(
        identity: LinkIdentity,
        boot: BootId,
        inbound: Arc<dyn Inbound>,
    ) -> Result<Self, StartError> {
        let keys = EndpointKeys::generate().map_err(StartError::Keys)?;
        let start = |ip| {
            Self::start(QuicConfig {
                bind: SocketAddr::new(ip, 0),
                identity: identity.clone(),
                boot,
                keys: keys.clone(),
                control_kinds: Vec::new(),
                inbound: inbound.clone(),
                runtime: None,
            })
        };
        match start(Ipv6Addr::UNSPECIFIED.into()) {
            // A machine without IPv6.
            Err(StartError::Bind { .. }) => start(Ipv4Addr::UNSPECIFIED.into()),
            other => other,
        }
    }

    /// Where the socket is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Connects to whatever node of the cluster answers at one of these addresses, first come first
    /// served, and makes it known under that address. For ends that know addresses and no ids.
    ///
    /// # Errors
    /// When none of them answers as a node of the cluster.
    pub fn connect(&self, addrs: Vec<SocketAddr>) -> BoxFuture<'static, Result<Peer, DialError>> {
        let hub = self.hub.clone();
        let dialing = self.hub.tasks.handle().spawn(async move {
            let session = dial_any(&hub, &addrs, None).await?;
            hub.cell_or_new(session.peer.node).set_addrs(vec![session.peer.addr]);
            Ok(session.peer.clone())
        });
        async move { dialing.await.unwrap_or(Err(DialError::Closed)) }.boxed()
    }

    /// The chain (DER, own certificate first) that a connected node showed; empty if it is not
    /// connected.
    #[must_use]
    pub fn shown_by(&self, node: NodeId) -> Vec<Vec<u8>> {
        let session = self.hub.cell(node).and_then(|cell| cell.session());
        let chain = session.and_then(|session| chain_of(&session.connection)).unwrap_or_default();
        chain.iter().map(|der| der.to_vec()).collect()
    }

    /// Ends at once, without a goodbye, as if the process had been killed: peers learn it by
    /// silence or by the next boot. The future ends when the port is free.
    pub fn abort(&self) -> BoxFuture<'static, ()> {
        self.hub.set_closed();
        for cell in self.hub.all_cells() {
            drop(cell.close(true, "the link was aborted"));
        }
        self.hub.stop.cancel();
        wait_until_ended(self.ended.clone()).boxed()
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}

/// Starts a thread that does nothing but the link.
fn start_thread(
    config: QuicConfig,
    tls: Tls,
    socket: std::net::UdpSocket,
    ending: watch::Sender<bool>,
) -> Result<Arc<Hub>, StartError> {
    let (ready, started) = mpsc::sync_channel(1);
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(StartError::Thread(error)))),
        };
        let hub = {
            let _entered = runtime.enter();
            make_hub(config, tls, socket, runtime.handle().clone())
        };
        match hub {
            Ok(hub) => {
                drop(ready.send(Ok(hub.clone())));
                runtime.block_on(run_until_stopped(hub, ending));
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    };
    let thread = std::thread::Builder::new().name(THREAD_NAME.to_owned());
    drop(thread.spawn(run).map_err(StartError::Thread)?);
    let gone = |_| StartError::Thread(std::io::Error::other("it ended at once"));
    started.recv().map_err(gone)?
}

/// Ends everything of a link when it is stopped; says so when the port is free.
async fn run_until_stopped(hub: Arc<Hub>, ending: watch::Sender<bool>) {
    hub.stop.cancelled().await;
    hub.let_go();
    hub.tasks.end().await;
    ending.send_replace(true);
}

fn make_hub(
    config: QuicConfig,
    tls: Tls,
    socket: std::net::UdpSocket,
    handle: Handle,
) -> Result<Arc<Hub>, StartError> {
    let tasks = Tasks::new(handle);
    let transport = transport_config();
    let server = tls.server.clone().map(|server| server_config(server, &transport));
    let listens = server.is_some();
    let endpoint = quinn::Endpoint::new(
        endpoint_config(&config.keys),
        server,
        socket,
        Arc::new(LinkRuntime(tasks.clone())),
    )
    .map_err(|source| StartError::Bind { addr: config.bind, source })?;
    let (events, _) = broadcast::channel(EVENTS_BUFFERED);
    let hub = Arc::new(Hub::new(HubParts {
        node: config.identity.node_id(config.boot),
        boot: config.boot,
        cluster: config.identity.cluster(),
        inbound: config.inbound,
        events,
        control_kinds: config.control_kinds,
        tasks,
        endpoint: endpoint.clone(),
        tls,
        transport,
    }));
    if listens {
        hub.tasks.spawn(accept_all(hub.clone(), endpoint));
    }
    hub.tasks.spawn(sweep(hub.clone()));
    Ok(hub)
}

async fn wait_until_ended(mut ended: watch::Receiver<bool>) {
    // An error means that the thread is gone, which is what is waited for.
    drop(ended.wait_for(|ended| *ended).await);
}

impl Link for QuicLink {
    fn this_node(&self) -> NodeId {
        self.hub.node
    }

    fn boot(&self) -> BootId {
        self.hub.boot
    }

    fn know(&self, node: NodeId, addrs: Vec<SocketAddr>) {
        if node != self.hub.node {
            self.hub.cell_or_new(node).set_addrs(addrs);
        }
    }

    fn forget(&self, node: NodeId) {
        let Some(cell) = self.hub.remove_cell(node) else { return };
        if let Some(session) = cell.close(true, "the peer was forgotten") {
            session.connection.close(CloseCode::Forgotten.number(), b"you were forgotten");
        }
    }

    fn tell(&self, to: NodeId, envelope: Envelope) -> Result<(), NotDelivered> {
        let deadline = deadline_of(&envelope, Instant::now());
        let (cell, lane) = self.hub.route(to, &envelope)?;
        if cell.enqueue_tell(lane, envelope, deadline)? {
            self.hub.ensure_dialing(&cell);
        }
        Ok(())
    }

    fn ask(&self, to: NodeId, envelope: Envelope) -> BoxFuture<'static, AskResult> {
        // Queued now, not at the first poll: the order of calls is the order of messages.
        match self.begin_ask(to, envelope) {
            Ok(waiting) => waiting.outcome().boxed(),
            Err(refusal) => std::future::ready(Err(refusal.into())).boxed(),
        }
    }

    fn events(&self) -> broadcast::Receiver<PeerEvent> {
        self.hub.events.subscribe()
    }

    fn peers(&self) -> Vec<Peer> {
        self.hub.peers()
    }

    fn traffic(&self) -> Vec<PeerTraffic> {
        self.hub.sessions().iter().map(|session| session.traffic()).collect()
    }

    fn open_bulk(
        &self,
        to: NodeId,
        open: BulkOpen,
    ) -> BoxFuture<'static, Result<BulkStream, BulkError>> {
        let (tell, told) = oneshot::channel();
        let hub = self.hub.clone();
        self.hub.tasks.spawn(async move {
            // Whoever wanted it may have gone; then it is dropped, and so given up.
            drop(tell.send(bulk::open(hub, to, open).await));
        });
        let node = to.to_string();
        let ended =
            move |_| Err(BulkError::Unreachable { node, reason: "the link is closed".to_owned() });
        async move { told.await.unwrap_or_else(ended) }.boxed()
    }

    fn accept_bulk(&self, kind: &str, acceptor: Arc<dyn BulkAcceptor>) {
        self.hub.acceptors.set(kind, acceptor);
    }

    fn set_bulk_rate(&self, rate: BulkRate) {
        self.hub.bulk_limiter.set(rate);
    }

    fn close(&self, grace: Duration) -> BoxFuture<'static, ()> {
        let (hub, ended) = (self.hub.clone(), self.ended.clone());
        if hub.set_closed() {
            let goodbye = say_goodbye(hub.clone(), grace);
            let stop = hub.stop.clone();
            hub.tasks.spawn(async move {
                goodbye.await;
                stop.cancel();
            });
        }
        wait_until_ended(ended).boxed()
    }
}

impl QuicLink {
    fn begin_ask(&self, to: NodeId, envelope: Envelope) -> Result<WaitingAsk, NotDelivered> {
        let deadline = deadline_of(&envelope, Instant::now());
        let (cell, lane) = self.hub.route(to, &envelope)?;
        let (id, outcome, dial) = cell.enqueue_ask(lane, envelope, deadline)?;
        if dial {
            self.hub.ensure_dialing(&cell);
        }
        Ok(WaitingAsk { book: cell, id, outcome, deadline })
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        drop(self.abort());
    }
}

/// Writes what was accepted, a goodbye after it, and waits until that has arrived.
async fn say_goodbye(hub: Arc<Hub>, grace: Duration) {
    let until = Instant::now() + grace;
    let mut sessions: Vec<Arc<Session>> = Vec::new();
    for cell in hub.all_cells() {
        if let Some(session) = cell.close(false, "the link is closing") {
            Lane::ALL.into_iter().for_each(|lane| session.wake(lane));
            sessions.push(session);
        }
    }
    let lanes = u32::try_from(Lane::ALL.len()).expect("two");
    for session in &sessions {
        let arrived = async {
            tokio::select! {
                biased;
                permits = session.goodbyes_sent.acquire_many(lanes) => drop(permits),
                cause = session.connection.closed() => drop(cause),
            }
        };
        if timeout_at(until, arrived).await.is_err() {
            tracing::warn!(peer = %session.peer.node, "goodbye was not acknowledged in time");
        }
    }
    hub.transfers.close("the link is closing");
    let Some(endpoint) = hub.endpoint() else { return };
    endpoint.close(CloseCode::Goodbye.number(), b"goodbye");
    let left = until.saturating_duration_since(Instant::now()).min(CLOSE_LINGER);
    // Who does not hear it has the goodbye frame, and learns by silence that it came true.
    let gone = async {
        match endpoint.open_connections() > sessions.len() {
            true => endpoint.wait_idle().await,
            false => closes_have_left(&sessions).await,
        }
    };
    drop(timeout(left, gone).await);
}

/// Waits until the packet that closes it has left for each. Their drivers are tasks of this thread
/// that have been woken, so it is a matter of letting them have their turn.
async fn closes_have_left(sessions: &[Arc<Session>]) {
    for Session { connection, .. } in sessions.iter().map(Arc::as_ref) {
        // To a peer that closed it first nothing is sent any more.
        let closes = || connection.close_reason() == Some(quinn::ConnectionError::LocallyClosed);
        while closes() && connection.stats().frame_tx.connection_close == 0 {
            tokio::task::yield_now().await;
        }
    }
    // What was built is sent in the same turn, unless the socket was full: then in the next.
    tokio::task::yield_now().await;
}

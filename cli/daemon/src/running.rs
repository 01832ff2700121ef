//! A running node: a daemon as a library.
//!
//! It owns what a real node has and a simulated one has not: the state directory with its identity,
//! threads, sockets, the end of the process. The wiring itself is [`Assembly`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gantry_host::durable::FileLock;
use gantry_link::identity::ClusterUuid as LinkCluster;
use gantry_link::local::LocalListener;
use gantry_link::quic::{QuicConfig, QuicLink};
use gantry_link::{Link, PeerEvent};
use gantry_node::NodeConfig;
use gantry_runtime::{Platform, RealConfig, System};
use gantry_store::{Leadership, Store};
use gantry_wire::{BootId, Role};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};

use crate::assembly::{Assembly, CandidateParts, NodeParts, becomes_true};
use crate::backends;
use crate::certificates::{Certificates, NodeRenewer};
use crate::crash::CrashPoint;
use crate::error::DaemonError;
use crate::local_access::{self, LocalGroups};
use crate::log_parts::LogParts;
use crate::membership::NodeMembership;
use crate::metrics::{self, MetricsServer, Sources};
use crate::renewal::keep_fresh;
use crate::signer::Keyring;
use crate::state_dir::{NodeFile, StateDir};

/// How long a destroyed cluster, or a node that was told to leave, goes on answering, so that the
/// client which waits for the job hears its end.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a node that is to hold the log, or no more, goes on answering, so that the leader hears
/// that it has understood. Lower and the leader guesses and asks again, higher delays the change.
const CHANGE_GRACE: Duration = Duration::from_millis(200);

/// How long a holder without the cluster key waits before it asks again.
const KEY_AGAIN: Duration = Duration::from_secs(1);

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its state directory; must hold the identity of a node.
    pub state_dir: StateDir,
    /// Where to listen; the node's own address if not given.
    pub listen: Option<SocketAddr>,
    /// Whose members may talk to it through its socket.
    pub groups: LocalGroups,
    /// Where metrics are answered, if anywhere; an address of this machine alone.
    pub metrics: Option<SocketAddr>,
    /// For tests: kill this process at a point of a node call, as `instance.start:after-effect`, or
    /// of a commit, as `commit:3:before`.
    pub crash_at: Option<String>,
}

impl NodeOptions {
    /// The node of a state directory, as it says itself where it listens.
    #[must_use]
    pub fn new(state_dir: StateDir) -> Self {
        let groups = LocalGroups::default();
        Self { state_dir, listen: None, groups, metrics: None, crash_at: None }
    }
}

/// How a node's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to stop; it is still a node of its cluster.
    Stopped,
    /// It left its cluster, or the cluster was destroyed.
    Left,
    /// It is to hold the log from now on, or no more: start it again.
    Changed,
}

/// A running node.
pub struct RunningNode {
    file: NodeFile,
    state_dir: StateDir,
    assembly: Assembly,
    link: Arc<QuicLink>,
    local: Option<LocalListener>,
    metrics: Option<MetricsServer>,
    left: watch::Receiver<bool>,
    changed: watch::Receiver<bool>,
    /// Ends the renewal of certificates.
    keeping: watch::Sender<bool>,
    _lock: FileLock,
}

impl RunningNode {
    /// Starts the node of a state directory. Returns when it answers.
    ///
    /// # Errors
    /// When the directory holds no node, another daemon uses it, or a part cannot start.
    pub async fn start(options: NodeOptions) -> Result<Self, DaemonError> {
        let NodeOptions { state_dir, listen, groups, metrics, crash_at } = options;
        metrics.map_or(Ok(()), metrics::check_address)?;
        let Some(file) = state_dir.load_node()? else {
            return Err(DaemonError::NotANode { state_dir: state_dir.path().to_owned() });
        };
        let lock = state_dir.lock()?;
        let file = state_dir.with_storage_paths(file)?;
        let crash_at = crash_at.as_deref().map(read_crash_point).transpose()?;
        let platform = Platform::real(RealConfig::default())
            .map_err(DaemonError::part("start the threads"))?;
        let boot = BootId(platform.random_uuid());
        let (leave, left) = watch::channel(false);
        let (change, changed) = watch::channel(false);
        let keyring = load_keys(&state_dir, &file, &platform)?;
        let certificates = load_certificates(&state_dir, &file, &platform)?;
        let membership = NodeMembership {
            state_dir: state_dir.clone(),
            cluster: file.cluster,
            leave: leave.clone(),
            certificates: certificates.clone(),
            master: watch::Sender::new(file.master),
            keyring: keyring.clone(),
            change,
            changing: tokio::sync::Mutex::default(),
        };
        let parts = NodeParts {
            platform: platform.clone(),
            node: file.node,
            boot,
            master: membership.master.clone(),
            candidate: keyring
                .clone()
                .map(|signer| CandidateParts { log: LogParts::real(state_dir.log()), signer }),
            node_config: node_config(&state_dir, &file, crash_at, membership)?,
            leave,
        };
        let mut assembly = Assembly::start(parts).await?;
        if let (Some(crash_at), Some(store)) = (crash_at, assembly.store()) {
            crash_at.watch(store);
        }
        let link =
            start_link(&state_dir, &file, &certificates, assembly.system(), (boot, listen)).await?;
        certificates.connect(assembly.system().clone(), link.clone());
        assembly.connect(link.clone());
        let keeping = keep_certificates(&certificates, keyring, &assembly, &link, &platform);
        let bound = link.local_addr();
        tracing::info!(node = %file.name, cluster = %file.cluster_name, %bound, "node is up");
        // Whoever reads the endpoint wants answers; with a master that is a moment later.
        until_known(&assembly).await;
        let local = local_access::listen(&state_dir, &file, groups, assembly.system()).await?;
        state_dir.save_endpoint(&bound.to_string())?;
        let metrics = match metrics {
            Some(address) => Some(answer_metrics(address, &file, &assembly)?),
            None => None,
        };
        Ok(Self {
            file,
            state_dir,
            assembly,
            link,
            local,
            metrics,
            left,
            changed,
            keeping,
            _lock: lock,
        })
    }

    /// Who this node is.
    #[must_use]
    pub fn file(&self) -> &NodeFile {
        &self.file
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.link.local_addr()
    }

    /// Where its metrics are answered, if anywhere.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(MetricsServer::address)
    }

    /// Its actors, for an embedder that adds its own.
    #[must_use]
    pub fn system(&self) -> &System {
        self.assembly.system()
    }

    /// Runs until `stop` ends, the node has left its cluster, or has to be started again; then
    /// stops it in order.
    ///
    /// # Errors
    /// When the directory of a node that left cannot be cleared.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Ending, DaemonError> {
        let ending = tokio::select! {
            biased;
            () = stop => Ending::Stopped,
            () = becomes_true(&mut self.left) => Ending::Left,
            () = becomes_true(&mut self.changed) => Ending::Changed,
        };
        match ending {
            Ending::Left => tokio::time::sleep(FAREWELL).await,
            Ending::Changed => tokio::time::sleep(CHANGE_GRACE).await,
            Ending::Stopped => {}
        }
        self.stop(ending).await
    }

    async fn stop(self, ending: Ending) -> Result<Ending, DaemonError> {
        tracing::info!(node = %self.file.name, ?ending, "node stops");
        self.keeping.send_replace(true);
        drop(self.metrics);
        self.assembly.stop().await?;
        if let Some(local) = self.local {
            local.close().await;
        }
        if ending == Ending::Left {
            let aside = self.state_dir.retire(self.file.cluster)?;
            tracing::info!(aside = %aside.display(), "left the cluster; its state was moved aside");
        }
        Ok(ending)
    }
}

/// Waits a moment until it is known who leads, and until the leader knows of this node.
async fn until_known(assembly: &Assembly) {
    if !assembly.settle().await {
        tracing::warn!("no master is known yet; commands will wait");
    } else if !assembly.report().await {
        tracing::warn!("the master has not taken a report yet; lists show none of this node");
    }
}

fn read_crash_point(text: &str) -> Result<CrashPoint, DaemonError> {
    tracing::warn!(at = text, "this daemon will kill itself, for a test");
    text.parse().map_err(DaemonError::part("read the crash point"))
}

fn answer_metrics(
    address: SocketAddr,
    file: &NodeFile,
    assembly: &Assembly,
) -> Result<MetricsServer, DaemonError> {
    let sources = Sources {
        system: assembly.system().clone(),
        store: assembly.store().cloned(),
        lock_waits: Arc::clone(assembly.lock_waits()),
        node_name: file.name.to_string(),
        cluster_name: file.cluster_name.to_string(),
    };
    MetricsServer::start(address, sources)
}

fn node_config(
    state_dir: &StateDir,
    file: &NodeFile,
    crash_at: Option<CrashPoint>,
    membership: NodeMembership,
) -> Result<NodeConfig, DaemonError> {
    let config = NodeConfig::new(
        file.name.clone(),
        state_dir.path(),
        backends::hypervisors(state_dir, file)?,
        backends::storage(state_dir, file)?,
        Arc::new(membership),
    );
    Ok(NodeConfig { crash_points: CrashPoint::of_calls(crash_at), ..config })
}

fn load_certificates(
    state_dir: &StateDir,
    file: &NodeFile,
    platform: &Platform,
) -> Result<Arc<Certificates>, DaemonError> {
    let role = if file.holds_log { Role::Candidate } else { Role::Node };
    let cluster = LinkCluster(file.cluster.0);
    let dir = state_dir.identity()?;
    Ok(Certificates::new(dir, cluster, file.node.0, role, platform.clone()))
}

/// Renews certificates, and on a holder of the log follows what it says of authorities.
fn keep_certificates(
    certificates: &Arc<Certificates>,
    keyring: Option<Arc<Keyring>>,
    assembly: &Assembly,
    link: &Arc<QuicLink>,
    platform: &Platform,
) -> watch::Sender<bool> {
    let (ends, stop) = watch::channel(false);
    let nudge = Arc::new(Notify::new());
    if let (Some(store), Some(keyring)) = (assembly.store(), keyring) {
        let following = follow_trust(certificates.clone(), store.clone(), stop.clone());
        drop(assembly.system().spawn_task(following));
        let keeping = keep_key(certificates.clone(), keyring, store.clone(), stop.clone());
        drop(assembly.system().spawn_task(keeping));
    }
    let nudging = nudge_when_connected(link.events(), nudge.clone(), stop.clone());
    drop(assembly.system().spawn_task(nudging));
    let (renewer, platform) = (NodeRenewer(certificates.clone()), platform.clone());
    drop(assembly.system().spawn_task(async move {
        keep_fresh(&renewer, &platform, &nudge, stop).await;
    }));
    ends
}

/// What a holder of the log believes is what the log says, at once.
async fn follow_trust(
    certificates: Arc<Certificates>,
    store: Store,
    mut stop: watch::Receiver<bool>,
) {
    let mut revision = store.revision_watch();
    let mut followed = None;
    loop {
        revision.borrow_and_update();
        let state = store.snapshot();
        if state.divergence().is_some() {
            return tracing::error!("authorities are not followed any more: the state is wrong");
        }
        let trust = state.trust.clone();
        if followed.as_ref() != Some(&trust) {
            match certificates.follow(&trust).await {
                Ok(()) => followed = Some(trust),
                Err(fault) => {
                    tracing::error!(fault = fault.one_line(), "the log's authorities are not used");
                }
            }
        }
        tokio::select! {
            biased;
            () = becomes_true(&mut stop) => return,
            changed = revision.changed() => if changed.is_err() { return },
        }
    }
}

/// A holder of the log has the key that its secrets are sealed with, or asks for it.
async fn keep_key(
    certificates: Arc<Certificates>,
    keyring: Arc<Keyring>,
    store: Store,
    mut stop: watch::Receiver<bool>,
) {
    let mut revision = store.revision_watch();
    loop {
        revision.borrow_and_update();
        let present = store.snapshot().trust.key_generation;
        // The leader makes keys, and has them before the log does.
        let leads = matches!(*store.leadership().borrow(), Leadership::Leader);
        let fetched = match leads {
            true => Ok(()),
            false => certificates.fetch_key(&keyring, present).await,
        };
        if let Err(fault) = &fetched {
            tracing::debug!(fault = fault.one_line(), "the cluster key is not here yet");
        }
        tokio::select! {
            biased;
            () = becomes_true(&mut stop) => return,
            () = tokio::time::sleep(KEY_AGAIN), if fetched.is_err() => {}
            changed = revision.changed() => if changed.is_err() { return },
        }
    }
}

/// A holder of the log that was away may have missed a rotation, or this node has.
async fn nudge_when_connected(
    mut events: broadcast::Receiver<PeerEvent>,
    nudge: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let event = tokio::select! {
            biased;
            () = becomes_true(&mut stop) => return,
            event = events.recv() => event,
        };
        match event {
            Ok(PeerEvent::Up(peer)) if peer.role == Role::Candidate => nudge.notify_one(),
            Err(RecvError::Lagged(_)) => nudge.notify_one(),
            Ok(PeerEvent::Up(_) | PeerEvent::Down { .. }) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn start_link(
    state_dir: &StateDir,
    file: &NodeFile,
    certificates: &Certificates,
    system: &System,
    (boot, listen): (BootId, Option<SocketAddr>),
) -> Result<Arc<QuicLink>, DaemonError> {
    let dir = state_dir.identity()?;
    let failed = |source| DaemonError::from(state_dir.identity_error(source));
    let identity = certificates.load_identity().map_err(failed)?;
    let bind = match listen {
        Some(listen) => listen,
        None => lookup(&file.address).await?,
    };
    let link = QuicLink::start(QuicConfig {
        bind,
        identity,
        boot,
        keys: dir.endpoint_keys().map_err(failed)?,
        control_kinds: ["cluster", "locks", "job", "node", "raft"].map(str::to_owned).to_vec(),
        inbound: system.inbound(),
        runtime: system.platform().network(),
    })
    .map_err(DaemonError::part("open the network"))?;
    let link = Arc::new(link);
    if file.master != file.node {
        link.know(file.master.into(), vec![lookup(&file.master_address).await?]);
    }
    Ok(link)
}

async fn lookup(address: &str) -> Result<SocketAddr, DaemonError> {
    let mut addrs = tokio::net::lookup_host(address)
        .await
        .map_err(DaemonError::part("look up the node's address"))?;
    addrs.next().ok_or_else(|| DaemonError::Input(format!("{address} has no address")))
}

/// The cluster's keys, on a holder of the log. A node that is none (any more) has no log either.
fn load_keys(
    state_dir: &StateDir,
    file: &NodeFile,
    platform: &Platform,
) -> Result<Option<Arc<Keyring>>, DaemonError> {
    if !file.holds_log {
        state_dir.put_log_away()?;
        return Ok(None);
    }
    let (cluster, dir) = (LinkCluster(file.cluster.0), state_dir.identity()?);
    let keyring = Keyring::open(cluster, dir, platform.clone());
    Ok(Some(Arc::new(keyring.map_err(|source| state_dir.identity_error(source))?)))
}

//! A running node: everything put together, as a library.
//!
//! Order of the start: identity, platform, log, actors of the node (guests are re-adopted before
//! anything is answered), link, leadership. Order of the end: the reverse; guests stay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gantry_host::durable::FileLock;
use gantry_link::Link;
use gantry_link::identity::ClusterUuid as LinkCluster;
use gantry_link::quic::{LinkIdentity, QuicConfig, QuicLink};
use gantry_master::{CertificateSigner, Master, MasterConfig};
use gantry_node::{NodeConfig, NodeSide};
use gantry_runtime::{Platform, RealConfig, System, SystemConfig};
use gantry_store::{Leadership, Store};
use gantry_wire::{BootId, Role};
use tokio::sync::watch;
use uuid::Builder;

use crate::backends;
use crate::membership::NodeMembership;
use crate::error::{DaemonError, chain};
use crate::raft_carrier::{self, RaftCarrier};
use crate::router::ClusterRouter;
use crate::signer::AuthoritySigner;
use crate::state_dir::{NodeFile, StateDir};
use crate::store_config::store_config;

/// How long actors may take to stop. A node call that is under way is resumed after the restart, so
/// little is gained by waiting longer, and a service manager kills after 90 s.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long a destroyed cluster, or a node that was told to leave, goes on answering, so that the
/// client which waits for the job hears its end.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a starting node waits to know who leads before it says that it is up: an election and a
/// takeover are over in a second.
const SETTLE: Duration = Duration::from_secs(5);

/// Pause before a leader that could not begin its reign tries again.
const REIGN_PAUSE: Duration = Duration::from_millis(200);

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its state directory; must hold the identity of a node.
    pub state_dir: StateDir,
    /// Where to listen; the node's own address if not given.
    pub listen: Option<SocketAddr>,
    /// For tests: kill this process at a point of a node call, as `instance.start:after-effect`.
    pub crash_at: Option<String>,
}

/// How a node's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to stop; it is still a node of its cluster.
    Stopped,
    /// It left its cluster, or the cluster was destroyed.
    Left,
}

/// A running node.
pub struct RunningNode {
    file: NodeFile,
    state_dir: StateDir,
    system: System,
    link: Arc<QuicLink>,
    store: Option<Store>,
    node_side: NodeSide,
    left: watch::Receiver<bool>,
    leading: Option<tokio::task::JoinHandle<()>>,
    stop_leading: watch::Sender<bool>,
    _lock: FileLock,
}

impl RunningNode {
    /// Starts the node of a state directory. Returns when it answers.
    ///
    /// # Errors
    /// When the directory holds no node, another daemon uses it, or a part cannot start.
    pub async fn start(options: NodeOptions) -> Result<Self, DaemonError> {
        let NodeOptions { state_dir, listen, crash_at } = options;
        let Some(file) = state_dir.load_node()? else {
            return Err(DaemonError::NotANode { state_dir: state_dir.path().to_owned() });
        };
        let lock = state_dir.lock()?;
        let platform = Platform::real(RealConfig::default())
            .map_err(DaemonError::part("start the threads"))?;
        let boot = new_boot(&platform);
        let config = SystemConfig { node: file.node.into(), boot };
        let system = System::new(platform.clone(), config);
        let store = open_store(&state_dir, &file, &system, &platform).await?;
        let router = ClusterRouter::new(file.node, store.clone(), file.master);
        system.set_router(router.clone());
        let (leave, left) = watch::channel(false);
        let node_side =
            start_node_side(&state_dir, &file, &system, crash_at, leave.clone()).await?;
        let link = start_link(&state_dir, &file, &system, boot, listen).await?;
        let bound = link.local_addr();
        tracing::info!(node = %file.name, cluster = %file.cluster_name, %bound, "node is up");
        let (stop_leading, stop) = watch::channel(false);
        let (settled, mut is_settled) = watch::channel(store.is_none());
        let leading = match &store {
            Some(store) => {
                let signer = load_signer(&state_dir, &file, &platform)?;
                let master = MasterConfig {
                    node: file.node,
                    signer,
                    software_version: env!("CARGO_PKG_VERSION").to_owned(),
                };
                let leader = Leader {
                    system: system.clone(),
                    store: store.clone(),
                    config: master,
                    router,
                    leave,
                    settled,
                };
                Some(tokio::spawn(leader.follow(stop)))
            }
            None => None,
        };
        // Whoever reads the endpoint wants answers; with a master that is a moment later.
        let waited = tokio::time::timeout(SETTLE, becomes_true(&mut is_settled)).await;
        if waited.is_err() {
            tracing::warn!("no master is known yet; commands will wait");
        }
        state_dir.save_endpoint(&bound.to_string())?;
        Ok(Self {
            file,
            state_dir,
            system,
            link,
            store,
            node_side,
            left,
            leading,
            stop_leading,
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

    /// Its actors, for an embedder that adds its own.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Runs until `stop` ends or the node has left its cluster; then stops it in order.
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
        };
        if ending == Ending::Left {
            tokio::time::sleep(FAREWELL).await;
        }
        self.stop(ending).await
    }

    async fn stop(self, ending: Ending) -> Result<Ending, DaemonError> {
        tracing::info!(node = %self.file.name, ?ending, "node stops");
        self.stop_leading.send_replace(true);
        if let Some(leading) = self.leading {
            let stopped = tokio::time::timeout(STOP_GRACE * 2, leading).await;
            if stopped.is_err() {
                tracing::warn!("the reign did not end in time");
            }
        }
        self.node_side.shutdown(STOP_GRACE).await;
        if !self.system.shutdown(STOP_GRACE).await {
            tracing::warn!("some actors did not stop in time");
        }
        if let Some(store) = self.store {
            store.shutdown().await.map_err(DaemonError::part("close the log"))?;
        }
        if ending == Ending::Left {
            let aside = self.state_dir.retire(self.file.cluster)?;
            tracing::info!(aside = %aside.display(), "left the cluster; its state was moved aside");
        }
        Ok(ending)
    }
}

/// Ends when the flag is set, or nobody is left who could set it.
async fn becomes_true(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|set| *set).await);
}

fn new_boot(platform: &Platform) -> BootId {
    let mut bytes = [0; 16];
    platform.fill_random(&mut bytes);
    BootId(Builder::from_random_bytes(bytes).into_uuid())
}

async fn open_store(
    state_dir: &StateDir,
    file: &NodeFile,
    system: &System,
    platform: &Platform,
) -> Result<Option<Store>, DaemonError> {
    if !file.holds_log {
        return Ok(None);
    }
    let carrier = Arc::new(RaftCarrier::new(system.clone()));
    let config = store_config(&state_dir.log(), file.node, platform, carrier);
    let store = Store::open(config).await.map_err(DaemonError::part("open the log"))?;
    raft_carrier::receive(system, &store)?;
    Ok(Some(store))
}

async fn start_node_side(
    state_dir: &StateDir,
    file: &NodeFile,
    system: &System,
    crash_at: Option<String>,
    leave: watch::Sender<bool>,
) -> Result<NodeSide, DaemonError> {
    let membership = Arc::new(NodeMembership {
        state_dir: state_dir.clone(),
        cluster: file.cluster,
        leave,
    });
    let mut config = NodeConfig::new(
        file.name.clone(),
        state_dir.path(),
        backends::hypervisors(state_dir, file)?,
        backends::storage(state_dir, file)?,
        membership,
    );
    config.crash_points = backends::crash_points(crash_at.as_deref())?;
    NodeSide::start(system, config)
        .await
        .map_err(DaemonError::part("start the actors of the node"))
}

async fn start_link(
    state_dir: &StateDir,
    file: &NodeFile,
    system: &System,
    boot: BootId,
    listen: Option<SocketAddr>,
) -> Result<Arc<QuicLink>, DaemonError> {
    let dir = state_dir.identity()?;
    let failed = |source| DaemonError::from(state_dir.identity_error(source));
    let role = if file.holds_log { Role::Candidate } else { Role::Node };
    let Some(credentials) = dir.load_credentials(role).map_err(failed)? else {
        let text =
            format!("{} holds no certificate of a {role}", state_dir.path().display());
        return Err(DaemonError::Input(text));
    };
    let cluster = LinkCluster(file.cluster.0);
    let trust = dir.load_trust(cluster).map_err(failed)?;
    let identity = match trust {
        Some(trust) => LinkIdentity::Certified { credentials, trust },
        None => LinkIdentity::certified(credentials),
    };
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
    })
    .map_err(DaemonError::part("open the network"))?;
    let link = Arc::new(link);
    if file.master != file.node {
        link.know(file.master.into(), vec![lookup(&file.master_address).await?]);
    }
    system.attach(link.clone());
    Ok(link)
}

async fn lookup(address: &str) -> Result<SocketAddr, DaemonError> {
    let mut addrs = tokio::net::lookup_host(address)
        .await
        .map_err(DaemonError::part("look up the node's address"))?;
    addrs.next().ok_or_else(|| DaemonError::Input(format!("{address} has no address")))
}

fn load_signer(
    state_dir: &StateDir,
    file: &NodeFile,
    platform: &Platform,
) -> Result<Arc<dyn CertificateSigner>, DaemonError> {
    let dir = state_dir.identity()?;
    let authority = dir
        .load_authority(LinkCluster(file.cluster.0))
        .map_err(|source| state_dir.identity_error(source))?;
    let Some(authority) = authority else {
        let text = format!("{} lacks the cluster's authority", state_dir.path().display());
        return Err(DaemonError::Input(text));
    };
    Ok(Arc::new(AuthoritySigner::new(authority, platform.clock().clone())))
}

/// Follows the leadership of the log: a reign while this node leads, none otherwise.
struct Leader {
    system: System,
    store: Store,
    config: MasterConfig,
    router: Arc<ClusterRouter>,
    leave: watch::Sender<bool>,
    /// Set when it is known who leads.
    settled: watch::Sender<bool>,
}

impl Leader {
    async fn follow(self, mut stop: watch::Receiver<bool>) {
        let mut leadership = self.store.leadership();
        let mut revision = self.store.revision_watch();
        let mut master: Option<Master> = None;
        loop {
            let now = leadership.borrow_and_update().clone();
            let leads = matches!(now, Leadership::Leader);
            match (leads, master.take()) {
                (true, None) => master = self.begin().await,
                (false, Some(old)) => old.stop(STOP_GRACE).await,
                (_, unchanged) => master = unchanged,
            }
            if let Leadership::Follower { leader } = now {
                self.router.set_master(leader);
                self.settled.send_replace(leader.is_some());
            } else if master.is_some() {
                self.settled.send_replace(true);
            }
            let retry = leads && master.is_none();
            tokio::select! {
                biased;
                () = becomes_true(&mut stop) => break,
                changed = leadership.changed() => if changed.is_err() { break },
                changed = revision.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.notice_destruction();
                }
                () = tokio::time::sleep(REIGN_PAUSE), if retry => {}
            }
        }
        if let Some(master) = master {
            master.stop(STOP_GRACE).await;
        }
    }

    async fn begin(&self) -> Option<Master> {
        self.router.set_master(Some(self.config.node));
        let (system, store) = (self.system.clone(), self.store.clone());
        match Master::start(system, store, self.config.clone()).await {
            Ok(master) => Some(master),
            Err(error) => {
                tracing::warn!(error = chain(&error), "the reign could not begin");
                None
            }
        }
    }

    /// A destroyed cluster ends when its last job has.
    fn notice_destruction(&self) {
        let state = self.store.snapshot();
        if state.destroyed && state.unfinished.is_empty() {
            self.leave.send_replace(true);
        }
    }
}

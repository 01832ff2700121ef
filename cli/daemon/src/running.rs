//! A running node: a daemon as a library.
//!
//! It owns what a real node has and a simulated one has not: the state directory with its identity,
//! threads, sockets, the end of the process. The wiring itself is [`Assembly`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gantry_host::durable::FileLock;
use gantry_link::Link;
use gantry_link::identity::ClusterUuid as LinkCluster;
use gantry_link::quic::{LinkIdentity, QuicConfig, QuicLink};
use gantry_master::CertificateSigner;
use gantry_node::NodeConfig;
use gantry_runtime::{Platform, RealConfig, System};
use gantry_wire::{BootId, Role};
use tokio::sync::watch;

use crate::assembly::{Assembly, CandidateParts, NodeParts, becomes_true};
use crate::backends;
use crate::crash::CrashPoint;
use crate::error::DaemonError;
use crate::log_parts::LogParts;
use crate::membership::NodeMembership;
use crate::signer::AuthoritySigner;
use crate::state_dir::{NodeFile, StateDir};

/// How long a destroyed cluster, or a node that was told to leave, goes on answering, so that the
/// client which waits for the job hears its end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its state directory; must hold the identity of a node.
    pub state_dir: StateDir,
    /// Where to listen; the node's own address if not given.
    pub listen: Option<SocketAddr>,
    /// For tests: kill this process at a point of a node call, as `instance.start:after-effect`, or
    /// of a commit, as `commit:3:before`.
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
    assembly: Assembly,
    link: Arc<QuicLink>,
    left: watch::Receiver<bool>,
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
        let crash_at = crash_at.map(|text| {
            tracing::warn!(at = text, "this daemon will kill itself, for a test");
            text.parse::<CrashPoint>().map_err(DaemonError::part("read the crash point"))
        });
        let crash_at = crash_at.transpose()?;
        let platform = Platform::real(RealConfig::default())
            .map_err(DaemonError::part("start the threads"))?;
        let boot = BootId(platform.random_uuid());
        let (leave, left) = watch::channel(false);
        let candidate = match file.holds_log {
            true => Some(CandidateParts {
                log: LogParts::real(state_dir.log()),
                signer: load_signer(&state_dir, &file, &platform)?,
            }),
            false => None,
        };
        let parts = NodeParts {
            platform,
            node: file.node,
            boot,
            master: file.master,
            candidate,
            node_config: node_config(&state_dir, &file, crash_at, leave.clone())?,
            leave,
        };
        let mut assembly = Assembly::start(parts).await?;
        if let (Some(crash_at), Some(store)) = (crash_at, assembly.store()) {
            crash_at.watch(store);
        }
        let link = start_link(&state_dir, &file, assembly.system(), boot, listen).await?;
        assembly.connect(link.clone());
        let bound = link.local_addr();
        tracing::info!(node = %file.name, cluster = %file.cluster_name, %bound, "node is up");
        // Whoever reads the endpoint wants answers; with a master that is a moment later.
        if !assembly.settle().await {
            tracing::warn!("no master is known yet; commands will wait");
        }
        state_dir.save_endpoint(&bound.to_string())?;
        Ok(Self { file, state_dir, assembly, link, left, _lock: lock })
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
        self.assembly.system()
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
        self.assembly.stop().await?;
        if ending == Ending::Left {
            let aside = self.state_dir.retire(self.file.cluster)?;
            tracing::info!(aside = %aside.display(), "left the cluster; its state was moved aside");
        }
        Ok(ending)
    }
}

fn node_config(
    state_dir: &StateDir,
    file: &NodeFile,
    crash_at: Option<CrashPoint>,
    leave: watch::Sender<bool>,
) -> Result<NodeConfig, DaemonError> {
    let membership =
        Arc::new(NodeMembership { state_dir: state_dir.clone(), cluster: file.cluster, leave });
    let config = NodeConfig::new(
        file.name.clone(),
        state_dir.path(),
        backends::hypervisors(state_dir, file)?,
        backends::storage(state_dir, file)?,
        membership,
    );
    Ok(NodeConfig { crash_points: CrashPoint::of_calls(crash_at), ..config })
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
        let text = format!("{} holds no certificate of a {role}", state_dir.path().display());
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

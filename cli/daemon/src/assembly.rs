//! A node, wired: its log, its actors, its way to the others, and the reign where it leads.
//!
//! The one place where these are put together. A daemon gives it real parts, a simulation simulated
//! ones; what happens between them is the same. Order of the start: log, actors of the node (guests
//! are re-adopted before anything is answered), link, leadership. Order of the end: the reverse.
//! Deliberately absent: files, certificates and sockets, which are parts.

use std::sync::Arc;
use std::time::Duration;

use gantry_link::Link;
use gantry_master::{CertificateSigner, LockWaits, Master, MasterConfig};
use gantry_model::ids::NodeUuid;
use gantry_model::objects::Node;
use gantry_node::{NodeConfig, NodeSide};
use gantry_runtime::{Platform, System, SystemConfig};
use gantry_store::{Leadership, Store};
use gantry_wire::{BootId, ErrorChain};
use tokio::sync::watch;

use crate::error::DaemonError;
use crate::log_parts::LogParts;
use crate::raft_carrier::{self, RaftCarrier};
use crate::router::ClusterRouter;

/// How long actors may take to stop. A node call that is under way is resumed after the restart, so
/// little is gained by waiting longer, and a service manager kills after 90 s.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long a starting node waits to know who leads before it says that it is up: an election and a
/// takeover are over in a second.
const SETTLE: Duration = Duration::from_secs(5);

/// How long a starting node waits until the leader has its report before it says that it is up. The
/// report is one message; lower shows guests as lost in lists right after a restart under load,
/// higher delays a node whose leader is away.
const REPORT: Duration = Duration::from_secs(3);

/// Pause before a leader that could not begin its reign tries again.
const REIGN_PAUSE: Duration = Duration::from_millis(200);

/// What a node is put together from.
pub struct NodeParts {
    /// Threads, time and randomness.
    pub platform: Platform,
    /// Which node.
    pub node: NodeUuid,
    /// Which run of it.
    pub boot: BootId,
    /// The master as this node last knew it. A node that does not hold the log is told of others
    /// through its [`gantry_node::Membership`], which is to send them here.
    pub master: watch::Sender<NodeUuid>,
    /// What a holder of the log has besides.
    pub candidate: Option<CandidateParts>,
    /// What it does for the cluster.
    pub node_config: NodeConfig,
    /// Set when the cluster has been destroyed; a node that was told to leave sets it itself,
    /// through its [`gantry_node::Membership`].
    pub leave: watch::Sender<bool>,
}

/// What a holder of the log is put together from.
pub struct CandidateParts {
    /// Its log.
    pub log: LogParts,
    /// The cluster's authority, used while it leads.
    pub signer: Arc<dyn CertificateSigner>,
}

/// A node that is put together.
pub struct Assembly {
    system: System,
    router: Arc<ClusterRouter>,
    store: Option<Store>,
    signer: Option<Arc<dyn CertificateSigner>>,
    lock_waits: Arc<LockWaits>,
    node_side: NodeSide,
    leave: watch::Sender<bool>,
    stop_leading: watch::Sender<bool>,
    /// Set when it is known who leads.
    settled: watch::Sender<bool>,
    /// Set when leadership is not followed any more.
    ended: watch::Receiver<bool>,
}

impl Assembly {
    /// Opens the log and starts the actors. Nothing reaches the node and it leads nobody before
    /// [`Assembly::connect`].
    ///
    /// # Errors
    /// When a part cannot start.
    pub async fn start(parts: NodeParts) -> Result<Self, DaemonError> {
        let NodeParts { platform, node, boot, master, candidate, node_config, leave } = parts;
        let system = System::new(platform.clone(), SystemConfig { node: node.into(), boot });
        let (store, signer) = match candidate {
            Some(CandidateParts { log, signer }) => {
                let carrier = Arc::new(RaftCarrier::new(system.clone()));
                let config = log.store_config(node, &platform, carrier);
                let store = Store::open(config).await.map_err(DaemonError::part("open the log"))?;
                raft_carrier::receive(&system, &store)?;
                (Some(store), Some(signer))
            }
            None => (None, None),
        };
        let router = ClusterRouter::new(node, store.clone(), *master.borrow());
        if store.is_none() {
            let following = follow_told(router.clone(), master.subscribe());
            drop(system.spawn_task(following));
        }
        system.set_router(router.clone());
        let node_side = NodeSide::start(&system, node_config)
            .await
            .map_err(DaemonError::part("start the actors of the node"))?;
        let settled = watch::Sender::new(store.is_none());
        let (stop_leading, _) = watch::channel(false);
        // Nothing is followed yet.
        let (_, ended) = watch::channel(true);
        let lock_waits = Arc::default();
        Ok(Self {
            system,
            router,
            store,
            signer,
            lock_waits,
            node_side,
            leave,
            stop_leading,
            settled,
            ended,
        })
    }

    /// Attaches the link; a holder of the log begins to follow its leadership, on the platform.
    pub fn connect(&mut self, link: Arc<dyn Link>) {
        self.system.attach(link.clone());
        let (Some(store), Some(signer)) = (&self.store, self.signer.take()) else { return };
        drop(self.system.spawn_task(know_nodes(link, store.clone())));
        let config = MasterConfig {
            node: store.node(),
            signer,
            lock_waits: Arc::clone(&self.lock_waits),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            vcs_version: option_env!("GANTRY_VCS_VERSION").unwrap_or_default().to_owned(),
        };
        let leader = Leader {
            system: self.system.clone(),
            store: store.clone(),
            config,
            router: self.router.clone(),
            leave: self.leave.clone(),
            settled: self.settled.clone(),
        };
        let (ends, ended) = watch::channel(false);
        self.ended = ended;
        let stop = self.stop_leading.subscribe();
        self.system.spawn_task(async move {
            leader.follow(stop).await;
            ends.send_replace(true);
        });
    }

    /// Waits, for some seconds at most, until it is known who leads; says whether it is. Whoever
    /// asks this node then gets an answer at once.
    pub async fn settle(&self) -> bool {
        let mut settled = self.settled.subscribe();
        tokio::time::timeout(SETTLE, becomes_true(&mut settled)).await.is_ok()
    }

    /// Waits, for some seconds at most, until the leader knows what runs on this node; says whether
    /// it does. Whoever lists instances then sees those of this node as they are.
    pub async fn report(&self) -> bool {
        self.node_side.report(REPORT).await
    }

    /// Its actors.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Its log, on a holder.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// How long jobs have waited for locks while this node was the master.
    #[must_use]
    pub fn lock_waits(&self) -> &Arc<LockWaits> {
        &self.lock_waits
    }

    /// Ends it in order; guests stay.
    ///
    /// # Errors
    /// When the log cannot be closed.
    pub async fn stop(mut self) -> Result<(), DaemonError> {
        self.stop_leading.send_replace(true);
        let ended = becomes_true(&mut self.ended);
        if tokio::time::timeout(STOP_GRACE * 2, ended).await.is_err() {
            tracing::warn!("the reign did not end in time");
        }
        self.node_side.shutdown(STOP_GRACE).await;
        if !self.system.shutdown(STOP_GRACE).await {
            tracing::warn!("some actors did not stop in time");
        }
        match self.store {
            Some(store) => store.shutdown().await.map_err(DaemonError::part("close the log")),
            None => Ok(()),
        }
    }
}

/// A node that does not hold the log believes who says that it leads.
async fn follow_told(router: Arc<ClusterRouter>, mut master: watch::Receiver<NodeUuid>) {
    while master.changed().await.is_ok() {
        router.set_master(Some(*master.borrow_and_update()));
    }
}

/// A holder of the log knows where all nodes are: any of them may vote, and it may come to lead.
async fn know_nodes(link: Arc<dyn Link>, store: Store) {
    let mut revision = store.revision_watch();
    let mut known = store.snapshot().nodes.clone();
    known.clear();
    loop {
        revision.borrow_and_update();
        let nodes = store.snapshot().nodes.clone();
        if !nodes.ptr_eq(&known) {
            let moved = |node: &&Arc<Node>| {
                node.uuid != store.node()
                    && known.get(&node.uuid).is_none_or(|old| old.address != node.address)
            };
            for node in nodes.values().filter(moved) {
                match tokio::net::lookup_host(&node.address).await {
                    Ok(addrs) => link.know(node.uuid.into(), addrs.collect()),
                    Err(error) => {
                        tracing::warn!(node = %node.name, address = node.address, %error,
                            "address of the node not found");
                    }
                }
            }
            known = nodes;
        }
        if revision.changed().await.is_err() {
            return;
        }
    }
}

/// Ends when the flag is set, or nobody is left who could set it.
pub(crate) async fn becomes_true(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|set| *set).await);
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
            let now = *leadership.borrow_and_update();
            let leads = matches!(now, Leadership::Leader);
            match (leads, master.take()) {
                (true, None) => master = self.begin().await,
                (false, Some(old)) => old.stop(STOP_GRACE).await,
                (_, unchanged) => master = unchanged,
            }
            if let Leadership::Follower { leader } = now {
                // One that has not heard of the log yet believes whom it was told of.
                if leader.is_some() || *self.settled.borrow() {
                    self.router.set_master(leader);
                }
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
                tracing::warn!(error = %ErrorChain(&error), "the reign could not begin");
                None
            }
        }
    }

    /// A destroyed cluster ends when its last job has.
    fn notice_destruction(&self) {
        let state = self.store.snapshot();
        if state.divergence().is_none() && state.destroyed && state.unfinished.is_empty() {
            self.leave.send_replace(true);
        }
    }
}

//! The system: one per node. Spawns, finds, routes, watches, stops.

mod directory;
mod events;
mod inbound;
mod lifecycle;
mod routing;
mod watch;

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use gantry_link::{Link, PeerEvent};
use gantry_wire::{ActorPath, BootId, IncarnationId, Message, NodeId};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use crate::mailbox::MailboxLimits;
use crate::platform::{Platform, StuckListener};
use crate::reference::ActorRef;
use crate::supervision::Supervision;

pub use events::{ActorEvent, ActorInfo, EVENTS_KEPT, FlightLog, NodeCertainty, SystemEvent};
pub use lifecycle::{ACTORS_MAX, Ending, SpawnError};
pub use routing::{Location, Router};
pub use watch::{ActorWatch, WATCH_EVENTS_KEPT, WATCHES_MAX};

pub(crate) use directory::{Directory, Live};
pub(crate) use routing::Place;

use routing::Activator;
use watch::Watches;

/// Which run of which node a system is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemConfig {
    /// This node.
    pub node: NodeId,
    /// This run of it.
    pub boot: BootId,
}

/// Where an actor runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thread {
    /// Beside the control actors: for what answers to the network and never takes long.
    Control,
    /// The worker of this number (modulo how many there are): actors that talk a lot share one, a
    /// hop between threads costs more than a message.
    Worker(usize),
    /// A worker in turn.
    #[default]
    Any,
}

/// How an actor is to live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpawnOptions {
    /// Where it runs.
    pub thread: Thread,
    /// What its mailbox holds.
    pub mailbox: MailboxLimits,
    /// What happens when it fails.
    pub supervision: Supervision,
    /// Under whom it restarts, escalates and stops. It need not be an actor that lives.
    pub parent: Option<ActorPath>,
    /// Stop it after so long without a message, a future or a timer. A message that comes meanwhile
    /// is not lost: it is handled by a fresh one.
    pub passivate_after: Option<Duration>,
    /// For an entity that moves between nodes: how often it has moved. Senders that believe in
    /// another number are refused.
    pub incarnation: Option<IncarnationId>,
}

/// The actors of one node, and the way to those of others. A handle: clones are the same system.
#[derive(Clone)]
pub struct System {
    inner: Arc<Inner>,
}

struct Inner {
    platform: Platform,
    config: SystemConfig,
    epoch: Instant,
    directory: RwLock<Directory>,
    protocols: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    activators: RwLock<BTreeMap<&'static str, Activator>>,
    router: RwLock<Option<Arc<dyn Router>>>,
    link: RwLock<Option<Arc<dyn Link>>>,
    watches: Mutex<Watches>,
    events: broadcast::Sender<SystemEvent>,
    nodes: broadcast::Sender<PeerEvent>,
    /// Somebody ended; whoever waits for that looks again.
    ended: Notify,
    closing: AtomicBool,
    next_worker: AtomicUsize,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl System {
    /// A system without actors, router or link.
    #[must_use]
    pub fn new(platform: Platform, config: SystemConfig) -> Self {
        let epoch = platform.clock().now();
        let system = Self {
            inner: Arc::new(Inner {
                platform,
                config,
                epoch,
                directory: RwLock::default(),
                protocols: Mutex::default(),
                activators: RwLock::default(),
                router: RwLock::default(),
                link: RwLock::default(),
                watches: Mutex::default(),
                events: broadcast::Sender::new(EVENTS_KEPT),
                nodes: broadcast::Sender::new(EVENTS_KEPT),
                ended: Notify::new(),
                closing: AtomicBool::new(false),
                next_worker: AtomicUsize::new(0),
            }),
        };
        let listener: Arc<dyn StuckListener> = system.inner.clone();
        system.inner.platform.listen(Arc::downgrade(&listener));
        system
    }

    /// The platform below.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.inner.platform
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.inner.config.node
    }

    /// This run of it.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.inner.config.boot
    }

    /// When it was made: the beginning of the times in [`FlightLog`]s.
    #[must_use]
    pub fn started_at(&self) -> Instant {
        self.inner.epoch
    }

    /// A ref to whoever is at `path`, looked up at each send: an actor that lives here, else where
    /// the router says; what belongs here and does not live is activated.
    ///
    /// Only messages in the receiver's [`crate::Protocol`] go this way.
    #[must_use]
    pub fn actor_ref<M: Message>(&self, path: ActorPath) -> ActorRef<M> {
        ActorRef::at_path(self.clone(), path)
    }

    /// A ref to `path` on a given node, whatever the router says.
    #[must_use]
    pub fn remote<M: Message>(&self, node: NodeId, path: ActorPath) -> ActorRef<M> {
        ActorRef::at_node(self.clone(), node, path)
    }

    /// Failures, restarts, escalations and refusals from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SystemEvent> {
        self.inner.events.subscribe()
    }

    /// Changes in the life of nodes from now on: the link's, and what
    /// [`System::node_fenced`] proves.
    #[must_use]
    pub fn watch_nodes(&self) -> broadcast::Receiver<PeerEvent> {
        self.inner.nodes.subscribe()
    }

    /// Runs a future on the platform; the handle can abort it.
    #[track_caller]
    pub fn spawn_task(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> crate::platform::TaskHandle {
        self.inner.platform.spawn(future)
    }

    /// The actors that live here, by path.
    #[must_use]
    pub fn actors(&self) -> Vec<ActorInfo> {
        let live: Vec<_> = self.inner.read_directory().all().cloned().collect();
        let now = self.inner.platform.clock().now();
        live.iter().map(|live| info(live.as_ref(), now)).collect()
    }

    /// The last turns of the actor at `path`, oldest first; `None` when none lives there.
    #[must_use]
    pub fn flight(&self, path: &ActorPath) -> Option<FlightLog> {
        let live = self.inner.read_directory().find(path)?;
        Some(live.facts().flight.records())
    }
}

fn info(live: &dyn Live, now: Instant) -> ActorInfo {
    let facts = live.facts();
    let (mailbox_messages, mailbox_bytes) = live.depth();
    let (stalls, last_stall) = facts.flight.stalls();
    ActorInfo {
        path: facts.path.clone(),
        kind: facts.kind,
        parent: facts.parent.clone(),
        thread: facts.thread,
        mailbox_messages,
        mailbox_bytes,
        handled: facts.flight.handled(),
        restarts: facts.flight.restarts(),
        stalls,
        last_stall,
        is_down: facts.is_down(),
        busy: facts.flight.busy(now),
        slowest: facts.flight.slowest(),
    }
}

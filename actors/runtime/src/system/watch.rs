//! Death-watch: of actors here, of actors on other nodes, of nodes.
//!
//! An actor elsewhere is watched by asking the `/runtime` actor of its node, which tells ours what
//! happens to it. The connection itself is watched by the link: when it ends, every watcher of an
//! actor on that node hears so, with how sure it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gantry_link::{Certainty, Link, PeerEvent};
use gantry_wire::{Access, ActorPath, BootId, Message, NodeId, NotDelivered};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::{ActorEvent, NodeCertainty, Place, SpawnOptions, System, Thread};
use crate::actor::{Actor, Handler};
use crate::context::Context;
use crate::delivery::Sender;
use crate::protocol::Protocol;
use crate::reply::Reply;

/// Events kept for a watcher that lags; older ones are lost and counted in
/// [`ActorEvent::Missed`]. An actor in its restart limit gives six; lower would lose some of those,
/// higher costs memory per watched actor.
pub const WATCH_EVENTS_KEPT: usize = 16;

/// Most paths that this node watches, and most (path, node) pairs that others watch here. A leader
/// watches every entity of a cluster; lower would leave some unwatched, higher lets a hostile peer
/// fill memory.
pub const WATCHES_MAX: usize = 1_000_000;

/// How long the other node has to accept a watch. Longer than a reconnect; when it passes, the
/// watcher is told the node is silent rather than left to believe that it watches.
const WATCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The path of the actor that carries watches between nodes.
const RUNTIME_PATH: &str = "/runtime";

impl From<Certainty> for NodeCertainty {
    fn from(certainty: Certainty) -> Self {
        match certainty {
            Certainty::Silent => Self::Silent,
            Certainty::Gone => Self::Gone,
            Certainty::Fenced => Self::Fenced,
        }
    }
}

/// What happens to one path from now on.
#[derive(Debug)]
pub struct ActorWatch {
    events: broadcast::Receiver<ActorEvent>,
}

impl ActorWatch {
    /// The next event; `None` when the system is gone.
    pub async fn next(&mut self) -> Option<ActorEvent> {
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(n)) => Some(ActorEvent::Missed(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Who watches whom.
#[derive(Default)]
pub(super) struct Watches {
    /// Watchers in this process.
    local: BTreeMap<ActorPath, Watched>,
    /// Nodes that watch actors here.
    remote: BTreeMap<ActorPath, BTreeSet<NodeId>>,
    n_remote: usize,
}

struct Watched {
    events: broadcast::Sender<ActorEvent>,
    /// The node it was found on, when that is another.
    node: Option<NodeId>,
}

impl Watches {
    /// The channel of a path. Watches that nobody holds any more are swept when the table is full.
    fn channel(&mut self, path: &ActorPath) -> &mut Watched {
        if self.local.len() >= WATCHES_MAX {
            self.local.retain(|_, watched| watched.events.receiver_count() > 0);
        }
        let fresh = || Watched { events: broadcast::Sender::new(WATCH_EVENTS_KEPT), node: None };
        self.local.entry(path.clone()).or_insert_with(fresh)
    }

    /// Tells the watchers here; forgets the path when nobody watches it any more.
    fn tell(&mut self, path: &ActorPath, event: &ActorEvent) {
        if let Some(watched) = self.local.get(path)
            && watched.events.send(event.clone()).is_err()
        {
            self.local.remove(path);
        }
    }

    fn add_remote(&mut self, path: &ActorPath, node: NodeId) -> bool {
        if self.n_remote >= WATCHES_MAX {
            return false;
        }
        self.n_remote += usize::from(self.remote.entry(path.clone()).or_default().insert(node));
        true
    }

    fn drop_remote(&mut self, node: NodeId) {
        self.remote.retain(|_, nodes| {
            self.n_remote -= usize::from(nodes.remove(&node));
            !nodes.is_empty()
        });
    }

    fn on_node(&self, node: NodeId) -> Vec<ActorPath> {
        let here = self.local.iter().filter(|(_, watched)| watched.node == Some(node));
        here.map(|(path, _)| path.clone()).collect()
    }
}

impl System {
    fn watches(&self) -> std::sync::MutexGuard<'_, Watches> {
        self.inner.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches whoever is at `path`, here or where the router says. When nobody is, the first event
    /// is `Stopped`. A watch follows the path across restarts of the actor, not across moves.
    #[must_use]
    pub fn watch(&self, path: &ActorPath) -> ActorWatch {
        let place = self.place(path, None);
        let events = {
            let mut watches = self.watches();
            let watched = watches.channel(path);
            if let Ok(Place::Node(node)) = &place {
                watched.node = Some(*node);
            }
            watched.events.subscribe()
        };
        match place {
            // Looked at again after subscribing: it may have stopped between the two.
            Ok(Place::Live(_)) if self.is_live(path) => {}
            Ok(Place::Live(_)) => {
                let reason = "it stopped just now".into();
                self.watches().tell(path, &ActorEvent::Stopped { reason });
            }
            Ok(Place::Node(node)) => self.watch_away(node, path.clone()),
            Err(why) => {
                self.watches().tell(path, &ActorEvent::Stopped { reason: why.to_string() });
            }
        }
        ActorWatch { events }
    }

    fn watch_away(&self, node: NodeId, path: ActorPath) {
        let system = self.clone();
        let ask = self
            .remote::<WatchActor>(node, runtime_path())
            .ask(WatchActor { path: path.clone() }, WATCH_TIMEOUT);
        self.spawn_task(async move {
            let event = match ask.await {
                Ok(WatchAccepted { is_live: true, .. }) => return,
                Ok(WatchAccepted { reason, .. }) => ActorEvent::Stopped { reason },
                Err(error) => {
                    tracing::debug!(%node, path = path.as_str(), %error, "could not watch");
                    ActorEvent::NodeDown { certainty: NodeCertainty::Silent }
                }
            };
            system.watches().tell(&path, &event);
        });
    }

    pub(super) fn tell_watchers(&self, path: &ActorPath, event: &ActorEvent) {
        let nodes = {
            let mut watches = self.watches();
            watches.tell(path, event);
            watches.remote.get(path).cloned().unwrap_or_default()
        };
        for node in nodes {
            let changed = ActorChanged { path: path.clone(), event: event.clone() };
            let told = self.remote::<ActorChanged>(node, runtime_path()).tell(changed);
            if let Err(why) = told {
                // It will hear of this node's silence, or ask again when it reconnects.
                tracing::debug!(%node, path = path.as_str(), %why, "could not tell a watcher");
            }
        }
    }

    /// Attaches the link: messages for other nodes go through it, its peers are watched.
    pub fn attach(&self, link: Arc<dyn Link>) {
        // Subscribed before it is used, so that no change is missed.
        let events = link.events();
        *self.inner.link.write().unwrap_or_else(PoisonError::into_inner) = Some(link.clone());
        let options = SpawnOptions { thread: Thread::Control, ..SpawnOptions::default() };
        if let Err(error) = self.spawn(runtime_path(), options, || RuntimeActor) {
            tracing::debug!(%error, "the runtime actor lives already");
        }
        let system = self.clone();
        self.spawn_task(async move { system.follow_peers(link, events).await });
    }

    async fn follow_peers(&self, link: Arc<dyn Link>, mut events: broadcast::Receiver<PeerEvent>) {
        let mut up: BTreeMap<NodeId, BootId> = BTreeMap::new();
        loop {
            match events.recv().await {
                Ok(event) => {
                    match &event {
                        PeerEvent::Up(peer) => _ = up.insert(peer.node, peer.boot),
                        PeerEvent::Down { node, boot, .. } if up.get(node) == Some(boot) => {
                            up.remove(node);
                        }
                        PeerEvent::Down { .. } => {}
                    }
                    self.peer_changed(event);
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    for event in missed(&mut up, link.peers()) {
                        self.peer_changed(event);
                    }
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn peer_changed(&self, event: PeerEvent) {
        if let PeerEvent::Down { node, certainty, .. } = &event {
            let event = ActorEvent::NodeDown { certainty: (*certainty).into() };
            let mut watches = self.watches();
            watches.drop_remote(*node);
            for path in watches.on_node(*node) {
                watches.tell(&path, &event);
            }
        }
        let _listeners = self.inner.nodes.send(event);
    }

    /// Says that a run of a node is proven powerless: its watchers hear
    /// [`NodeCertainty::Fenced`]. Only whoever has the proof calls this.
    pub fn node_fenced(&self, node: NodeId, boot: BootId, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::info!(%node, %boot, reason, "a node is fenced");
        self.peer_changed(PeerEvent::Down { node, boot, certainty: Certainty::Fenced, reason });
    }
}

/// What a listener that lagged must have missed, by comparing what it knew with what is.
fn missed(up: &mut BTreeMap<NodeId, BootId>, peers: Vec<gantry_link::Peer>) -> Vec<PeerEvent> {
    let now: BTreeMap<NodeId, gantry_link::Peer> =
        peers.into_iter().map(|peer| (peer.node, peer)).collect();
    let mut events = Vec::new();
    for (node, boot) in up.iter() {
        if now.get(node).is_none_or(|peer| peer.boot != *boot) {
            // A newer boot proves that this one is gone; absence proves nothing.
            let certainty =
                if now.contains_key(node) { Certainty::Gone } else { Certainty::Silent };
            let reason = "seen late".to_owned();
            events.push(PeerEvent::Down { node: *node, boot: *boot, certainty, reason });
        }
    }
    for peer in now.values() {
        if up.get(&peer.node) != Some(&peer.boot) {
            events.push(PeerEvent::Up(peer.clone()));
        }
    }
    *up = now.into_iter().map(|(node, peer)| (node, peer.boot)).collect();
    events
}

fn runtime_path() -> ActorPath {
    ActorPath::new(RUNTIME_PATH).expect("a constant that keeps the rules of paths")
}

/// Asks a node to tell the sender what happens to one of its actors.
#[derive(Debug, Serialize, Deserialize)]
struct WatchActor {
    path: ActorPath,
}

/// The answer to [`WatchActor`].
#[derive(Debug, Serialize, Deserialize)]
struct WatchAccepted {
    is_live: bool,
    reason: String,
}

impl Message for WatchActor {
    const WIRE_NAME: &'static str = "runtime.watch-actor";
    const ACCESS: Access = Access::Peer;
    type Reply = WatchAccepted;
}

/// Tells a node what happened to an actor that it watches.
#[derive(Debug, Serialize, Deserialize)]
struct ActorChanged {
    path: ActorPath,
    event: ActorEvent,
}

impl Message for ActorChanged {
    const WIRE_NAME: &'static str = "runtime.actor-changed";
    const ACCESS: Access = Access::Peer;
    type Reply = ();
}

/// Carries watches between nodes. Owns nothing: the tables are the system's, so that they survive
/// it. Only the runtime actors of other nodes send to it.
struct RuntimeActor;

impl Actor for RuntimeActor {
    const KIND: &'static str = "runtime";

    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<WatchActor>().on::<ActorChanged>()
    }
}

impl Handler<WatchActor> for RuntimeActor {
    fn handle(
        &mut self,
        message: WatchActor,
        reply: Reply<WatchAccepted>,
        ctx: &mut Context<Self>,
    ) {
        let Sender::Peer(peer) = &ctx.delivery().from else {
            let reason = "a local watcher needs no messages".into();
            return reply.send(WatchAccepted { is_live: false, reason });
        };
        let (system, node) = (ctx.system(), peer.node);
        let found = system.find_or_activate(&message.path).map(drop);
        let found = found.map_err(|why: NotDelivered| why.to_string()).and_then(|()| {
            let added = system.watches().add_remote(&message.path, node);
            added.then_some(()).ok_or_else(|| "this node is watched too much".to_owned())
        });
        reply.send(match found {
            Ok(()) => WatchAccepted { is_live: true, reason: String::new() },
            Err(reason) => WatchAccepted { is_live: false, reason },
        });
    }
}

impl Handler<ActorChanged> for RuntimeActor {
    fn handle(&mut self, message: ActorChanged, reply: Reply<()>, ctx: &mut Context<Self>) {
        let ActorChanged { path, event } = message;
        let Sender::Peer(peer) = &ctx.delivery().from else { return reply.send(()) };
        let mut watches = ctx.system().watches();
        // Only the node that the actor was found on speaks for it.
        if watches.local.get(&path).is_some_and(|watched| watched.node == Some(peer.node)) {
            watches.tell(&path, &event);
        }
        drop(watches);
        reply.send(());
    }
}

//! Where a path lives: here, on another node, or nowhere yet.

use std::sync::{Arc, PoisonError};

use gantry_link::{Link, Peer};
use gantry_wire::{ActorPath, NodeId, NotDelivered};
use tokio::sync::watch;

use super::{Live, System};

/// Where the router believes an actor to live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this node.
    Here,
    /// On that one.
    Node(NodeId),
    /// Nobody knows at the moment, for this reason (no leader, no such entity).
    Unknown(String),
}

/// Knows on which node an actor lives. Asked at each send to a path that is not live here, so it
/// answers from memory.
pub trait Router: Send + Sync + 'static {
    /// Where `path` lives, for a message that `from` has sent here; `None` is this node itself. A
    /// node that knows only its own actors passes on what a client asks, and keeps what another
    /// node sends: that one knew where it goes.
    fn locate(&self, path: &ActorPath, from: Option<&Peer>) -> Location;

    /// Changes whenever something may live elsewhere than before. What was passed on to a node and
    /// is not answered yet is then looked at again: where its receiver is known to live elsewhere,
    /// the asker hears *unknown* at once, and not when that node is found to be silent. Without it
    /// the asker waits for that.
    fn moves(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

pub(super) type Activator =
    Arc<dyn Fn(&System, &ActorPath) -> Result<(), NotDelivered> + Send + Sync>;

/// Where a message goes.
pub(crate) enum Place {
    Live(Arc<dyn Live>),
    Node(NodeId),
}

impl System {
    /// Sets who knows where actors live. Without a router everything lives here.
    pub fn set_router(&self, router: Arc<dyn Router>) {
        *self.inner.router.write().unwrap_or_else(PoisonError::into_inner) = Some(router);
    }

    /// Makes the actors of a kind (first segment of their path) virtual: when a message comes for
    /// one that belongs here and is not live, `activate` spawns it, or refuses.
    pub fn set_activator(
        &self,
        kind: &'static str,
        activate: impl Fn(&Self, &ActorPath) -> Result<(), NotDelivered> + Send + Sync + 'static,
    ) {
        let mut activators = self.inner.activators.write().unwrap_or_else(PoisonError::into_inner);
        activators.insert(kind, Arc::new(activate));
    }

    /// The link, once attached.
    #[must_use]
    pub fn link(&self) -> Option<Arc<dyn Link>> {
        self.inner.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The link, or why nothing can be sent to another node.
    pub(crate) fn linked(&self) -> Result<Arc<dyn Link>, NotDelivered> {
        self.link().ok_or_else(|| NotDelivered::Unreachable {
            node: "any".into(),
            reason: "this system has no link".into(),
        })
    }

    /// Where a message for `path` goes now. What lives here is met here, also when the router has
    /// already heard that it moves: its last messages must reach it.
    pub(crate) fn place(
        &self,
        path: &ActorPath,
        from: Option<&Peer>,
    ) -> Result<Place, NotDelivered> {
        let live = self.inner.read_directory().find(path);
        if let Some(live) = live.filter(|live| !live.is_closed()) {
            return Ok(Place::Live(live));
        }
        let router = self.inner.router.read().unwrap_or_else(PoisonError::into_inner).clone();
        match router.map_or(Location::Here, |router| router.locate(path, from)) {
            Location::Node(node) if node != self.node() => Ok(Place::Node(node)),
            Location::Here | Location::Node(_) => self.activate(path).map(Place::Live),
            Location::Unknown(reason) => {
                Err(NotDelivered::Unreachable { node: format!("home of {path}"), reason })
            }
        }
    }

    /// Ends when `path` is known to live elsewhere than on `node`; never without a router that
    /// tells of moves. That nobody knows where it lives is no reason to give up.
    pub(super) async fn has_left(&self, node: NodeId, path: ActorPath, from: Option<Peer>) {
        let router = self.inner.router.read().unwrap_or_else(PoisonError::into_inner).clone();
        let moves = router.as_ref().and_then(|router| router.moves());
        let (Some(router), Some(mut moves)) = (router, moves) else {
            return std::future::pending().await;
        };
        loop {
            match router.locate(&path, from.as_ref()) {
                Location::Node(now) if now == node => {}
                Location::Unknown(_) => {}
                Location::Node(_) | Location::Here => return,
            }
            if moves.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The actor at `path` here, made now if its kind is virtual.
    pub(crate) fn find_or_activate(&self, path: &ActorPath) -> Result<Arc<dyn Live>, NotDelivered> {
        let live = self.inner.read_directory().find(path);
        match live.filter(|live| !live.is_closed()) {
            Some(live) => Ok(live),
            None => self.activate(path),
        }
    }

    fn activate(&self, path: &ActorPath) -> Result<Arc<dyn Live>, NotDelivered> {
        let nobody = || NotDelivered::NoSuchActor(path.to_string());
        if self.is_closing() {
            return Err(NotDelivered::Stopped(format!("{path}: the system is shutting down")));
        }
        let activators = self.inner.activators.read().unwrap_or_else(PoisonError::into_inner);
        let activate = activators.get(path.kind()).cloned();
        drop(activators);
        let refused = match activate {
            None => nobody(),
            Some(activate) => match activate(self, path) {
                Ok(()) => nobody(),
                Err(why) => why,
            },
        };
        // Whatever the activator said: another sender may have activated it at the same time.
        self.inner.read_directory().find(path).ok_or(refused)
    }
}

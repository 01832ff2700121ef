//! Where actors live, as this node knows it.

use std::sync::{Arc, PoisonError, RwLock};

use gantry_link::Peer;
use gantry_model::ids::{InstanceUuid, NodeUuid};
use gantry_runtime::{Location, Router};
use gantry_store::Store;
use gantry_wire::{ActorPath, Role};
use tokio::sync::watch;

/// What a node knows of its cluster.
pub(crate) struct ClusterRouter {
    this: NodeUuid,
    /// The log, where this node holds it.
    store: Option<Store>,
    master: RwLock<Option<NodeUuid>>,
    /// How often another node has become the master.
    moves: watch::Sender<u64>,
}

impl ClusterRouter {
    pub(crate) fn new(this: NodeUuid, store: Option<Store>, master: NodeUuid) -> Arc<Self> {
        let moves = watch::Sender::new(0);
        Arc::new(Self { this, store, master: RwLock::new(Some(master)), moves })
    }

    /// Another node leads, or nobody knows who.
    pub(crate) fn set_master(&self, master: Option<NodeUuid>) {
        let mut known = self.master.write().unwrap_or_else(PoisonError::into_inner);
        let has_changed = std::mem::replace(&mut *known, master) != master;
        drop(known);
        if has_changed {
            self.moves.send_modify(|moves| *moves += 1);
        }
    }

    fn master(&self) -> Location {
        match *self.master.read().unwrap_or_else(PoisonError::into_inner) {
            Some(master) => self.on(master),
            None => Location::Unknown("no master is known at the moment".into()),
        }
    }

    fn on(&self, node: NodeUuid) -> Location {
        if node == self.this { Location::Here } else { Location::Node(node.into()) }
    }

    fn instance(&self, path: &ActorPath, from: Option<&Peer>) -> Location {
        // A holder of the log that sends it here knows what it does: the master, on behalf of a
        // job (whose instance may not be in the configuration yet), or for a client. Any other
        // node only passes on what it was asked.
        if from.is_some_and(|peer| peer.role == Role::Candidate) {
            return Location::Here;
        }
        let Some(store) = &self.store else { return self.master() };
        let uuid: Option<InstanceUuid> = path.segments().nth(1).and_then(|id| id.parse().ok());
        let state = store.snapshot();
        if state.divergence().is_some() {
            return self.master();
        }
        match uuid.and_then(|uuid| state.instances.get(&uuid)) {
            Some(instance) => self.on(instance.primary),
            None => Location::Unknown(format!("there is no such instance: {path}")),
        }
    }
}

impl Router for ClusterRouter {
    fn moves(&self) -> Option<watch::Receiver<u64>> {
        Some(self.moves.subscribe())
    }

    fn locate(&self, path: &ActorPath, from: Option<&Peer>) -> Location {
        match path.kind() {
            "cluster" | "locks" | "job" => self.master(),
            "instance" => self.instance(path, from),
            "node" => match path.segments().nth(1).and_then(|id| id.parse::<NodeUuid>().ok()) {
                Some(node) => self.on(node),
                None => Location::Unknown(format!("{path} names no node")),
            },
            _ => Location::Here,
        }
    }
}

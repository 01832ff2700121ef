//! Where actors live, as this node knows it.

use std::sync::{Arc, PoisonError, RwLock};

use gantry_link::Peer;
use gantry_model::ids::{InstanceUuid, NodeUuid};
use gantry_runtime::{Location, Router};
use gantry_store::Store;
use gantry_wire::{ActorPath, Role};

/// What a node knows of its cluster.
pub(crate) struct ClusterRouter {
    this: NodeUuid,
    /// The log, where this node holds it.
    store: Option<Store>,
    master: RwLock<Option<NodeUuid>>,
}

impl ClusterRouter {
    pub(crate) fn new(this: NodeUuid, store: Option<Store>, master: NodeUuid) -> Arc<Self> {
        Arc::new(Self { this, store, master: RwLock::new(Some(master)) })
    }

    /// Another node leads, or nobody knows who.
    pub(crate) fn set_master(&self, master: Option<NodeUuid>) {
        *self.master.write().unwrap_or_else(PoisonError::into_inner) = master;
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

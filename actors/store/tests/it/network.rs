//! A network in virtual time: seeded delays, cuts, a trace of everything that passed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_model::ids::NodeUuid;
use gantry_store::forms::RaftCall;
use gantry_store::{RaftReply, RaftRequest, RaftTransport, Store, TransportError};
use gantry_wire::{decode, encode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

/// A network; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<World>>);

struct World {
    stores: BTreeMap<NodeUuid, Store>,
    cut: BTreeSet<(NodeUuid, NodeUuid)>,
    rng: StdRng,
    start: Instant,
    trace: Vec<String>,
    n_chunks: u64,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            stores: BTreeMap::new(),
            cut: BTreeSet::new(),
            rng: StdRng::seed_from_u64(seed),
            start: Instant::now(),
            trace: Vec::new(),
            n_chunks: 0,
        })))
    }

    pub(crate) fn transport(&self, this: NodeUuid) -> Arc<dyn RaftTransport> {
        Arc::new(Transport { this, network: self.clone() })
    }

    pub(crate) fn attach(&self, store: &Store) {
        self.world().stores.insert(store.node(), store.clone());
    }

    pub(crate) fn detach(&self, node: NodeUuid) {
        self.world().stores.remove(&node);
    }

    /// Nothing passes between `node` and anybody else, in either direction.
    pub(crate) fn isolate(&self, node: NodeUuid, others: &[NodeUuid]) {
        let mut world = self.world();
        for other in others.iter().filter(|other| **other != node) {
            world.cut.insert((node, *other));
            world.cut.insert((*other, node));
        }
    }

    pub(crate) fn heal(&self) {
        self.world().cut.clear();
    }

    /// Everything that passed, with its virtual time.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.world().trace.clone()
    }

    /// How many pieces of snapshots arrived.
    pub(crate) fn n_chunks(&self) -> u64 {
        self.world().n_chunks
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, from: NodeUuid, to: NodeUuid, what: &str) {
        let mut world = self.world();
        let at = world.start.elapsed().as_micros();
        let (from, to) = (from.0.as_u128(), to.0.as_u128());
        world.trace.push(format!("{at} {from}->{to} {what}"));
    }

    /// The way of one message; `None` when it is lost on it.
    async fn travel(&self, from: NodeUuid, to: NodeUuid) -> Option<()> {
        let delay = Duration::from_micros(self.world().rng.random_range(200..3_000));
        tokio::time::sleep(delay).await;
        (!self.world().cut.contains(&(from, to))).then_some(())
    }

    async fn carry(self, from: NodeUuid, to: NodeUuid, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.travel(from, to).await?;
        let store = self.world().stores.get(&to).cloned()?;
        let request: RaftRequest = decode(&bytes).expect("what was encoded");
        if matches!(request.call, RaftCall::InstallSnapshot(_)) {
            self.world().n_chunks += 1;
        }
        let reply = encode(&store.handle(request).await).expect("encodes");
        drop(store);
        self.travel(to, from).await?;
        self.note(to, from, &format!("reply of {} bytes", reply.len()));
        Some(reply)
    }
}

struct Transport {
    this: NodeUuid,
    network: Network,
}

impl RaftTransport for Transport {
    fn send(
        &self,
        to: NodeUuid,
        request: RaftRequest,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<RaftReply, TransportError>> {
        let kind = match &request.call {
            RaftCall::Vote(call) => format!("vote in term {}", call.vote.term),
            RaftCall::PreVote(call) => format!("pre-vote in term {}", call.vote.term),
            RaftCall::Append(call) => format!("append {}", call.entries.len()),
            RaftCall::InstallSnapshot(call) => format!("snapshot at {}", call.offset),
            RaftCall::TransferLeader(_) => "transfer".to_owned(),
        };
        self.network.note(self.this, to, &kind);
        let bytes = encode(&request).expect("a request fits a frame");
        let carrying = self.network.clone().carry(self.this, to, bytes);
        Box::pin(async move {
            match tokio::time::timeout(timeout, carrying).await {
                Ok(Some(reply)) => Ok(decode(&reply).expect("what was encoded")),
                // A lost packet says nothing; the sender notices after its time.
                Ok(None) | Err(_) => {
                    tokio::time::sleep(timeout).await;
                    Err(TransportError::Timeout)
                }
            }
        })
    }
}

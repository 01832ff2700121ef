//! A network in virtual time: seeded delays, cuts, a trace of everything that passed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_engine::state::Entry;
use gantry_model::ids::NodeUuid;
use gantry_model::units::Timestamp;
use gantry_store::forms::{PayloadForm, RaftCall, RecordForm};
use gantry_store::{RaftReply, RaftRequest, RaftTransport, Store, TransportError};
use gantry_wire::{decode, encode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
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
    loses_history: bool,
    /// Whose entries are changed on the way: the index, once it is chosen.
    tampered: BTreeMap<NodeUuid, Option<u64>>,
    /// Whose entries are replaced by what no program of today knows.
    from_the_future: BTreeSet<NodeUuid>,
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
            loses_history: false,
            tampered: BTreeMap::new(),
            from_the_future: BTreeSet::new(),
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

    /// The next entry reaches `node` with another time, as a bad memory would change it.
    pub(crate) fn tamper(&self, node: NodeUuid) {
        self.world().tampered.insert(node, None);
    }

    /// Entries reach `node` with a command that no program of today has a word for.
    pub(crate) fn speak_future(&self, node: NodeUuid) {
        self.world().from_the_future.insert(node);
    }

    /// Entries reach `node` as they are again.
    pub(crate) fn leave_alone(&self, node: NodeUuid) {
        self.world().tampered.remove(&node);
        self.world().from_the_future.remove(&node);
    }

    /// Whether questions for history are lost on the way.
    pub(crate) fn lose_history(&self, lose: bool) {
        self.world().loses_history = lose;
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
        let mut request: RaftRequest = decode(&bytes).expect("what was encoded");
        if matches!(request.call, RaftCall::History(_)) && self.world().loses_history {
            return None;
        }
        if let RaftCall::Append(call) = &mut request.call
            && let Some(chosen) = self.world().tampered.get_mut(&to)
        {
            change_one(&mut call.entries, chosen);
        }
        if let RaftCall::Append(call) = &mut request.call
            && self.world().from_the_future.contains(&to)
        {
            call.entries.iter_mut().for_each(speak_future);
        }
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

/// Changes one entry, and always the same one.
fn change_one(records: &mut [RecordForm], chosen: &mut Option<u64>) {
    for record in records {
        if let PayloadForm::Entry(encoded) = &mut record.payload
            && record.id.index == *chosen.get_or_insert(record.id.index)
        {
            let mut entry: Entry = decode(encoded).expect("an entry");
            entry.at.0 += 1;
            *encoded = encode(&entry).expect("encodes").into();
        }
    }
}

/// As a later program may write it.
fn speak_future(record: &mut RecordForm) {
    #[derive(Serialize)]
    struct LaterEntry {
        at: Timestamp,
        command: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
        why: &'static str,
    }
    if let PayloadForm::Entry(encoded) = &mut record.payload {
        let command = BTreeMap::from([("fly", BTreeMap::from([("height", 7)]))]);
        let later = LaterEntry { at: Timestamp(1), command, why: "a field" };
        *encoded = encode(&later).expect("encodes").into();
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
            RaftCall::StateHash(call) => format!("state hash at {}", call.index),
            RaftCall::Levels(_) => "levels".to_owned(),
            RaftCall::History(call) => format!("history before {}", call.before),
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

//! What the tests build on: an actor that does as it is told, and a loopback network.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gantry_link::{Answer, Certainty, Features, Inbound, Link, Peer, PeerEvent, PeerTraffic};
use gantry_link::{BulkAcceptor, BulkError, BulkOpen, BulkRate, BulkStream};
use gantry_runtime::{
    Actor, Context, Handler, Platform, Protocol, Reply, SpawnOptions, System, SystemConfig,
};
use gantry_wire::{
    Access, ActorPath, AskError, BootId, Envelope, Message, NodeId, NotDelivered, Role,
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn path(text: &str) -> ActorPath {
    ActorPath::new(text).expect("a valid path")
}

pub(crate) fn node_id(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

pub(crate) fn system_on(platform: Platform, n: u128) -> System {
    System::new(platform, SystemConfig { node: node_id(n), boot: BootId(Uuid::from_u128(n)) })
}

/// A node of its own in the simulation that runs.
pub(crate) fn system() -> System {
    system_on(Platform::simulated(1), 1)
}

macro_rules! messages {
    ($($name:ident($access:ident, $wire:literal) -> $reply:ty;)*) => {$(
        impl Message for $name {
            const WIRE_NAME: &'static str = $wire;
            const ACCESS: Access = Access::$access;
            type Reply = $reply;
        }
    )*};
}

/// Notes its text, and says how many notes there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Note(pub(crate) String);

/// Panics with its text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Break(pub(crate) String);

/// Handles no other message until so many milliseconds have passed, then answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hold(pub(crate) u64);

/// Answers after so many milliseconds, others meanwhile.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Later(pub(crate) u64);

/// Drops its reply.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Forget;

/// What was noted since it was made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Notes;

/// Counts its body in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

messages! {
    Note(Operate, "rig.note") -> u64;
    Break(Operate, "rig.break") -> ();
    Hold(Operate, "rig.hold") -> ();
    Later(Operate, "rig.later") -> ();
    Forget(Operate, "rig.forget") -> ();
    Notes(Read, "rig.notes") -> Vec<String>;
}

impl Message for Blob {
    const WIRE_NAME: &'static str = "rig.blob";
    const ACCESS: Access = Access::Operate;
    type Reply = ();
    fn cost_bytes(&self) -> usize {
        self.0.len()
    }
}

/// What happened to probes, in order, whoever they are.
pub(crate) type Diary = Arc<Mutex<Vec<String>>>;

pub(crate) struct Probe {
    notes: Vec<String>,
    diary: Diary,
}

impl Probe {
    pub(crate) fn new(diary: &Diary) -> Self {
        Self { notes: Vec::new(), diary: diary.clone() }
    }
}

pub(crate) fn entries(diary: &Diary) -> Vec<String> {
    diary.lock().expect("no test panics while it holds this").clone()
}

pub(crate) fn write(diary: &Diary, entry: impl Into<String>) {
    diary.lock().expect("no test panics while it holds this").push(entry.into());
}

impl Actor for Probe {
    const KIND: &'static str = "probe";

    fn protocol() -> Protocol<Self> {
        Protocol::new()
            .on::<Note>()
            .on::<Break>()
            .on::<Hold>()
            .on::<Later>()
            .on::<Forget>()
            .on::<Notes>()
            .on::<Blob>()
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        write(&self.diary, format!("{} started", ctx.path()));
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) {
        write(&self.diary, format!("{} stopping", ctx.path()));
    }
}

impl Handler<Note> for Probe {
    fn handle(&mut self, message: Note, reply: Reply<u64>, _ctx: &mut Context<Self>) {
        self.notes.push(message.0);
        reply.send(self.notes.len() as u64);
    }
}

impl Handler<Break> for Probe {
    fn handle(&mut self, message: Break, _reply: Reply<()>, _ctx: &mut Context<Self>) {
        panic!("{}", message.0);
    }
}

impl Handler<Hold> for Probe {
    fn handle(&mut self, message: Hold, reply: Reply<()>, ctx: &mut Context<Self>) {
        let sleep = tokio::time::sleep(Duration::from_millis(message.0));
        ctx.hold_then(sleep, move |probe: &mut Self, (), _| {
            probe.notes.push("held".into());
            reply.send(());
        });
    }
}

impl Handler<Later> for Probe {
    fn handle(&mut self, message: Later, reply: Reply<()>, ctx: &mut Context<Self>) {
        let sleep = tokio::time::sleep(Duration::from_millis(message.0));
        ctx.spawn_then(sleep, move |probe: &mut Self, (), _| {
            probe.notes.push("later".into());
            reply.send(());
        });
    }
}

impl Handler<Forget> for Probe {
    fn handle(&mut self, _message: Forget, reply: Reply<()>, _ctx: &mut Context<Self>) {
        drop(reply);
    }
}

impl Handler<Notes> for Probe {
    fn handle(&mut self, _: Notes, reply: Reply<Vec<String>>, _ctx: &mut Context<Self>) {
        reply.send(self.notes.clone());
    }
}

impl Handler<Blob> for Probe {
    fn handle(&mut self, _message: Blob, reply: Reply<()>, _ctx: &mut Context<Self>) {
        reply.send(());
    }
}

pub(crate) type ProbeRef = gantry_runtime::LocalRef<Probe>;

/// A probe at `at`, with its diary.
pub(crate) fn probe(system: &System, at: &str, options: SpawnOptions) -> (ProbeRef, Diary) {
    let diary = Diary::default();
    (probe_in(system, at, options, &diary), diary)
}

pub(crate) fn probe_in(
    system: &System,
    at: &str,
    options: SpawnOptions,
    diary: &Diary,
) -> ProbeRef {
    let diary = diary.clone();
    system.spawn(path(at), options, move || Probe::new(&diary)).expect("a free path")
}

pub(crate) fn note(text: &str) -> Note {
    Note(text.into())
}

/// Nodes that reach each other by a function call, half a millisecond apart.
#[derive(Clone, Default)]
pub(crate) struct Loopback {
    nodes: Arc<Mutex<BTreeMap<NodeId, Attached>>>,
}

struct Attached {
    inbound: Arc<dyn Inbound>,
    peer: Peer,
    events: broadcast::Sender<PeerEvent>,
}

const HALF_TRIP: Duration = Duration::from_micros(500);

impl Loopback {
    /// Attaches a system in a role.
    pub(crate) fn join(&self, system: &System, role: Role) -> Arc<LoopbackLink> {
        let peer = Peer {
            node: system.node(),
            role,
            boot: system.boot(),
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            version: 1,
            features: Features::default(),
        };
        let events = broadcast::Sender::new(64);
        let attached =
            Attached { inbound: system.inbound(), peer: peer.clone(), events: events.clone() };
        self.nodes.lock().expect("lock").insert(system.node(), attached);
        let link = Arc::new(LoopbackLink { net: self.clone(), peer, events });
        system.attach(link.clone());
        link
    }

    /// Takes a node off; the others hear so.
    pub(crate) fn down(&self, node: NodeId, certainty: Certainty) {
        let mut nodes = self.nodes.lock().expect("lock");
        let gone = nodes.remove(&node).expect("a node that joined");
        let event = PeerEvent::Down {
            node,
            boot: gone.peer.boot,
            certainty,
            reason: "the test took it off".into(),
        };
        for other in nodes.values() {
            let _listeners = other.events.send(event.clone());
        }
    }

    fn inbound(&self, node: NodeId) -> Result<Arc<dyn Inbound>, NotDelivered> {
        let nodes = self.nodes.lock().expect("lock");
        let unreachable = || NotDelivered::Unreachable {
            node: node.to_string(),
            reason: "not in the loopback".into(),
        };
        nodes.get(&node).map(|attached| attached.inbound.clone()).ok_or_else(unreachable)
    }
}

/// Gives an ask to `inbound` and waits for what becomes of it.
async fn answered(wait: Duration, ask: impl FnOnce(Answer)) -> Result<Bytes, AskError> {
    let (answer, outcome) = Answer::channel();
    ask(answer);
    let late = |_| Err(AskError::Unknown("no answer on the line".into()));
    tokio::time::timeout(wait, outcome).await.unwrap_or_else(late)
}

pub(crate) struct LoopbackLink {
    net: Loopback,
    pub(crate) peer: Peer,
    events: broadcast::Sender<PeerEvent>,
}

impl Link for LoopbackLink {
    fn this_node(&self) -> NodeId {
        self.peer.node
    }

    fn boot(&self) -> BootId {
        self.peer.boot
    }

    fn know(&self, _node: NodeId, _addrs: Vec<SocketAddr>) {}

    fn forget(&self, _node: NodeId) {}

    fn tell(&self, to: NodeId, envelope: Envelope) -> Result<(), NotDelivered> {
        let (inbound, peer) = (self.net.inbound(to)?, self.peer.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(HALF_TRIP).await;
            let _outcome = inbound.tell(&peer, envelope);
        });
        Ok(())
    }

    fn ask(&self, to: NodeId, envelope: Envelope) -> BoxFuture<'static, Result<Bytes, AskError>> {
        let (inbound, peer) = (self.net.inbound(to), self.peer.clone());
        Box::pin(async move {
            let inbound = inbound?;
            let wait = Duration::from_millis(u64::from(envelope.deadline_ms));
            tokio::time::sleep(HALF_TRIP).await;
            let answer = answered(wait, |answer| inbound.ask(&peer, envelope, answer)).await;
            tokio::time::sleep(HALF_TRIP).await;
            answer
        })
    }

    fn events(&self) -> broadcast::Receiver<PeerEvent> {
        self.events.subscribe()
    }

    fn peers(&self) -> Vec<Peer> {
        let nodes = self.net.nodes.lock().expect("lock");
        nodes.values().map(|attached| attached.peer.clone()).collect()
    }

    fn traffic(&self) -> Vec<PeerTraffic> {
        self.peers().into_iter().map(|peer| PeerTraffic { peer, counts: None }).collect()
    }

    fn open_bulk(
        &self,
        to: NodeId,
        _open: BulkOpen,
    ) -> BoxFuture<'static, Result<BulkStream, BulkError>> {
        let reason = "the loopback carries messages only".to_owned();
        Box::pin(async move { Err(BulkError::Unreachable { node: to.to_string(), reason }) })
    }

    fn accept_bulk(&self, _kind: &str, _acceptor: Arc<dyn BulkAcceptor>) {}

    fn set_bulk_rate(&self, _rate: BulkRate) {}

    fn close(&self, _grace: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

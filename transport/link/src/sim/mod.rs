//! A network in virtual time, with faults, decided by a seed.
//!
//! It means the same as QUIC does to whoever uses a [`Link`](crate::Link): loss only delays, a
//! duplicate counts once, what is in flight when a cable is cut arrives later or never, and the
//! death of a process is learnt by silence, by its goodbye, or by its next boot. It owns no clock
//! and no randomness but its seed's. It needs a current-thread runtime with paused time: two runs
//! of one program with one seed then give the same [trace](SimNetwork::trace). Deliberately absent:
//! bandwidth, certificates (roles are believed), and clocks that differ between nodes.

mod bulk;
mod dice;
mod end;
mod link;
mod trace;
mod world;

pub use link::SimLink;
pub use trace::{TRACE_EVENTS_MAX, TraceEvent, TraceKind};

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use gantry_wire::{AskError, BootId, NodeId, Role};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use self::end::End;
use self::world::{Back, Call, World};
use crate::answer::{Answer, Stage, WayBack, expire, give_up};
use crate::asking::deadline_of;
use crate::contract::Inbound;
use crate::limits::{ASK_GRACE, PEER_SILENCE};

/// How the simulated network behaves.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Shortest way of a packet.
    pub latency_min: Duration,
    /// Longest way of a packet.
    pub latency_max: Duration,
    /// How many packets of a thousand are lost. They come later, as QUIC sends them again.
    pub loss_per_mille: u16,
    /// How many packets of a thousand come twice. They count once, as in QUIC.
    pub duplicate_per_mille: u16,
    /// After how much silence a peer counts as silent.
    pub silence: Duration,
    /// Kinds of actors whose messages take the control lane.
    pub control_kinds: Vec<String>,
}

impl Default for SimConfig {
    /// A quiet LAN.
    fn default() -> Self {
        Self {
            latency_min: Duration::from_micros(100),
            latency_max: Duration::from_micros(500),
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            silence: PEER_SILENCE,
            control_kinds: Vec::new(),
        }
    }
}

/// A simulated network. Clones are the same network.
#[derive(Clone)]
pub struct SimNetwork(Arc<Shared>);

struct Shared {
    world: Mutex<World>,
    /// The agenda changed.
    changed: Arc<Notify>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The driver finds nothing left and ends.
        self.changed.notify_one();
    }
}

impl SimNetwork {
    /// Makes a network and starts its driver on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(seed: u64, config: SimConfig) -> Self {
        let changed = Arc::new(Notify::new());
        let world = Mutex::new(World::new(seed, config, Instant::now()));
        let shared = Arc::new(Shared { world, changed: changed.clone() });
        drop(tokio::spawn(drive(Arc::downgrade(&shared), changed)));
        Self(shared)
    }

    /// Starts a process. An older boot of the same node is killed, as two cannot have one address.
    #[must_use]
    pub fn start(
        &self,
        node: NodeId,
        role: Role,
        boot: BootId,
        inbound: Arc<dyn Inbound>,
    ) -> SimLink {
        let events = self.with(|world, now| {
            let end = End::new(node, boot, role, world.addr(node), inbound);
            let events = end.events.clone();
            world.start(end, now);
            events
        });
        SimLink::new(self.clone(), node, boot, events)
    }

    /// The address of a node, the same at every boot.
    #[must_use]
    pub fn addr(&self, node: NodeId) -> SocketAddr {
        self.with(|world, _| world.addr(node))
    }

    /// Kills a process: no goodbye, what it was doing stops, what it has sent still arrives.
    pub fn crash(&self, node: NodeId) {
        self.with(|world, now| world.crash(node, now));
    }

    /// Nothing gets from one of these to the other, in either direction.
    pub fn partition(&self, a: NodeId, b: NodeId) {
        self.with(|world, now| world.cut(a, b, now));
    }

    /// Ends a partition between two nodes.
    pub fn heal(&self, a: NodeId, b: NodeId) {
        self.with(|world, now| world.heal(a, b, now));
    }

    /// Nothing gets to or from this node: a pulled cable, or a process that is stopped.
    pub fn isolate(&self, node: NodeId) {
        self.with(|world, now| world.isolate(node, now));
    }

    /// Ends an isolation; partitions stay.
    pub fn rejoin(&self, node: NodeId) {
        self.with(|world, now| world.rejoin(node, now));
    }

    /// What happened so far, at most the first [`TRACE_EVENTS_MAX`] events.
    #[must_use]
    pub fn trace(&self) -> Vec<TraceEvent> {
        self.with(|world, _| world.trace.events())
    }

    /// A digest of everything that happened, however long: equal for two runs of one seed.
    #[must_use]
    pub fn trace_digest(&self) -> [u8; 32] {
        self.with(|world, _| world.trace.digest())
    }

    /// The end of a process that has said goodbye.
    fn end(&self, node: NodeId, boot: BootId) {
        self.with(|world, now| {
            if world.ends.get(&node).is_some_and(|end| end.boot == boot) {
                world.crash(node, now);
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut World, Instant) -> T) -> T {
        let mut world = self.0.world.lock().unwrap_or_else(PoisonError::into_inner);
        let before = world.next();
        let done = work(&mut world, Instant::now());
        if world.next() != before {
            self.0.changed.notify_one();
        }
        done
    }
}

/// An ask that is worked on in a simulated process.
struct SimAsk {
    stage: Stage,
    network: Weak<Shared>,
    back: Mutex<Option<(Back, oneshot::Sender<()>)>>,
}

impl SimAsk {
    fn new(network: &SimNetwork, back: Back) -> (Self, oneshot::Receiver<()>) {
        let (tell, answered) = oneshot::channel();
        let network = Arc::downgrade(&network.0);
        let back = Mutex::new(Some((back, tell)));
        (Self { stage: Stage::default(), network, back }, answered)
    }

    fn take(&self) -> Option<Back> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner).take().map(|(back, _)| back)
    }
}

impl WayBack for SimAsk {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn put(&self, result: Result<Bytes, AskError>) {
        let Some(back) = self.take() else { return };
        // The dead say nothing, not even that their handlers are gone.
        if back.life.is_cancelled() {
            return;
        }
        if let Some(network) = self.network.upgrade().map(SimNetwork) {
            network.with(|world, now| world.reply(back, result, now));
        }
    }

    fn forget(&self) {
        drop(self.take());
    }
}

/// Does what stands in the agenda, each thing at its time, until the network is dropped.
async fn drive(shared: Weak<Shared>, changed: Arc<Notify>) {
    loop {
        let Some(network) = shared.upgrade().map(SimNetwork) else { return };
        let now = Instant::now();
        let step = network.with(|world, _| world.step(now));
        if let Some(call) = step {
            if let Some(call) = call {
                make_call(&network, call);
                // What the call woke goes first, even where packets take no time.
                drop(network);
                tokio::task::yield_now().await;
            }
            continue;
        }
        let next = network.with(|world, _| world.next());
        drop(network);
        match next {
            None => changed.notified().await,
            Some(at) => tokio::select! {
                biased;
                () = changed.notified() => {}
                () = sleep_until(at) => {}
            },
        }
    }
}

fn make_call(network: &SimNetwork, call: Call) {
    match call {
        Call::Tell { inbound, from, envelope } => {
            let (to, message) = (envelope.to.clone(), envelope.message.clone());
            if let Err(reason) = inbound.tell(&from, envelope) {
                tracing::debug!(peer = %from.node, %to, %message, %reason, "tell not accepted");
            }
        }
        Call::Ask { inbound, from, envelope, back } => {
            let deadline = deadline_of(&envelope, Instant::now());
            let life = back.life.clone();
            let (ask, answered) = SimAsk::new(network, back);
            let ask = Arc::new(ask);
            inbound.ask(&from, envelope, Answer::new(ask.clone()));
            drop(tokio::spawn(async move {
                let until_late = async {
                    sleep_until(deadline).await;
                    expire(ask.as_ref());
                    sleep_until(deadline + ASK_GRACE).await;
                    give_up(ask.as_ref());
                };
                tokio::select! {
                    biased;
                    () = life.cancelled() => {}
                    // Answered or silenced, there is nothing left to wait for.
                    _ = answered => {}
                    () = until_late => {}
                }
            }));
        }
    }
}

//! The simulated link: the promises of every link, faults, and one seed = one trace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use gantry_link::conformance::{Recorder, Rig, await_event, check, envelope};
use gantry_link::sim::{SimConfig, SimLink, SimNetwork, TraceKind};
use gantry_link::{Certainty, Inbound, Link, PeerEvent};
use gantry_wire::{AskError, BootId, NodeId, NotDelivered, Role};
use tokio::time::sleep;
use uuid::Uuid;

fn id(n: usize) -> NodeId {
    NodeId(Uuid::from_u128(0x1000 + n as u128))
}

fn boot(n: u64) -> BootId {
    BootId(Uuid::from_u128(0xb007_0000 + u128::from(n)))
}

struct SimRig {
    network: SimNetwork,
    boots: AtomicU64,
    running: Mutex<BTreeMap<usize, Arc<SimLink>>>,
}

impl SimRig {
    fn new(seed: u64, config: SimConfig) -> Self {
        let network = SimNetwork::new(seed, config);
        Self { network, boots: AtomicU64::new(0), running: Mutex::new(BTreeMap::new()) }
    }

    fn start_node(&self, n: usize, inbound: Arc<dyn Inbound>) -> Arc<SimLink> {
        let boot = boot(self.boots.fetch_add(1, Ordering::Relaxed));
        let link = Arc::new(self.network.start(id(n), Role::Node, boot, inbound));
        self.running.lock().expect("lock").insert(n, link.clone());
        link
    }

    /// Two nodes that know each other, and their recorders.
    fn pair(&self) -> ([Arc<SimLink>; 2], [Arc<Recorder>; 2]) {
        let recorders = [Recorder::new(), Recorder::new()];
        let links = [0, 1].map(|n| self.start_node(n, recorders[n].clone()));
        links[0].know(id(1), vec![self.network.addr(id(1))]);
        links[1].know(id(0), vec![self.network.addr(id(0))]);
        (links, recorders)
    }
}

impl Rig for SimRig {
    fn start(&self, node: usize, inbound: Arc<dyn Inbound>) -> BoxFuture<'_, Arc<dyn Link>> {
        let link: Arc<dyn Link> = self.start_node(node, inbound);
        std::future::ready(link).boxed()
    }

    fn crash(&self, node: usize) -> BoxFuture<'_, ()> {
        self.network.crash(id(node));
        std::future::ready(()).boxed()
    }

    fn id(&self, node: usize) -> NodeId {
        id(node)
    }

    fn addr(&self, node: usize) -> SocketAddr {
        self.network.addr(id(node))
    }

    fn dead_addr(&self) -> SocketAddr {
        SocketAddr::from(([10, 255, 255, 255], 1))
    }

    fn silence(&self) -> Duration {
        SimConfig::default().silence
    }
}

fn rough() -> SimConfig {
    SimConfig {
        latency_min: Duration::from_micros(50),
        latency_max: Duration::from_millis(20),
        loss_per_mille: 100,
        duplicate_per_mille: 50,
        ..SimConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulated_link_passes_the_suite() {
    check(&SimRig::new(1, SimConfig::default())).await;
}

#[tokio::test(start_paused = true)]
async fn the_suite_passes_with_loss_and_jitter() {
    for seed in 0..20 {
        check(&SimRig::new(seed, rough())).await;
    }
}

/// Traffic in all directions among three nodes, with a partition, a crash and a restart.
async fn busy_run(seed: u64) -> ([u8; 32], usize) {
    let rig = SimRig::new(seed, rough());
    let recorders: Vec<_> = (0..3).map(|_| Recorder::new()).collect();
    let mut links: Vec<_> = (0..3).map(|n| rig.start_node(n, recorders[n].clone())).collect();
    let mut outcomes = Vec::new();
    for round in 0..6_u8 {
        for (n, link) in links.iter().enumerate() {
            for other in (0..3).filter(|other| *other != n) {
                link.know(id(other), vec![rig.network.addr(id(other))]);
                drop(link.tell(id(other), envelope("/echo", vec![round], 500)));
                outcomes.push(link.ask(id(other), envelope("/echo", vec![round], 500)));
            }
        }
        match round {
            1 => rig.network.partition(id(0), id(1)),
            2 => rig.network.crash(id(2)),
            3 => {
                rig.network.heal(id(0), id(1));
                links[2] = rig.start_node(2, recorders[2].clone());
            }
            _ => {}
        }
        sleep(Duration::from_millis(700)).await;
    }
    join_all(outcomes).await;
    (rig.network.trace_digest(), rig.network.trace().len())
}

#[test]
fn one_seed_is_one_trace() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("runtime");
        runtime.block_on(busy_run(seed))
    };
    let (first, n_events) = run(7);
    assert!(n_events > 100, "something happened: {n_events}");
    for _ in 0..5 {
        assert_eq!(run(7).0, first);
    }
    assert_ne!(run(8).0, first, "another seed is another run");
}

#[tokio::test(start_paused = true)]
async fn what_a_short_partition_holds_back_arrives_once_and_in_order() {
    let rig = SimRig::new(3, rough());
    let (links, recorders) = rig.pair();
    let body = |n: u8| envelope("/echo", vec![n], 60_000);
    links[0].ask(id(1), body(255)).await.expect("connects");
    for n in 0..50 {
        links[0].tell(id(1), body(n)).expect("accepted");
    }
    rig.network.partition(id(0), id(1));
    for n in 50..100 {
        links[0].tell(id(1), body(n)).expect("accepted");
    }
    sleep(Duration::from_millis(500)).await;
    assert!(recorders[1].told().is_empty(), "nothing gets through");
    rig.network.heal(id(0), id(1));
    recorders[1].wait_for_tells(100).await;
    let expected: Vec<_> = (0..100).map(|n: u8| vec![n]).collect();
    assert_eq!(recorders[1].told(), expected);
    let traced = rig.network.trace();
    let tells = traced.iter().filter(|event| event.kind == TraceKind::Tell).count();
    assert_eq!(tells, 100, "each once");
    assert!(
        traced.iter().any(|event| event.kind == TraceKind::Duplicated),
        "though some came twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_partition_is_silence_on_both_sides_and_heals() {
    let rig = SimRig::new(4, SimConfig::default());
    let (links, _) = rig.pair();
    let ask = || links[0].ask(id(1), envelope("/echo", "x", 60_000));
    ask().await.expect("connects");
    let (mut at_0, mut at_1) = (links[0].events(), links[1].events());
    rig.network.partition(id(0), id(1));
    let in_flight = ask();
    let silent =
        |event: &PeerEvent| matches!(event, PeerEvent::Down { certainty: Certainty::Silent, .. });
    await_event(&mut at_0, "silence at 0", silent).await;
    await_event(&mut at_1, "silence at 1", silent).await;
    let outcome = in_flight.await;
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "it was sent: {outcome:?}");

    let not_sent = links[0].ask(id(1), envelope("/echo", "x", 500)).await;
    let unreachable =
        matches!(not_sent, Err(AskError::NotDelivered(NotDelivered::Unreachable { .. })));
    assert!(unreachable, "{not_sent:?}");

    rig.network.heal(id(0), id(1));
    assert!(ask().await.is_ok());
    let up = |event: &PeerEvent| matches!(event, PeerEvent::Up(_));
    let seen = await_event(&mut at_0, "the same boot", up).await;
    let gone = |e: &PeerEvent| matches!(e, PeerEvent::Down { certainty: Certainty::Gone, .. });
    assert!(!seen.iter().any(gone), "nobody died: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_isolated_node_is_cut_from_everybody() {
    let rig = SimRig::new(5, SimConfig::default());
    let (links, _) = rig.pair();
    rig.network.isolate(id(1));
    let outcome = links[0].ask(id(1), envelope("/echo", "x", 300)).await;
    assert!(outcome.is_err());
    rig.network.rejoin(id(1));
    assert!(links[0].ask(id(1), envelope("/echo", "x", 5000)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_what_its_node_was_asked() {
    let rig = SimRig::new(6, SimConfig::default());
    let (links, recorders) = rig.pair();
    let ask = links[0].ask(id(1), envelope("/never", "", 60_000));
    links[0].ask(id(1), envelope("/echo", "", 60_000)).await.expect("the ask before it arrived");
    assert_eq!(recorders[1].asked().len(), 2);
    rig.network.crash(id(1));
    assert!(matches!(ask.await, Err(AskError::Unknown(_))));
    let told = links[1].tell(id(0), envelope("/echo", "", 1000));
    assert!(matches!(told, Err(NotDelivered::Stopped(_))), "the dead say nothing: {told:?}");
}

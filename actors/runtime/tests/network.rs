//! Simulated nodes on the simulated network of the link: the same seed twice, a crash and a return.

use std::sync::Arc;
use std::time::Duration;

use gantry_link::sim::{SimConfig, SimNetwork, TraceEvent};
use gantry_link::{BulkError, BulkRefusal, Certainty, Link, Peer, PeerEvent};
use gantry_runtime::{
    ActorEvent, BulkKind, Location, NodeCertainty, Platform, Router, SpawnOptions, System,
    SystemConfig, simulate,
};
use gantry_wire::{Access, ActorPath, BootId, NodeId, Role};
use tokio::time::Instant;
use uuid::Uuid;

use crate::rig::*;

/// Starts node `n` of three in its boot number `boot`, with a probe.
fn start(net: &SimNetwork, seed: u64, n: u64, boot: u64, diary: &Diary) -> System {
    let platform = Platform::simulated(seed * 100 + n * 10 + boot);
    let (node, boot) = (node_id(u128::from(n)), BootId(Uuid::from_u128(u128::from(boot))));
    let system = System::new(platform, SystemConfig { node, boot });
    let link = net.start(node, Role::Candidate, boot, system.inbound());
    for other in (1..=3).map(node_id).filter(|other| *other != node) {
        link.know(other, vec![net.addr(other)]);
    }
    system.attach(Arc::new(link));
    let _probe = probe_in(&system, "/probe/1", SpawnOptions::default(), diary);
    system
}

fn rough() -> SimConfig {
    SimConfig { loss_per_mille: 50, duplicate_per_mille: 50, ..SimConfig::default() }
}

fn crash(net: &SimNetwork, system: &System) {
    net.crash(system.node());
    system.platform().sim_node().expect("simulated").crash();
}

/// Asks around for a while: notes and panics, drawn from the node's own randomness.
async fn talk(system: System, diary: Diary, start: Instant) {
    for round in 0..40 {
        let draw = system.platform().random_u64();
        let to = node_id(u128::from(draw % 3) + 1);
        tokio::time::sleep(Duration::from_micros(draw % 5000)).await;
        let at = path("/probe/1");
        let outcome = if draw.is_multiple_of(11) {
            let boom = Break(format!("round {round}"));
            format!("{:?}", system.remote::<Break>(to, at).ask(boom, SECOND).await)
        } else {
            format!("{:?}", system.remote::<Note>(to, at).ask(note("x"), SECOND / 2).await)
        };
        let (us, node) = (start.elapsed().as_micros(), system.node());
        write(&diary, format!("{us} {node} to {to}: {outcome}"));
    }
}

/// Three nodes that talk over a rough network while one crashes and comes back; and everything that
/// was seen of it, above and below the link.
fn run(seed: u64) -> (Vec<String>, Vec<TraceEvent>) {
    simulate(async move {
        let begun = Instant::now();
        let (net, diary) = (SimNetwork::new(seed, rough()), Diary::default());
        let mut nodes: Vec<_> = (1..=3).map(|n| start(&net, seed, n, 1, &diary)).collect();
        let talks: Vec<_> = nodes
            .iter()
            .map(|system| tokio::task::spawn_local(talk(system.clone(), diary.clone(), begun)))
            .collect();
        tokio::time::sleep(Duration::from_millis(60)).await;
        crash(&net, &nodes[2]);
        tokio::time::sleep(Duration::from_millis(60)).await;
        nodes[2] = start(&net, seed, 3, 2, &diary);
        for task in talks {
            task.await.expect("no panic");
        }
        for info in nodes.iter().flat_map(System::actors) {
            write(&diary, format!("{} {} {}", info.path, info.handled, info.restarts));
        }
        (entries(&diary), net.trace())
    })
}

#[test]
fn one_seed_gives_one_trace() {
    let (seen, trace) = run(1);
    assert!(seen.len() > 100, "{}", seen.len());
    assert!(trace.len() > 100, "{}", trace.len());
    assert!(seen.iter().any(|entry| entry.contains("panicked")), "a panic was among it");
    let (seen_again, trace_again) = run(1);
    assert_eq!(seen, seen_again);
    assert_eq!(trace, trace_again);
    assert_ne!(seen, run(2).0, "the seed decides");
}

struct Third;

impl Router for Third {
    fn locate(&self, _path: &ActorPath, _from: Option<&Peer>) -> Location {
        Location::Node(node_id(3))
    }
}

#[test]
fn watchers_hear_of_a_crash_by_silence_and_of_the_return_for_sure() {
    simulate(async {
        let (net, diary) = (SimNetwork::new(1, SimConfig::default()), Diary::default());
        let one = start(&net, 1, 1, 1, &diary);
        let three = start(&net, 1, 3, 1, &diary);
        one.stop_and_wait(path("/probe/1"), SECOND).await;
        one.set_router(Arc::new(Third));
        let mut nodes = one.watch_nodes();
        let mut watch = one.watch(&path("/probe/1"));
        let probe = one.actor_ref::<Note>(path("/probe/1"));
        assert_eq!(probe.ask(note("x"), SECOND).await, Ok(1));
        crash(&net, &three);
        let silent = ActorEvent::NodeDown { certainty: NodeCertainty::Silent };
        assert_eq!(watch.next().await, Some(silent));
        let _back = start(&net, 1, 3, 2, &diary);
        assert_eq!(probe.ask(note("x"), 10 * SECOND).await, Ok(1), "the same path, afresh");
        let gone = ActorEvent::NodeDown { certainty: NodeCertainty::Gone };
        assert_eq!(watch.next().await, Some(gone), "a new boot proves it");
        let told: Vec<_> = std::iter::from_fn(|| nodes.try_recv().ok()).map(told).collect();
        let boot = |n| BootId(Uuid::from_u128(n));
        assert_eq!(
            told,
            [
                (node_id(3), boot(1), None),
                (node_id(3), boot(1), Some(Certainty::Silent)),
                (node_id(3), boot(1), Some(Certainty::Gone)),
                (node_id(3), boot(2), None),
            ]
        );
    });
}

/// Node, boot, and how sure it is that it is down; `None` for up.
fn told(event: PeerEvent) -> (NodeId, BootId, Option<Certainty>) {
    match event {
        PeerEvent::Up(peer) => (peer.node, peer.boot, None),
        PeerEvent::Down { node, boot, certainty, .. } => (node, boot, Some(certainty)),
    }
}

/// A volume that is sent somewhere else.
struct Volume;

impl BulkKind for Volume {
    const KIND: &'static str = "volume";
    const ACCESS: Access = Access::Peer;
    type Header = String;
}

#[test]
fn bulk_data_goes_beside_the_messages_with_a_typed_header() {
    simulate(async {
        let net = SimNetwork::new(7, SimConfig::default());
        let diary = Diary::default();
        let (one, two) = (start(&net, 7, 1, 1, &diary), start(&net, 7, 2, 1, &diary));
        let (taken, mut streams) = tokio::sync::mpsc::unbounded_channel();
        let check = |_: &Peer, name: &String| match name.as_str() {
            "disk0" => Ok(()),
            other => Err(format!("no volume {other}")),
        };
        let take = move |peer: &Peer, name: String, stream| {
            taken.send((peer.node, name, stream)).expect("the test waits");
        };
        two.bulk().accept::<Volume>(check, take).expect("it has a link");
        let refused = one.bulk().open::<Volume>(node_id(2), &"disk9".to_owned()).await;
        let why = BulkRefusal::Declined { reason: "no volume disk9".to_owned() };
        let node = node_id(2).to_string();
        assert_eq!(refused.map(drop), Err(BulkError::Refused { node, why }));
        let opened = one.bulk().open::<Volume>(node_id(2), &"disk0".to_owned()).await;
        let mut sending = opened.expect("it is taken");
        let (from, name, mut coming) = streams.recv().await.expect("it came");
        assert_eq!((from, name.as_str()), (node_id(1), "disk0"));
        sending.writer.write("blocks".into()).await.expect("it takes them");
        let finish = sending.writer.finish();
        let read = async {
            let bytes = coming.reader.read().await;
            (bytes, coming.reader.read().await)
        };
        let (finished, read) = tokio::join!(finish, read);
        assert_eq!((finished, read), (Ok(()), (Ok(Some("blocks".into())), Ok(None))));
    });
}

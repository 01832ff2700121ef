//! Death-watch, here and across nodes.

use gantry_link::{Certainty, Peer, PeerEvent};
use gantry_runtime::{
    ActorEvent, Location, NodeCertainty, Platform, Router, SpawnOptions, Supervision, System,
    simulate,
};
use gantry_wire::{ActorPath, BootId, NodeId, Role};
use std::sync::Arc;
use uuid::Uuid;

use crate::rig::*;

struct Always(NodeId);

impl Router for Always {
    fn locate(&self, _path: &ActorPath, _from: Option<&Peer>) -> Location {
        Location::Node(self.0)
    }
}

fn broken(text: &str) -> Break {
    Break(text.into())
}

/// A network of two; node 2 believes that everything lives on node 1.
fn two() -> (Loopback, System, System) {
    let net = Loopback::default();
    let (one, two) = (system_on(Platform::simulated(1), 1), system_on(Platform::simulated(2), 2));
    net.join(&one, Role::Candidate);
    net.join(&two, Role::Candidate);
    two.set_router(Arc::new(Always(node_id(1))));
    (net, one, two)
}

#[test]
fn a_watcher_hears_of_restart_escalation_and_stop() {
    simulate(async {
        let system = system();
        let supervision = Supervision { restarts_max: 1, ..Supervision::default() };
        let options = SpawnOptions { supervision, ..SpawnOptions::default() };
        let (probe_1, _) = probe(&system, "/probe/1", options);
        let (_probe_2, _) = probe(&system, "/probe/2", SpawnOptions::default());
        let mut watch_1 = system.watch(&path("/probe/1"));
        let mut watch_2 = system.watch(&path("/probe/2"));
        probe_1.to::<Break>().tell(broken("a")).expect("room");
        assert_eq!(watch_1.next().await, Some(ActorEvent::Restarted));
        probe_1.to::<Break>().tell(broken("b")).expect("room");
        assert_eq!(watch_1.next().await, Some(ActorEvent::Escalated { text: "b".into() }));
        system.stop(path("/probe/2"));
        let reason = "it was told to stop".into();
        assert_eq!(watch_2.next().await, Some(ActorEvent::Stopped { reason }));
    });
}

#[test]
fn watching_nobody_says_so_at_once() {
    simulate(async {
        let mut watch = system().watch(&path("/probe/1"));
        let reason = "no actor at /probe/1".into();
        assert_eq!(watch.next().await, Some(ActorEvent::Stopped { reason }));
    });
}

#[test]
fn an_actor_on_another_node_is_watched_through_its_runtime() {
    simulate(async {
        let (_net, one, two) = two();
        let (probe, _) = probe(&one, "/probe/1", SpawnOptions::default());
        let mut watch = two.watch(&path("/probe/1"));
        tokio::time::sleep(SECOND).await;
        probe.to::<Break>().tell(broken("a")).expect("room");
        assert_eq!(watch.next().await, Some(ActorEvent::Restarted));
        one.stop(path("/probe/1"));
        let reason = "it was told to stop".into();
        assert_eq!(watch.next().await, Some(ActorEvent::Stopped { reason }));
        let mut late = two.watch(&path("/probe/1"));
        let reason = "no actor at /probe/1".into();
        assert_eq!(late.next().await, Some(ActorEvent::Stopped { reason }));
    });
}

#[test]
fn the_end_of_a_node_reaches_its_watchers_with_how_sure_it_is() {
    simulate(async {
        let (net, one, two) = two();
        let (_probe, _) = probe(&one, "/probe/1", SpawnOptions::default());
        let mut watch = two.watch(&path("/probe/1"));
        let mut nodes = two.watch_nodes();
        tokio::time::sleep(SECOND).await;
        net.down(node_id(1), Certainty::Silent);
        let silent = ActorEvent::NodeDown { certainty: NodeCertainty::Silent };
        assert_eq!(watch.next().await, Some(silent));
        two.node_fenced(node_id(1), BootId(Uuid::from_u128(1)), "power is off");
        let fenced = ActorEvent::NodeDown { certainty: NodeCertainty::Fenced };
        assert_eq!(watch.next().await, Some(fenced));
        let told = [nodes.recv().await, nodes.recv().await].map(|event| match event {
            Ok(PeerEvent::Down { node, certainty, .. }) => (node, certainty),
            other => panic!("{other:?}"),
        });
        let expected = [Certainty::Silent, Certainty::Fenced].map(|c| (node_id(1), c));
        assert_eq!(told, expected);
    });
}

#[test]
fn a_node_that_cannot_be_asked_is_silent() {
    simulate(async {
        let (net, _one, two) = two();
        net.down(node_id(1), Certainty::Gone);
        tokio::time::sleep(SECOND).await;
        let mut watch = two.watch(&path("/probe/1"));
        let silent = ActorEvent::NodeDown { certainty: NodeCertainty::Silent };
        assert_eq!(watch.next().await, Some(silent));
    });
}

#[test]
fn a_slow_watcher_learns_how_much_it_missed() {
    simulate(async {
        let system = system();
        let supervision = Supervision { restarts_max: 100, ..Supervision::default() };
        let options = SpawnOptions { supervision, ..SpawnOptions::default() };
        let (probe, _) = probe(&system, "/probe/1", options);
        let mut watch = system.watch(&path("/probe/1"));
        for _ in 0..gantry_runtime::WATCH_EVENTS_KEPT + 3 {
            probe.to::<Break>().tell(broken("x")).expect("room");
        }
        let done = probe.to::<Note>().ask(note("x"), 3600 * SECOND).await;
        assert_eq!(done, Ok(1));
        assert_eq!(watch.next().await, Some(ActorEvent::Missed(3)));
        assert_eq!(watch.next().await, Some(ActorEvent::Restarted));
    });
}

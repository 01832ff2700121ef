//! Messages between nodes: routed, checked, passed on.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_runtime::{
    AskOptions, Location, Platform, Router, SpawnOptions, System, SystemEvent, simulate,
};
use gantry_wire::{ActorPath, AskError, IncarnationId, NodeId, NotDelivered, Role};

use crate::rig::*;

/// Says of each path where it lives.
struct Map(BTreeMap<&'static str, NodeId>);

impl Router for Map {
    fn locate(&self, path: &ActorPath, _from: Option<&gantry_link::Peer>) -> Location {
        match self.0.get(path.as_str()) {
            Some(node) => Location::Node(*node),
            None => Location::Unknown("not on the map".into()),
        }
    }
}

fn routed(system: &System, map: &[(&'static str, u128)]) {
    let map = map.iter().map(|(path, n)| (*path, node_id(*n))).collect();
    system.set_router(Arc::new(Map(map)));
}

/// Nodes 1, 2 and 3 in these roles; `/probe/1` lives on node 1.
fn three(roles: [Role; 3]) -> [System; 3] {
    let net = Loopback::default();
    let mut n = 0;
    roles.map(|role| {
        n += 1;
        let system = system_on(Platform::simulated(n), u128::from(n));
        net.join(&system, role);
        if n == 1 {
            let (_probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        }
        system
    })
}

#[test]
fn the_same_ref_reaches_an_actor_here_and_elsewhere() {
    simulate(async {
        let [one, two, _] = three([Role::Candidate; 3]);
        routed(&two, &[("/probe/1", 1)]);
        assert_eq!(one.actor_ref::<Note>(path("/probe/1")).ask(note("a"), SECOND).await, Ok(1));
        let away = two.actor_ref::<Note>(path("/probe/1"));
        assert_eq!(away.ask(note("b"), SECOND).await, Ok(2));
        away.tell(note("c")).expect("the link takes it");
        tokio::time::sleep(SECOND).await;
        let notes = two.actor_ref::<Notes>(path("/probe/1")).ask(Notes, SECOND).await;
        assert_eq!(notes, Ok(vec!["a".into(), "b".into(), "c".into()]));
    });
}

#[test]
fn a_given_node_is_reached_whatever_the_router_says() {
    simulate(async {
        let [_, two, _] = three([Role::Candidate; 3]);
        routed(&two, &[]);
        let away = two.remote::<Note>(node_id(1), path("/probe/1"));
        assert_eq!(away.ask(note("a"), SECOND).await, Ok(1));
    });
}

#[test]
fn outcomes_travel() {
    simulate(async {
        let [one, two, _] = three([Role::Candidate; 3]);
        let to = |at: &str| two.remote::<Note>(node_id(1), path(at));
        let nobody = to("/probe/none").ask(note("x"), SECOND).await;
        let expected = NotDelivered::NoSuchActor("/probe/none".into());
        assert_eq!(nobody, Err(AskError::NotDelivered(expected)));
        let broken = two.remote::<Break>(node_id(1), path("/probe/1"));
        let unknown = broken.ask(Break("boom".into()), SECOND).await;
        assert_eq!(unknown, Err(AskError::Unknown("the handler panicked: boom".into())));
        one.actor_ref::<Hold>(path("/probe/1")).tell(Hold(500)).expect("room");
        let late = to("/probe/1").ask(note("x"), SECOND / 10).await;
        assert!(late.is_err());
        let notes = one.actor_ref::<Notes>(path("/probe/1")).ask(Notes, SECOND).await;
        assert_eq!(notes, Ok(vec!["held".into()]), "what was late was not handled");
    });
}

#[test]
fn the_role_decides_who_may_send_what() {
    simulate(async {
        let [one, two, three] = three([Role::Candidate, Role::Reader, Role::Admin]);
        let mut events = one.events();
        let at = || path("/probe/1");
        let looked = two.remote::<Notes>(node_id(1), at()).ask(Notes, SECOND).await;
        assert_eq!(looked, Ok(vec![]));
        let changed = two.remote::<Note>(node_id(1), at()).ask(note("x"), SECOND).await;
        let forbidden =
            NotDelivered::Forbidden { role: "reader".into(), message: "rig.note".into() };
        assert_eq!(changed, Err(AskError::NotDelivered(forbidden.clone())));
        let rejected = SystemEvent::Rejected {
            from: node_id(2),
            path: at(),
            message: "rig.note".into(),
            reason: forbidden.to_string(),
        };
        assert_eq!(events.try_recv(), Ok(rejected));
        assert_eq!(three.remote::<Note>(node_id(1), at()).ask(note("x"), SECOND).await, Ok(1));
    });
}

#[test]
fn a_node_passes_on_what_lives_elsewhere_in_the_name_of_the_sender() {
    simulate(async {
        let [_, two, three] = three([Role::Candidate, Role::Node, Role::Reader]);
        routed(&two, &[("/probe/1", 1)]);
        let via_two = |at| three.remote::<Notes>(node_id(2), at);
        assert_eq!(via_two(path("/probe/1")).ask(Notes, SECOND).await, Ok(vec![]));
        let refused = three.remote::<Note>(node_id(2), path("/probe/1")).ask(note("x"), SECOND);
        let Err(AskError::NotDelivered(NotDelivered::Forbidden { role, .. })) = refused.await
        else {
            panic!("a reader must not change anything through a node")
        };
        assert_eq!(role, "reader");
    });
}

#[test]
fn a_routing_loop_ends() {
    simulate(async {
        let [_, two, three] = three([Role::Candidate; 3]);
        routed(&two, &[("/probe/x", 3)]);
        routed(&three, &[("/probe/x", 2)]);
        let outcome = two.actor_ref::<Note>(path("/probe/x")).ask(note("x"), SECOND).await;
        let Err(AskError::NotDelivered(NotDelivered::Unreachable { reason, .. })) = outcome else {
            panic!("must be refused: {outcome:?}")
        };
        assert!(reason.contains("passed on 3 times"), "{reason}");
    });
}

#[test]
fn an_unknown_home_says_why() {
    simulate(async {
        let system = system();
        routed(&system, &[]);
        let told = system.actor_ref::<Note>(path("/probe/1")).tell(note("x"));
        let Err(NotDelivered::Unreachable { reason, .. }) = told else { panic!("{told:?}") };
        assert_eq!(reason, "not on the map");
    });
}

#[test]
fn a_sender_that_believes_in_another_incarnation_is_refused() {
    simulate(async {
        let [one, two, _] = three([Role::Candidate; 3]);
        let options =
            SpawnOptions { incarnation: Some(IncarnationId(4)), ..SpawnOptions::default() };
        let (_moved, _) = probe(&one, "/probe/moved", options);
        for system in [&one, &two] {
            let to = system.remote::<Note>(node_id(1), path("/probe/moved"));
            let ask = |incarnation| {
                let incarnation = Some(IncarnationId(incarnation));
                to.ask_with(note("x"), AskOptions { incarnation, ..AskOptions::within(SECOND) })
            };
            for stale in [3, 5] {
                let outcome = ask(stale).await;
                let moved = matches!(outcome, Err(AskError::NotDelivered(NotDelivered::Moved(_))));
                assert!(moved, "{outcome:?}");
            }
            assert!(ask(4).await.is_ok());
        }
    });
}

#[test]
fn without_a_link_nothing_is_reachable() {
    simulate(async {
        let told = system().remote::<Note>(node_id(9), path("/probe/1")).tell(note("x"));
        assert!(matches!(told, Err(NotDelivered::Unreachable { .. })));
    });
}

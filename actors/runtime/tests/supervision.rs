//! Panics are caught, told, and cured as the supervision says.

use std::time::Duration;

use gantry_runtime::{
    Actor, Backoff, Context, Escalation, Protocol, SpawnOptions, Strategy, Supervision, System,
    SystemEvent, simulate,
};
use gantry_wire::NotDelivered;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::rig::*;

fn supervised(supervision: Supervision) -> SpawnOptions {
    SpawnOptions { supervision, ..SpawnOptions::default() }
}

fn child(parent: &str, strategy: Strategy) -> SpawnOptions {
    let supervision = Supervision { strategy, ..Supervision::default() };
    SpawnOptions { parent: Some(path(parent)), ..supervised(supervision) }
}

fn seen(events: &mut broadcast::Receiver<SystemEvent>) -> Vec<SystemEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

async fn settled() {
    tokio::time::sleep(SECOND).await;
}

#[test]
fn a_panic_in_a_handler_leaves_ref_and_queue_alive() {
    simulate(async {
        let system = system();
        let mut events = system.events();
        let (probe, diary) = probe(&system, "/probe/1", SpawnOptions::default());
        probe.to::<Note>().tell(note("lost with the state")).expect("room");
        probe.to::<Break>().tell(Break("boom".into())).expect("room");
        let queued = probe.to::<Note>().ask(note("queued"), SECOND);
        assert_eq!(queued.await, Ok(1), "handled by the one made afresh");
        assert_eq!(entries(&diary), ["/probe/1 started", "/probe/1 started"]);
        let at = path("/probe/1");
        let failed =
            SystemEvent::Failed { path: at.clone(), during: "rig.break", text: "boom".into() };
        assert_eq!(seen(&mut events), [failed, SystemEvent::Restarted { path: at, restarts: 1 }]);
    });
}

#[test]
fn panics_in_closures_and_continuations_are_caught_too() {
    simulate(async {
        let system = system();
        let mut events = system.events();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        probe.act(|_, _| panic!("in a closure")).expect("room");
        probe.act(|_, ctx| ctx.spawn_then(async {}, |_, (), _| panic!("then"))).expect("room");
        settled().await;
        probe
            .act(|_, ctx| ctx.spawn_then(async { panic!("future") }, |_, (), _| {}))
            .expect("room");
        settled().await;
        probe.act(|_, ctx| ctx.hold_then(async {}, |_, (), _| panic!("hold"))).expect("room");
        settled().await;
        assert_eq!(probe.to::<Note>().ask(note("alive"), SECOND).await, Ok(1));
        let texts: Vec<_> = seen(&mut events)
            .into_iter()
            .filter_map(|event| match event {
                SystemEvent::Failed { during, text, .. } => Some((during, text)),
                _ => None,
            })
            .collect();
        let expected =
            [("closure", "in a closure"), ("then", "then"), ("then", "future"), ("hold", "hold")];
        assert_eq!(texts, expected.map(|(during, text)| (during, text.to_owned())));
    });
}

#[test]
fn futures_of_a_failed_run_die_with_it() {
    simulate(async {
        let system = system();
        let (probe, diary) = probe(&system, "/probe/1", SpawnOptions::default());
        let to = diary.clone();
        probe
            .act(move |_, ctx| {
                let (then, timer) = (to.clone(), to);
                let sleep = tokio::time::sleep(SECOND / 2);
                ctx.spawn_then(sleep, move |_, (), _| write(&then, "then"));
                ctx.after(SECOND / 2, move |_, _| write(&timer, "timer")).detach();
            })
            .expect("room");
        probe.act(|_, _| panic!("boom")).expect("room");
        settled().await;
        assert_eq!(entries(&diary), ["/probe/1 started", "/probe/1 started"]);
    });
}

/// Panics in its factory until the diary has so many entries.
struct Unborn;

impl Actor for Unborn {
    const KIND: &'static str = "unborn";
    fn protocol() -> Protocol<Self> {
        Protocol::new()
    }
    fn started(&mut self, _ctx: &mut Context<Self>) {}
}

fn unborn(system: &System, supervision: Supervision, until: usize) -> (Diary, Instant) {
    let (diary, start) = (Diary::default(), Instant::now());
    let to = diary.clone();
    let make = move || {
        write(&to, format!("{}", start.elapsed().as_millis()));
        assert!(entries(&to).len() > until, "not yet");
        Unborn
    };
    system.spawn(path("/unborn"), supervised(supervision), make).expect("a free path");
    (diary, start)
}

#[test]
fn a_panic_in_the_factory_is_cured_after_a_growing_back_off() {
    simulate(async {
        let backoff =
            Backoff { first: Duration::from_millis(100), max: Duration::from_millis(300) };
        let (diary, _) = unborn(&system(), Supervision { backoff, ..Supervision::default() }, 4);
        tokio::time::sleep(5 * SECOND).await;
        let waits: Vec<u64> = entries(&diary).iter().map(|e| e.parse().expect("ms")).collect();
        let steps: Vec<_> = waits.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // tokio's timer has a granularity of one millisecond.
        let expected = [100, 200, 300, 300];
        assert_eq!(steps.len(), expected.len());
        for (step, expected) in steps.iter().zip(expected) {
            assert!(step.abs_diff(expected) <= 2, "{steps:?}");
        }
    });
}

#[test]
fn too_many_failures_stop_it_and_report() {
    simulate(async {
        let system = system();
        let mut events = system.events();
        let rules = Supervision {
            restarts_max: 2,
            escalation: Escalation::Report,
            ..Supervision::default()
        };
        let (probe, _) = probe(&system, "/probe/1", supervised(rules));
        for _ in 0..4 {
            probe.to::<Break>().tell(Break("boom".into())).expect("room");
        }
        let queued = probe.to::<Note>().ask(note("queued"), 10 * SECOND);
        assert!(matches!(queued.await, Err(gantry_wire::AskError::NotStarted(_))));
        assert!(!system.is_live(&path("/probe/1")));
        let last = seen(&mut events).pop();
        let escalated =
            SystemEvent::Escalated { path: path("/probe/1"), parent: None, text: "boom".into() };
        assert_eq!(last, Some(escalated));
        let told = probe.to::<Note>().tell(note("x"));
        assert!(matches!(told, Err(NotDelivered::Stopped(_))));
    });
}

#[test]
fn too_many_failures_fail_the_parent() {
    simulate(async {
        let system = system();
        let diary = Diary::default();
        let parent = probe_in(&system, "/probe/parent", SpawnOptions::default(), &diary);
        parent.to::<Note>().tell(note("state")).expect("room");
        let rules = Supervision { restarts_max: 0, ..Supervision::default() };
        let options = SpawnOptions { parent: Some(path("/probe/parent")), ..supervised(rules) };
        let child = probe_in(&system, "/probe/child", options, &diary);
        child.to::<Break>().tell(Break("boom".into())).expect("room");
        settled().await;
        assert!(!system.is_live(&path("/probe/child")));
        let notes = parent.to::<Notes>().ask(Notes, SECOND).await;
        assert_eq!(notes, Ok(vec![]), "the parent was made again");
        let started = entries(&diary).iter().filter(|e| *e == "/probe/parent started").count();
        assert_eq!(started, 2);
    });
}

/// Spawns `/probe/a`, `b` and `c` under one parent, fails `b`, and says who was made again.
async fn after_b_failed(strategy: Strategy) -> Vec<String> {
    let system = system();
    let diary = Diary::default();
    let spawn = |at: &str, strategy| probe_in(&system, at, child("/team", strategy), &diary);
    let _a = spawn("/probe/a", Strategy::One);
    let b = spawn("/probe/b", strategy);
    let _c = spawn("/probe/c", Strategy::One);
    let _other = probe_in(&system, "/probe/other", child("/others", Strategy::One), &diary);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let before = entries(&diary).len();
    assert_eq!(before, 4);
    b.to::<Break>().tell(Break("boom".into())).expect("room");
    settled().await;
    entries(&diary).split_off(before)
}

#[test]
fn one_restarts_alone() {
    simulate(async {
        assert_eq!(after_b_failed(Strategy::One).await, ["/probe/b started"]);
    });
}

#[test]
fn all_siblings_restart_in_the_order_of_spawning() {
    simulate(async {
        let all = ["/probe/a started", "/probe/b started", "/probe/c started"];
        assert_eq!(after_b_failed(Strategy::All).await, all);
    });
}

#[test]
fn rest_restarts_those_spawned_after() {
    simulate(async {
        let rest = ["/probe/b started", "/probe/c started"];
        assert_eq!(after_b_failed(Strategy::Rest).await, rest);
    });
}

#[test]
fn siblings_are_down_until_their_turn_and_keep_their_queues() {
    simulate(async {
        let system = system();
        let (a, _) = probe(&system, "/probe/a", child("/team", Strategy::One));
        let (b, _) = probe(&system, "/probe/b", child("/team", Strategy::All));
        a.to::<Note>().tell(note("before")).expect("room");
        b.to::<Break>().tell(Break("boom".into())).expect("room");
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(system.actors().iter().all(|actor| actor.is_down));
        let queued = a.to::<Note>().ask(note("meanwhile"), SECOND).await;
        assert_eq!(queued, Ok(1), "fresh state, kept message");
    });
}

#[test]
fn a_sibling_that_stops_meanwhile_holds_up_nobody() {
    simulate(async {
        let system = system();
        let (_a, _) = probe(&system, "/probe/a", child("/team", Strategy::One));
        let (b, _) = probe(&system, "/probe/b", child("/team", Strategy::All));
        b.to::<Break>().tell(Break("boom".into())).expect("room");
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(system.stop_and_wait(path("/probe/a"), SECOND).await);
        assert_eq!(b.to::<Note>().ask(note("x"), SECOND).await, Ok(1));
    });
}

#[test]
fn children_stop_when_their_parent_does() {
    simulate(async {
        let system = system();
        let (_parent, _) = probe(&system, "/probe/parent", SpawnOptions::default());
        let (_child, _) = probe(&system, "/probe/child", child("/probe/parent", Strategy::One));
        assert!(system.stop_and_wait(path("/probe/parent"), SECOND).await);
        assert!(system.stop_and_wait(path("/probe/child"), SECOND).await);
        assert_eq!(system.actors(), []);
    });
}

#[test]
fn an_actor_in_back_off_can_be_stopped() {
    simulate(async {
        let system = system();
        let backoff = Backoff { first: 3600 * SECOND, max: 3600 * SECOND };
        let rules = Supervision { backoff, ..Supervision::default() };
        let (probe, _) = probe(&system, "/probe/1", supervised(rules));
        probe.to::<Break>().tell(Break("boom".into())).expect("room");
        let queued = probe.to::<Note>().ask(note("x"), 10 * SECOND);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(system.stop_and_wait(path("/probe/1"), SECOND).await);
        assert!(matches!(queued.await, Err(gantry_wire::AskError::NotStarted(_))));
    });
}

#[test]
fn shutdown_stops_the_youngest_first_and_spawns_no_more() {
    simulate(async {
        let system = system();
        let diary = Diary::default();
        for at in ["/probe/b", "/probe/a", "/probe/c"] {
            let _probe = probe_in(&system, at, SpawnOptions::default(), &diary);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(system.shutdown(SECOND).await);
        let stopped = entries(&diary).split_off(3);
        assert_eq!(stopped, ["/probe/c stopping", "/probe/a stopping", "/probe/b stopping"]);
        let refused = system.spawn(path("/probe/d"), SpawnOptions::default(), || Unborn);
        assert_eq!(refused.err(), Some(gantry_runtime::SpawnError::ShuttingDown(path("/probe/d"))));
    });
}

#[test]
fn a_path_has_one_actor() {
    simulate(async {
        let system = system();
        let (_probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        let second = system.spawn(path("/probe/1"), SpawnOptions::default(), || Unborn);
        assert_eq!(second.err(), Some(gantry_runtime::SpawnError::AlreadyLive(path("/probe/1"))));
    });
}

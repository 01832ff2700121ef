//! Virtual actors: activated by a message, passivated when idle, and nothing is lost between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gantry_runtime::{SpawnOptions, System, simulate};
use gantry_wire::{AskError, NotDelivered};

use crate::rig::*;

fn virtual_probes(system: &System, idle: Duration) -> (Diary, Arc<AtomicUsize>) {
    let (diary, activations) = (Diary::default(), Arc::new(AtomicUsize::new(0)));
    let (to, count) = (diary.clone(), activations.clone());
    system.set_activator("probe", move |system, path| {
        if path.as_str() == "/probe/elsewhere" {
            return Err(NotDelivered::Moved("to another node".into()));
        }
        count.fetch_add(1, Ordering::Relaxed);
        let diary = to.clone();
        let options = SpawnOptions { passivate_after: Some(idle), ..SpawnOptions::default() };
        let spawned = system.spawn(path.clone(), options, move || Probe::new(&diary));
        spawned.map(drop).map_err(|error| NotDelivered::Stopped(error.to_string()))
    });
    (diary, activations)
}

#[test]
fn a_message_activates_it() {
    simulate(async {
        let system = system();
        let (_, activations) = virtual_probes(&system, SECOND);
        let probe = system.actor_ref::<Note>(path("/probe/7"));
        assert_eq!(probe.ask(note("a"), SECOND).await, Ok(1));
        assert_eq!(probe.ask(note("b"), SECOND).await, Ok(2));
        assert_eq!(activations.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_activator_may_refuse() {
    simulate(async {
        let system = system();
        let _kept = virtual_probes(&system, SECOND);
        let refused = system.actor_ref::<Note>(path("/probe/elsewhere")).ask(note("a"), SECOND);
        let moved = NotDelivered::Moved("to another node".into());
        assert_eq!(refused.await, Err(AskError::NotDelivered(moved)));
    });
}

#[test]
fn an_idle_one_is_passivated_and_made_afresh_by_the_next_message() {
    simulate(async {
        let system = system();
        let (diary, activations) = virtual_probes(&system, SECOND);
        let probe = system.actor_ref::<Note>(path("/probe/7"));
        assert_eq!(probe.ask(note("a"), SECOND).await, Ok(1));
        tokio::time::sleep(2 * SECOND).await;
        assert!(!system.is_live(&path("/probe/7")));
        assert_eq!(entries(&diary), ["/probe/7 started", "/probe/7 stopping"]);
        assert_eq!(probe.ask(note("b"), SECOND).await, Ok(1), "with fresh state");
        assert_eq!(activations.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn messages_keep_it_awake() {
    simulate(async {
        let system = system();
        let (_, activations) = virtual_probes(&system, SECOND);
        let probe = system.actor_ref::<Note>(path("/probe/7"));
        for n in 1..=10 {
            assert_eq!(probe.ask(note("x"), SECOND).await, Ok(n));
            tokio::time::sleep(SECOND * 9 / 10).await;
        }
        assert_eq!(activations.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn work_in_flight_keeps_it_awake() {
    simulate(async {
        let system = system();
        let _kept = virtual_probes(&system, SECOND);
        let later = system.actor_ref::<Later>(path("/probe/7")).ask(Later(5000), 10 * SECOND);
        assert_eq!(later.await, Ok(()));
    });
}

#[test]
fn its_idle_time_begins_when_its_work_has_ended() {
    simulate(async {
        let system = system();
        let _kept = virtual_probes(&system, SECOND);
        let later = system.actor_ref::<Later>(path("/probe/7")).ask(Later(4500), 10 * SECOND);
        assert_eq!(later.await, Ok(()));
        tokio::time::sleep(SECOND * 9 / 10).await;
        assert!(system.is_live(&path("/probe/7")));
        tokio::time::sleep(SECOND * 2 / 10).await;
        assert!(!system.is_live(&path("/probe/7")));
    });
}

#[test]
fn every_accepted_message_is_handled_whenever_it_comes() {
    simulate(async {
        let system = system();
        // Passivated again and again, with messages at every moment around it.
        let idle = Duration::from_millis(5);
        let (diary, activations) = virtual_probes(&system, idle);
        let probe = system.actor_ref::<Note>(path("/probe/7"));
        for gap_us in (4_000..6_500).step_by(50) {
            let answer = probe.ask(note("x"), SECOND).await;
            assert!(answer.is_ok(), "{answer:?} after {gap_us} us");
            tokio::time::sleep(Duration::from_micros(gap_us)).await;
        }
        let n = activations.load(Ordering::Relaxed);
        assert!((5..50).contains(&n), "{n} activations: the test must meet both cases");
        let started = entries(&diary).iter().filter(|e| e.ends_with("started")).count();
        assert!(started >= n);
    });
}

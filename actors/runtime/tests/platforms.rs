//! Simulated nodes: crash, pause, clocks, and the same seed twice.

use std::time::Duration;

use gantry_runtime::{BlockingClass, Platform, SpawnOptions, simulate};
use gantry_wire::{AskError, Role};
use tokio::time::Instant;

use crate::rig::*;

#[test]
fn a_crashed_node_does_nothing_more() {
    simulate(async {
        let system = system();
        let (probe, diary) = probe(&system, "/probe/1", SpawnOptions::default());
        assert_eq!(probe.to::<Note>().ask(note("x"), SECOND).await, Ok(1));
        let to = diary.clone();
        let later = move |_: &mut Probe, ctx: &mut gantry_runtime::Context<Probe>| {
            ctx.after(SECOND, move |_, _| write(&to, "after the crash")).detach();
        };
        probe.act(later).expect("room");
        tokio::time::sleep(SECOND / 2).await;
        let node = system.platform().sim_node().expect("simulated");
        node.crash();
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(entries(&diary), ["/probe/1 started"], "no timer, no stopping hook");
        assert!(node.is_crashed());
        node.resume();
        assert!(node.is_crashed(), "a crash is for ever");
    });
}

#[test]
fn a_crashed_node_does_not_even_say_that_it_crashed() {
    simulate(async {
        let net = Loopback::default();
        let (one, two) =
            (system_on(Platform::simulated(1), 1), system_on(Platform::simulated(2), 2));
        net.join(&one, Role::Candidate);
        net.join(&two, Role::Candidate);
        let (_probe, _) = probe(&one, "/probe/1", SpawnOptions::default());
        let asked = two.remote::<Later>(node_id(1), path("/probe/1")).ask(Later(5000), SECOND);
        let start = Instant::now();
        one.platform().sim_node().expect("simulated").crash();
        let outcome = asked.await;
        assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
        assert!(start.elapsed() >= SECOND, "only time tells: {:?}", start.elapsed());
    });
}

#[test]
fn a_paused_node_goes_on_where_it_was() {
    simulate(async {
        let system = system();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        assert_eq!(probe.to::<Note>().ask(note("a"), SECOND).await, Ok(1));
        let node = system.platform().sim_node().expect("simulated");
        node.pause();
        let asked = probe.to::<Note>().ask(note("b"), SECOND).await;
        assert!(matches!(asked, Err(AskError::NotStarted(_))), "{asked:?}");
        node.resume();
        assert_eq!(probe.to::<Note>().ask(note("c"), SECOND).await, Ok(2));
    });
}

#[test]
fn a_clock_jump_moves_the_wall_clock_of_one_node_only() {
    simulate(async {
        let (one, two) =
            (system_on(Platform::simulated(1), 1), system_on(Platform::simulated(2), 2));
        let (before, monotonic) = (one.platform().clock().wall_us(), one.platform().clock().now());
        assert_eq!(before, two.platform().clock().wall_us());
        one.platform().sim_node().expect("simulated").jump_clock(-5_000_000);
        tokio::time::sleep(SECOND).await;
        assert_eq!(one.platform().clock().wall_us(), before - 4_000_000);
        assert_eq!(two.platform().clock().wall_us(), before + 1_000_000);
        assert_eq!(one.platform().clock().now() - monotonic, SECOND);
    });
}

#[test]
fn blocking_work_takes_simulated_time() {
    simulate(async {
        let platform = Platform::simulated(7);
        let until = Instant::now() + SECOND;
        let start = Instant::now();
        let mut took = Vec::new();
        for _ in 0..20 {
            let work = || 42;
            let done = platform.blocking(BlockingClass::Disk, "fsync", "/test", until, work).await;
            assert_eq!(done, Ok(42));
            took.push(start.elapsed());
        }
        took.dedup();
        assert!(took.len() > 10, "latencies are drawn: {took:?}");
        assert!(start.elapsed() <= Duration::from_millis(20 * 11));
    });
}

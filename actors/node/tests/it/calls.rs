//! Node calls without crashes: repetition, fencing, order, refusals.

use std::time::Duration;

use gantry_host::{CrashPoint, Verdict};
use gantry_hv::fake::FakeEffect;
use gantry_model::errors::FaultCode;
use gantry_model::ids::{JobAttempt, JobId, ReignId, RunEpoch};
use gantry_model::messages::{CallNode, InstallReign};
use gantry_model::node_calls::{
    DiskCreate, DiskRemove, InstanceStop, NodeDelay, NodeLeave, instance_path, node_path,
};
use gantry_model::objects::DiskTemplate;
use gantry_model::units::{MiB, Millis};
use gantry_runtime::simulate;
use gantry_wire::AskError;
use tokio::time::Instant;

use crate::bench::{
    Bench, NODE, WEB1, disk, eventually, every_call, message, reboot, sent_again, start, step, stop,
};

#[test]
fn each_call_repeated_gives_the_recorded_result() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        // In this order each has something to do. Each is a job of its own, under a new reign.
        for (number, call) in (1..).zip(every_call(&bench)) {
            let mut call = CallNode { reign: ReignId(2 * number), ..message(0, call) };
            call.step.job = JobId(number);
            let first = node.call(&call).await.expect("answered");
            let again = node.call(&sent_again(&call)).await.expect("answered");
            assert_eq!(first, again, "{}", call.call.wire_name());
            let late = node.failed(&call).await;
            assert_eq!(late.code, FaultCode::StaleToken, "of the former reign");
        }
        bench.assert_no_violation().await;
    });
}

#[test]
fn a_failure_is_recorded_too() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let failing = message(1, reboot());
        let fault = node.failed(&failing).await;
        assert_eq!(fault.code, FaultCode::WrongState, "{fault:?}");
        node.done(&message(2, start(1))).await;
        assert_eq!(node.failed(&failing).await, fault, "although it would succeed now");
    });
}

#[test]
fn an_older_reign_and_an_older_attempt_are_refused() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let newest = CallNode {
            reign: ReignId(7),
            attempt: JobAttempt(3),
            ..message(1, NodeDelay::of(Millis(1)))
        };
        node.done(&newest).await;
        let old_reign = CallNode { reign: ReignId(6), step: step(2), ..newest.clone() };
        let old_attempt = CallNode { attempt: JobAttempt(2), step: step(2), ..newest.clone() };
        for stale in [old_reign, old_attempt] {
            assert_eq!(node.failed(&stale).await.code, FaultCode::StaleToken);
        }
        // It holds after a restart, and for the other actors of the node.
        node.crash().await;
        let node = bench.boot().await;
        assert_eq!(node.failed(&message(2, start(1))).await.code, FaultCode::StaleToken);
        assert_eq!(bench.running().await, []);
    });
}

#[test]
fn after_a_reign_is_installed_nothing_of_an_older_one_begins() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let install = InstallReign { reign: ReignId(2), steps: vec![step(1), step(2)] };
        let installed = node.ask(node_path(NODE), install).await.expect("installed");
        assert!(matches!(installed.results[..], [(_, Some(_)), (_, None)]));
        assert_eq!(node.failed(&message(2, stop(0))).await.code, FaultCode::StaleToken);
        assert_eq!(bench.running().await, [RunEpoch(1)]);
        let older = InstallReign { reign: ReignId(1), steps: Vec::new() };
        let refused = node.ask(node_path(NODE), older).await.expect_err("older");
        assert_eq!(refused.code, FaultCode::StaleToken);
    });
}

#[test]
fn another_call_under_a_known_step_is_refused() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let fault = node.failed(&message(1, stop(0))).await;
        assert_eq!(fault.code, FaultCode::InternalError);
        assert!(fault.one_line().contains("instance.start"), "{}", fault.one_line());
        assert_eq!(bench.running().await, [RunEpoch(1)]);
    });
}

#[test]
fn settled_jobs_are_forgotten() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let old = message(1, NodeDelay::of(Millis(1)));
        node.done(&old).await;
        let mut later = message(1, NodeDelay::of(Millis(1)));
        later.step.job = JobId(2);
        later.settled_below = JobId(2);
        node.done(&later).await;
        assert_eq!(node.failed(&old).await.code, FaultCode::StaleToken);
    });
}

#[test]
fn taking_back_a_start_leaves_the_guest_of_another_start_alone() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        let undo = InstanceStop { epoch: Some(RunEpoch(2)), ..stop(0) };
        let outcome = node.done(&message(2, undo)).await;
        assert!(outcome.notes.iter().any(|note| note.contains("left alone")), "{outcome:?}");
        assert_eq!(bench.world.running().await.expect("world").len(), 1);
        let own = InstanceStop { epoch: Some(RunEpoch(1)), ..stop(0) };
        node.done(&message(3, own)).await;
        assert!(bench.world.running().await.expect("world").is_empty());
    });
}

#[test]
fn a_guest_of_an_older_epoch_keeps_a_newer_one_out() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        assert_eq!(node.failed(&message(2, start(2))).await.code, FaultCode::WrongState);
        assert_eq!(bench.running().await, [RunEpoch(1)]);
        bench.assert_no_violation().await;
    });
}

#[test]
fn an_older_epoch_is_refused_after_a_newer_was_seen() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(2))).await;
        node.done(&message(2, stop(0))).await;
        node.crash().await;
        let node = bench.boot().await;
        assert_eq!(node.failed(&message(3, start(1))).await.code, FaultCode::StaleToken);
        assert_eq!(bench.running().await, []);
        node.done(&message(4, start(3))).await;
        bench.assert_no_violation().await;
    });
}

#[test]
fn a_guest_has_one_call_at_a_time_and_a_node_many() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        bench.world.set_deaf(WEB1, true).await.expect("set");
        let begun = Instant::now();
        let (stopped, again) = (message(2, stop(10_000)), message(3, start(2)));
        let (stopped, again) = tokio::join!(node.done(&stopped), node.done(&again));
        assert_eq!(stopped.notes, ["it did not shut down in time and was killed"]);
        assert!(again.notes.is_empty());
        assert!(begun.elapsed() >= Duration::from_secs(10));
        bench.assert_no_violation().await;

        let begun = Instant::now();
        let delays = (10..30).map(|seq| message(seq, NodeDelay::of(Millis(1_000))));
        let delays: Vec<_> = delays.collect();
        futures_util::future::join_all(delays.iter().map(|delay| node.done(delay))).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    });
}

#[test]
fn the_same_step_sent_twice_at_once_acts_once() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let begun = Instant::now();
        let delay = message(1, NodeDelay::of(Millis(1_000)));
        let (one, two) = tokio::join!(node.done(&delay), node.done(&delay));
        assert_eq!(one, two);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_call_sent_to_the_wrong_actor_is_refused() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        for path in [node_path(NODE), instance_path(WEB1)] {
            let create = message(1, DiskCreate { disk: disk(&bench) });
            let fault = node.ask(path, create).await.expect_err("not a disk");
            assert_eq!(fault.code, FaultCode::InternalError);
        }
        assert!(!bench.file_dir().join("web1/disk0").exists());
    });
}

#[test]
fn a_call_that_takes_too_long_is_found_out_and_ends() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        bench.world.injector().set_latency(Duration::from_secs(3600));
        let slow = message(1, start(1));
        let lost = node.call(&slow).await.expect_err("nobody waits so long");
        assert!(matches!(lost, AskError::Unknown(_)), "{lost:?}");
        bench.world.injector().set_latency(Duration::ZERO);
        let fault = node.failed(&slow).await;
        assert_eq!(fault.code, FaultCode::DeadlineExceeded, "{fault:?}");
        assert_eq!(bench.running().await, []);
    });
}

#[test]
fn a_panic_in_a_backend_is_an_unknown_outcome_and_is_found_out() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        bench.world.injector().set_crash_hook(Some(std::sync::Arc::new(|effect, point| {
            let here = (effect, point) == (FakeEffect::Begin, CrashPoint::AfterEffect);
            assert!(!here, "on purpose");
            Verdict::Go
        })));
        let call = message(1, start(1));
        let lost = node.call(&call).await.expect_err("the actor failed");
        assert!(matches!(&lost, AskError::Unknown(why) if why.contains("on purpose")), "{lost:?}");
        // The actor is made again; the effect is there and is not repeated.
        node.done(&call).await;
        assert_eq!(bench.running().await, [RunEpoch(1)]);
        bench.assert_no_violation().await;
    });
}

#[test]
fn what_a_backend_says_reaches_the_sender() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let mut outside = disk(&bench);
        outside.location =
            gantry_model::objects::DiskLocation::File { path: "/etc/passwd".to_owned() };
        let fault = node.failed(&message(1, DiskRemove { disk: outside })).await;
        assert_eq!(fault.code, FaultCode::WrongInput);
        assert!(fault.one_line().contains("/etc/passwd"), "{}", fault.one_line());
        let huge = gantry_model::objects::Disk { size: MiB(1 << 40), ..disk(&bench) };
        let fault = node.failed(&message(2, DiskCreate { disk: huge })).await;
        assert_eq!(fault.code, FaultCode::InsufficientResources, "{}", fault.one_line());
    });
}

#[test]
fn a_start_with_a_missing_disk_leaves_nothing() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let mut start = start(1);
        start.spec.disks = vec![disk(&bench)];
        let fault = node.failed(&message(1, start.clone())).await;
        assert!(fault.one_line().contains("disk 0"), "{}", fault.one_line());
        assert_eq!(bench.running().await, []);
        node.done(&message(2, DiskCreate { disk: disk(&bench) })).await;
        node.done(&message(3, start)).await;
        assert_eq!(bench.running().await, [RunEpoch(1)]);
    });
}

#[test]
fn a_node_that_left_is_told_to_stop_after_the_answer() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let has_left = || bench.membership.has_left.load(std::sync::atomic::Ordering::Relaxed);
        node.done(&message(1, NodeLeave {})).await;
        assert!(!has_left(), "the answer goes first");
        eventually("it is told to stop", has_left).await;
        assert_eq!(bench.membership.times_forgotten(), 1);
    });
}

#[test]
fn a_shutdown_waits_for_calls_and_begins_none() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let system = node.system.clone();
        let delay = message(1, NodeDelay::of(Millis(3_000)));
        let path = delay.call.target().path(NODE);
        let asked = system.actor_ref::<CallNode>(path.clone());
        let at_work = asked.ask(delay, Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let late = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let late = message(2, NodeDelay::of(Millis(1)));
            asked.ask(late, Duration::from_secs(60)).await
        };
        let shutdown = node.side.shutdown(Duration::from_secs(30));
        let (done, late, ()) = tokio::join!(at_work, late, shutdown);
        done.expect("answered").expect("done");
        assert!(matches!(late, Err(AskError::Unknown(_))), "{late:?}");
        assert!(!system.is_live(&path));
    });
}

#[test]
fn idle_actors_are_passivated_and_made_again() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        let create = message(1, DiskCreate { disk: disk(&bench) });
        let path = create.call.target().path(NODE);
        node.done(&create).await;
        assert!(node.system.is_live(&path));
        eventually("it is passivated", || !node.system.is_live(&path)).await;
        node.done(&message(2, DiskRemove { disk: disk(&bench) })).await;
    });
}

#[test]
fn a_disk_is_removed_when_its_guest_has_ended_and_not_before() {
    simulate(async {
        let bench = Bench { template: DiskTemplate::Fake, ..Bench::new() };
        let node = bench.boot().await;
        node.done(&message(1, DiskCreate { disk: disk(&bench) })).await;
        let mut with_disk = start(1);
        with_disk.spec.disks.push(disk(&bench));
        node.done(&message(2, with_disk)).await;
        let fault = node.failed(&message(3, DiskRemove { disk: disk(&bench) })).await;
        assert_eq!(fault.code, FaultCode::WrongState, "{fault:?}");
        assert_eq!(bench.store.disks().await.expect("readable").len(), 1);
        node.done(&message(4, stop(1_000))).await;
        node.done(&message(5, DiskRemove { disk: disk(&bench) })).await;
        assert_eq!(bench.store.disks().await.expect("readable"), []);
        bench.assert_no_violation().await;
    });
}

#[test]
fn a_stopped_guest_gives_up_its_disks_also_when_it_had_ended_by_itself() {
    simulate(async {
        for dies in [false, true] {
            let bench = Bench { template: DiskTemplate::Fake, ..Bench::new() };
            let node = bench.boot().await;
            let disk = disk(&bench);
            node.done(&message(1, DiskCreate { disk: disk.clone() })).await;
            let mut start = start(1);
            start.spec.disks = vec![disk.clone()];
            node.done(&message(2, start)).await;
            let attached = async || {
                let disks = bench.store.disks().await.expect("readable");
                disks.iter().map(|disk| disk.attached).collect::<Vec<_>>()
            };
            assert_eq!(attached().await, [true]);
            if dies {
                bench.world.die(WEB1).await.expect("dies");
            }
            node.done(&message(3, InstanceStop { disks: vec![disk], ..stop(0) })).await;
            assert_eq!(attached().await, [false], "dies: {dies}");
            bench.assert_no_violation().await;
        }
    });
}

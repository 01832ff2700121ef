//! The node's guests: adopted, followed, reported.

use std::time::Duration;

use gantry_model::ids::RunEpoch;
use gantry_model::node_calls::{InstanceStart, instance_path};
use gantry_model::params::HypervisorKind;
use gantry_model::report::GuestState;
use gantry_runtime::simulate;

use crate::bench::{Bench, WEB1, eventually, message, spec, start, stop};

#[test]
fn guests_outlive_the_agent_and_are_adopted() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        node.crash().await;
        bench.leader.see(|picture| *picture = Default::default());

        let node = bench.boot().await;
        assert!(node.system.is_live(&instance_path(WEB1)), "adopted before it is ready");
        let reported = || bench.leader.epoch(WEB1) == Some(RunEpoch(1));
        eventually("it is in the first report", reported).await;
        node.done(&message(2, stop(0))).await;
        eventually("its end is reported", || bench.leader.epoch(WEB1).is_none()).await;
        bench.assert_no_violation().await;
    });
}

#[test]
fn a_guest_that_ended_while_the_agent_was_away_is_not_reported() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        eventually("it is reported", || bench.leader.epoch(WEB1).is_some()).await;
        node.crash().await;
        bench.world.die(WEB1).await.expect("dies");
        let _node = bench.boot().await;
        eventually("it is gone", || bench.leader.epoch(WEB1).is_none()).await;
    });
}

/// What a later full list or a new agent must not take for an end.
#[test]
fn a_guest_whose_record_is_unreadable_is_named_and_never_taken_for_gone() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        eventually("it is reported", || bench.leader.epoch(WEB1).is_some()).await;
        bench.world.set_unreadable(WEB1, true).await.expect("the world takes it");

        let named = || bench.leader.see(|picture| picture.unreadable.first().cloned());
        // At the latest with the next list.
        eventually("it is named", || named().is_some()).await;
        let named_guest = named().expect("just seen");
        assert_eq!((named_guest.instance, named_guest.hypervisor), (WEB1, HypervisorKind::Fake));
        assert!(named_guest.reason.contains("reading the record"), "{}", named_guest.reason);
        assert_eq!(bench.leader.epoch(WEB1), Some(RunEpoch(1)), "what was known stands");
        let fault = node.failed(&message(2, start(2))).await;
        assert!(fault.one_line().contains("reading the record"), "{}", fault.one_line());

        node.crash().await;
        bench.leader.see(|picture| *picture = Default::default());
        let node = bench.boot().await;
        eventually("the new agent names it", || named().is_some()).await;
        node.failed(&message(3, start(2))).await;
        bench.assert_no_violation().await;

        bench.world.set_unreadable(WEB1, false).await.expect("the world takes it");
        eventually("it is seen again", || bench.leader.epoch(WEB1) == Some(RunEpoch(1))).await;
        assert_eq!(named(), None);
    });
}

#[test]
fn a_guest_that_dies_is_reported_at_once() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        eventually("it is reported", || bench.leader.epoch(WEB1).is_some()).await;
        bench.world.die(WEB1).await.expect("dies");
        // Far below the interval of lists and measurements.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(bench.leader.epoch(WEB1), None);
    });
}

#[test]
fn a_guest_that_shuts_itself_down_is_told_apart_from_one_that_dies() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        eventually("it is reported", || bench.leader.epoch(WEB1).is_some()).await;
        bench.world.user_shutdown(WEB1).await.expect("shuts down");
        let state =
            || bench.leader.see(|picture| picture.guests.get(&WEB1).map(|guest| guest.state));
        eventually("it is told", || state() == Some(GuestState::Shutdown)).await;
        // Longer than the interval of lists: that it is not there any more changes nothing.
        tokio::time::sleep(Duration::from_secs(180)).await;
        assert_eq!(state(), Some(GuestState::Shutdown));
        node.done(&message(2, start(2))).await;
        eventually("it runs again", || state() == Some(GuestState::Running)).await;
        bench.world.user_shutdown(WEB1).await.expect("shuts down");
        eventually("it is told again", || state() == Some(GuestState::Shutdown)).await;
        node.done(&message(3, stop(0))).await;
        eventually("a job has stopped it", || state().is_none()).await;
    });
}

#[test]
fn a_start_that_no_event_tells_is_reported() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, InstanceStart { spec: spec(1), paused: true })).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let state = bench.leader.see(|picture| picture.guests.get(&WEB1).map(|g| g.state));
        assert_eq!(state, Some(GuestState::Paused));
    });
}

#[test]
fn the_actor_of_a_guest_lives_as_long_as_the_guest() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(node.system.is_live(&instance_path(WEB1)));
        bench.world.die(WEB1).await.expect("dies");
        let ended = || !node.system.is_live(&instance_path(WEB1));
        eventually("it is passivated", ended).await;
        // The next start makes it again.
        node.done(&message(2, start(2))).await;
        assert!(node.system.is_live(&instance_path(WEB1)));
    });
}

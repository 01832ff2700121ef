//! The feed over real actors: leaders that change, are away, or do not know this node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gantry_model::ids::RunEpoch;
use gantry_model::messages::cluster_path;
use gantry_model::node_calls::{DiskCreate, NodeLeave};
use gantry_model::report::ReportEvent;
use gantry_runtime::{SpawnOptions, simulate};

use crate::bench::{Bench, WEB1, disk, eventually, message, start};

#[test]
fn a_new_leader_gets_a_full_picture_without_being_asked_for() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        eventually("the first knows", || bench.leader.epoch(WEB1).is_some()).await;
        bench.leader.see(|picture| *picture = Default::default());
        // At the latest with the next measurement.
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(bench.leader.epoch(WEB1), Some(RunEpoch(1)));
    });
}

#[test]
fn what_happens_while_there_is_no_leader_is_told_later() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        eventually("the leader knows the node", || bench.leader.see(|p| p.boot.is_some())).await;
        let stopped = node.system.stop_and_wait(cluster_path(), Duration::from_secs(5)).await;
        assert!(stopped);
        node.done(&message(1, start(1))).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(bench.leader.epoch(WEB1), None);
        let leader = bench.leader.clone();
        node.system
            .spawn(cluster_path(), SpawnOptions::default(), move || leader.clone())
            .expect("back");
        // At the latest after the longest wait between attempts.
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(bench.leader.epoch(WEB1), Some(RunEpoch(1)));
    });
}

#[test]
fn effects_are_measured_soon() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        eventually("the leader knows the node", || bench.leader.see(|p| p.boot.is_some())).await;
        let n_infos = || {
            let is_info = |event: &&ReportEvent| matches!(event, ReportEvent::Info(_));
            bench.leader.see(|picture| picture.applied.iter().filter(is_info).count())
        };
        let before = n_infos();
        node.done(&message(1, DiskCreate { disk: disk(&bench) })).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(n_infos(), before + 1);
    });
}

#[test]
fn each_run_of_the_agent_numbers_its_events_anew() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        eventually("the leader knows the node", || bench.leader.see(|p| p.boot.is_some())).await;
        let first = bench.leader.see(|picture| picture.boot);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(bench.leader.see(|picture| picture.next) > 5);
        node.crash().await;
        let _node = bench.boot().await;
        eventually("the new run is known", || bench.leader.see(|p| p.boot != first)).await;
        assert!(bench.leader.see(|picture| picture.next) <= 2);
    });
}

#[test]
fn the_picture_stays_true_when_the_actor_of_the_node_fails() {
    simulate(async {
        let bench = Bench::new();
        let node = bench.boot().await;
        node.done(&message(1, start(1))).await;
        // Numbers far above those of a new feed.
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(bench.leader.epoch(WEB1), Some(RunEpoch(1)));

        bench.membership.panics.store(true, Ordering::Relaxed);
        node.call(&message(2, NodeLeave {})).await.expect_err("the actor failed");
        bench.world.die(WEB1).await.expect("dies");
        // Not one measurement later.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(bench.leader.epoch(WEB1), None);
        node.done(&message(3, start(2))).await;
        eventually("it is reported", || bench.leader.epoch(WEB1) == Some(RunEpoch(2))).await;
        node.done(&message(2, NodeLeave {})).await;
        assert_eq!(bench.membership.times_forgotten(), 1);
    });
}

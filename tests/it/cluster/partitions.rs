//! The leader cannot reach a node for a while.

use std::time::Duration;

use gantry_model::jobs::JobStatus;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

const LEADER: MachineNumber = MachineNumber(1);
const AGENT: MachineNumber = MachineNumber(2);

#[test]
fn a_call_under_way_is_waited_for_said_so_and_not_made_twice() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        cluster.disks().injector().set_latency(Duration::from_secs(3));
        let client = cluster.client();
        let job = client.submit_one(ops::create("web1", AGENT)).await;
        cluster
            .wait_for_state("the disk is being made", |state| {
                state.jobs.get(&job).is_some_and(|job| !job.ops[0].steps.is_empty())
            })
            .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.partition(LEADER, AGENT);
        let watcher = client.clone();
        let waits = tokio::task::spawn_local(async move { watcher.wait(job).await });
        tokio::time::sleep(Duration::from_secs(180)).await;
        let status = cluster.state().jobs.get(&job).map(|job| job.status());
        assert_eq!(status, Some(JobStatus::Running), "it neither fails nor goes on");
        assert!(cluster.state().locks.contains_key(&job), "it keeps its locks");
        cluster.heal(LEADER, AGENT);
        let end = waits.await.expect("no panic").expect_success();
        assert!(!end.waited_for.is_empty(), "it said that it waits");
        assert!(end.waited_for.iter().any(|text| text != "locks"), "{:?}", end.waited_for);
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_node_that_is_away_before_anything_is_done_fails_the_job_and_nothing_is_left() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        cluster.partition(LEADER, AGENT);
        let end = cluster.client().submit_and_wait(ops::create("web1", AGENT)).await;
        assert_eq!(end.status, JobStatus::Error);
        let fault = end.fault.expect("a reason").one_line();
        assert!(fault.contains("node2.example"), "{fault}");
        cluster.assert_all_well().await;
        cluster.heal(LEADER, AGENT);
        cluster.client().done(ops::create("web1", AGENT)).await;
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_leader_that_restarts_while_a_node_is_away_waits_for_it_too() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 2).await;
        cluster.disks().injector().set_latency(Duration::from_secs(3));
        let client = cluster.client();
        let job = client.submit_one(ops::create("web1", AGENT)).await;
        cluster
            .wait_for_state("the disk is being made", |state| {
                state.jobs.get(&job).is_some_and(|job| !job.ops[0].steps.is_empty())
            })
            .await;
        cluster.partition(LEADER, AGENT);
        cluster.restart(LEADER).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let state = cluster.state();
        assert_eq!(state.jobs.get(&job).map(|job| job.status()), Some(JobStatus::Running));
        assert!(state.locks.contains_key(&job), "it keeps its locks");
        cluster.heal(LEADER, AGENT);
        cluster.client().wait(job).await.expect_success();
        cluster.assert_all_well().await;
    });
}

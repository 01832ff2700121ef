//! Clients: whichever node they ask, and whether they stay or not.

use std::time::Duration;

use gantry_model::jobs::JobStatus;
use gantry_model::query::Resource;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

#[test]
fn a_job_goes_on_when_the_client_that_waits_for_it_dies() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        cluster.disks().injector().set_latency(Duration::from_secs(5));
        let client = cluster.client();
        let job = client.submit_one(ops::create("web1", MachineNumber(2))).await;
        let waiting = client.clone();
        let waits = tokio::task::spawn_local(async move { waiting.wait(job).await });
        let begun = |state: &gantry_engine::state::ClusterState| {
            state.jobs.get(&job).is_some_and(|job| job.status() == JobStatus::Running)
        };
        cluster.wait_for_state("the job runs", begun).await;
        client.die();
        waits.abort();
        cluster.assert_all_well().await;
        let state = cluster.state();
        let record = state.jobs.get(&job).expect("acknowledged");
        assert_eq!(record.status(), JobStatus::Success);
        assert_eq!(state.instances.len(), 1);
    });
}

#[test]
fn every_node_takes_every_command_for_every_other() {
    simulate(async {
        let cluster = SimCluster::new(1, 3).await;
        for door in 1..=3 {
            let on = MachineNumber(door % 3 + 1);
            let (client, name) = (cluster.client_at(MachineNumber(door)), format!("web{door}"));
            client.done(ops::create(&name, on)).await;
            client.done(ops::reboot(&name, gantry_model::opcodes::RebootType::Hard)).await;
            let names = client.query(Resource::Instance, &["name"], &[]).await.expect("a table");
            assert_eq!(names.rows.len(), door);
            let instance = client.instance_uuid(&name).await.expect("it exists");
            let console = client.read_console(instance, 0, Duration::ZERO).await;
            console.expect("the console of a guest on another node");
        }
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_client_at_another_node_outlives_a_restart_of_the_leader() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 2).await;
        let client = cluster.client_at(MachineNumber(2));
        let job = client.submit_one(ops::delay(60_000)).await;
        let waits = tokio::task::spawn_local(async move { client.wait(job).await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.crash(MachineNumber(1));
        tokio::time::sleep(Duration::from_secs(20)).await;
        cluster.restart(MachineNumber(1)).await;
        let end = waits.await.expect("no panic").expect_success();
        assert_eq!(end.job, job);
        cluster.assert_all_well().await;
    });
}

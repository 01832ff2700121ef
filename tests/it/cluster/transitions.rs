//! What became of guests is in the log: it outlives daemons and leaders.

use gantry_engine::state::ClusterState;
use gantry_model::ids::InstanceUuid;
use gantry_model::query::{Cell, Resource};
use gantry_model::transitions::TransitionCause;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

async fn status(cluster: &SimCluster) -> String {
    let client = cluster.client();
    let table = client.query(Resource::Instance, &["status"], &[]).await.expect("a table");
    match &table.rows[0][0] {
        Cell::Value(word) => word.as_str().expect("a word").to_owned(),
        other => panic!("no status: {other:?}"),
    }
}

fn cause(state: &ClusterState, instance: InstanceUuid) -> Option<TransitionCause> {
    state.transitions.get(&instance).map(|last| last.cause)
}

// covers: S63 X51
#[test]
fn a_guest_that_its_user_shut_down_is_still_that_after_restarts_of_daemons_and_leader() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        client.done(ops::create("web1", MachineNumber(2))).await;
        let instance = client.instance_uuid("web1").await.expect("it exists");
        let is = |wanted| move |state: &ClusterState| cause(state, instance) == Some(wanted);
        cluster.wait_for_state("it runs", is(TransitionCause::Started)).await;
        cluster.guests().user_shutdown(instance).await.expect("shuts down");
        cluster.wait_for_state("its user did it", is(TransitionCause::UserDown)).await;
        assert_eq!(status(&cluster).await, "USER_down");
        let revision = cluster.state().transitions[&instance].revision;

        for machine in [MachineNumber(2), MachineNumber(1)] {
            cluster.crash(machine);
            cluster.restart(machine).await;
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            assert_eq!(status(&cluster).await, "USER_down", "after a crash of {machine:?}");
        }
        assert_eq!(cluster.state().transitions[&instance].revision, revision);
        cluster.client().done(ops::startup("web1")).await;
        cluster.wait_for_state("it runs again", is(TransitionCause::Started)).await;
        assert_eq!(status(&cluster).await, "running");
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_guest_that_died_is_told_from_one_that_was_stopped_and_nothing_is_written_meanwhile() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let client = cluster.client();
        client.done(ops::create("web1", MachineNumber(1))).await;
        let instance = client.instance_uuid("web1").await.expect("it exists");
        let is = |wanted| move |state: &ClusterState| cause(state, instance) == Some(wanted);
        cluster.wait_for_state("it runs", is(TransitionCause::Started)).await;
        let before = cluster.state().revision;
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        assert_eq!(cluster.state().revision, before, "samples are not written");
        cluster.guests().die(instance).await.expect("dies");
        cluster.wait_for_state("it died", is(TransitionCause::Died)).await;
        client.done(ops::startup("web1")).await;
        cluster.wait_for_state("it runs", is(TransitionCause::Started)).await;
        client.done(ops::shutdown("web1")).await;
        cluster.wait_for_state("it was stopped", is(TransitionCause::Stopped)).await;
        cluster.assert_all_well().await;
    });
}

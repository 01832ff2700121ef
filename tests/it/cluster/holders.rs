//! Who holds the log: candidates become voters, another one takes over when the leader dies, and
//! who is a candidate no more has neither a log nor a key to it.

use gantry_model::ids::NodeUuid;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

const FIRST: MachineNumber = MachineNumber(1);
const SECOND: MachineNumber = MachineNumber(2);
const THIRD: MachineNumber = MachineNumber(3);
const FOURTH: MachineNumber = MachineNumber(4);

/// Three voters, and a fourth machine that is no candidate.
async fn three_and_one(seed: u64) -> SimCluster {
    let mut cluster = SimCluster::with_pool(seed, 4, 3).await;
    cluster.until_holders(3, 0).await;
    cluster
}

fn learners(cluster: &SimCluster) -> Vec<NodeUuid> {
    let leader = cluster.leader().expect("somebody leads");
    let members = cluster.store_of(leader).expect("it has power").members();
    members.learners.into_iter().collect()
}

async fn wait_for_another(cluster: &SimCluster, than: MachineNumber) -> MachineNumber {
    let another = |cluster: &SimCluster| cluster.leader().is_some_and(|leader| leader != than);
    cluster.wait_until("another one leads", another).await;
    cluster.leader().expect("just now")
}

// covers: P30 P31 P32
#[test]
fn nodes_become_candidates_until_the_pool_is_full() {
    simulate(async {
        let cluster = three_and_one(51).await;
        let state = cluster.state();
        let is_candidate = |machine| state.nodes[&cluster.node(machine)].master_candidate;
        assert!([FIRST, SECOND, THIRD].into_iter().all(is_candidate));
        assert!(!is_candidate(FOURTH));
        assert!(cluster.store_of(FOURTH).is_none());
        cluster.assert_all_well().await;
    });
}

#[test]
fn an_even_number_of_candidates_has_one_that_holds_the_log_without_a_vote() {
    simulate(async {
        let mut cluster = SimCluster::with_pool(52, 2, 10).await;
        cluster.until_holders(1, 1).await;
        cluster
            .wait_until("the other holds it", |cluster| learners(cluster) == [cluster.node(SECOND)])
            .await;
        cluster.assert_all_well().await;
    });
}

// covers: Q20
#[test]
fn another_takes_over_when_the_leader_dies_and_no_job_is_lost() {
    simulate(async {
        let mut cluster = three_and_one(53).await;
        let client = cluster.client_at(FOURTH);
        client.done(ops::create("web1", FOURTH)).await;
        let running = client.submit_one(ops::delay(30_000)).await;
        cluster.crash(FIRST);
        let leader = wait_for_another(&cluster, FIRST).await;
        // The same client, at a node that does not hold the log and is told who leads.
        client.wait(running).await.expect_success();
        client.done(ops::create("web2", FOURTH)).await;
        let store = cluster.store_of(leader).expect("it leads");
        assert!(store.snapshot().find_instance("web1").is_ok());
        cluster.restart(FIRST).await;
        cluster.assert_all_well().await;
    });
}

// covers: C116 P33
#[test]
fn a_candidate_that_is_removed_does_not_hold_the_log_first() {
    simulate(async {
        let mut cluster = three_and_one(54).await;
        let before = cluster.state().trust.key_generation;
        cluster.client().done(ops::remove_node(THIRD)).await;
        cluster.until_holders(1, 1).await;
        assert_eq!(learners(&cluster), [cluster.node(SECOND)]);
        cluster.wait_until("it has left", |cluster| cluster.has_left(THIRD)).await;
        cluster
            .wait_until("there is another key", |cluster| {
                cluster.state().trust.key_generation > before
            })
            .await;
        cluster.client().done(ops::create("web1", SECOND)).await;
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_dead_voter_can_be_removed() {
    simulate(async {
        let mut cluster = three_and_one(55).await;
        cluster.crash(THIRD);
        cluster.client().done(ops::remove_node(THIRD)).await;
        cluster.until_holders(1, 1).await;
        assert!(!cluster.state().nodes.contains_key(&cluster.node(THIRD)));
        cluster.assert_all_well().await;
    });
}

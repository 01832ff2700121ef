//! Who holds the log: candidates become voters, another one takes over when the leader dies, and
//! who is a candidate no more has neither a log nor a key to it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use gantry_link::quic::PEER_SILENCE;
use gantry_model::ids::{JobId, NodeUuid};
use gantry_model::jobs::JobStatus;
use gantry_model::opcodes::{NodeSetParams, OpCode};
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimClient, SimCluster, ops};
use tokio::time::Instant;

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
        let client = cluster.client();
        let job = client.submit_one(ops::remove_node(THIRD)).await;
        // The fourth one takes its place.
        cluster.until_holders(3, 0).await;
        client.wait(job).await.expect_success();
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
        let client = cluster.client();
        let job = client.submit_one(ops::remove_node(THIRD)).await;
        cluster.until_holders(3, 0).await;
        client.wait(job).await.expect_success();
        assert!(!cluster.state().nodes.contains_key(&cluster.node(THIRD)));
        cluster.assert_all_well().await;
    });
}

// covers: C113 O27 P32 P33
#[test]
fn a_candidate_that_is_drained_does_not_hold_the_log_when_the_job_ends() {
    simulate(async {
        let mut cluster = three_and_one(56).await;
        let before = cluster.state().trust.key_generation;
        let op =
            NodeSetParams { drained: Some(true), auto_promote: true, ..ops::modify_node(THIRD) };
        let client = cluster.client_at(THIRD);
        let job = client.submit_one(op).await;
        cluster.wait_until("the fourth is to hold it", |c| c.must_change(FOURTH)).await;
        cluster.until_holders(3, 0).await;
        let end = client.wait(job).await.expect_success();
        let lines: Vec<&str> = end.log.iter().map(|line| line.text.as_str()).collect();
        let promoted = " - INFO: Promoted nodes to master candidate role: node4.example";
        assert_eq!(lines, [promoted]);
        let members = cluster.store().members();
        let voters: Vec<_> = members.voters.into_iter().flatten().collect();
        assert!(!voters.contains(&cluster.node(THIRD)) && voters.contains(&cluster.node(FOURTH)));
        let rotated = |cluster: &SimCluster| cluster.state().trust.key_generation > before;
        cluster.wait_until("there is another key", rotated).await;
        let told = |c: &SimCluster| c.must_change(THIRD) || c.store_of(THIRD).is_none();
        cluster.wait_until("it must put the log away", told).await;
        cluster.until_holders(3, 0).await;
        assert!(cluster.store_of(THIRD).is_none());
        cluster.assert_all_well().await;
    });
}

// covers: C113 P35 P37
#[test]
fn a_dead_voter_that_is_marked_offline_votes_no_more_and_comes_back_without_the_log() {
    simulate(async {
        let mut cluster = three_and_one(57).await;
        cluster.crash(THIRD);
        let offline = |offline| NodeSetParams {
            offline: Some(offline),
            auto_promote: offline,
            ..ops::modify_node(THIRD)
        };
        let client = cluster.client();
        let job = client.submit_one(offline(true)).await;
        cluster.until_holders(3, 0).await;
        client.wait(job).await.expect_success();
        // It is refused while it does not answer.
        let refused = client.submit_and_wait(offline(false)).await.fault.expect("refused");
        assert!(refused.message.contains("fails to report its version"), "{}", refused.message);
        cluster.restart(THIRD).await;
        client.done(offline(false)).await;
        cluster.wait_until("it must put the log away", |c| c.must_change(THIRD)).await;
        cluster.until_holders(3, 0).await;
        assert!(cluster.store_of(THIRD).is_none());
        client.done(ops::create("web1", THIRD)).await;
        cluster.assert_all_well().await;
    });
}

// covers: C26 O12 P31
#[test]
fn a_larger_pool_has_more_holders() {
    simulate(async {
        let mut cluster = three_and_one(58).await;
        let client = cluster.client();
        let job = client.submit_one(ops::pool_of(4)).await;
        cluster.until_holders(3, 1).await;
        client.wait(job).await.expect_success();
        assert_eq!(learners(&cluster), [cluster.node(FOURTH)]);
        cluster.assert_all_well().await;
    });
}

// covers: C13 P81
#[test]
fn the_master_hands_over_and_jobs_go_on() {
    simulate(async {
        let mut cluster = three_and_one(59).await;
        let client = cluster.client_at(FOURTH);
        let running = client.submit_one(ops::delay(30_000)).await;
        client.fail_master_over(cluster.node(THIRD)).await.expect("it takes over");
        assert_eq!(cluster.leader(), Some(THIRD));
        client.wait(running).await.expect_success();
        client.fail_master_over(cluster.node(THIRD)).await.expect("it is the master already");
        client.fail_master_over(cluster.node(FIRST)).await.expect("and back");
        assert_eq!(cluster.leader(), Some(FIRST));
        cluster.until_holders(3, 0).await;
        cluster.assert_all_well().await;
    });
}

// covers: C13 P81
#[test]
fn only_a_candidate_that_answers_becomes_the_master() {
    simulate(async {
        let mut cluster = three_and_one(60).await;
        let client = cluster.client_at(FOURTH);
        let refused = client.fail_master_over(cluster.node(FOURTH)).await.expect_err("refused");
        let text = &refused.fault().expect("by the master").message;
        assert!(text.contains("master candidates is:\nnode2.example\nnode3.example"), "{text}");
        cluster.crash(THIRD);
        let refused = client.fail_master_over(cluster.node(THIRD)).await.expect_err("refused");
        let text = &refused.fault().expect("by the master").message;
        let expected =
            "node node3.example has not taken over within 20 seconds: it does not answer";
        assert_eq!(text, expected);
        assert_eq!(cluster.leader(), Some(FIRST));
        client.done(ops::delay(10)).await;
        cluster.restart(THIRD).await;
        cluster.assert_all_well().await;
    });
}

// covers: C13 P81
#[test]
fn of_two_candidates_the_one_without_a_vote_can_become_the_master() {
    simulate(async {
        let mut cluster = SimCluster::with_pool(61, 2, 10).await;
        cluster.until_holders(1, 1).await;
        let client = cluster.client();
        client.fail_master_over(cluster.node(SECOND)).await.expect("it takes over");
        assert_eq!(cluster.leader(), Some(SECOND));
        cluster.until_holders(1, 1).await;
        assert_eq!(learners(&cluster), [cluster.node(FIRST)]);
        // The first one is not needed any more.
        cluster.crash(FIRST);
        cluster.client_at(SECOND).done(ops::create("web1", SECOND)).await;
        cluster.restart(FIRST).await;
        cluster.assert_all_well().await;
    });
}

/// Submits a job of a millisecond again and again until it is told to stop.
async fn submit_until(client: SimClient, ends: &Cell<bool>) -> Vec<JobId> {
    let mut jobs = Vec::new();
    while !ends.get() {
        jobs.push(client.submit_one(ops::delay(1)).await);
    }
    jobs
}

// covers: C13 Q20
#[test]
fn what_is_submitted_while_the_master_hands_over_is_done_once() {
    simulate(async {
        let mut cluster = three_and_one(62).await;
        let ends = Cell::new(false);
        let submits = || submit_until(cluster.client_at(FOURTH), &ends);
        let hands_over = async {
            let client = cluster.client_at(SECOND);
            for heir in [THIRD, FIRST, SECOND] {
                tokio::time::sleep(Duration::from_millis(500)).await;
                client.fail_master_over(cluster.node(heir)).await.expect("it takes over");
            }
            ends.set(true);
        };
        let ((), first, second, third) = tokio::join!(hands_over, submits(), submits(), submits());
        cluster.until_holders(3, 0).await;
        let acknowledged: BTreeSet<JobId> = [first, second, third].concat().into_iter().collect();
        assert!(acknowledged.len() > 100, "only {} jobs", acknowledged.len());
        cluster.wait_until_idle().await;
        let state = cluster.state();
        let all: BTreeSet<JobId> = state.jobs.keys().copied().collect();
        assert!(acknowledged.iter().all(|job| state.jobs[job].status() == JobStatus::Success));
        // The others are those that added nodes.
        let more = all
            .difference(&acknowledged)
            .filter(|job| matches!(state.jobs[*job].ops[0].input.op, OpCode::TestDelay(_)));
        assert_eq!(more.count(), 0);
        cluster.assert_all_well().await;
    });
}

/// What was asked of the dead master is asked of the next one as soon as that is known, and not
/// when the link has found out that the first one is silent.
#[test]
fn a_submission_on_its_way_to_a_dead_master_does_not_wait_for_it() {
    simulate(async {
        let cluster = three_and_one(63).await;
        let ends = Cell::new(false);
        let mut gap = Duration::ZERO;
        let submits = async {
            let client = cluster.client_at(SECOND);
            while !ends.get() {
                let since = Instant::now();
                client.submit_one(ops::delay(1)).await;
                gap = gap.max(since.elapsed());
            }
        };
        let dies = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            [SECOND, THIRD].into_iter().for_each(|other| cluster.partition(FIRST, other));
            tokio::time::sleep(Duration::from_secs(5)).await;
            ends.set(true);
        };
        tokio::join!(submits, dies);
        assert!(gap > Duration::from_millis(100), "nobody noticed: {gap:?}");
        assert!(gap < PEER_SILENCE * 3 / 4, "{gap:?}");
        [SECOND, THIRD].into_iter().for_each(|other| cluster.heal(FIRST, other));
        cluster.assert_all_well().await;
    });
}

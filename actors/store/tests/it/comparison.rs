//! Holders of the log compare their states at every snapshot.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_model::ids::{NodeUuid, ReignId};
use gantry_store::forms::{RaftAnswer, RaftCall, StateHashCall, WIRE_VERSION};
use gantry_store::{Compaction, Leadership, ProposeError, RaftRequest, Store, StoreError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::cluster::TestCluster;
use crate::fixtures::{SOON, chain, node, submit, submit_one};

const OFTEN: Compaction = Compaction { snapshot_every: 20, keep: 5 };

async fn submit_many(store: &Store, reign: ReignId, requests: std::ops::Range<u128>) {
    for request in requests {
        submit_one(store, reign, request).await.expect("committed");
    }
}

async fn stopped(store: &Store) {
    let mut leadership = store.leadership();
    let stops = leadership.wait_for(|now| *now == Leadership::Stopped);
    tokio::time::timeout(SOON, stops).await.expect("it is found in time").expect("told");
}

/// The multiples of the interval up to the present state at which this store has hashed its state.
async fn hashed_at(store: &Store) -> Vec<u64> {
    let to = store.node();
    let points = (1..).map(|n| n * OFTEN.snapshot_every);
    let mut hashed = Vec::new();
    for index in points.take_while(|index| *index <= store.snapshot().revision.0) {
        let call = RaftCall::StateHash(StateHashCall { index });
        let request = RaftRequest { version: WIRE_VERSION, from: node(9), to, call };
        let RaftAnswer::StateHash(answer) = store.handle(request).await.answer else {
            panic!("a question for a hash is answered with one, or with none");
        };
        hashed.extend(answer.hash.map(|_| index));
    }
    hashed
}

#[tokio::test(start_paused = true)]
async fn a_lone_holder_hashes_nothing_and_two_compare_from_the_next_interval_on() {
    let (mut cluster, reign) = TestCluster::of(1, 7, OFTEN).await;
    let first = cluster.leader_but(&[]).await;
    submit_many(&first, reign, 0..70).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(hashed_at(&first).await, Vec::<u64>::new(), "it is alone");

    let second = node(2);
    cluster.start_anew(second).await;
    first.add_learner(second, SOON).await.expect("catches up");
    let joined = first.snapshot().revision.0;
    submit_many(&first, reign, 100..145).await;
    cluster.agree_at(first.snapshot().revision).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let hashed = hashed_at(&first).await;
    assert!(hashed.len() >= 2 && hashed.iter().all(|index| *index > joined), "{hashed:?}");
    assert_eq!(hashed_at(&cluster.stores[&second]).await, hashed);
}

#[tokio::test(start_paused = true)]
async fn holders_with_equal_states_find_no_difference_whatever_happens() {
    for seed in 0..6 {
        let (mut cluster, mut reign) = TestCluster::of(3, seed, OFTEN).await;
        let mut rng = StdRng::seed_from_u64(seed);
        for round in 0..6_u128 {
            let leader = cluster.leader_but(&[]).await;
            let n = rng.random_range(5..60);
            submit_many(&leader, reign, round * 100..round * 100 + n).await;
            let other = node(rng.random_range(1..=3));
            cluster.kill(other);
            if other == leader.node() {
                let next = cluster.leader_but(&[other]).await;
                reign = next.take_over(SOON).await.expect("takes over");
            }
            cluster.start(other).await;
        }
        let leader = cluster.leader_but(&[]).await;
        cluster.agree_at(leader.snapshot().revision).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        for store in cluster.stores.values() {
            assert_eq!(store.failure(), None, "seed {seed}");
        }
        let trace = cluster.network.trace();
        let asked = trace.iter().filter(|line| line.contains("state hash")).count();
        assert!(asked >= 6, "seed {seed}: only {asked} questions");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_whose_state_was_tampered_with_stops_and_the_others_go_on() {
    let (mut cluster, reign) = TestCluster::of(3, 1, OFTEN).await;
    let leader = cluster.leader_but(&[]).await;
    let bad = node(3);
    let store = cluster.stores[&bad].clone();
    let before = store.snapshot();
    cluster.network.tamper(bad);
    submit_many(&leader, reign, 0..40).await;
    stopped(&store).await;

    let reason = store.failure().expect("says why");
    assert!(reason.contains(&format!("the state of node {bad} is not that of")), "{reason}");
    let error = store.propose(submit(reign, 900), SOON).await.expect_err("takes no part");
    assert!(matches!(error, ProposeError::Diverged { .. }), "{error:?}");
    let error = store.read_index(SOON).await.expect_err("serves nothing");
    assert!(matches!(error, StoreError::Diverged { .. }), "{error:?}");

    let said = store.snapshot();
    assert_eq!(said.divergence(), Some(reason.as_str()), "whoever reads it is told");
    let error = store.wait_for(said.revision, SOON).await.expect_err("it is not to be believed");
    assert!(matches!(error, StoreError::Diverged { .. }), "{error:?}");
    assert_eq!(before.divergence(), None, "that was read before");
    assert_eq!(leader.snapshot().divergence(), None, "those that are right");

    let at = store.snapshot().revision;
    submit_many(&leader, reign, 100..150).await;
    assert_eq!(store.snapshot().revision, at, "it still applies");
    drop(store);

    // Not even a restart makes it take part again.
    cluster.kill(bad);
    let error = cluster.open(bad).await.expect_err("its state is wrong");
    assert!(chain(&error).contains("add the node again"), "{}", chain(&error));
    restored(&mut cluster, &leader, reign, bad).await;
}

/// The way out that the error names.
async fn restored(cluster: &mut TestCluster, leader: &Store, reign: ReignId, bad: NodeUuid) {
    let all: BTreeSet<NodeUuid> = cluster.ids().into_iter().collect();
    let rest: BTreeSet<NodeUuid> = all.iter().copied().filter(|id| *id != bad).collect();
    leader.change_voters(rest, SOON).await.expect("it votes no more");
    leader.remove_learner(bad, SOON).await.expect("it gets no log");
    cluster.network.leave_alone(bad);
    cluster.start_anew(bad).await;
    leader.add_learner(bad, SOON).await.expect("gets a snapshot");
    leader.change_voters(all, SOON).await.expect("votes again");
    submit_many(leader, reign, 1_000..1_060).await;
    cluster.agree_at(leader.snapshot().revision).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(cluster.stores.values().all(|store| store.failure().is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_state_was_tampered_with_is_the_one_that_stops() {
    let (cluster, reign) = TestCluster::of(3, 2, OFTEN).await;
    let first = cluster.leader_but(&[]).await;
    let bad = node(2);
    cluster.network.tamper(bad);
    submit_one(&first, reign, 1).await.expect("committed");
    first.transfer_leadership(bad, SOON).await.expect("handed over");
    let leader = cluster.stores[&bad].clone();
    let reign = leader.take_over(SOON).await.expect("takes over");
    for request in 10..60 {
        // It stops in the middle of it.
        if submit_one(&leader, reign, request).await.is_err() {
            break;
        }
    }
    stopped(&leader).await;
    let next = cluster.leader_but(&[bad]).await;
    let reign = next.take_over(SOON).await.expect("takes over");
    submit_many(&next, reign, 100..150).await;
    for (id, store) in &cluster.stores {
        assert_eq!(store.failure().is_some(), *id == bad, "node {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_away_is_compared_when_it_is_back() {
    let (cluster, reign) = TestCluster::of(3, 3, OFTEN).await;
    let leader = cluster.leader_but(&[]).await;
    let bad = node(3);
    cluster.network.isolate(bad, &cluster.ids());
    cluster.network.tamper(bad);
    // Not enough for a snapshot to be sent instead of the entries.
    submit_many(&leader, reign, 0..18).await;
    cluster.network.heal();
    submit_many(&leader, reign, 100..110).await;
    stopped(&cluster.stores[&bad]).await;
    assert_eq!(leader.failure(), None);
}

//! Three voters on a simulated network.

use std::time::Duration;

use gantry_model::ids::JobId;
use gantry_store::{Compaction, Leadership, ProposeError, StoreError};

use crate::cluster::TestCluster;
use crate::fixtures::{SOON, node, submit, submit_one};

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced_in_time_and_nothing_acknowledged_is_lost() {
    for seed in 0..10 {
        let (mut cluster, reign) = TestCluster::of(3, seed, Compaction::default()).await;
        let leader = cluster.leader_but(&[]).await;
        for request in 0..20 {
            submit_one(&leader, reign, request).await.expect("committed");
        }
        cluster.kill(leader.node());
        let since = tokio::time::Instant::now();
        let next = cluster.leader_but(&[leader.node()]).await;
        let reign = next.take_over(SOON).await.expect("takes over");
        assert!(since.elapsed() < Duration::from_secs(2), "took {:?}", since.elapsed());
        for request in 0..20 {
            let id = submit_one(&next, reign, request).await.expect("answered");
            assert_eq!(u128::from(id.0), request + 1, "seed {seed}");
        }
        let id = submit_one(&next, reign, 100).await.expect("committed");
        assert_eq!(id, JobId(21));

        cluster.start(leader.node()).await;
        cluster.agree_at(next.snapshot().revision).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_acknowledges_and_reads_nothing_and_follows_when_healed() {
    let (cluster, reign) = TestCluster::of(3, 5, Compaction::default()).await;
    let old = cluster.leader_but(&[]).await;
    submit_one(&old, reign, 1).await.expect("committed");
    cluster.network.isolate(old.node(), &cluster.ids());

    let error = old.propose(submit(reign, 2), Duration::from_secs(3)).await.expect_err("no quorum");
    assert!(matches!(error, ProposeError::Timeout { .. }), "{error:?}");
    // Its lease is over by now: it does not even take a proposal.
    let error = old.propose(submit(reign, 3), Duration::from_secs(1)).await.expect_err("no lease");
    assert_eq!(error, ProposeError::NotLeader { leader: None });
    old.read_index(Duration::from_secs(1)).await.expect_err("a read would be stale");

    let new = cluster.leader_but(&[old.node()]).await;
    let reign = new.take_over(SOON).await.expect("takes over");
    submit_one(&new, reign, 4).await.expect("committed");
    cluster.network.heal();
    let mut leadership = old.leadership();
    let follows = Leadership::Follower { leader: Some(new.node()) };
    leadership.wait_for(|now| *now == follows).await.expect("follows");
    let last = submit_one(&new, reign, 5).await.expect("committed");
    cluster.agree_at(new.snapshot().revision).await;
    // Neither of the refused ones came through.
    let state = new.read_index(SOON).await.expect("the leader reads");
    assert_eq!(state.last_job, last);
    assert_eq!(last, JobId(3));
}

#[tokio::test(start_paused = true)]
async fn a_follower_names_the_leader() {
    let (cluster, reign) = TestCluster::of(3, 6, Compaction::default()).await;
    let leader = cluster.leader_but(&[]).await;
    let follower = &cluster.stores[&node(2)];
    let named = Some(leader.node());
    let error = follower.propose(submit(reign, 1), SOON).await.expect_err("follows");
    assert_eq!(error, ProposeError::NotLeader { leader: named });
    let error = follower.read_index(SOON).await.expect_err("follows");
    assert!(matches!(error, StoreError::NotLeader { leader } if leader == named), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_was_away_too_long_catches_up_by_a_snapshot() {
    let compaction = Compaction { snapshot_every: 40, keep: 5 };
    let (mut cluster, reign) = TestCluster::of(3, 7, compaction).await;
    let leader = cluster.leader_but(&[]).await;
    let away = node(3);
    cluster.kill(away);
    for request in 0..300 {
        submit_one(&leader, reign, request).await.expect("committed");
    }
    assert_eq!(cluster.network.n_chunks(), 0);
    cluster.start(away).await;
    cluster.agree_at(leader.snapshot().revision).await;
    assert!(cluster.network.n_chunks() > 0, "it came by entries");

    // And goes on by entries, and survives a restart of its own.
    submit_one(&leader, reign, 1_000).await.expect("committed");
    cluster.agree_at(leader.snapshot().revision).await;
    cluster.kill(away);
    cluster.start(away).await;
    cluster.agree_at(leader.snapshot().revision).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_comes_back_does_not_disturb_the_leader() {
    let (cluster, reign) = TestCluster::of(3, 8, Compaction::default()).await;
    let leader = cluster.leader_but(&[]).await;
    submit_one(&leader, reign, 1).await.expect("committed");
    let term = leader.term();
    let away = &cluster.stores[&node(3)];
    cluster.network.isolate(away.node(), &cluster.ids());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = cluster.network.trace().iter().filter(|line| line.contains("pre-vote")).count();
    assert!(asked > 3, "it asked {asked} times only");
    assert_eq!(away.term(), term, "without a majority for it no term begins");

    cluster.network.heal();
    submit_one(&leader, reign, 2).await.expect("committed");
    cluster.agree_at(leader.snapshot().revision).await;
    assert_eq!(leader.term(), term);
    assert_eq!(*leader.leadership().borrow(), Leadership::Leader);
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over_at_once() {
    let (cluster, reign) = TestCluster::of(3, 9, Compaction::default()).await;
    let old = cluster.leader_but(&[]).await;
    submit_one(&old, reign, 1).await.expect("committed");
    let since = tokio::time::Instant::now();
    old.transfer_leadership(node(2), SOON).await.expect("handed over");
    assert!(since.elapsed() < Duration::from_millis(200), "took {:?}", since.elapsed());
    let new = &cluster.stores[&node(2)];
    assert_eq!(*new.leadership().borrow(), Leadership::Leader);
    let reign = new.take_over(SOON).await.expect("takes over");
    assert_eq!(submit_one(new, reign, 1).await, Ok(JobId(1)));
    let error = old.propose(submit(reign, 2), SOON).await.expect_err("gave way");
    assert_eq!(error, ProposeError::NotLeader { leader: Some(node(2)) });
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_not_handed_leadership() {
    let (cluster, reign) = TestCluster::of(3, 9, Compaction::default()).await;
    let leader = cluster.leader_but(&[]).await;
    let other = cluster.stores.keys().copied().find(|id| *id != leader.node()).expect("of three");
    leader.check_fit_to_lead(other).expect("it answers");
    // Only just: it has answered the last heartbeat.
    cluster.network.isolate(other, &cluster.ids());
    let error = leader.transfer_leadership(other, SOON).await.expect_err("it is away");
    let text = format!("node {other} cannot lead: it does not answer");
    assert_eq!(error.to_string(), text);
    let error = leader.transfer_leadership(node(7), SOON).await.expect_err("nobody");
    assert!(matches!(error, StoreError::NotFit { .. }), "{error}");
    // It goes on leading.
    submit_one(&leader, reign, 1).await.expect("committed");
}

#[tokio::test(start_paused = true)]
async fn a_leader_with_a_failed_disk_is_replaced() {
    let (cluster, reign) = TestCluster::of(3, 10, Compaction::default()).await;
    let old = cluster.leader_but(&[]).await;
    submit_one(&old, reign, 1).await.expect("committed");
    cluster.disks[&old.node()].fail_syncs(true);
    let error = old.propose(submit(reign, 2), SOON).await.expect_err("fails");
    assert!(matches!(error, ProposeError::Storage { .. }), "{error:?}");
    let new = cluster.leader_but(&[old.node()]).await;
    let reign = new.take_over(SOON).await.expect("takes over");
    assert_eq!(submit_one(&new, reign, 1).await, Ok(JobId(1)));
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_all_at_once_keeps_everything() {
    let (mut cluster, reign) = TestCluster::of(3, 11, Compaction::default()).await;
    let leader = cluster.leader_but(&[]).await;
    for request in 0..10 {
        submit_one(&leader, reign, request).await.expect("committed");
    }
    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.start(id).await;
    }
    let leader = cluster.leader_but(&[]).await;
    let reign = leader.take_over(SOON).await.expect("takes over");
    assert_eq!(submit_one(&leader, reign, 9).await, Ok(JobId(10)));
    cluster.agree_at(leader.snapshot().revision).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_for_another_node_or_of_another_version_is_refused() {
    use gantry_store::forms::{
        RaftAnswer, RaftCall, RaftRequest, VoteCall, VoteForm, WIRE_VERSION,
    };
    let (cluster, _) = TestCluster::of(1, 12, Compaction::default()).await;
    let store = &cluster.stores[&node(1)];
    let vote = VoteForm { term: 99, node: node(2), committed: false };
    let call = RaftCall::Vote(VoteCall { vote, last: None, leadership_transfer: false });
    for (version, to) in [(WIRE_VERSION, node(9)), (WIRE_VERSION + 1, node(1))] {
        let request = RaftRequest { version, from: node(2), to, call: call.clone() };
        let reply = store.handle(request).await;
        assert!(matches!(reply.answer, RaftAnswer::Refused { .. }), "{reply:?}");
    }
    assert!(store.term() < 99);
}

#[tokio::test(start_paused = true)]
async fn calls_that_older_programs_know_have_their_version_and_are_answered_in_it() {
    use gantry_store::forms::{
        LevelsCall, RaftAnswer, RaftCall, RaftRequest, StateHashCall, WIRE_VERSION,
        WIRE_VERSION_OLDEST,
    };
    let (cluster, _) = TestCluster::of(1, 13, Compaction::default()).await;
    let store = &cluster.stores[&node(1)];
    for (call, version) in [
        (RaftCall::StateHash(StateHashCall { index: 1 }), WIRE_VERSION_OLDEST),
        (RaftCall::Levels(LevelsCall {}), WIRE_VERSION),
    ] {
        let request = RaftRequest::new(node(2), node(1), call);
        assert_eq!(request.version, version);
        let reply = store.handle(request).await;
        assert_eq!(reply.version, version);
        assert!(!matches!(reply.answer, RaftAnswer::Refused { .. }), "{reply:?}");
    }
    let call = RaftCall::StateHash(StateHashCall { index: 1 });
    let older = RaftRequest { version: WIRE_VERSION_OLDEST - 1, from: node(2), to: node(1), call };
    let reply = store.handle(older).await;
    assert!(matches!(reply.answer, RaftAnswer::Refused { .. }), "{reply:?}");
}

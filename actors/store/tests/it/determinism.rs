//! The same seed gives the same run.

use std::time::Duration;

use gantry_store::Compaction;

use crate::cluster::TestCluster;
use crate::fixtures::{SOON, submit_one};

/// A run with a crash, an election and a catch-up; everything that passed on the network.
fn run(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let compaction = Compaction { snapshot_every: 20, keep: 5 };
        let (mut cluster, reign) = TestCluster::of(3, seed, compaction).await;
        let leader = cluster.leader_but(&[]).await;
        for request in 0..30 {
            submit_one(&leader, reign, request).await.expect("committed");
        }
        cluster.kill(leader.node());
        let next = cluster.leader_but(&[leader.node()]).await;
        let reign = next.take_over(SOON).await.expect("takes over");
        for request in 100..150 {
            submit_one(&next, reign, request).await.expect("committed");
        }
        cluster.start(leader.node()).await;
        cluster.agree_at(next.snapshot().revision).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut trace = cluster.network.trace();
        trace.push(format!("leader {}", next.node()));
        trace
    })
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    for seed in 1..=5 {
        let first = run(seed);
        let second = run(seed);
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let shown = at.saturating_sub(3)..at + 3;
            panic!("seed {seed}: {:#?} or {:#?}", &first[shown.clone()], &second[shown]);
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
        assert!(first.iter().any(|line| line.contains("pre-vote")), "there was an election");
        assert!(first.iter().any(|line| line.contains("snapshot")), "there was a snapshot");
    }
    assert_ne!(run(1), run(2));
}

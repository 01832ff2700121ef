//! The leader's disk stalls for longer than a commit may take: what was proposed has an unknown
//! outcome, and is in the log all the same.

use std::time::Duration;

use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

/// One flush usually: longer than the pause between two looks at a condition.
const USUAL: Duration = Duration::from_millis(20);

/// One flush, while the disk stalls. Longer than a commit may take.
const STALL: Duration = Duration::from_secs(45);

/// What the actor is not told in time comes true all the same, the end of its job too: the job was
/// to be placed anew, and then turns out to have ended.
#[test]
fn a_job_whose_end_came_through_too_late_to_be_told_gives_up_its_locks() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let leader = MachineNumber(1);
        let client = cluster.client();
        let job = client.submit_one(ops::delay_on(leader, 5_000)).await;
        cluster.wait_for_state("it holds its lock", |state| state.locks.contains_key(&job)).await;
        cluster.slow_flushes(leader, STALL);
        cluster.wait_for_state("it has ended", |state| !state.unfinished.contains(&job)).await;
        // The commit of the end is given up after 30 s, and its flush takes longer than that: the
        // actor still tries to place the job.
        let has_actor = |cluster: &SimCluster| {
            cluster.system(leader).actors().into_iter().any(|actor| actor.kind == "job")
        };
        assert!(has_actor(&cluster), "its actor does not know it yet");
        cluster.wait_until("its actor finds out", |cluster| !has_actor(cluster)).await;
        let held = client.locks().await.expect("an answer");
        assert!(held.iter().all(|row| row.owners.is_empty()), "{held:?}");
        cluster.slow_flushes(leader, USUAL);
        client.done(ops::delay_on(leader, 10)).await;
        cluster.assert_all_well().await;
    });
}

#[test]
fn jobs_go_on_and_end_once_when_commits_are_late() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let leader = MachineNumber(1);
        // From the first entry after the submission to beyond the last of the job, each has its
        // turn to be late.
        for n_entries in 1..12 {
            cluster.slow_flushes(leader, USUAL);
            let (client, name) = (cluster.client(), format!("web{n_entries}"));
            let late_after = cluster.state().revision.0 + n_entries;
            let op = ops::create(&name, MachineNumber(2));
            let job = tokio::task::spawn_local(async move { client.submit_and_wait(op).await });
            let name = ops::instance_name(&name);
            cluster
                .wait_for_state("the entry is written", |state| {
                    let ended = state.unfinished.is_empty();
                    let made = state.instance_by_name(&name).is_some();
                    state.revision.0 >= late_after || (made && ended)
                })
                .await;
            cluster.slow_flushes(leader, STALL);
            tokio::time::sleep(STALL * 3).await;
            cluster.slow_flushes(leader, USUAL);
            job.await.expect("no panic").expect_success();
            cluster.assert_all_well().await;
        }
    });
}

//! Many jobs at once, and submissions that come again.

use std::time::Duration;

use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::{NewJob, SubmitJobs, cluster_path};
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimClient, SimCluster, ops};
use gantry_wire::RequestId;
use uuid::Uuid;

// covers: Q24
#[test]
fn three_hundred_jobs_at_once_get_consecutive_ids_and_all_end_well() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let client = cluster.client();
        let jobs = client.submit_ops((0..300).map(|_| ops::delay(10))).await.expect("accepted");
        assert_eq!(jobs.len(), 300);
        assert!(jobs.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{jobs:?}");
        cluster.assert_all_well().await;
        let state = cluster.state();
        for job in jobs {
            let status = state.jobs.get(&job).map(|job| job.status());
            assert_eq!(status, Some(JobStatus::Success), "job {job}");
        }
    });
}

#[test]
fn jobs_that_are_submitted_while_the_leader_restarts_are_each_made_once() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 2).await;
        let before = cluster.state().last_job;
        let submitting: Vec<_> = (0..40)
            .map(|n| {
                let client = cluster.client_at(MachineNumber(n % 2 + 1));
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(n as u64)).await;
                    client.submit_one(ops::delay(50)).await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        cluster.restart(MachineNumber(1)).await;
        let mut jobs = Vec::new();
        for submission in submitting {
            jobs.push(submission.await.expect("no panic"));
        }
        jobs.sort();
        let expected: Vec<JobId> = (1..=40).map(|n| JobId(before.0 + n)).collect();
        assert_eq!(jobs, expected, "none is lost, none is made twice");
        cluster.assert_all_well().await;
    });
}

async fn submit(client: &SimClient, request: u128) -> Vec<Result<JobId, Fault>> {
    let jobs = (0..3).map(|_| NewJob { ops: vec![ops::delay(1).into()] }).collect();
    let message = SubmitJobs { request: RequestId(Uuid::from_u128(request)), jobs };
    let to = cluster_path();
    client.ask(&to, &message, Duration::from_secs(10)).await.expect("an answer").expect("accepted")
}

#[test]
fn the_same_request_again_gets_the_same_ids_also_after_a_restart() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 1).await;
        let first = submit(&cluster.client(), 1).await;
        assert_eq!(submit(&cluster.client(), 1).await, first);
        assert_ne!(submit(&cluster.client(), 2).await, first);
        cluster.wait_until_idle().await;
        assert_eq!(submit(&cluster.client(), 1).await, first, "after its jobs have ended");
        cluster.restart(MachineNumber(1)).await;
        assert_eq!(submit(&cluster.client(), 1).await, first, "after a restart");
        cluster.assert_all_well().await;
        let n_delays = cluster.state().jobs.len();
        assert_eq!(n_delays, 6, "two requests of three jobs");
    });
}

//! Jobs that are asked to stop, and jobs that become more or less urgent.

use std::time::Duration;

use gantry_model::errors::FaultCode;
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::locks::LockName;
use gantry_model::messages::{Canceled, NewJob, PriorityChanged};
use gantry_model::opcodes::{Dependency, OpCommon, OpRequest};
use gantry_runtime::simulate;
use gantry_tests::{CrashPlan, MachineNumber, SimClient, SimCluster, ops};

const LEADER: MachineNumber = MachineNumber(1);
const AGENT: MachineNumber = MachineNumber(2);

/// How long the job that holds the node's lock takes. Longer than a client needs to find a leader
/// that was restarted.
const HOLDS_MS: u64 = 60_000;

/// A job that holds the lock of the second node, and so many that wait for it, in order.
async fn set_up(cluster: &SimCluster, n_waiters: usize) -> (JobId, Vec<JobId>) {
    let client = cluster.client();
    let holder = client.submit_one(ops::delay_on(AGENT, HOLDS_MS)).await;
    cluster.wait_for_state("the lock is in the log", |s| s.locks.contains_key(&holder)).await;
    let mut waiters = Vec::new();
    for _ in 0..n_waiters {
        let waiter = client.submit_one(ops::delay_on(AGENT, 1)).await;
        wait_until_it_waits(&client, waiter).await;
        waiters.push(waiter);
    }
    (holder, waiters)
}

async fn wait_until_it_waits(client: &SimClient, job: JobId) {
    for _ in 0..1_000 {
        let records = client.jobs(vec![job]).await.expect("an answer");
        if records[0].status() == JobStatus::Waiting {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("job {job} never waits");
}

/// Who waits for the lock of the second node, in the order of the queue.
async fn queue(cluster: &SimCluster) -> Vec<JobId> {
    let rows = cluster.client().locks().await.expect("the lock actor answers");
    let name = LockName::node(cluster.node(AGENT));
    let row = rows.into_iter().find(|row| row.name == name).expect("in the table");
    row.pending.into_iter().flat_map(|(_, jobs)| jobs).collect()
}

async fn wait_for_queue(cluster: &SimCluster, expected: &[JobId]) {
    for _ in 0..1_000 {
        if queue(cluster).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the queue never is {expected:?}: {:?}", queue(cluster).await);
}

fn status(cluster: &SimCluster, job: JobId) -> JobStatus {
    cluster.state().jobs.get(&job).expect("submitted").status()
}

// covers: C89 Q34 L61
#[test]
fn a_job_that_waits_for_locks_ends_at_once_and_leaves_the_queue() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let (holder, waiters) = set_up(&cluster, 2).await;
        let begun = tokio::time::Instant::now();
        let client = cluster.client();
        assert_eq!(
            client.cancel_job(waiters[0], false).await.expect("answered"),
            Canceled::Stopped
        );
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(status(&cluster, waiters[0]), JobStatus::Canceled);
        assert_eq!(queue(&cluster).await, waiters[1..], "its request still stands in the queue");
        client.wait(holder).await.expect_success();
        client.wait(waiters[1]).await.expect_success();
        cluster.assert_all_well().await;
    });
}

// covers: C89 Q34 Q33
#[test]
fn a_job_in_the_queue_ends_at_once_and_so_do_those_that_depend_on_it() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let (holder, _) = set_up(&cluster, 0).await;
        let client = cluster.client();
        let after = |job: JobId| {
            let depends = vec![Dependency::on(job, vec![JobStatus::Success])];
            let common = OpCommon { depends, ..OpCommon::default() };
            OpRequest { op: ops::delay(1).into(), common }
        };
        let queued = client.submit_one(after(holder)).await;
        let dependent = client.submit_one(after(queued)).await;
        assert_eq!(client.cancel_job(queued, false).await.expect("answered"), Canceled::Dequeued);
        assert_eq!(client.wait(queued).await.status, JobStatus::Canceled);
        assert_eq!(client.wait(dependent).await.status, JobStatus::Canceled);
        // Who asks again is told the same as if it was asked for the first time.
        assert_eq!(client.cancel_job(queued, false).await.expect("answered"), Canceled::Stopped);
        assert_eq!(status(&cluster, holder), JobStatus::Running);
        cluster.assert_all_well().await;
    });
}

// covers: C89 Q34 Q35
#[test]
fn a_job_that_acts_is_not_stopped_but_begins_no_other_opcode() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        let two = [ops::delay_on(AGENT, 5_000).into(), ops::delay_on(AGENT, 5_000).into()];
        let submitted = client.submit(vec![NewJob { ops: two.to_vec() }]).await.expect("answered");
        let job = *submitted[0].as_ref().expect("accepted");
        cluster.wait_for_state("it acts", |s| s.locks.contains_key(&job)).await;
        let killed = client.cancel_job(job, true).await.expect_err("a kill is refused");
        assert_eq!(killed.fault().map(|fault| fault.code), Some(FaultCode::WrongState));
        assert_eq!(client.cancel_job(job, false).await.expect("answered"), Canceled::Acts);
        assert_eq!(client.wait(job).await.status, JobStatus::Canceled);
        let state = cluster.state();
        let record = state.jobs.get(&job).expect("submitted");
        let ends: Vec<JobStatus> = record.ops.iter().map(|op| op.status).collect();
        assert_eq!(ends, [JobStatus::Success, JobStatus::Canceled]);
        let unknown = client.cancel_job(JobId(99), false).await.expect_err("there is none");
        assert_eq!(unknown.fault().map(|fault| fault.code), Some(FaultCode::UnknownEntity));
        cluster.assert_all_well().await;
    });
}

/// Cancels a waiting job while the leader crashes at a point, or nowhere; the points passed.
fn cancel_with_crash(at: Option<usize>) -> Vec<String> {
    simulate(async {
        let mut cluster = SimCluster::new(7, 2).await;
        let (holder, waiters) = set_up(&cluster, 1).await;
        cluster.arm(CrashPlan { victim: LEADER, at, acts_itself: false });
        let (client, waiter) = (cluster.client(), waiters[0]);
        let asker = client.clone();
        let answer = tokio::task::spawn_local(async move { asker.cancel_job(waiter, false).await });
        if at.is_some() {
            cluster.wait_until("the leader dies", |cluster| cluster.is_down(LEADER)).await;
            cluster.restart(LEADER).await;
        }
        let answer = answer.await.expect("no panic").expect("answered");
        let (points, fired) = cluster.disarm();
        assert_eq!(fired, at.is_some());
        assert!(answer.is_success(), "crash {:?}: {answer:?}", points.last());
        assert_eq!(status(&cluster, waiter), JobStatus::Canceled, "crash {:?}", points.last());
        assert_eq!(queue(&cluster).await, [], "crash {:?}", points.last());
        client.wait(holder).await.expect_success();
        cluster.assert_all_well().await;
        points
    })
}

// covers: Q34
#[test]
fn a_cancel_survives_the_leader_at_every_flush() {
    let points = cancel_with_crash(None);
    // One entry, in the log's file and in the state's.
    assert!(points.len() >= 2, "{points:?}");
    for at in 0..points.len() {
        assert_eq!(cancel_with_crash(Some(at)), points[..=at]);
    }
}

// covers: C93 Q31 L63
#[test]
fn a_job_that_waits_becomes_urgent_and_passes_the_others() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 2).await;
        let (_, waiters) = set_up(&cluster, 3).await;
        let client = cluster.client();
        let changed = client.change_job_priority(waiters[2], -10).await.expect("answered");
        assert_eq!(changed, PriorityChanged::Done { priority: -10 });
        wait_for_queue(&cluster, &[waiters[2], waiters[0], waiters[1]]).await;
        // It is in the log: the next leader has the same order.
        cluster.restart(LEADER).await;
        for waiter in &waiters {
            wait_until_it_waits(&client, *waiter).await;
        }
        assert_eq!(queue(&cluster).await, [waiters[2], waiters[0], waiters[1]]);
        for waiter in &waiters {
            client.wait(*waiter).await.expect_success();
        }
        let ended = client.change_job_priority(waiters[2], 0).await.expect("answered");
        assert_eq!(ended, PriorityChanged::Finished);
        let refused = client.change_job_priority(waiters[2], 20).await.expect_err("no urgency");
        assert_eq!(refused.fault().map(|fault| fault.code), Some(FaultCode::WrongInput));
        cluster.assert_all_well().await;
    });
}

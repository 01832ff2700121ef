//! Jobs that are archived: out of the lists, not out of the world.

use std::time::Duration;

use gantry_model::errors::FaultCode;
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::query::Resource;
use gantry_model::units::Millis;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimClient, SimCluster, ops};

async fn listed(client: &SimClient) -> Vec<serde_json::Value> {
    let table = client.query(Resource::Job, &["id"], &[]).await.expect("a table");
    numbers(&table)
}

fn numbers(table: &gantry_model::query::Table) -> Vec<serde_json::Value> {
    table.rows.iter().map(|row| serde_json::to_value(&row[0]).expect("a cell")).collect()
}

// covers: C87 S226 S230 Q49
#[test]
fn an_archived_job_is_not_listed_and_can_still_be_looked_at_even_after_a_crash() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 2).await;
        let client = cluster.client();
        let first = client.done(ops::delay(10)).await.job;
        let second = client.done(ops::delay(10)).await.job;
        // The second node was added by a job too.
        let all = listed(&client).await.len();
        let before = client.jobs(vec![first]).await.expect("it exists");
        let answers = client.archive(vec![first, JobId(99)]).await.expect("an answer");
        assert_eq!(answers[0], Ok(()));
        let fault = answers[1].clone().expect_err("there is none");
        assert_eq!(fault.code, FaultCode::UnknownEntity);
        assert_eq!(listed(&client).await.len(), all - 1);

        cluster.crash(MachineNumber(1));
        cluster.restart(MachineNumber(1)).await;
        let client = cluster.client();
        assert_eq!(client.jobs(vec![first]).await.expect("it is in the history"), before);
        let end = client.wait(first).await;
        assert_eq!(end.status, JobStatus::Success, "who waits for it is told");
        let archived = client.query_archived(&["id", "archived"], &[]).await.expect("a table");
        assert_eq!(numbers(&archived).len(), all);
        assert_eq!(listed(&client).await.len(), all - 1);
        let again = client.archive(vec![first]).await.expect("an answer");
        let fault = again[0].clone().expect_err("it is gone already");
        assert!(fault.message.contains("archived already"), "{fault:?}");
        client.archive(vec![second]).await.expect("an answer")[0].clone().expect("archived");
        cluster.assert_all_well().await;
    });
}

// covers: C87
#[test]
fn a_job_that_has_not_ended_is_not_archived() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let client = cluster.client();
        let job = client.submit_one(ops::delay(5_000)).await;
        let answers = client.archive(vec![job]).await.expect("an answer");
        let fault = answers[0].clone().expect_err("it runs");
        assert_eq!(fault.code, FaultCode::WrongState);
        let none = client.auto_archive(None).await.expect("an answer");
        assert_eq!((none.archived, none.left), (0, 0));
        cluster.assert_all_well().await;
    });
}

/// Longer than the pause between two looks for old jobs.
const A_LOOK: Duration = Duration::from_secs(6 * 60);

/// The master's clock passes over that much time, which its actors need not live through.
fn pass_minutes(cluster: &SimCluster, minutes: i64) {
    let master = cluster.system(MachineNumber(1)).platform().sim_node();
    master.expect("a simulated one").jump_clock(minutes * 60 * 1_000_000);
}

/// Nobody asks for it: the timer of the cluster actor does it.
// covers: S228
#[test]
fn jobs_are_archived_by_themselves_six_hours_after_their_end() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let client = cluster.client();
        let old = client.done(ops::delay(10)).await.job;
        pass_minutes(&cluster, 20);
        let young = client.done(ops::delay(10)).await.job;
        let are_there = || {
            let jobs = &cluster.state().jobs;
            (jobs.contains_key(&old), jobs.contains_key(&young))
        };

        pass_minutes(&cluster, 5 * 60 + 30);
        tokio::time::sleep(A_LOOK).await;
        assert_eq!(are_there(), (true, true), "none is six hours old");
        pass_minutes(&cluster, 10);
        tokio::time::sleep(A_LOOK).await;
        assert_eq!(are_there(), (false, true));
        let found = client.jobs(vec![old]).await.expect("it is in the history");
        assert_eq!(found[0].status(), JobStatus::Success);
        pass_minutes(&cluster, 10);
        tokio::time::sleep(A_LOOK).await;
        assert_eq!(are_there(), (false, false));
        assert_eq!(cluster.state().history.count, 2);
        cluster.assert_all_well().await;
    });
}

// covers: C88 S227
#[test]
fn autoarchive_takes_what_is_old_enough() {
    simulate(async {
        let cluster = SimCluster::new(1, 1).await;
        let client = cluster.client();
        client.done(ops::delay(10)).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        client.done(ops::delay(10)).await;
        let old = client.auto_archive(Some(Millis(60_000))).await.expect("an answer");
        assert_eq!((old.archived, old.left), (1, 0));
        let all = client.auto_archive(None).await.expect("an answer");
        assert_eq!((all.archived, all.left), (1, 0));
        assert!(listed(&client).await.is_empty());
        cluster.assert_all_well().await;
    });
}

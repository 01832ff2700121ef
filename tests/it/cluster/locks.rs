//! Jobs that want the same, and jobs that do not.

use std::time::Duration;

use gantry_model::ids::JobId;
use gantry_model::jobs::JobRecord;
use gantry_model::locks::{LockMode, LockName, LockRow};
use gantry_model::units::Timestamp;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimClient, SimCluster, ops};

/// A cluster of three with a stopped instance on each of the other two, whose guests take their
/// time.
async fn set_up() -> SimCluster {
    let cluster = SimCluster::new(1, 3).await;
    for (name, on) in [("web1", 2), ("web2", 3)] {
        cluster.client().done(ops::create(name, MachineNumber(on))).await;
        cluster.client().done(ops::shutdown(name)).await;
    }
    cluster.guests().injector().set_latency(Duration::from_secs(5));
    cluster
}

/// When a job had its locks, and when it ended.
fn span(record: &JobRecord) -> (Timestamp, Timestamp) {
    (record.ops[0].exec.expect("it ran"), record.end.expect("it ended"))
}

async fn spans(client: &SimClient, jobs: &[JobId]) -> Vec<(Timestamp, Timestamp)> {
    for job in jobs {
        client.wait(*job).await.expect_success();
    }
    let records = client.jobs(jobs.to_vec()).await.expect("an answer");
    records.iter().map(span).collect()
}

// covers: L10
#[test]
fn jobs_on_one_instance_run_one_after_the_other() {
    simulate(async {
        let cluster = set_up().await;
        let client = cluster.client();
        let first = client.submit_one(ops::startup("web1")).await;
        let second = client.submit_one(ops::shutdown("web1")).await;
        let spans = spans(&client, &[first, second]).await;
        assert!(spans[0].1 <= spans[1].0, "{spans:?}");
        cluster.assert_all_well().await;
    });
}

#[test]
fn jobs_on_different_instances_run_at_the_same_time() {
    simulate(async {
        let cluster = set_up().await;
        let client = cluster.client();
        let jobs = client
            .submit_ops([ops::startup("web1"), ops::startup("web2")])
            .await
            .expect("accepted");
        let spans = spans(&client, &jobs).await;
        assert!(spans[0].0 < spans[1].1 && spans[1].0 < spans[0].1, "{spans:?}");
        cluster.assert_all_well().await;
    });
}

#[test]
fn the_lock_table_shows_who_holds_and_who_waits() {
    simulate(async {
        let cluster = set_up().await;
        let client = cluster.client();
        let holder = client.submit_one(ops::startup("web1")).await;
        let waiter = client.submit_one(ops::shutdown("web1")).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let rows = client.locks().await.expect("the lock actor answers");
        let name = LockName::instance(&ops::instance_name("web1"));
        let row = rows.iter().find(|row| row.name == name).expect("in the table");
        let expected = LockRow {
            name,
            mode: Some(LockMode::Exclusive),
            owners: vec![holder],
            pending: vec![(LockMode::Exclusive, vec![waiter])],
        };
        assert_eq!(*row, expected);
        cluster.assert_all_well().await;
        let rows = client.locks().await.expect("the lock actor answers");
        let busy: Vec<_> = rows.iter().filter(|row| !row.owners.is_empty()).collect();
        assert!(busy.is_empty(), "{busy:?}");
    });
}

/// A creation whose image takes its time, once it copies that.
async fn copying(cluster: &SimCluster, image: &std::path::Path) -> JobId {
    cluster.disks().injector().set_latency(Duration::from_secs(60));
    let op = ops::create_from_image("web3", MachineNumber(2), image);
    let job = cluster.client().submit_one(op).await;
    let copies = |name: &str| name.starts_with("copy");
    cluster
        .wait_for_state("the image is being copied", |state| {
            let job = state.jobs.get(&job).expect("submitted");
            job.ops[0].steps.last().is_some_and(|record| copies(&record.step.name))
        })
        .await;
    job
}

// covers: L41 L42 L76
#[test]
fn a_job_that_needs_the_node_begins_while_an_instance_is_created_there() {
    simulate(async {
        let image = tempfile::NamedTempFile::new().expect("a temporary file");
        for restart in [false, true] {
            let mut cluster = set_up().await;
            let client = cluster.client();
            let creation = copying(&cluster, image.path()).await;
            if restart {
                cluster.restart(MachineNumber(1)).await;
            }
            // It needs the node, not its resources.
            let on_node = client.submit_one(ops::delay_on(MachineNumber(2), 1)).await;
            client.wait(on_node).await.expect_success();
            let state = cluster.state();
            let creation_status = state.jobs.get(&creation).expect("submitted").status();
            assert_eq!(creation_status, gantry_model::jobs::JobStatus::Running);
            client.wait(creation).await.expect_success();
            cluster.assert_all_well().await;
        }
    });
}

#[test]
fn a_restarted_leader_gives_a_lock_to_nobody_else_before_its_job_has_ended() {
    simulate(async {
        let mut cluster = set_up().await;
        let client = cluster.client();
        let holder = client.submit_one(ops::startup("web1")).await;
        cluster
            .wait_for_state("the lock is in the log", |state| state.locks.contains_key(&holder))
            .await;
        let waiter = client.submit_one(ops::shutdown("web1")).await;
        cluster.restart(MachineNumber(1)).await;
        let spans = spans(&client, &[holder, waiter]).await;
        assert!(spans[0].1 <= spans[1].0, "{spans:?}");
        cluster.assert_all_well().await;
    });
}

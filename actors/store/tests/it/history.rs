//! Jobs that have left the state: durable, replicated, fetched.

use gantry_engine::state::{Applied, Command};
use gantry_model::ids::{JobId, ReignId};
use gantry_model::jobs::JobStatus;
use gantry_store::disk::FaultyDisk;
use gantry_store::{Archived, Compaction, Store, StoreConfig};

use crate::cluster::TestCluster;
use crate::fixtures::{SOON, bootstrapped, chain, node, simulated, submit_one};

const OFTEN: Compaction = Compaction { snapshot_every: 40, keep: 5 };

/// Submits a job, ends it and archives it, as far as the store does it.
async fn archive_one(store: &Store, reign: ReignId, request: u128) -> Option<JobId> {
    let job = submit_one(store, reign, request).await.ok()?;
    store.propose(Command::Cancel { reign, job }, SOON).await.ok()?;
    let command = Command::Archive { reign, jobs: vec![job] };
    let archived = store.propose(command, SOON).await.ok()?;
    assert_eq!(archived.applied, Applied::Jobs(vec![job]));
    Some(job)
}

async fn found(store: &Store, job: JobId) -> bool {
    match store.archived_job(job).await.expect("reads") {
        Archived::Found(record) => {
            assert_eq!((record.id, record.status()), (job, JobStatus::Canceled));
            true
        }
        Archived::BeingFetched | Archived::Unknown => false,
    }
}

fn often(disk: &FaultyDisk) -> StoreConfig {
    StoreConfig { compaction: OFTEN, ..simulated(disk) }
}

async fn crash(store: Store, disk: &FaultyDisk) {
    disk.lose_power(None).expect("the medium works");
    store.abort();
    drop(store);
    tokio::task::yield_now().await;
}

// covers: S226 Q36
#[tokio::test(start_paused = true)]
async fn an_archived_job_leaves_the_state_and_survives_a_crash() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(often(&disk)).await;
    let mut jobs = Vec::new();
    for request in 0..60 {
        jobs.push(archive_one(&store, reign, request).await.expect("archived"));
    }
    let head = store.snapshot().history.clone();
    assert_eq!(head.count, 60);
    assert!(store.snapshot().jobs.is_empty());
    crash(store, &disk).await;
    let store = Store::open(often(&disk)).await.expect("opens again");
    assert_eq!(store.snapshot().history, head);
    for job in jobs {
        assert!(found(&store, job).await, "job {job}");
    }
    let newest = store.archived_jobs(3).await.expect("reads").jobs;
    assert_eq!(newest.iter().map(|job| job.id.0).collect::<Vec<_>>(), [60, 59, 58]);
    assert_eq!(store.archived_job(JobId(61)).await.expect("reads"), Archived::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_append_of_a_running_store_loses_nothing_acknowledged() {
    for (n_before, torn_by) in (0..8).flat_map(|n| [(n, None), (n, Some(n)), (n, Some(n + 100))]) {
        let disk = FaultyDisk::in_memory();
        let (store, reign) = bootstrapped(often(&disk)).await;
        disk.crash_at_append(n_before, torn_by);
        let mut jobs = Vec::new();
        for request in 0..150 {
            let Some(job) = archive_one(&store, reign, request).await else { break };
            jobs.push(job);
        }
        crash(store, &disk).await;
        let store = Store::open(often(&disk)).await.expect("opens again");
        for job in &jobs {
            assert!(found(&store, *job).await, "append {n_before} {torn_by:?}: job {job}");
        }
        // Doubled records would have other positions than the state counts.
        let all = store.archived_jobs(1_000).await.expect("reads").jobs;
        assert_eq!(all.len() as u64, store.snapshot().history.count);
        assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id), "twice, or out of order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_got_a_snapshot_fetches_the_history_from_the_others() {
    let (mut cluster, reign) = TestCluster::of(3, 4, OFTEN).await;
    let leader = cluster.leader_but(&[]).await;
    let away = node(3);
    let mut jobs = vec![archive_one(&leader, reign, 1).await.expect("archived")];
    cluster.kill(away);
    for request in 2..400 {
        jobs.push(archive_one(&leader, reign, request).await.expect("archived"));
    }
    cluster.start(away).await;
    let at = leader.snapshot().revision;
    cluster.agree_at(at).await;
    assert!(cluster.network.n_chunks() > 0, "it came by entries");
    let store = cluster.stores[&away].clone();
    let fetched = async {
        while !found(&store, jobs[1]).await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, fetched).await.expect("fetched in time");
    for job in &jobs {
        assert!(found(&store, *job).await, "job {job}");
    }
    // It is its own from now on: it answers alone, after a restart.
    drop(store);
    cluster.kill(away);
    cluster.network.isolate(away, &cluster.ids());
    cluster.start(away).await;
    for job in &jobs {
        assert!(found(&cluster.stores[&away], *job).await, "job {job} after a restart");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_segment_is_noticed_by_who_reads_it_and_fetched_again() {
    let (mut cluster, reign) = TestCluster::of(2, 6, OFTEN).await;
    let leader = cluster.leader_but(&[]).await;
    let mut jobs = Vec::new();
    for request in 0..300 {
        jobs.push(archive_one(&leader, reign, request).await.expect("archived"));
    }
    cluster.agree_at(leader.snapshot().revision).await;
    let this = leader.node();
    let disk = cluster.disks[&this].clone();
    let mut files = disk.files().expect("the medium works").into_iter();
    let oldest = files.find(|(name, _)| name.contains("history-"));
    let (name, len) = oldest.expect("a segment");
    disk.flip_bit_of(&name, len / 2, 3).expect("the medium works");

    // The other cannot be asked yet: it is said to be fetched, and nothing else is hidden.
    cluster.network.lose_history(true);
    let first = leader.archived_job(jobs[0]).await.expect("not hopeless yet");
    assert_eq!(first, Archived::BeingFetched);
    assert!(found(&leader, jobs[299]).await, "the next segment is whole");
    let named = async {
        loop {
            match leader.archived_job(jobs[0]).await {
                Err(error) => return chain(&error),
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    };
    let named = tokio::time::timeout(SOON * 2, named).await.expect("named when nobody has it");
    assert!(named.contains("history segment 0 is corrupt: record "), "{named}");

    cluster.network.lose_history(false);
    let fetched = async {
        while leader.archived_job(jobs[0]).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON * 2, fetched).await.expect("fetched in time");
    // It is its own again: it answers alone, after a restart.
    drop(leader);
    cluster.kill(this);
    cluster.network.isolate(this, &cluster.ids());
    cluster.start(this).await;
    // What was committed last it applies only when it hears of the other.
    for job in &jobs[..200] {
        assert!(found(&cluster.stores[&this], *job).await, "job {job} after a restart");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_yet_is_said_to_be_fetched() {
    let (mut cluster, reign) = TestCluster::of(2, 5, OFTEN).await;
    let leader = cluster.leader_but(&[]).await;
    for request in 0..60 {
        archive_one(&leader, reign, request).await.expect("archived");
    }
    let new = node(9);
    cluster.start_anew(new).await;
    cluster.network.lose_history(true);
    leader.add_learner(new, SOON).await.expect("gets a snapshot");
    let store = cluster.stores[&new].clone();
    assert_eq!(store.archived_job(JobId(1)).await.expect("reads"), Archived::BeingFetched);
    assert!(store.archived_jobs(100).await.expect("reads").being_fetched);
    cluster.network.lose_history(false);
    let fetched = async {
        while !found(&store, JobId(1)).await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON * 2, fetched).await.expect("fetched in time");
}

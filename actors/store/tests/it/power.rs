//! Disks that fill up, fail, lie and lose their power, in virtual time.

use std::time::Duration;

use gantry_model::ids::JobId;
use gantry_store::disk::{FaultyDisk, Medium};
use gantry_store::{Compaction, Leadership, ProposeError, Store};

use crate::fixtures::{SOON, bootstrapped, chain, on_real_disk, simulated, submit, submit_one};

/// Crashes as a machine does: the power goes first, then the process.
async fn crash(store: Store, disk: &FaultyDisk, torn_by: Option<u64>) {
    disk.lose_power(torn_by).expect("the medium works");
    store.abort();
    drop(store);
    tokio::task::yield_now().await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_power_takes_nothing_that_was_acknowledged() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    for request in 0..30 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    let before = store.snapshot();
    crash(store, &disk, None).await;
    let store = Store::open(simulated(&disk)).await.expect("opens again");
    assert_eq!(*store.snapshot(), *before);
}

#[tokio::test(start_paused = true)]
async fn writes_torn_by_a_loss_of_power_take_nothing_that_was_acknowledged() {
    for seed in 0..40 {
        let disk = FaultyDisk::in_memory();
        let mut config = simulated(&disk);
        config.compaction = Compaction { snapshot_every: 12, keep: 3 };
        let (store, reign) = bootstrapped(config.clone()).await;
        disk.slow_syncs(Duration::from_millis(5));
        for request in 0..u128::from(seed) {
            submit_one(&store, reign, request).await.expect("committed");
        }
        let before = store.snapshot();
        // Something is under way, in pages that are written and not flushed.
        disk.fail_syncs(true);
        let under_way = store.propose(submit(reign, 1_000), Duration::from_millis(50)).await;
        assert!(!under_way.expect_err("cannot be durable").had_no_effect());
        disk.fail_syncs(false);
        crash(store, &disk, Some(seed)).await;

        let store = Store::open(config).await.unwrap_or_else(|e| panic!("{seed}: {}", chain(&e)));
        let after = store.snapshot();
        for (id, job) in &before.jobs {
            assert_eq!(after.jobs.get(id), Some(job), "seed {seed}");
        }
        let reign = store.take_over(SOON).await.expect("takes over");
        submit_one(&store, reign, 2_000).await.expect("committed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_loss_of_power_during_the_repair_takes_nothing_either() {
    for seed in 0..20 {
        let disk = FaultyDisk::in_memory();
        let (store, reign) = bootstrapped(simulated(&disk)).await;
        for request in 0..10 {
            submit_one(&store, reign, request).await.expect("committed");
        }
        let before = store.snapshot();
        disk.fail_syncs(true);
        let under_way = store.propose(submit(reign, 99), SOON).await;
        under_way.expect_err("cannot be durable");
        crash(store, &disk, Some(seed)).await;

        // The repair writes, and cannot flush.
        Store::open(simulated(&disk)).await.expect_err("the disk still fails");
        disk.lose_power(Some(seed + 1)).expect("the medium works");
        disk.fail_syncs(false);
        let store =
            Store::open(simulated(&disk)).await.unwrap_or_else(|e| panic!("{seed}: {}", chain(&e)));
        for (id, job) in &before.jobs {
            assert_eq!(store.snapshot().jobs.get(id), Some(job), "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_the_store_with_its_reason_and_a_restart_with_room_goes_on() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    disk.fill_up(Some(200_000));
    let mut acknowledged = 0;
    let error = loop {
        match submit_one(&store, reign, acknowledged).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "the disk never filled up");
    };
    assert!(acknowledged > 0);
    let ProposeError::Storage { reason } = &error else { panic!("{error:?}") };
    assert!(reason.contains("no storage space"), "{reason}");
    // Everybody who comes later is told the same, at once.
    let again = store.propose(submit(reign, 5_000), SOON).await.expect_err("stopped");
    assert!(matches!(again, ProposeError::Storage { .. }), "{again:?}");
    let mut leadership = store.leadership();
    leadership.wait_for(|now| *now == Leadership::Stopped).await.expect("told");
    assert_eq!(store.failure().as_ref(), Some(reason));
    // What was acknowledged can still be read.
    assert_eq!(u128::from(store.snapshot().last_job.0), acknowledged);
    drop(store);
    tokio::task::yield_now().await;

    disk.fill_up(None);
    let store = Store::open(simulated(&disk)).await.expect("opens again");
    assert!(u128::from(store.snapshot().last_job.0) >= acknowledged);
    let reign = store.take_over(SOON).await.expect("takes over");
    submit_one(&store, reign, 9_000).await.expect("committed");
}

#[tokio::test(start_paused = true)]
async fn many_proposals_in_flight_when_the_disk_fails_are_all_told() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    disk.slow_syncs(Duration::from_millis(20));
    let proposals: Vec<_> = (0..200)
        .map(|request| {
            let store = store.clone();
            tokio::spawn(async move { store.propose(submit(reign, request), SOON).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    disk.fail_syncs(true);
    for proposal in proposals {
        let error = proposal.await.expect("no panic").expect_err("nothing is acknowledged");
        assert!(matches!(error, ProposeError::Storage { .. }), "{error:?}");
    }
    assert_eq!(store.snapshot().last_job, JobId(0));
}

#[tokio::test(start_paused = true)]
async fn proposals_that_come_while_the_disk_flushes_share_the_next_flush() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    disk.slow_syncs(Duration::from_millis(5));
    let before = disk.n_syncs();
    let proposals: Vec<_> = (0..1000)
        .map(|request| {
            let store = store.clone();
            tokio::spawn(async move { submit_one(&store, reign, request).await })
        })
        .collect();
    for proposal in proposals {
        proposal.await.expect("ends").expect("committed");
    }
    // Two flushes per transaction; the first goes alone, the second takes what has come.
    let n_syncs = disk.n_syncs() - before;
    assert!(n_syncs <= 20, "{n_syncs} flushes for 1,000 proposals");
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_in_the_log_is_named_at_opening() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    for request in 0..5 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    store.shutdown().await.expect("ends");
    drop(store);
    let needle = b"OP_TEST_DELAY";
    let places = disk.find(needle).expect("the medium works");
    assert!(!places.is_empty());
    for place in places {
        disk.flip_bit(place, 3).expect("the medium works");
    }
    let error = Store::open(simulated(&disk)).await.expect_err("corrupt");
    assert!(chain(&error).contains("corrupt"), "{}", chain(&error));
}

#[tokio::test(start_paused = true)]
async fn the_same_disk_over_files_keeps_what_it_flushed() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = FaultyDisk::new(Medium::Files(dir.path().to_owned())).expect("a directory");
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    for request in 0..10 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    crash(store, &disk, Some(3)).await;
    drop(disk);
    let disk = FaultyDisk::new(Medium::Files(dir.path().to_owned())).expect("a directory");
    let store = Store::open(simulated(&disk)).await.expect("opens again");
    assert_eq!(store.snapshot().last_job, JobId(10));
}

#[tokio::test]
async fn a_failing_disk_under_real_threads_stops_the_store_and_nothing_else() {
    let disk = FaultyDisk::in_memory();
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = on_real_disk(dir.path());
    config.disk = gantry_store::DiskKind::Backend(std::sync::Arc::new(disk.clone()));
    let (store, reign) = bootstrapped(config.clone()).await;
    submit_one(&store, reign, 1).await.expect("committed");
    disk.fail_syncs(true);
    let error = store.propose(submit(reign, 2), SOON).await.expect_err("not durable");
    assert!(matches!(error, ProposeError::Storage { .. }), "{error:?}");
    drop(store);

    disk.fail_syncs(false);
    disk.lose_power(None).expect("the medium works");
    let store = Store::open(config).await.expect("opens again");
    assert!(store.snapshot().last_job >= JobId(1));
}

#[tokio::test(start_paused = true)]
async fn a_proposal_alone_costs_one_two_phase_commit() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    let before = disk.n_syncs();
    for request in 0..50 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    assert_eq!(disk.n_syncs() - before, 100);
}

#[tokio::test(start_paused = true)]
async fn flushes_are_counted_with_the_time_that_the_disk_took() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped(simulated(&disk)).await;
    disk.slow_syncs(Duration::from_millis(1500));
    let (before, before_took) = store.flushes();
    submit_one(&store, reign, 1).await.expect("committed");
    let (after, after_took) = store.flushes();
    let flushed = u32::try_from(after - before).expect("few");
    assert!(flushed >= 1, "it was made durable");
    assert_eq!(after_took - before_took, flushed * Duration::from_millis(1500));
}

//! One voter on a real directory.

use std::time::Duration;

use gantry_engine::state::{Applied, Command};
use gantry_model::ids::{JobId, ReignId, Revision};
use gantry_store::{Compaction, Leadership, OpenError, ProposeError, Store, StoreError};

use crate::fixtures::{SOON, bootstrapped, chain, init, node, on_real_disk, submit, submit_one};

#[tokio::test]
async fn an_empty_store_is_not_initialised_and_accepts_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(on_real_disk(dir.path())).await.expect("opens");
    assert!(!store.is_initialised());
    let error = store.propose(submit(ReignId(1), 1), SOON).await.expect_err("refused");
    assert_eq!(error, ProposeError::NotLeader { leader: None });
    assert!(error.had_no_effect());
}

#[tokio::test]
async fn what_is_proposed_is_read_at_its_revision() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, reign) = bootstrapped(on_real_disk(dir.path())).await;
    assert_eq!(*store.leadership().borrow(), Leadership::Leader);
    let committed = store.propose(submit(reign, 7), SOON).await.expect("committed");
    let snapshot = store.snapshot();
    assert_eq!(snapshot.revision, committed.revision);
    assert_eq!(committed.applied, Applied::Jobs(vec![JobId(1)]));
    assert!(snapshot.jobs.contains_key(&JobId(1)));
    assert_eq!(*store.revision_watch().borrow(), committed.revision);
}

#[tokio::test]
async fn a_second_bootstrap_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = bootstrapped(on_real_disk(dir.path())).await;
    let error = store.bootstrap(init(node(1))).await.expect_err("refused");
    assert!(matches!(error, StoreError::AlreadyInitialised), "{error:?}");
}

#[tokio::test]
async fn a_store_dropped_without_goodbye_has_everything_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, reign) = bootstrapped(on_real_disk(dir.path())).await;
    for request in 0..50 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    let before = store.snapshot();
    drop(store);

    let store = Store::open(on_real_disk(dir.path())).await.expect("opens again");
    let after = store.snapshot();
    assert_eq!(*after, *before);
    assert_eq!(*store.leadership().borrow(), Leadership::Leader);
}

#[tokio::test]
async fn a_store_that_was_shut_down_can_be_opened_while_the_old_handle_lives() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, reign) = bootstrapped(on_real_disk(dir.path())).await;
    submit_one(&old, reign, 1).await.expect("committed");
    old.shutdown().await.expect("ends");
    assert_eq!(*old.leadership().borrow(), Leadership::Stopped);
    let error = old.propose(submit(reign, 2), SOON).await.expect_err("stopped");
    assert_eq!(error, ProposeError::Stopped);

    let new = Store::open(on_real_disk(dir.path())).await.expect("opens again");
    assert_eq!(new.snapshot().last_job, JobId(1));
}

#[tokio::test]
async fn a_store_in_use_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let _open = Store::open(on_real_disk(dir.path())).await.expect("opens");
    let error = Store::open(on_real_disk(dir.path())).await.expect_err("in use");
    assert!(chain(&error).ends_with("the log is in use by another process"), "{}", chain(&error));
}

#[tokio::test]
async fn a_store_of_another_node_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Store::open(on_real_disk(dir.path())).await.expect("opens"));
    let mut config = on_real_disk(dir.path());
    config.node = node(2);
    let error = Store::open(config).await.expect_err("refused");
    assert!(matches!(error, OpenError::Disk { .. }));
    assert!(chain(&error).contains("belongs to node"), "{}", chain(&error));
}

// covers: Q24
#[tokio::test]
async fn a_repeated_submission_gets_the_same_ids_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, reign) = bootstrapped(on_real_disk(dir.path())).await;
    let first = submit_one(&store, reign, 42).await.expect("committed");
    submit_one(&store, reign, 43).await.expect("committed");
    drop(store);

    let store = Store::open(on_real_disk(dir.path())).await.expect("opens again");
    let reign = store.take_over(SOON).await.expect("takes over");
    assert_eq!(submit_one(&store, reign, 42).await, Ok(first));
    assert_eq!(store.snapshot().last_job, JobId(2));
}

#[tokio::test]
async fn a_reign_that_is_over_is_refused_by_the_state() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, old) = bootstrapped(on_real_disk(dir.path())).await;
    let new = store.take_over(SOON).await.expect("takes over again");
    assert!(new > old);
    let committed = store.propose(submit(old, 1), SOON).await.expect("committed");
    assert!(matches!(committed.applied, Applied::Refused(_)), "{:?}", committed.applied);
}

#[tokio::test]
async fn a_thousand_proposals_at_once_are_all_committed_and_applied_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, reign) = bootstrapped(on_real_disk(dir.path())).await;
    let proposals: Vec<_> = (0..1000)
        .map(|request| {
            let store = store.clone();
            tokio::spawn(async move { submit_one(&store, reign, request).await })
        })
        .collect();
    let mut ids = Vec::new();
    for proposal in proposals {
        ids.push(proposal.await.expect("ends").expect("committed"));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    assert_eq!(store.snapshot().last_job, JobId(1000));
}

#[tokio::test]
async fn a_restart_from_a_snapshot_and_the_rest_of_the_log_is_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = on_real_disk(dir.path());
    config.compaction = Compaction { snapshot_every: 20, keep: 5 };
    let (store, reign) = bootstrapped(config.clone()).await;
    for request in 0..95 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    let before = store.snapshot();
    store.shutdown().await.expect("ends");
    assert!(dir.path().join("state.snapshot").exists());

    let store = Store::open(config).await.expect("opens again");
    assert_eq!(*store.snapshot(), *before);
}

#[tokio::test]
async fn a_purged_log_without_its_snapshot_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = on_real_disk(dir.path());
    config.compaction = Compaction { snapshot_every: 20, keep: 5 };
    let (store, reign) = bootstrapped(config.clone()).await;
    for request in 0..95 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    store.shutdown().await.expect("ends");
    std::fs::remove_file(dir.path().join("state.snapshot")).expect("there is one");
    let error = Store::open(config).await.expect_err("refused");
    assert!(chain(&error).contains("the snapshot is corrupt: it is missing"), "{}", chain(&error));
}

#[tokio::test]
async fn a_corrupt_snapshot_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = on_real_disk(dir.path());
    config.compaction = Compaction { snapshot_every: 20, keep: 5 };
    let (store, reign) = bootstrapped(config.clone()).await;
    for request in 0..40 {
        submit_one(&store, reign, request).await.expect("committed");
    }
    store.shutdown().await.expect("ends");
    let path = dir.path().join("state.snapshot");
    let mut bytes = std::fs::read(&path).expect("there is one");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let error = Store::open(config).await.expect_err("refused");
    assert!(chain(&error).contains("the snapshot is corrupt"), "{}", chain(&error));
}

#[tokio::test]
async fn times_in_the_log_never_go_back() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let dir = tempfile::tempdir().expect("a directory");
    let now = Arc::new(AtomicU64::new(5_000));
    let mut config = on_real_disk(dir.path());
    let hand = now.clone();
    config.clock = Arc::new(move || gantry_model::units::Timestamp(hand.load(Ordering::Relaxed)));
    let (store, reign) = bootstrapped(config.clone()).await;
    let first = submit_one(&store, reign, 1).await.expect("committed");
    drop(store);

    now.store(3_000, Ordering::Relaxed);
    let store = Store::open(config).await.expect("opens again");
    let reign = store.take_over(SOON).await.expect("takes over");
    let second = submit_one(&store, reign, 2).await.expect("committed");
    let jobs = &store.snapshot().jobs;
    assert!(jobs[&second].received >= jobs[&first].received);
}

#[tokio::test]
async fn an_entry_beyond_the_limit_is_refused_before_anything_happens() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = bootstrapped(on_real_disk(dir.path())).await;
    let mut init = init(node(1));
    init.cluster.ca_certificate = "x".repeat(9 * 1024 * 1024);
    let before = store.snapshot().revision;
    let error = store.propose(Command::Init(Box::new(init)), SOON).await.expect_err("refused");
    assert!(matches!(error, ProposeError::TooLarge { .. }), "{error:?}");
    assert_eq!(store.snapshot().revision, before);
}

#[tokio::test]
async fn waiting_for_a_revision_that_does_not_come_says_how_far_it_got() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = bootstrapped(on_real_disk(dir.path())).await;
    let reached = store.snapshot().revision;
    let wanted = Revision(reached.0 + 100);
    let error = store.wait_for(wanted, Duration::from_millis(20)).await.expect_err("does not come");
    assert!(
        matches!(error, StoreError::Behind { wanted: w, reached: r } if w == wanted && r == reached)
    );
}

//! The intent journal against real files and a faulty disk.

use std::sync::{Arc, Barrier};

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, JobAttempt, JobId, ReignId, RunEpoch};
use gantry_model::messages::CallNode;
use gantry_model::names::InstanceName;
use gantry_model::node_calls::{CallOutcome, InstanceStart, NodeCall, NodeDelay};
use gantry_model::objects::GuestSpec;
use gantry_model::params::{FakeParams, HvParams};
use gantry_model::steps::{Direction, StepId, StepResult};
use gantry_model::units::{MiB, Millis};
use gantry_node::journal::{Begin, Journal, JournalError};

use crate::faulty::FaultyDisk;

fn step(job: u64, seq: u32) -> StepId {
    StepId { job: JobId(job), op_idx: 0, seq, direction: Direction::Act }
}

fn delay(step: StepId, ms: u64) -> CallNode {
    CallNode {
        step,
        reign: ReignId(5),
        attempt: JobAttempt(1),
        settled_below: JobId(0),
        call: NodeCall::NodeDelay(NodeDelay::of(Millis(ms))),
    }
}

fn start(step: StepId, epoch: u64) -> CallNode {
    let spec = GuestSpec {
        instance: InstanceUuid(uuid::Uuid::from_u128(7)),
        name: InstanceName::new("web1").expect("valid"),
        hvparams: HvParams::Fake(FakeParams::default()),
        memory: MiB(128),
        vcpus: 1,
        disks: Vec::new(),
        nics: Vec::new(),
        epoch: RunEpoch(epoch),
        network_port: None,
        tags: Vec::new(),
        uid_pool: Vec::new(),
    };
    let call = NodeCall::InstanceStart(InstanceStart { spec, paused: false });
    CallNode { call, ..delay(step, 0) }
}

fn done(note: &str) -> StepResult {
    StepResult::Done(CallOutcome::with_notes(vec![note.to_owned()]))
}

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("agent.redb")).expect("opens");
    (dir, journal)
}

#[test]
fn a_step_is_new_then_open_then_finished() {
    let (_dir, journal) = journal();
    let call = delay(step(1, 0), 10);
    assert_eq!(journal.begin(&call).expect("new"), Begin::New);
    assert_eq!(journal.begin(&call).expect("open"), Begin::Open(Box::new(call.clone())));
    journal.finish(call.step, &done("waited")).expect("recorded");
    assert_eq!(journal.begin(&call).expect("over"), Begin::Finished(done("waited")));
}

#[test]
fn everything_is_there_after_opening_again() {
    let (dir, journal) = journal();
    let (over, open) = (delay(step(1, 0), 10), delay(step(1, 1), 10));
    journal.begin(&over).expect("new");
    journal.finish(over.step, &done("a")).expect("recorded");
    journal.begin(&open).expect("new");
    drop(journal);
    let journal = Journal::open(&dir.path().join("agent.redb")).expect("opens again");
    assert_eq!(journal.begin(&over).expect("over"), Begin::Finished(done("a")));
    assert!(journal.may_have_begun(open.step));
    assert_eq!(journal.open_intents().expect("reads"), vec![open]);
    let old = CallNode { reign: ReignId(4), ..delay(step(1, 2), 1) };
    assert!(matches!(
        journal.begin(&old),
        Err(JournalError::StaleReign { given: ReignId(4), seen: ReignId(5) })
    ));
}

#[test]
fn a_new_attempt_gets_the_result_of_the_old_one() {
    let (_dir, journal) = journal();
    let call = delay(step(1, 0), 10);
    journal.begin(&call).expect("new");
    journal.finish(call.step, &done("a")).expect("recorded");
    let again = CallNode { attempt: JobAttempt(2), reign: ReignId(6), ..call.clone() };
    assert_eq!(journal.begin(&again).expect("over"), Begin::Finished(done("a")));
    assert!(matches!(journal.begin(&call), Err(JournalError::StaleReign { .. })));
    let late = CallNode { reign: ReignId(6), ..call };
    assert!(matches!(journal.begin(&late), Err(JournalError::StaleAttempt { .. })));
}

#[test]
fn tokens_of_one_job_say_nothing_of_another() {
    let (_dir, journal) = journal();
    journal.admit(ReignId(5), JobAttempt(9), JobId(1)).expect("admitted");
    journal.admit(ReignId(5), JobAttempt(1), JobId(2)).expect("admitted");
    let error = journal.admit(ReignId(5), JobAttempt(8), JobId(1)).expect_err("stale");
    assert_eq!(error.code(), FaultCode::StaleToken);
}

#[test]
fn a_refused_call_leaves_no_trace() {
    let (_dir, journal) = journal();
    journal.admit(ReignId(5), JobAttempt(9), JobId(1)).expect("admitted");
    let flushes = journal.flushes();
    journal.begin(&delay(step(1, 0), 10)).expect_err("stale attempt");
    assert_eq!(journal.flushes(), flushes);
    assert!(journal.open_intents().expect("reads").is_empty());
}

#[test]
fn another_call_under_the_same_step_is_refused_and_both_are_named() {
    let (_dir, journal) = journal();
    journal.begin(&delay(step(1, 0), 10)).expect("new");
    let error = journal.begin(&start(step(1, 0), 1)).expect_err("another call");
    assert_eq!(error.code(), FaultCode::InternalError);
    let text = error.to_string();
    assert!(text.contains("node.delay") && text.contains("instance.start"), "{text}");
    let other_parameters = journal.begin(&delay(step(1, 0), 11));
    assert!(matches!(other_parameters, Err(JournalError::OtherCall { .. })));
}

#[test]
fn a_start_of_an_older_epoch_is_refused_for_ever() {
    let (dir, journal) = journal();
    let newer = start(step(2, 0), 4);
    journal.begin(&newer).expect("new");
    journal.finish(newer.step, &done("runs")).expect("recorded");
    journal.prune(JobId(3)).expect("pruned");
    drop(journal);
    let journal = Journal::open(&dir.path().join("agent.redb")).expect("opens again");
    let error = journal.begin(&start(step(3, 0), 3)).expect_err("older");
    assert!(matches!(error, JournalError::StaleEpoch { seen: RunEpoch(4), .. }), "{error}");
    assert_eq!(journal.begin(&start(step(3, 1), 4)).expect("the same epoch"), Begin::New);
}

#[test]
fn an_open_start_that_was_overtaken_is_refused() {
    let (_dir, journal) = journal();
    journal.begin(&start(step(1, 0), 1)).expect("new");
    journal.begin(&start(step(1, 1), 2)).expect("new");
    assert!(matches!(journal.begin(&start(step(1, 0), 1)), Err(JournalError::StaleEpoch { .. })));
}

#[test]
fn a_new_reign_is_installed_with_the_results_so_far() {
    let (_dir, journal) = journal();
    let (over, open) = (delay(step(1, 0), 10), delay(step(1, 1), 10));
    journal.begin(&over).expect("new");
    journal.finish(over.step, &done("a")).expect("recorded");
    journal.begin(&open).expect("new");
    let steps = [over.step, open.step, step(1, 2)];
    let results = journal.install_reign(ReignId(8), &steps).expect("installed");
    assert_eq!(results, vec![(steps[0], Some(done("a"))), (steps[1], None), (steps[2], None)]);
    assert!(matches!(journal.begin(&open), Err(JournalError::StaleReign { .. })));
    assert!(matches!(
        journal.install_reign(ReignId(7), &steps),
        Err(JournalError::StaleReign { .. })
    ));
    journal.install_reign(ReignId(8), &steps).expect("the same again");
}

#[test]
fn settled_jobs_are_forgotten_and_never_begin_again() {
    let (_dir, journal) = journal();
    for job in 1..=3 {
        journal.begin(&delay(step(job, 0), 10)).expect("new");
    }
    let later = CallNode { settled_below: JobId(3), ..delay(step(3, 1), 10) };
    journal.begin(&later).expect("new");
    assert!(!journal.may_have_begun(step(1, 0)) && journal.may_have_begun(step(3, 0)));
    let open: Vec<_> = journal.open_intents().expect("reads").iter().map(|c| c.step).collect();
    assert_eq!(open, [step(3, 0), step(3, 1)]);
    assert!(matches!(
        journal.begin(&delay(step(2, 0), 10)),
        Err(JournalError::Settled { job: JobId(2), below: JobId(3) })
    ));
    journal.finish(step(2, 0), &done("late")).expect("nobody asks any more");
}

#[test]
fn no_call_can_settle_its_own_job() {
    let (_dir, journal) = journal();
    let call = CallNode { settled_below: JobId(99), ..delay(step(3, 0), 10) };
    journal.begin(&call).expect("new");
    assert_eq!(journal.begin(&call).expect("open"), Begin::Open(Box::new(call.clone())));
}

#[test]
fn a_result_stays_what_it_was() {
    let (_dir, journal) = journal();
    let call = delay(step(1, 0), 10);
    assert!(matches!(journal.finish(call.step, &done("a")), Err(JournalError::NotBegun { .. })));
    journal.begin(&call).expect("new");
    journal.finish(call.step, &done("a")).expect("recorded");
    journal.finish(call.step, &done("a")).expect("the same again");
    let failed = StepResult::Failed(Fault::new(FaultCode::WrongState, "no"));
    assert!(matches!(journal.finish(call.step, &failed), Err(JournalError::OtherResult { .. })));
    assert_eq!(journal.begin(&call).expect("over"), Begin::Finished(done("a")));
}

#[test]
fn concurrent_writers_share_flushes() {
    const WRITERS: u64 = 32;
    let (_dir, journal) = journal();
    let (journal, barrier) = (Arc::new(journal), Arc::new(Barrier::new(WRITERS as usize)));
    let before = journal.flushes();
    let threads: Vec<_> = (0..WRITERS)
        .map(|i| {
            let (journal, barrier) = (journal.clone(), barrier.clone());
            std::thread::spawn(move || {
                let call = delay(step(1 + i, 0), 10);
                barrier.wait();
                assert_eq!(journal.begin(&call).expect("new"), Begin::New);
                journal.finish(call.step, &done("x")).expect("recorded");
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let flushes = journal.flushes() - before;
    assert!(flushes < 2 * WRITERS, "{flushes} flushes for {} writes", 2 * WRITERS);
    assert!(journal.open_intents().expect("reads").is_empty());
}

#[test]
fn what_was_answered_survives_a_power_cut() {
    let disk = FaultyDisk::default();
    for round in 0..20 {
        let journal = Journal::open_on(disk.medium()).expect("opens");
        for seq in 0..round {
            let begun = journal.begin(&delay(step(1, seq), 10)).expect("there");
            assert_eq!(begun, Begin::Finished(done(&seq.to_string())), "round {round}");
        }
        let call = delay(step(1, round), 10);
        assert_eq!(journal.begin(&call).expect("new"), Begin::New);
        journal.finish(call.step, &done(&round.to_string())).expect("recorded");
        // Not dropped: closing the file in order is what a power cut does not do.
        std::mem::forget(journal);
        disk.cut_power();
    }
}

#[test]
fn a_full_disk_refuses_the_call_and_room_brings_it_back() {
    let disk = FaultyDisk::default();
    let journal = Journal::open_on(disk.medium()).expect("opens");
    disk.set_full(true);
    let big = |seq| {
        let mut call = start(step(1, seq), 1);
        if let NodeCall::InstanceStart(start) = &mut call.call {
            start.spec.hvparams = HvParams::Fake(FakeParams { migration_mode: "x".repeat(50_000) });
        }
        call
    };
    let (seq, error) = (0..1_000)
        .find_map(|seq| journal.begin(&big(seq)).err().map(|error| (seq, error)))
        .expect("the disk fills up");
    let fault = error.fault("begin");
    assert_eq!(fault.code, FaultCode::EnvironmentError);
    assert!(fault.retryable, "{fault:?}");
    assert!(!journal.may_have_begun(step(1, seq)), "refused before any effect");
    assert!(seq == 0 || journal.may_have_begun(step(1, seq - 1)));
    disk.set_full(false);
    let begun = journal.begin(&big(seq)).expect("room again");
    assert!(matches!(begun, Begin::New | Begin::Open(_)));
    for earlier in 0..seq {
        assert!(matches!(journal.begin(&big(earlier)), Ok(Begin::Open(_))), "{earlier}");
    }
}

#[test]
fn a_failed_flush_is_never_called_done() {
    let disk = FaultyDisk::default();
    let journal = Journal::open_on(disk.medium()).expect("opens");
    disk.fail_sync(true);
    let call = delay(step(1, 0), 10);
    assert!(matches!(journal.begin(&call), Err(JournalError::Disk { .. })));
    assert!(matches!(journal.begin(&call), Err(JournalError::Disk { .. })));
    disk.fail_sync(false);
    disk.cut_power();
    journal.begin(&call).expect("the disk is back");
    journal.finish(call.step, &done("a")).expect("recorded");
    disk.cut_power();
    drop(journal);
    let journal = Journal::open_on(disk.medium()).expect("opens again");
    assert_eq!(journal.begin(&call).expect("over"), Begin::Finished(done("a")));
}

#[test]
fn a_file_that_is_no_journal_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("agent.redb");
    std::fs::write(&path, b"something else entirely").expect("written");
    let error = Journal::open(&path).expect_err("not a journal");
    assert!(error.to_string().contains("agent.redb"), "{error}");
}

#[test]
fn a_half_made_file_is_no_obstacle() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("agent.redb.new"), b"half").expect("written");
    Journal::open(&dir.path().join("agent.redb")).expect("opens");
}

#[test]
fn a_journal_of_another_format_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("agent.redb");
    drop(Journal::open(&path).expect("opens"));
    let db = redb::Database::open(&path).expect("opens");
    let txn = db.begin_write().expect("begins");
    {
        let meta = redb::TableDefinition::<'_, &str, u64>::new("meta");
        txn.open_table(meta).expect("is there").insert("format", 2).expect("set");
    }
    txn.commit().expect("committed");
    drop(db);
    let error = Journal::open(&path).expect_err("of the future");
    assert!(matches!(error, JournalError::Format { found: 2, supported: 1, .. }), "{error}");
}

//! Attempts, withdrawals, takeovers, the end of a job: L11, L16, L17, L22, L65, L75.

use super::*;
use crate::locking::LockRefusal;
use gantry_model::errors::FaultCode;

// covers: L17
#[test]
fn a_second_request_while_one_is_pending_is_an_error_and_the_first_stays() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x");
    desk.acquire(2, "node/a=x");
    let why = "locks are asked for while another request of the job is pending";
    assert_eq!(desk.acquire(2, "node/b=x"), [format!("2.1 refused: {why}")]);
    assert_eq!(desk.acquire_free(2, 0, "node/b"), [format!("2.1 refused: {why}")]);
    assert_eq!(desk.release(1), ["2 has node/a=x"]);
}

// covers: L16 L17
#[test]
fn a_request_of_releases_only_withdraws_the_pending_one_and_keeps_the_rest() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/c=x");
    desk.acquire(2, "node/a=x node/b=x");
    desk.acquire(2, "node/c=x node/d=x");
    assert_eq!(desk.acquire(3, "node/d=x"), ["3 waits for 2"]);
    assert_eq!(
        desk.acquire(2, "node/a=-"),
        ["2.1 refused: the request for locks was withdrawn", "2 has node/b=x", "3 has node/d=x"]
    );
    assert!(desk.release(1).is_empty());
    assert_eq!(desk.held(2), "node/b=x");
}

// covers: L17 L61
#[test]
fn an_empty_request_only_withdraws() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x");
    desk.acquire(2, "node/a=x");
    let withdrawn = "2.1 refused: the request for locks was withdrawn";
    assert_eq!(desk.acquire(2, ""), [withdrawn, "2 has"]);
    assert!(desk.release(1).is_empty());
    assert!(desk.table.is_empty());
}

// covers: L11 L16 L65 L75
#[test]
fn release_gives_up_what_is_held_and_what_is_pending() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/b=x");
    desk.acquire(2, "node/a=x");
    desk.acquire(2, "node/b=x");
    desk.acquire(3, "node/a=s");
    desk.acquire(4, "node/b=s");
    let withdrawn = "2.1 refused: the request for locks was withdrawn";
    assert_eq!(desk.release(2), [withdrawn, "3 has node/a=s"]);
    assert_eq!(desk.release(1), ["4 has node/b=s"]);
    assert!(desk.release(3).is_empty());
    assert!(desk.release(4).is_empty());
    assert_eq!(desk.table, LockTable::default());
}

// covers: L11
#[test]
fn release_of_a_job_unknown_here_is_nothing() {
    let mut desk = Desk::default();
    assert!(desk.release(7).is_empty());
    assert_eq!(desk.table, LockTable::default());
}

// covers: L11
#[test]
fn an_older_attempt_is_refused() {
    let mut desk = Desk::default();
    desk.acquire_as(1, 2, 0, "node/a=x");
    let before = desk.table.clone();
    let why = "locks are asked for by an old attempt, the job runs as attempt 2";
    assert_eq!(desk.acquire_as(1, 1, 0, "node/b=x"), [format!("1.1 refused: {why}")]);
    assert_eq!(desk.acquire_free(1, 0, "node/b"), [format!("1.1 refused: {why}")]);
    assert_eq!(desk.restore(1, 1, "node/b=x"), [format!("1.1 refused: {why}")]);
    assert_eq!(desk.table, before);
    let stale = LockRefusal::StaleAttempt { known: JobAttempt(2) };
    assert_eq!(stale.to_fault().code, FaultCode::StaleToken);
}

// covers: L11 L75
#[test]
fn a_newer_attempt_replaces_what_the_older_one_held_and_asked_for() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/b=x");
    desk.acquire(2, "node/a=x");
    desk.acquire(2, "node/b=x");
    desk.acquire(3, "node/a=x");
    assert_eq!(
        desk.acquire_as(2, 2, 0, "instance/i=x"),
        [
            "2.1 refused: the request for locks was superseded by attempt 2",
            "2 has instance/i=x",
            "3 has node/a=x"
        ]
    );
    assert!(desk.release(1).is_empty());
}

// covers: L22 L75
#[test]
fn a_takeover_restores_what_is_held_and_then_requests_come_again() {
    let mut desk = Desk::default();
    assert!(desk.restore(1, 3, "node/a=x node/b=s").is_empty());
    assert!(desk.restore(2, 1, "node/b=s").is_empty());
    assert_eq!(desk.acquire(3, "node/b=x"), ["3 waits for 1,2"]);
    assert_eq!(desk.acquire_as(1, 3, 0, "node/c=x"), ["1 has node/a=x node/b=s node/c=x"]);
    assert!(desk.release(2).is_empty());
    assert_eq!(desk.release(1), ["3 has node/b=x"]);
}

// covers: L22
#[test]
fn restoring_replaces_all_that_the_job_had() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x node/b=x");
    desk.acquire(2, "node/c=x");
    desk.acquire(3, "node/b=x");
    desk.acquire(1, "node/c=x");
    assert_eq!(
        desk.restore(1, 2, "node/a=x"),
        ["1.1 refused: the request for locks was superseded by attempt 2", "3 has node/b=x"]
    );
    assert_eq!(desk.held(1), "node/a=x");
    assert!(desk.release(2).is_empty());
}

// covers: L22
#[test]
fn restoring_the_same_attempt_twice_is_the_same_as_once() {
    let mut desk = Desk::default();
    desk.restore(1, 1, "node/a=x");
    desk.acquire(2, "node/a=x");
    assert!(desk.restore(1, 1, "node/a=x").is_empty());
    assert_eq!(desk.table.blockers(JobId(2)), [JobId(1)].into());
    assert_eq!(desk.release(1), ["2 has node/a=x"]);
}

// covers: L22
#[test]
fn restoring_nothing_leaves_nothing() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x");
    assert!(desk.restore(1, 2, "").is_empty());
    assert!(desk.table.is_empty());
}

// covers: L22
#[test]
fn two_owners_cannot_be_restored_to_locks_in_conflict() {
    let mut desk = Desk::default();
    desk.restore(1, 1, "node/a=x");
    let before = desk.table.clone();
    let said = desk.restore(2, 1, "instance/i=x node/[lockset]=s");
    let why = "lock node/[lockset] cannot be restored, job 1 holds it";
    assert_eq!(said, [format!("2.1 refused: {why}")]);
    assert_eq!(desk.table, before);
}

// covers: L17
#[test]
fn only_answers_to_earlier_requests_say_so() {
    assert!(LockRefusal::Withdrawn.answers_earlier_request());
    assert!(LockRefusal::Superseded { by: JobAttempt(2) }.answers_earlier_request());
    assert!(!LockRefusal::RequestPending.answers_earlier_request());
    assert!(!LockRefusal::StaleAttempt { known: JobAttempt(2) }.answers_earlier_request());
}

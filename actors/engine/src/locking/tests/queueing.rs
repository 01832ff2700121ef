//! Who is next: L18, L24, L60, L62, L63, L70, L73.

use super::*;

// covers: L18 L73
#[test]
fn the_queue_goes_by_priority_and_then_by_age() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x");
    assert_eq!(desk.acquire_as(5, 1, 0, "node/a=x"), ["5 waits for 1"]);
    assert_eq!(desk.acquire_as(4, 1, 10, "node/a=x"), ["4 waits for 1,5"]);
    assert_eq!(desk.acquire_as(3, 1, 0, "node/a=x"), ["3 waits for 1"]);
    assert_eq!(desk.acquire_as(6, 1, -10, "node/a=x"), ["6 waits for 1"]);
    assert_eq!(desk.release(1), ["6 has node/a=x"]);
    assert_eq!(desk.release(6), ["3 has node/a=x"]);
    assert_eq!(desk.release(3), ["5 has node/a=x"]);
    assert_eq!(desk.release(5), ["4 has node/a=x"]);
}

// covers: L62
#[test]
fn waiting_names_all_holders_and_the_nearest_ahead() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=s");
    desk.acquire(3, "node/a=x");
    desk.acquire(4, "node/a=x");
    assert_eq!(desk.acquire(5, "node/a=x"), ["5 waits for 1,2,4"]);
    assert!(desk.release(1).is_empty());
    assert_eq!(desk.table.blockers(JobId(5)), [JobId(2), JobId(4)].into());
}

// covers: L73
#[test]
fn a_stream_of_younger_shared_requests_does_not_starve_an_exclusive_one() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    assert_eq!(desk.acquire(2, "node/a=x"), ["2 waits for 1"]);
    for job in 3..1_000 {
        assert_eq!(desk.acquire(job, "node/a=s"), [format!("{job} waits for 2")]);
    }
    assert_eq!(desk.release(1), ["2 has node/a=x"]);
    assert_eq!(desk.release(2).len(), 997, "then all of them together");
}

// covers: L73
#[test]
fn the_stream_does_not_starve_one_that_wants_the_set() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    assert_eq!(desk.acquire(2, "node/[lockset]=x"), ["2 waits for 1"]);
    assert_eq!(desk.acquire(3, "node/b=s"), ["3 waits for 2"]);
    assert_eq!(desk.acquire(4, "instance/i=x node/c=s"), ["4 waits for 2"]);
    assert_eq!(desk.release(1), ["2 has node/[lockset]=x"]);
    assert_eq!(desk.release(2), ["3 has node/b=s", "4 has instance/i=x node/c=s"]);
}

// covers: L73
#[test]
fn a_more_urgent_request_passes_those_that_wait() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(3, "node/a=x");
    assert_eq!(desk.acquire_as(4, 1, -1, "node/a=s"), ["4 has node/a=s"]);
    assert_eq!(desk.acquire(2, "node/a=s"), ["2 has node/a=s"], "an older job");
    assert_eq!(desk.acquire(5, "node/a=s"), ["5 waits for 3"]);
}

// covers: L70
#[test]
fn who_conflicts_with_nobody_waits_for_nobody() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x");
    desk.acquire(2, "node/a=x node/b=x");
    assert_eq!(desk.acquire(3, "node/b=x"), ["3 waits for 2"]);
    assert_eq!(desk.acquire(4, "node/c=x"), ["4 has node/c=x"]);
    assert_eq!(desk.acquire(5, "node-res/a=x node-res/b=x"), ["5 has node-res/a=x node-res/b=x"]);
}

// covers: L24 L73
#[test]
fn a_holder_passes_those_who_wait_for_it() {
    let mut desk = Desk::default();
    desk.acquire(5, "node/a=x");
    assert_eq!(desk.acquire(2, "node/a=x node/b=x"), ["2 waits for 5"]);
    assert_eq!(desk.acquire(5, "node/b=x"), ["5 has node/a=x node/b=x"]);
    assert_eq!(desk.release(5), ["2 has node/a=x node/b=x"]);
}

// covers: L24 L73
#[test]
fn a_holder_does_not_pass_those_who_wait_for_others() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=x");
    desk.acquire(3, "instance/i=x");
    assert_eq!(desk.acquire(3, "node/a=s"), ["3 waits for 2"], "its instance is of no matter");
}

/// Two jobs ahead in two queues, each waiting for the job behind the other one.
// covers: L24
#[test]
fn two_queues_do_not_lock_each_other() {
    let mut desk = Desk::default();
    desk.acquire(3, "instance/a=x");
    desk.acquire(4, "instance/b=x");
    assert_eq!(desk.acquire(1, "instance/a=x node/d=x"), ["1 waits for 3"]);
    assert_eq!(desk.acquire(2, "instance/b=x node/c=x"), ["2 waits for 4"]);
    assert_eq!(desk.acquire(3, "node/c=x"), ["3 has instance/a=x node/c=x"]);
    assert_eq!(desk.acquire(4, "node/d=x"), ["4 waits for 1"], "1 can go on when 3 ends");
    assert_eq!(desk.release(3), ["1 has instance/a=x node/d=x"]);
    assert_eq!(desk.release(1), ["4 has instance/b=x node/d=x"]);
    assert_eq!(desk.release(4), ["2 has instance/b=x node/c=x"]);
}

// covers: L73
#[test]
fn urgency_is_inherited_along_a_chain_by_those_who_wait() {
    let mut desk = Desk::default();
    desk.acquire(10, "node-res/a=x");
    desk.acquire(7, "instance/i=x");
    desk.acquire(8, "node/n=x");
    assert_eq!(desk.acquire(7, "node/n=x"), ["7 waits for 8"]);
    assert_eq!(desk.acquire(8, "node-res/a=x"), ["8 waits for 10"]);
    assert_eq!(desk.acquire(9, "node-res/a=x"), ["9 waits for 8,10"]);
    assert_eq!(desk.acquire_as(6, 1, -1, "node-res/a=x"), ["6 waits for 10"]);
    assert_eq!(desk.table.blockers(JobId(8)), [JobId(6), JobId(10)].into());
    assert_eq!(desk.acquire_as(11, 1, -20, "instance/i=s"), ["11 waits for 7"]);
    assert_eq!(desk.release(10), ["8 has node/n=x node-res/a=x"], "on behalf of 11");
}

// covers: L73
#[test]
fn inherited_urgency_ends_with_the_request_it_came_from() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/n=x");
    desk.acquire(9, "instance/i=x");
    desk.acquire(9, "node/n=x");
    desk.acquire(5, "node/n=x");
    desk.acquire_as(11, 1, -20, "instance/i=x");
    assert_eq!(desk.table.blockers(JobId(5)), [JobId(1), JobId(9)].into());
    desk.release(11);
    assert_eq!(desk.table.blockers(JobId(5)), [JobId(1)].into());
    assert_eq!(desk.release(1), ["5 has node/n=x"]);
}

// covers: L60 L63
#[test]
fn a_raised_priority_counts_at_once() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=x");
    desk.acquire(3, "node/a=s");
    assert_eq!(desk.change_priority(3, -1), ["3 has node/a=s"]);
}

// covers: L63
#[test]
fn a_lowered_priority_lets_others_pass() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=x");
    desk.acquire(3, "node/a=s");
    assert_eq!(desk.change_priority(2, 5), ["3 has node/a=s"]);
    assert_eq!(desk.table.blockers(JobId(2)), [JobId(1), JobId(3)].into());
}

// covers: L63
#[test]
fn the_priority_of_a_job_that_does_not_wait_is_nothing_here() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    let before = desk.table.clone();
    assert!(desk.change_priority(1, -5).is_empty());
    assert!(desk.change_priority(2, -5).is_empty());
    assert_eq!(desk.table, before);
}

// covers: L61 L73
#[test]
fn those_behind_a_withdrawn_request_move_up() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=x");
    desk.acquire(3, "node/a=s");
    let withdrawn = "2.1 refused: the request for locks was withdrawn";
    assert_eq!(desk.release(2), [withdrawn, "3 has node/a=s"]);
}

// covers: L18
#[test]
fn one_release_grants_all_that_it_makes_possible() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x node/b=x");
    desk.acquire(2, "node/a=s");
    desk.acquire(3, "node/b=x");
    desk.acquire(4, "node/a=s node/b=s");
    assert_eq!(desk.release(1), ["2 has node/a=s", "3 has node/b=x"]);
    assert_eq!(desk.release(3), ["4 has node/a=s node/b=s"]);
}

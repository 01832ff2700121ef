//! What may be asked for and what is in the way of what: L1–L16, L20, L21, L7.

use super::*;
use crate::locking::{CHANGES_PER_REQUEST_MAX, LockRefusal, config_lock};
use gantry_model::errors::FaultCode;

// covers: L10
#[test]
fn shared_goes_with_shared_and_nothing_goes_with_exclusive() {
    let mut desk = Desk::default();
    assert_eq!(desk.acquire(1, "node/a=s"), ["1 has node/a=s"]);
    assert_eq!(desk.acquire(2, "node/a=s"), ["2 has node/a=s"]);
    assert_eq!(desk.acquire(3, "node/a=x"), ["3 waits for 1,2"]);
    assert_eq!(desk.acquire(4, "node/b=x"), ["4 has node/b=x"]);
    assert_eq!(desk.acquire(5, "node/b=s"), ["5 waits for 4"]);
}

// covers: L10 L71
#[test]
fn a_request_that_waits_has_nothing_of_what_it_asks_for() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/b=x");
    desk.acquire(2, "instance/i=x");
    assert_eq!(desk.acquire(2, "node/a=x node/b=x instance/i=-"), ["2 waits for 1"]);
    assert_eq!(desk.held(2), "instance/i=x");
    assert_eq!(desk.release(1), ["2 has node/a=x node/b=x"]);
}

// covers: L10
#[test]
fn a_refused_request_changes_nothing() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x node/b=x");
    let before = desk.table.clone();
    let twice = desk.acquire(1, "node/a=- node/c=x node/c=s");
    assert_eq!(twice, ["1.1 refused: lock node/c is named twice in one request"]);
    assert_eq!(desk.table, before);
}

// covers: L12
#[test]
fn an_exclusive_set_conflicts_with_every_member_of_others() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    assert_eq!(desk.acquire(2, "node/[lockset]=x"), ["2 waits for 1"]);
    assert_eq!(desk.release(1), ["2 has node/[lockset]=x"]);
    assert_eq!(desk.acquire(3, "node/never-seen=s"), ["3 waits for 2"]);
    assert_eq!(desk.acquire(4, "node-res/a=x"), ["4 has node-res/a=x"]);
}

// covers: L12
#[test]
fn a_shared_set_conflicts_with_exclusive_members_of_others_only() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/[lockset]=s");
    assert_eq!(desk.acquire(2, "node/a=s"), ["2 has node/a=s"]);
    assert_eq!(desk.acquire(3, "node/b=x"), ["3 waits for 1"]);
    assert_eq!(desk.acquire(4, "node/[lockset]=s"), ["4 waits for 3"]);
    assert_eq!(desk.release(1), ["3 has node/b=x"]);
    assert_eq!(desk.release(3), ["4 has node/[lockset]=s"]);
}

// covers: L12
#[test]
fn the_set_is_free_only_when_the_last_member_is() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x node/b=x");
    assert_eq!(desk.acquire(2, "node/[lockset]=s"), ["2 waits for 1"]);
    assert_eq!(desk.acquire(1, "node/a=-"), ["1 has node/b=x"]);
    assert_eq!(desk.acquire(1, "node/b=-"), ["1 has", "2 has node/[lockset]=s"]);
}

// covers: L12
#[test]
fn own_members_are_not_in_the_way_of_the_own_set() {
    let mut desk = Desk::default();
    let all = "node/[lockset]=x node/a=x node/b=s";
    assert_eq!(desk.acquire(1, all), [format!("1 has {all}")]);
}

// covers: L1 L2 L3 L4 L5 L6 L13
#[test]
fn nothing_below_the_highest_lock_held_may_be_asked_for() {
    let order = [
        "cluster/[lockset]",
        "cluster/BGL",
        "instance/[lockset]",
        "instance/a",
        "instance/b",
        "nodegroup/[lockset]",
        "nodegroup/a",
        "node/[lockset]",
        "node/a",
        "node-res/[lockset]",
        "node-res/a",
        "network/[lockset]",
        "network/a",
        "cluster/config",
    ];
    for (held, lower) in (0..order.len()).flat_map(|held| (0..held).map(move |l| (held, l))) {
        let (held, lower) = (order[held], order[lower]);
        let mut desk = Desk::default();
        desk.acquire(1, &format!("{held}=x"));
        let said = desk.acquire(1, &format!("{lower}=s"));
        let why = format!("lock {lower} is asked for while {held} is held, which comes after it");
        assert_eq!(said, [format!("1.1 refused: {why}")]);
        desk.release(1);
        desk.acquire(1, &format!("{lower}=x"));
        let said = desk.acquire(1, &format!("{held}=x"));
        assert_eq!(said, [format!("1 has {}", desk.held(1))], "{lower} before {held}");
        assert!(desk.held(1).contains(&format!("{held}=x")));
    }
}

// covers: L13
#[test]
fn what_is_covered_may_be_asked_for_below_the_highest_lock() {
    let mut desk = Desk::default();
    desk.acquire(1, "instance/a=x node/[lockset]=s node-res/a=x");
    let said = desk.acquire(1, "instance/a=s node/b=s");
    assert_eq!(said, ["1 has instance/a=s node/[lockset]=s node/b=s node-res/a=x"]);
    let said = desk.acquire(1, "instance/a=x");
    let why = "lock instance/a is asked for while node-res/a is held, which comes after it";
    assert_eq!(said, [format!("1.1 refused: {why}")]);
}

// covers: L13
#[test]
fn what_is_released_in_the_same_request_still_counts_as_held() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/b=x");
    let said = desk.acquire(1, "node/a=x node/b=-");
    let why = "lock node/a is asked for while node/b is held, which comes after it";
    assert_eq!(said, [format!("1.1 refused: {why}")]);
}

// covers: L14
#[test]
fn no_exclusive_member_under_an_own_shared_set() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/[lockset]=s");
    let why = "lock node/a is asked for exclusively while its set is held shared";
    assert_eq!(desk.acquire(1, "node/a=x"), [format!("1.1 refused: {why}")]);
    assert_eq!(desk.acquire(1, "node/a=s"), ["1 has node/[lockset]=s node/a=s"]);
    let set = "lock node/[lockset] is asked for while node/a is held, which comes after it";
    assert_eq!(desk.acquire(1, "node/[lockset]=x"), [format!("1.1 refused: {set}")]);
}

// covers: L12 L14 L40 L76
#[test]
fn an_exclusive_set_is_narrowed_to_members_without_waiting() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/[lockset]=x");
    assert_eq!(desk.acquire(2, "node/a=x"), ["2 waits for 1"]);
    assert_eq!(desk.acquire(3, "node/b=x"), ["3 waits for 1"]);
    let said = desk.acquire(1, "node/a=x node/[lockset]=-");
    assert_eq!(said, ["1 has node/a=x", "3 has node/b=x"]);
    assert_eq!(desk.release(1), ["2 has node/a=x"]);
}

// covers: L15 L76
#[test]
fn an_upgrade_waits_for_the_other_holders() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=s");
    assert_eq!(desk.acquire(1, "node/a=x"), ["1 waits for 2"]);
    assert_eq!(desk.held(1), "node/a=s");
    assert_eq!(desk.release(2), ["1 has node/a=x"]);
}

// covers: L15
#[test]
fn an_upgrade_passes_those_who_wait_for_its_holder_anyway() {
    let mut desk = Desk::default();
    desk.acquire(5, "node/a=s");
    assert_eq!(desk.acquire_as(1, 1, -10, "node/a=x"), ["1 waits for 5"]);
    assert_eq!(desk.acquire(5, "node/a=x"), ["5 has node/a=x"]);
}

// covers: L15 L76
#[test]
fn a_downgrade_never_waits_and_lets_others_in() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x");
    assert_eq!(desk.acquire(2, "node/a=s"), ["2 waits for 1"]);
    assert_eq!(desk.acquire(1, "node/a=s"), ["1 has node/a=s", "2 has node/a=s"]);
}

// covers: L15
#[test]
fn a_second_upgrader_is_refused_at_once_and_may_retry() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=s");
    desk.acquire(1, "node/a=x");
    let why = "lock node/a cannot be taken, job 1 waits to upgrade against this job";
    assert_eq!(desk.acquire(2, "node/a=x"), [format!("2.1 refused: {why}")]);
    assert_eq!(desk.held(2), "node/a=s");
    let fault = LockRefusal::UpgradeContended { name: lock("node/a"), other: JobId(1) }.to_fault();
    assert_eq!((fault.code, fault.retryable), (FaultCode::WrongState, true));
    assert_eq!(desk.release(2), ["1 has node/a=x"]);
}

// covers: L12 L15 L24
#[test]
fn upgrading_a_set_against_the_upgrade_of_a_member_is_refused_to_the_second() {
    let holding = || {
        let mut desk = Desk::default();
        desk.acquire(1, "node/[lockset]=s");
        desk.acquire(2, "node/a=s");
        desk
    };
    for wanted in ["node/a", "node/b"] {
        let mut desk = holding();
        assert_eq!(desk.acquire(1, "node/[lockset]=x"), ["1 waits for 2"]);
        let why = format!("lock {wanted} cannot be taken, job 1 waits to upgrade against this job");
        let said = desk.acquire(2, &format!("{wanted}=x"));
        assert_eq!(said, [format!("2.1 refused: {why}")]);
        assert_eq!(desk.release(2), ["1 has node/[lockset]=x"]);

        let mut desk = holding();
        assert_eq!(desk.acquire(2, &format!("{wanted}=x")), ["2 waits for 1"]);
        let set = "lock node/[lockset] cannot be taken, job 2 waits to upgrade against this job";
        assert_eq!(desk.acquire(1, "node/[lockset]=x"), [format!("1.1 refused: {set}")]);
        assert!(desk.release(1)[0].starts_with("2 has"), "the first goes on");
    }
}

// covers: L16
#[test]
fn any_subset_is_released_at_once_and_releasing_what_is_not_held_is_nothing() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x node/b=s node/c=x");
    assert_eq!(desk.acquire(2, "node/a=s node/c=s"), ["2 waits for 1"]);
    assert_eq!(desk.acquire(1, "node/a=-"), ["1 has node/b=s node/c=x"]);
    let said = desk.acquire(1, "node/c=- node/z=-");
    assert_eq!(said, ["1 has node/b=s", "2 has node/a=s node/c=s"]);
}

// covers: L16
#[test]
fn a_released_set_leaves_the_members_that_were_taken_by_name() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/[lockset]=s node/a=s");
    assert_eq!(desk.acquire(2, "node/b=x"), ["2 waits for 1"]);
    assert_eq!(desk.acquire(1, "node/[lockset]=-"), ["1 has node/a=s", "2 has node/b=x"]);
    assert_eq!(desk.acquire(3, "node/a=x"), ["3 waits for 1"]);
}

// covers: L20
#[test]
fn a_name_is_locked_before_anything_has_it() {
    let mut desk = Desk::default();
    let said = desk.acquire(1, "instance/not-yet-created=x");
    assert_eq!(said, ["1 has instance/not-yet-created=x"]);
    assert_eq!(desk.acquire(2, "instance/not-yet-created=x"), ["2 waits for 1"]);
}

// covers: L21
#[test]
fn those_of_a_list_are_taken_that_are_free_now() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/b=s");
    assert_eq!(desk.acquire_free(2, 2, "node/c node/b node/a"), ["2 has node/a=x node/c=x"]);
    assert_eq!(desk.acquire_free(3, 0, "node/a node/b"), ["3 has"]);
    assert!(!desk.table.is_waiting(JobId(3)));
}

// covers: L21 L19
#[test]
fn too_few_free_ones_are_left_alone() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/b=x");
    let before = desk.table.clone();
    let why = "1 of the locks are free, at least 2 are needed";
    assert_eq!(desk.acquire_free(2, 2, "node/a node/b"), [format!("2.1 refused: {why}")]);
    assert_eq!(desk.table, before);
    let fault = LockRefusal::TooFewFree { n_free: 1, at_least: 2 }.to_fault();
    assert_eq!((fault.code, fault.retryable), (FaultCode::TempInsufficientResources, true));
}

// covers: L21
#[test]
fn held_ones_do_not_count_as_taken_and_the_order_holds() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/b=x");
    let why = "1 of the locks are free, at least 2 are needed";
    assert_eq!(desk.acquire_free(1, 2, "node/b node/c"), [format!("1.1 refused: {why}")]);
    let order = "lock node/a is asked for while node/b is held, which comes after it";
    assert_eq!(desk.acquire_free(1, 0, "node/a"), [format!("1.1 refused: {order}")]);
}

// covers: L21 L73
#[test]
fn what_somebody_waits_for_is_not_free() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x");
    desk.acquire_as(9, 1, 19, "node/a=x node/b=x");
    assert_eq!(desk.acquire_free(2, 0, "node/b node/c"), ["2 has node/c=x"]);
    assert_eq!(desk.release(1), ["9 has node/a=x node/b=x"]);
}

// covers: L7
#[test]
fn the_configuration_lock_is_taken_at_any_point_and_is_in_no_set() {
    let mut desk = Desk::default();
    assert_eq!(lock("cluster/config"), config_lock());
    desk.acquire(1, "cluster/[lockset]=x");
    assert_eq!(desk.acquire(2, "network/a=x"), ["2 has network/a=x"]);
    assert_eq!(desk.acquire(2, "cluster/config=x"), ["2 has cluster/config=x network/a=x"]);
    assert_eq!(desk.acquire(1, "cluster/config=s"), ["1 waits for 2"]);
}

// covers: L1 L64
#[test]
fn the_big_lock_waits_for_all_started_jobs_and_holds_up_new_ones() {
    let mut desk = Desk::default();
    desk.acquire(1, "cluster/BGL=s");
    desk.acquire(2, "cluster/BGL=s");
    assert_eq!(desk.acquire(3, "cluster/BGL=x"), ["3 waits for 1,2"]);
    assert_eq!(desk.acquire(4, "cluster/BGL=s"), ["4 waits for 3"]);
    assert_eq!(desk.acquire(1, "instance/a=x"), ["1 has cluster/BGL=s instance/a=x"]);
    assert!(desk.release(1).is_empty());
    assert_eq!(desk.release(2), ["3 has cluster/BGL=x"]);
    assert_eq!(desk.release(3), ["4 has cluster/BGL=s"]);
}

#[test]
fn a_request_of_more_changes_than_may_be_is_refused() {
    let names = |n: usize| {
        let name = |number| (lock(&format!("node/{number}")), LockChange::Release);
        (0..n).map(name).collect::<Vec<_>>()
    };
    let ask = |n: usize| LockEvent::Acquire {
        job: JobId(1),
        attempt: JobAttempt(1),
        priority: 0,
        changes: names(n),
    };
    let mut desk = Desk::default();
    assert_eq!(desk.step(ask(CHANGES_PER_REQUEST_MAX)), ["1 has"]);
    let why = "65537 locks in one request, at most 65536 are possible";
    assert_eq!(desk.step(ask(CHANGES_PER_REQUEST_MAX + 1)), [format!("1.1 refused: {why}")]);
}

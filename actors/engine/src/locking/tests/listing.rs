//! What `gnt-debug locks` is told: L23, L74.

use super::*;

// covers: L23 L74
#[test]
fn rows_name_lock_mode_owners_and_pending() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "instance/web=x node/a=s");
    desk.acquire(3, "node/a=x");
    desk.acquire(5, "node/a=s");
    desk.acquire(4, "node/a=s");
    desk.acquire(6, "node/[lockset]=x");
    assert_eq!(
        desk.rows(),
        [
            "instance/web exclusive [2]",
            "node/[lockset] - [] exclusive:6",
            "node/a shared [1,2] exclusive:3 shared:4,5"
        ]
    );
}

// covers: L23 L74
#[test]
fn rows_come_in_the_order_of_acquisition() {
    let mut desk = Desk::default();
    let all = "cluster/BGL=s instance/[lockset]=s nodegroup/g=s node/a=s node/b=s node-res/a=s \
               network/n=s cluster/config=s";
    desk.acquire(1, all);
    let names: Vec<String> = desk.table.rows().iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names.join("=s ") + "=s", all);
}

// covers: L23
#[test]
fn a_lock_that_nobody_holds_or_wants_has_no_row() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=x node/b=x");
    desk.acquire(2, "node/a=x");
    desk.acquire(1, "node/b=-");
    desk.release(2);
    assert_eq!(desk.rows(), ["node/a exclusive [1]"]);
    desk.release(1);
    assert!(desk.rows().is_empty());
}

// covers: L23
#[test]
fn the_number_of_locks_held_is_that_of_the_rows() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s instance/web=x");
    desk.acquire(2, "node/a=s");
    desk.acquire(3, "node/a=x");
    assert_eq!(desk.table.n_held(), 3, "{:?}", desk.rows());
    desk.acquire(1, "node/a=-");
    desk.release(2);
    assert_eq!(desk.table.n_held(), 2, "{:?}", desk.rows());
    desk.acquire(3, "node/a=s");
    assert_eq!(desk.table.n_held(), 2, "a downgrade is no second lock");
    desk.release(1);
    desk.release(3);
    assert_eq!(desk.table.n_held(), 0);
}

// covers: L23 L15
#[test]
fn an_upgrade_is_listed_as_owner_and_as_pending() {
    let mut desk = Desk::default();
    desk.acquire(1, "node/a=s");
    desk.acquire(2, "node/a=s");
    desk.acquire(1, "node/a=x");
    assert_eq!(desk.rows(), ["node/a shared [1,2] exclusive:1"]);
}

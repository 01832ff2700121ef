//! The leader dies before and after every flush of its disks and every effect of an operation, and
//! comes back. Counted in a run without a crash, then one run for each.

use gantry_runtime::simulate;
use gantry_tests::{CrashPlan, MachineNumber};

use super::scenario::{Operation, Scenario};

const LEADER: MachineNumber = MachineNumber(1);

/// One run; the points that were passed.
fn run(scenario: &Scenario, at: Option<usize>) -> Vec<String> {
    simulate(async {
        let mut cluster = scenario.set_up().await;
        cluster.arm(CrashPlan { victim: LEADER, at, acts_itself: scenario.on == LEADER });
        let job = scenario.begin(&cluster);
        if at.is_none() {
            let end = job.await.expect("no panic");
            let (points, _) = cluster.disarm();
            scenario.assert_right(&cluster, &end, "without a crash").await;
            return points;
        }
        cluster.wait_until("the leader dies", |cluster| cluster.is_down(LEADER)).await;
        let (points, fired) = cluster.disarm();
        assert!(fired);
        cluster.restart(LEADER).await;
        let end = job.await.expect("no panic");
        let context = format!("crash {:?}", points.last());
        scenario.assert_right(&cluster, &end, &context).await;
        points
    })
}

fn crash_everywhere(operation: Operation, on: MachineNumber) {
    let scenario = Scenario::new(operation, on);
    let points = run(&scenario, None);
    // Submission, a step (two entries) and the end, each entry two flushes, each flush two points.
    assert!(points.len() >= 14, "{operation:?} passes only {points:?}");
    for at in 0..points.len() {
        let passed = run(&scenario, Some(at));
        assert_eq!(passed, points[..=at], "the same seed passes the same points");
    }
}

/// One run with a crash in the middle of the operation, and another in the recovery from it; the
/// points that the recovery passed.
fn run_with_second_crash(scenario: &Scenario, first: usize, at: Option<usize>) -> Vec<String> {
    let plan = |at| CrashPlan { victim: LEADER, at, acts_itself: scenario.on == LEADER };
    simulate(async {
        let mut cluster = scenario.set_up().await;
        cluster.arm(plan(Some(first)));
        let job = scenario.begin(&cluster);
        cluster.wait_until("the leader dies", |cluster| cluster.is_down(LEADER)).await;
        cluster.restart_into(plan(at)).await;
        if at.is_some() {
            cluster.wait_until("it dies again", |cluster| cluster.is_down(LEADER)).await;
            let (points, fired) = cluster.disarm();
            assert!(fired);
            cluster.restart(LEADER).await;
            let end = job.await.expect("no panic");
            let context = format!("second crash {:?}", points.last());
            scenario.assert_right(&cluster, &end, &context).await;
            return points;
        }
        let end = job.await.expect("no panic");
        let (points, _) = cluster.disarm();
        scenario.assert_right(&cluster, &end, "one crash").await;
        points
    })
}

#[test]
fn of_a_creation_and_of_the_recovery_from_that() {
    let scenario = Scenario::new(Operation::Create, MachineNumber(2));
    let points = run(&scenario, None);
    let whole = points.iter().position(|point| point == "AfterEffect Create");
    let first = whole.expect("a disk is made");
    let recovery = run_with_second_crash(&scenario, first, None);
    assert!(recovery.len() >= 16, "{recovery:?}");
    for at in 0..recovery.len() {
        run_with_second_crash(&scenario, first, Some(at));
    }
}

#[test]
fn of_a_creation_elsewhere() {
    crash_everywhere(Operation::Create, MachineNumber(2));
}

#[test]
fn of_a_creation_on_itself() {
    crash_everywhere(Operation::Create, LEADER);
}

#[test]
fn of_a_creation_that_is_taken_back() {
    crash_everywhere(Operation::CreateInVain, MachineNumber(2));
}

#[test]
fn of_a_creation_that_does_not_start() {
    crash_everywhere(Operation::CreateUnstarted, MachineNumber(2));
}

#[test]
fn of_a_startup_elsewhere() {
    crash_everywhere(Operation::Startup, MachineNumber(2));
}

#[test]
fn of_a_startup_on_itself() {
    crash_everywhere(Operation::Startup, LEADER);
}

#[test]
fn of_a_shutdown_elsewhere() {
    crash_everywhere(Operation::Shutdown, MachineNumber(2));
}

#[test]
fn of_a_shutdown_on_itself() {
    crash_everywhere(Operation::Shutdown, LEADER);
}

#[test]
fn of_a_reboot_elsewhere() {
    crash_everywhere(Operation::Reboot, MachineNumber(2));
}

#[test]
fn of_a_reboot_on_itself() {
    crash_everywhere(Operation::Reboot, LEADER);
}

#[test]
fn of_a_full_reboot_elsewhere() {
    crash_everywhere(Operation::RebootFull, MachineNumber(2));
}

#[test]
fn of_a_full_reboot_on_itself() {
    crash_everywhere(Operation::RebootFull, LEADER);
}

#[test]
fn of_a_removal_elsewhere() {
    crash_everywhere(Operation::Remove, MachineNumber(2));
}

#[test]
fn of_a_removal_on_itself() {
    crash_everywhere(Operation::Remove, LEADER);
}

//! Jobs that go their way: success, dry run, several opcodes.

use gantry_model::jobs::JobStatus;
use gantry_model::opcodes::OpCommon;
use gantry_model::steps::Direction;

use super::super::JobEffect;
use super::driver::Driver;
use super::script::{OpScript, add, create, mark, write};
use crate::state::JobFact;
use crate::state::tests::sample::instance_name;

#[test]
fn a_job_does_its_steps_in_order_and_answers() {
    let mut driver = Driver::new(vec![OpScript::every_kind()]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.effects(Direction::Act), ["1.0.0", "1.0.1", "1.0.2", "1.0.6"]);
    assert_eq!(driver.world.effects(Direction::Undo), [""; 0]);
    let outcome = driver.outcome();
    assert_eq!(outcome.ops, [(JobStatus::Success, Some("answer".into()), None)]);
    assert!(driver.log.state.instance_by_name(&instance_name(1)).is_some());
    assert_eq!((driver.n_ended, driver.n_abandoned), (1, 0));
    assert_eq!(driver.pauses_ms, [7], "only the step that waits, waits");
}

#[test]
fn what_steps_and_nodes_say_is_in_the_log_once() {
    let mut driver = Driver::of([create(0), write(0)]);
    driver.run();
    assert_eq!(driver.said(), ["* create disk 0", "did 1.0.0", "* write disk 0", "did 1.0.1"]);
}

// covers: Q20
#[test]
fn people_see_a_job_wait_then_run() {
    let mut driver = Driver::of([create(0)]);
    driver.occupy();
    driver.run();
    assert_eq!(driver.statuses, [JobStatus::Waiting]);
    driver.vacate();
    driver.run();
    assert_eq!(driver.statuses[1..], [JobStatus::Running]);
    assert_eq!(driver.record().status(), JobStatus::Success);
}

#[test]
fn locks_are_in_the_log_with_the_first_step_and_gone_with_the_end() {
    let mut driver = Driver::of([create(0)]);
    let first = driver.run_until_commit(|_| true);
    assert!(matches!(&first[0], JobFact::Locks(held) if held.len() == 2));
    assert!(matches!(&first[1], JobFact::OpBegan { .. }));
    assert!(matches!(first.last(), Some(JobFact::StepBegan { seq: 0, .. })));
    let mut driver = Driver::of([create(0)]);
    let last = driver.run_until_commit(|fact| matches!(fact, JobFact::OpEnded { .. }));
    assert_eq!(last.last(), Some(&JobFact::Locks(Vec::new())));
    assert!(!driver.table.is_empty(), "released before the log knows");
}

// covers: Q4
#[test]
fn a_dry_run_stops_after_the_check() {
    let common = OpCommon { dry_run: true, ..OpCommon::default() };
    let mut driver = Driver::new(vec![OpScript { common, ..OpScript::every_kind() }]);
    driver.run();
    driver.check_ended();
    assert!(driver.world.sent.is_empty());
    assert!(driver.log.state.instances.is_empty());
    assert_eq!(driver.outcome().ops, [(JobStatus::Success, None, None)]);
}

#[test]
fn a_dry_run_says_what_the_check_says() {
    let common = OpCommon { dry_run: true, ..OpCommon::default() };
    let mut driver = Driver::new(vec![OpScript { common, ..OpScript::refused("no") }]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.outcome().ops, [(JobStatus::Error, None, Some("no".into()))]);
}

#[test]
fn an_opcode_without_steps_just_answers() {
    let mut driver = Driver::of([]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.outcome().ops, [(JobStatus::Success, Some("answer".into()), None)]);
}

// covers: Q8
#[test]
fn locks_are_dropped_between_opcodes() {
    let mut driver = Driver::new(vec![OpScript::new([create(0)]), OpScript::new([create(1)])]);
    driver.run_until(|effect| matches!(effect, JobEffect::Declare { op_idx: 1, stage: 0 }));
    assert!(driver.table.is_empty(), "the table: {:?}", driver.table.rows());
    assert!(driver.log.state.locks.is_empty());
    assert_eq!(driver.record().status(), JobStatus::Queued, "between two opcodes (Q21)");
}

#[test]
fn opcodes_follow_each_other() {
    let ops = vec![
        OpScript::new([create(0), add(1)]),
        OpScript::new([mark(1, 1)]),
        OpScript::new([create(1)]),
    ];
    let mut driver = Driver::new(ops);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    assert_eq!(driver.world.effects(Direction::Act), ["1.0.0", "1.2.0"]);
}

// covers: Q21
#[test]
fn an_opcode_that_fails_ends_the_rest_and_leaves_what_was_done_before_it() {
    let ops = vec![
        OpScript::new([create(0)]),
        OpScript::new([create(1), create(2)]),
        OpScript::new([create(3)]),
    ];
    let mut driver = Driver::new(ops);
    driver.world.fails("1.1.1");
    driver.run();
    driver.check_ended();
    let statuses: Vec<_> = driver.record().ops.iter().map(|op| op.status).collect();
    assert_eq!(statuses, [JobStatus::Success, JobStatus::Error, JobStatus::Error]);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.1.1u", "1.1.0u"]);
    assert_eq!(driver.world.disks, [0].into());
}

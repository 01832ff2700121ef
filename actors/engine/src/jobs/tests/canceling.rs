//! Canceling, at every moment of a job.

use gantry_model::errors::FaultCode;
use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::jobs::JobStatus;
use gantry_model::locks::{LockChange, LockMode, LockName};

use super::super::{CallEnd, JobEffect, JobEvent};
use super::driver::Driver;
use super::script::{OpScript, create};
use crate::locking::{LockEffect, LockEvent};
use crate::state::Applied;
use crate::state::tests::sample::node_id;

fn statuses(driver: &Driver) -> Vec<JobStatus> {
    driver.record().ops.iter().map(|op| op.status).collect()
}

fn assert_refused(applied: Applied) {
    match applied {
        Applied::Refused(fault) => assert_eq!(fault.code, FaultCode::WrongState),
        other => panic!("not refused: {other:?}"),
    }
}

// covers: Q34 L61
#[test]
fn a_job_that_waits_for_locks_stops_waiting() {
    let mut driver = Driver::of([create(0)]);
    driver.occupy();
    driver.run();
    assert!(driver.table.is_waiting(driver.job));
    assert_eq!(driver.cancel(), Applied::Done);
    assert!(!driver.table.is_waiting(driver.job) || driver.record().status().is_final());
    driver.run();
    assert_eq!(statuses(&driver), [JobStatus::Canceled]);
    assert!(!driver.table.is_waiting(driver.job), "its request still stands in the queue");
    assert_eq!((driver.n_ended, driver.n_abandoned), (1, 0));
    driver.vacate();
    driver.check_ended();
    assert!(driver.world.sent.is_empty());
}

// covers: Q34
#[test]
fn people_see_that_a_job_is_being_canceled() {
    let mut driver = Driver::new(vec![OpScript::new([]), OpScript::new([create(0)])]);
    driver.run_until(|effect| matches!(effect, JobEffect::Acquire { .. }));
    driver.effects_of(JobEvent::Cancel);
    let machine = driver.machine.as_ref().expect("placed");
    assert_eq!(machine.live_status(), JobStatus::Canceling);
}

#[test]
fn a_job_that_is_canceled_between_its_locks_and_its_first_effect_does_nothing() {
    for wanted in ["Want", "Gather", "Check"] {
        let mut driver = Driver::of([create(0)]);
        let effect = driver.run_until(|effect| format!("{effect:?}").starts_with(wanted));
        assert_eq!(driver.cancel(), Applied::Done, "before {wanted}");
        driver.feed(match effect {
            JobEffect::Want { .. } => JobEvent::Wanted(Ok(Vec::new())),
            JobEffect::Gather(_) => JobEvent::Gathered(Default::default()),
            _ => JobEvent::Checked(Ok(crate::state::tests::sample::plan())),
        });
        driver.run();
        driver.check_ended();
        assert_eq!(statuses(&driver), [JobStatus::Canceled], "before {wanted}");
        assert!(driver.world.sent.is_empty());
    }
}

#[test]
fn a_job_whose_first_entry_is_on_its_way_is_canceled_if_the_log_has_the_cancel_first() {
    let mut driver = Driver::of([create(0)]);
    let facts = driver.run_until_commit(|_| true);
    assert_eq!(driver.cancel(), Applied::Done);
    let applied = driver.log.apply(driver.log.job_command(driver.job, facts));
    let Applied::Refused(fault) = applied else { panic!("taken: {applied:?}") };
    driver.feed(JobEvent::Committed(Err(fault)));
    driver.run();
    driver.check_ended();
    assert_eq!(statuses(&driver), [JobStatus::Canceled]);
    assert!(driver.world.sent.is_empty());
}

// covers: Q34
#[test]
fn an_opcode_that_has_begun_is_not_canceled() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.run_until_call();
    assert_eq!(driver.cancel(), Applied::Done);
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    driver.check_ended();
    assert_eq!(statuses(&driver), [JobStatus::Success]);
}

// covers: Q35
#[test]
fn a_job_that_acts_is_told_and_begins_no_other_opcode() {
    let ops = vec![OpScript::new([create(0)]), OpScript::new([create(1)])];
    let mut driver = Driver::new(ops);
    driver.run_until_call();
    assert_eq!(driver.cancel(), Applied::Done);
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    driver.check_ended();
    assert_eq!(statuses(&driver), [JobStatus::Success, JobStatus::Canceled]);
}

#[test]
fn the_log_refuses_the_beginning_of_an_opcode_whose_job_was_told_to_stop() {
    let mut driver = Driver::new(vec![OpScript::new([create(0)]), OpScript::new([create(1)])]);
    let facts = driver
        .run_until_commit(|fact| matches!(fact, crate::state::JobFact::OpBegan { op_idx: 1, .. }));
    // The entry is on its way, and so is the wish; the log has the wish first, the actor neither.
    assert_eq!(driver.log.apply(driver.log.cancel_command(driver.job)), Applied::Done);
    let applied = driver.log.apply(driver.log.job_command(driver.job, facts));
    let Applied::Refused(fault) = applied else { panic!("taken: {applied:?}") };
    assert_eq!(fault.code, FaultCode::Canceled);
    driver.feed(JobEvent::Committed(Err(fault)));
    driver.run();
    driver.check_ended();
    assert_eq!(statuses(&driver), [JobStatus::Success, JobStatus::Canceled]);
    assert_eq!((driver.n_ended, driver.n_abandoned), (1, 0));
    assert!(driver.world.sent.iter().all(|step| step.op_idx == 0));
}

#[test]
fn at_the_first_level_a_job_that_acts_is_not_told() {
    let mut driver = Driver::new(vec![OpScript::new([create(0)]), OpScript::new([create(1)])]);
    driver.log.state.level = 1;
    driver.run_until_call();
    assert_refused(driver.cancel());
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    assert_eq!(statuses(&driver), [JobStatus::Success, JobStatus::Success]);
}

// covers: Q35
#[test]
fn a_cancel_that_crosses_the_beginning_stops_the_job_before_its_next_opcode() {
    let ops = vec![OpScript::new([create(0)]), OpScript::new([create(1)]), OpScript::new([])];
    let mut driver = Driver::new(ops);
    driver.run_until_call();
    driver.feed(JobEvent::Cancel);
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    driver.check_ended();
    let (success, canceled) = (JobStatus::Success, JobStatus::Canceled);
    assert_eq!(statuses(&driver), [success, canceled, canceled]);
    assert!(driver.world.sent.is_empty(), "another opcode began, or the first was taken back");
}

// covers: Q35
#[test]
fn a_job_that_waits_for_the_locks_of_its_second_opcode_is_canceled_there() {
    let mut driver = Driver::new(vec![OpScript::new([create(0)]), OpScript::new([create(1)])]);
    driver.run_until(|effect| matches!(effect, JobEffect::Declare { op_idx: 1, stage: 0 }));
    driver.occupy();
    driver.feed(JobEvent::Declared(Ok(super::super::LockStage {
        changes: vec![(
            gantry_model::locks::LockName::node(crate::state::tests::sample::node_id(2)),
            gantry_model::locks::LockChange::Hold(gantry_model::locks::LockMode::Exclusive),
        )],
        last: true,
    })));
    driver.run();
    assert!(driver.table.is_waiting(driver.job));
    assert_eq!(driver.cancel(), Applied::Done);
    driver.run();
    driver.vacate();
    driver.check_ended();
    assert_eq!(statuses(&driver), [JobStatus::Success, JobStatus::Canceled]);
}

#[test]
fn a_cancel_outlives_the_leader() {
    let mut driver = Driver::new(vec![OpScript::new([create(0)]), OpScript::new([create(1)])]);
    driver.run_until(|effect| matches!(effect, JobEffect::Declare { op_idx: 1, stage: 0 }));
    // The log knows of it, the job does not yet.
    driver.log.apply(driver.log.cancel_command(driver.job));
    driver.crash();
    driver.run();
    driver.check_ended();
    assert_eq!(statuses(&driver), [JobStatus::Success, JobStatus::Canceled]);
    assert_eq!(driver.world.disks, [0].into());
}

#[test]
fn a_job_that_has_ended_cannot_be_canceled() {
    let mut driver = Driver::of([create(0)]);
    driver.run();
    assert_refused(driver.cancel());
}

// covers: Q31 L63
#[test]
fn a_job_that_becomes_less_urgent_lets_others_pass() {
    let mut driver = Driver::of([create(0)]);
    driver.occupy();
    driver.run();
    let rival = JobId(500);
    let changes = vec![(LockName::node(node_id(2)), LockChange::Hold(LockMode::Exclusive))];
    let attempt = JobAttempt(1);
    let asked = LockEvent::Acquire { job: rival, attempt, priority: 0, changes };
    assert!(matches!(driver.table.step(asked)[..], [LockEffect::Waiting { .. }]));
    driver.log.apply(driver.log.priority_command(driver.job, 10));
    driver.feed(JobEvent::Priority(10));
    driver.run();
    driver.vacate();
    assert!(driver.table.is_waiting(driver.job), "it is first in the queue still");
    assert!(!driver.table.is_waiting(rival));
}

// covers: Q31
#[test]
fn opcodes_that_have_begun_keep_their_urgency() {
    let mut driver = Driver::new(vec![OpScript::new([create(0)]), OpScript::new([create(1)])]);
    driver.run_until_call();
    assert_eq!(driver.log.apply(driver.log.priority_command(driver.job, -10)), Applied::Done);
    driver.feed(JobEvent::Priority(-10));
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    let urgencies: Vec<i8> = driver.record().ops.iter().map(|op| op.priority()).collect();
    assert_eq!(urgencies, [0, -10]);
    let asked = driver.run_until(|effect| matches!(effect, JobEffect::Acquire { .. }));
    assert!(matches!(asked, JobEffect::Acquire { priority: -10, .. }), "{asked:?}");
}

#[test]
fn an_urgency_outlives_the_leader() {
    let mut driver = Driver::of([create(0)]);
    driver.log.apply(driver.log.priority_command(driver.job, -5));
    driver.crash();
    let asked = driver.run_until(|effect| matches!(effect, JobEffect::Acquire { .. }));
    assert!(matches!(asked, JobEffect::Acquire { priority: -5, .. }), "{asked:?}");
}

#[test]
fn the_urgency_of_a_job_without_pending_opcodes_cannot_be_changed() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    assert_refused(driver.log.apply(driver.log.priority_command(driver.job, -5)));
    assert_eq!(driver.record().ops[0].priority, None);
}

#[test]
fn at_the_first_level_no_urgency_is_changed() {
    let mut driver = Driver::of([create(0)]);
    driver.log.state.level = 1;
    assert_refused(driver.log.apply(driver.log.priority_command(driver.job, -5)));
    assert_eq!(driver.record().ops[0].priority, None);
}

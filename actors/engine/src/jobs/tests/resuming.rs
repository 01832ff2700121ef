//! What a new leader does with a job that was under way.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::jobs::JobStatus;
use gantry_model::steps::Direction;

use super::super::{CallEnd, JobEffect, JobEvent};
use super::driver::Driver;
use super::script::{OpScript, add, create, give_log, wait, write};
use super::world::Way;
use crate::state::JobFact;

fn diverged(driver: &Driver) -> bool {
    driver.record().ops[0].fault.as_ref().is_some_and(|f| f.code == FaultCode::LuDiverged)
}

#[test]
fn a_node_with_an_open_call_learns_of_the_reign_before_anything_is_sent() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.world.goes("1.0.1", &[Way::LostAfter]);
    driver.run_until(|effect| matches!(effect, JobEffect::Waits(Some(why)) if why != "locks"));
    driver.crash();
    let n_sent = driver.world.sent.len();
    let install = driver.run_until(|effect| matches!(effect, JobEffect::Install { .. }));
    assert!(matches!(install, JobEffect::Install { step, .. } if step.to_string() == "1.0.1"));
    assert_eq!(driver.world.sent.len(), n_sent);
}

#[test]
fn a_result_that_the_node_knows_is_taken_without_calling_again() {
    let mut driver = Driver::of([create(0), write(0)]);
    driver.world.goes("1.0.0", &[Way::LostAfter]);
    driver.run_until(|effect| matches!(effect, JobEffect::Waits(Some(why)) if why != "locks"));
    driver.crash();
    driver.run();
    driver.check_ended();
    let sent: Vec<String> = driver.world.sent.iter().map(ToString::to_string).collect();
    assert_eq!(sent, ["1.0.0", "1.0.1"]);
}

#[test]
fn a_node_that_does_not_answer_is_asked_again_with_growing_pauses() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    driver.crash();
    driver.world.deaf = 8;
    driver.run();
    driver.check_ended();
    assert_eq!(driver.pauses_ms, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(driver.record().status(), JobStatus::Success);
}

#[test]
fn a_job_keeps_its_locks_while_its_node_does_not_answer() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    driver.crash();
    driver.world.deaf = 1;
    let waits = driver.run_until(|effect| matches!(effect, JobEffect::Waits(Some(_))));
    assert_eq!(waits, JobEffect::Waits(Some("not connected".into())));
    assert_eq!(driver.table.held(driver.job).count(), 2);
    assert_eq!(driver.record().status(), JobStatus::Running);
}

#[test]
fn a_call_that_an_old_leader_may_have_sent_is_never_given_up() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    driver.crash();
    driver.world.goes("1.0.0", &[Way::NotSent, Way::NotSent]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
}

#[test]
fn a_job_that_has_not_begun_begins_anew() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Check { .. }));
    driver.crash();
    assert!(driver.table.is_empty(), "locks that were not in the log");
    driver.run_until(|effect| matches!(effect, JobEffect::Declare { stage: 0, .. }));
}

#[test]
fn an_undo_that_was_under_way_is_asked_after_first() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.world.fails("1.0.1");
    driver.world.goes("1.0.1u", &[Way::LostAfter]);
    driver.run_until(|effect| matches!(effect, JobEffect::Waits(Some(why)) if why != "locks"));
    driver.crash();
    let install = driver.run_until(|effect| matches!(effect, JobEffect::Install { .. }));
    assert!(matches!(install, JobEffect::Install { step, .. } if step.to_string() == "1.0.1u"));
    driver.crash();
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.1u", "1.0.0u"]);
}

#[test]
fn unwinding_never_asks_the_unit() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.world.fails("1.0.1");
    driver.run_until_commit(|fact| matches!(fact, JobFact::UndoEnded { .. }));
    driver.diverges = true;
    driver.crash();
    driver.run();
    driver.check_ended();
    assert!(!diverged(&driver), "the unit was asked");
    assert!(driver.world.disks.is_empty());
}

#[test]
fn after_a_crash_a_job_waits_for_a_holder_anew() {
    let mut driver = Driver::of([give_log(), create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::AwaitHolder(_)));
    driver.crash();
    driver.run_until(|effect| matches!(effect, JobEffect::AwaitHolder(_)));
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
}

#[test]
fn another_program_unwinds_what_the_journal_has() {
    let mut driver = Driver::of([create(0), add(1), wait(), create(1)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Wait(_)));
    driver.diverges = true;
    driver.crash();
    driver.run();
    driver.check_ended();
    assert!(diverged(&driver));
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.0u"]);
    assert!(driver.log.state.instances.is_empty() && driver.world.disks.is_empty());
}

#[test]
fn another_program_lets_the_open_call_end_before_it_unwinds() {
    for ways in [&[][..], &[Way::LostBefore], &[Way::LostAfter]] {
        // The open call has no undo, so nothing else would make sure of its end.
        let mut driver = Driver::of([create(0), write(0), create(1)]);
        driver.world.goes("1.0.1", ways);
        driver.run_until(|effect| match effect {
            JobEffect::Call { step, .. } => step.seq == 1 && ways.is_empty(),
            JobEffect::Waits(Some(why)) => why != "locks",
            _ => false,
        });
        driver.diverges = true;
        driver.crash();
        driver.run();
        driver.check_ended();
        assert!(diverged(&driver), "{ways:?}");
        let executed: Vec<String> = driver.world.executed.iter().map(ToString::to_string).collect();
        assert_eq!(executed, ["1.0.0", "1.0.1", "1.0.0u"], "{ways:?}");
    }
}

#[test]
fn another_program_in_the_second_opcode_leaves_the_first() {
    let mut driver = Driver::new(vec![
        OpScript::new([create(0)]),
        OpScript::new([create(1), create(2)]),
        OpScript::new([]),
    ]);
    driver.run_until(
        |effect| matches!(effect, JobEffect::Call { step, .. } if step.to_string() == "1.1.1"),
    );
    driver.diverges = true;
    driver.crash();
    driver.run();
    driver.check_ended();
    let statuses: Vec<_> = driver.record().ops.iter().map(|op| op.status).collect();
    assert_eq!(statuses, [JobStatus::Success, JobStatus::Error, JobStatus::Error]);
    assert_eq!(driver.world.disks, [0].into());
}

#[test]
fn a_failure_whose_unwinding_was_not_decided_yet_unwinds() {
    let mut driver = Driver::of([create(0)]);
    driver.world.fails("1.0.0");
    driver.run_until_commit(|fact| matches!(fact, JobFact::Unwinding { .. }));
    driver.crash();
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.0u"]);
}

#[test]
fn a_job_of_which_only_the_end_is_missing_ends() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_commit(|fact| matches!(fact, JobFact::OpEnded { .. }));
    driver.crash();
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
}

#[test]
fn a_stale_answer_about_the_reign_is_not_taken_for_one() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    let fault = Fault::new(FaultCode::NotDelivered, "late");
    assert_eq!(driver.effects_of(JobEvent::Installed(Err(fault))), []);
}

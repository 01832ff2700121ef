//! What is refused: by the unit, by the lock table, by the log.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::NewJob;
use gantry_model::steps::{Direction, STEPS_MAX};

use super::super::{CallEnd, JobEffect, JobEvent};
use super::driver::Driver;
use super::script::{OpScript, add, create, mark, wait};
use crate::state::Command;
use crate::state::tests::sample::new_job;

fn stale() -> Fault {
    Fault::new(FaultCode::StaleToken, "an old reign")
}

#[test]
fn a_check_that_refuses_ends_the_job_without_a_trace() {
    let mut driver = Driver::new(vec![OpScript::refused("no room")]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.outcome().ops, [(JobStatus::Error, None, Some("no room".into()))]);
    assert!(driver.said().is_empty() && driver.record().ops[0].exec.is_none());
}

#[test]
fn a_unit_that_cannot_go_on_unwinds() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Decide { .. }));
    let fault = Fault::new(FaultCode::InternalError, "the plan cannot be read");
    driver.feed(JobEvent::Next(Err(fault)));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Error);
}

#[test]
fn locks_that_are_refused_end_the_job() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Acquire { .. }));
    let fault = Fault::new(FaultCode::WrongState, "upgrade contended").retry_later();
    driver.feed(JobEvent::Locks(Err(fault.clone())));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().ops[0].fault, Some(fault));
}

#[test]
fn a_change_that_the_log_refuses_unwinds_what_was_before_it() {
    let mut driver = Driver::of([create(0), add(1), create(1), mark(1, 99), create(2)]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.effects(Direction::Act), ["1.0.0", "1.0.2"]);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.2u", "1.0.0u"]);
    assert!(driver.log.state.instances.is_empty());
    let fault = driver.record().ops[0].fault.clone().expect("failed");
    assert!(fault.message.ends_with("retry the operation") && fault.retryable, "{fault:?}");
    assert_eq!(driver.n_abandoned, 0);
    assert!(driver.said().contains(&"did 1.0.2".to_owned()), "a line is lost");
}

#[test]
fn a_first_change_that_the_log_refuses_ends_the_job() {
    let mut driver = Driver::of([mark(1, 1)]);
    driver.run();
    driver.check_ended();
    assert_eq!((driver.record().status(), driver.n_abandoned), (JobStatus::Error, 0));
    assert!(driver.record().ops[0].exec.is_some(), "it had its locks");
}

#[test]
fn a_call_whose_beginning_the_log_refuses_is_not_sent() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.run_until_call();
    driver.run_until_begun_refused("too large");
    driver.run();
    driver.check_ended();
    assert_eq!(driver.n_abandoned, 0);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.0u"]);
    assert!(!driver.world.sent.iter().any(|step| step.seq == 1));
}

impl Driver {
    /// The open call is done; the log refuses the beginning of the step after it.
    fn run_until_begun_refused(&mut self, text: &str) {
        self.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
        let begins = |fact: &crate::state::JobFact| {
            matches!(fact, crate::state::JobFact::StepBegan { seq: 1, .. })
        };
        self.run_until_commit(begins);
        self.feed(JobEvent::Committed(Err(Fault::new(FaultCode::WrongInput, text))));
    }
}

#[test]
fn a_unit_that_goes_on_for_ever_is_stopped_and_unwound() {
    let steps = [create(0)].into_iter().chain((0..STEPS_MAX).map(|_| wait()));
    let mut driver = Driver::of(steps);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.n_abandoned, 0);
    assert_eq!(driver.record().status(), JobStatus::Error);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.0u"]);
}

#[test]
fn an_answer_that_the_log_refuses_fails_the_opcode() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_commit(|fact| matches!(fact, crate::state::JobFact::OpEnded { .. }));
    driver.feed(JobEvent::Committed(Err(Fault::new(FaultCode::WrongInput, "too large"))));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.outcome().ops, [(JobStatus::Error, None, Some("too large".into()))]);
    assert!(driver.world.disks.is_empty(), "not taken back");
}

#[test]
fn a_placement_that_is_not_the_present_one_touches_nothing_more() {
    let mut driver = Driver::of([create(0)]);
    let commit = |effect: &JobEffect| matches!(effect, JobEffect::Commit(_));
    driver.run_until(commit);
    let effects = driver.effects_of(JobEvent::Committed(Err(stale())));
    assert_eq!(effects, [JobEffect::Abandon(stale())]);
    for late in [JobEvent::Committed(Ok(())), JobEvent::Cancel, JobEvent::Start] {
        assert_eq!(driver.effects_of(late), []);
    }
}

#[test]
fn a_node_that_knows_a_later_reign_ends_the_placement() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    let effects = driver.effects_of(JobEvent::CallEnded(CallEnd::Failed(stale())));
    assert_eq!(effects, [JobEffect::Abandon(stale())]);

    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    driver.crash();
    driver.run_until(|effect| matches!(effect, JobEffect::Install { .. }));
    let effects = driver.effects_of(JobEvent::Installed(Err(stale())));
    assert_eq!(effects, [JobEffect::Abandon(stale())]);
}

#[test]
fn a_job_that_is_placed_anew_while_its_old_actor_lives_is_done_once() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.run_until_call();
    // Another actor of the job: what the old one proposes from here is void.
    driver.log.apply(Command::Place { reign: driver.log.reign(), job: driver.job });
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.n_abandoned, 1);
    assert_eq!(driver.world.effects(Direction::Act), ["1.0.0", "1.0.1"]);
    assert_eq!(driver.record().status(), JobStatus::Success);
}

#[test]
fn a_job_that_ended_behind_its_back_gives_up_its_locks() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Gather(_)));
    driver.log.apply(driver.log.cancel_command(driver.job));
    assert!(!driver.table.is_empty());
    driver.feed(JobEvent::Gathered(Default::default()));
    driver.run();
    driver.check_ended();
    assert_eq!((driver.n_ended, driver.n_abandoned), (1, 0));
    assert!(driver.world.sent.is_empty());
}

#[test]
fn a_job_that_was_forgotten_gives_up_its_locks() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Commit(_)));
    let gone = || Fault::new(FaultCode::UnknownEntity, "job 1 does not exist");
    driver.effects_of(JobEvent::Committed(Err(gone())));
    let effects = driver.effects_of(JobEvent::Committed(Err(gone())));
    assert_eq!(effects, [JobEffect::Release, JobEffect::Ended]);
}

#[test]
fn jobs_beside_it_are_not_touched() {
    let mut driver = Driver::of([create(0)]);
    let other = driver.log.submit(NewJob { ..new_job(1) });
    driver.world.fails("1.0.0");
    driver.run();
    assert_eq!(other, JobId(2));
    assert!(driver.log.state.unfinished.contains(&other));
}

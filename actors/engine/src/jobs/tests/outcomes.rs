//! Calls whose fate is unknown, and answers that come too late.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::jobs::JobStatus;
use gantry_model::steps::Direction;

use super::super::{CallEnd, JobEffect, JobEvent, RETRY_MAX};
use super::driver::Driver;
use super::script::{create, give_log, wait, write};
use super::world::Way;

#[test]
fn a_call_whose_fate_is_unknown_is_asked_again_under_its_id() {
    for way in [Way::LostBefore, Way::LostAfter] {
        let mut driver = Driver::of([create(0)]);
        driver.world.goes("1.0.0", &[way; 3]);
        driver.run();
        driver.check_ended();
        let sent: Vec<String> = driver.world.sent.iter().map(ToString::to_string).collect();
        assert_eq!(sent, ["1.0.0"; 4], "{way:?}");
        assert_eq!(driver.world.executed.len(), 1);
        assert_eq!(driver.pauses_ms, [100, 200, 400]);
        assert_eq!(driver.record().status(), JobStatus::Success);
    }
}

#[test]
fn pauses_grow_up_to_a_limit() {
    let mut driver = Driver::of([write(0)]);
    driver.world.goes("1.0.0", &[Way::LostBefore; 9]);
    driver.run();
    assert_eq!(driver.pauses_ms, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    assert_eq!(RETRY_MAX.0, 5000);
}

#[test]
fn a_call_that_may_have_arrived_once_is_not_given_up_when_it_cannot_be_sent() {
    let mut driver = Driver::of([create(0)]);
    driver.world.goes("1.0.0", &[Way::LostAfter, Way::NotSent, Way::NotSent]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    assert_eq!(driver.world.executed.len(), 1);
}

#[test]
fn a_call_that_fails_after_its_answer_was_lost_is_taken_back() {
    let mut driver = Driver::of([create(0)]);
    driver.world.fails("1.0.0");
    driver.world.goes("1.0.0", &[Way::LostAfter]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.0u"]);
}

#[test]
fn people_are_told_why_a_job_waits() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    let fault = Fault::new(FaultCode::OutcomeUnknown, "connection lost");
    let effects = driver.effects_of(JobEvent::CallEnded(CallEnd::Unknown(fault)));
    assert_eq!(effects[0], JobEffect::Waits(Some("connection lost".into())));
    driver.effects_of(JobEvent::Elapsed);
    let done = JobEvent::CallEnded(CallEnd::Done(Default::default()));
    assert_eq!(driver.effects_of(done)[0], JobEffect::Waits(None));
}

#[test]
fn a_timer_does_not_end_a_call() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    assert_eq!(driver.effects_of(JobEvent::Elapsed), []);
    assert!(driver.machine.as_ref().expect("placed").steps()[0].result.is_none());
}

#[test]
fn an_answer_does_not_end_a_wait() {
    let mut driver = Driver::of([wait()]);
    driver.run_until(|effect| matches!(effect, JobEffect::Wait(_)));
    let done = JobEvent::CallEnded(CallEnd::Done(Default::default()));
    assert_eq!(driver.effects_of(done), []);
    assert!(!driver.effects_of(JobEvent::Elapsed).is_empty());
}

#[test]
fn a_job_that_waits_for_a_holder_says_so_and_goes_on_with_a_warning() {
    let mut driver = Driver::of([give_log(), create(0)]);
    let waits = JobEffect::Waits(Some("give the log to node 2".into()));
    driver.run_until(|effect| *effect == waits);
    driver.run_until(|effect| matches!(effect, JobEffect::AwaitHolder(_)));
    assert_eq!(driver.effects_of(JobEvent::Elapsed), [], "it ends with an answer");
    let fault = Fault::new(FaultCode::TempInsufficientResources, "it is off");
    driver.feed(JobEvent::CallEnded(CallEnd::Failed(fault)));
    driver.run_until(|effect| *effect == JobEffect::Waits(None));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    let lines: Vec<String> =
        driver.record().ops[0].log.iter().map(|line| line.text.clone()).collect();
    assert_eq!(lines[1], "give the log to node 2: it is off");
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut driver = Driver::of([create(0)]);
    driver.run_until_call();
    let before = driver.machine.clone();
    for late in [
        JobEvent::Start,
        JobEvent::Locks(Ok(Vec::new())),
        JobEvent::Committed(Ok(())),
        JobEvent::Installed(Ok(None)),
        JobEvent::Gathered(Default::default()),
        JobEvent::Wanted(Ok(Vec::new())),
        JobEvent::Replayed(Ok(())),
    ] {
        assert_eq!(driver.effects_of(late), []);
    }
    assert_eq!(driver.machine, before);
}

#[test]
fn a_step_that_may_fail_does_not_wait_for_ever_for_a_node_that_is_gone() {
    let mut may_fail = create(0);
    may_fail.may_fail = true;
    let mut driver = Driver::of([may_fail, create(1)]);
    driver.world.goes("1.0.0", &[Way::LostBefore; 20]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    assert_eq!(driver.world.sent.iter().filter(|step| step.seq == 0).count(), 7);
}

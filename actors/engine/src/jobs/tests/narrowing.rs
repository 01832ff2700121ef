//! Locks given up before the end, and steps that stay done.

use gantry_model::errors::FaultCode;
use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::jobs::JobStatus;
use gantry_model::locks::{LockChange, LockMode, LockName};
use gantry_model::steps::{Direction, Step};

use super::super::{CallEnd, JobEvent};
use super::driver::{Crash, Driver};
use super::script::{OpScript, add, create, mark, write};
use crate::locking::{LockEffect, LockEvent};
use crate::state::JobFact;
use crate::state::tests::sample::node_id;

const RIVAL: JobId = JobId(500);

fn node() -> LockName {
    LockName::node(node_id(2))
}

fn big() -> Vec<(LockName, LockMode)> {
    vec![(LockName::bgl(), LockMode::Shared)]
}

fn keeping(step: Step, keeps: Vec<(LockName, LockMode)>) -> Step {
    Step { keeps: Some(keeps), ..step }
}

/// A disk under the node's lock, another without it.
fn early() -> Vec<Step> {
    vec![create(0), keeping(create(1), big()), write(1)]
}

/// Another job asks for the lock of the node; whether it has it at once.
fn rival_gets(driver: &mut Driver, mode: LockMode) -> bool {
    let changes = vec![(node(), LockChange::Hold(mode))];
    let attempt = JobAttempt(1);
    let effects =
        driver.table.step(LockEvent::Acquire { job: RIVAL, attempt, priority: 0, changes });
    matches!(effects[..], [LockEffect::Granted { .. }])
}

fn rival_waits(driver: &Driver) -> bool {
    driver.table.is_waiting(RIVAL)
}

// covers: L41 L76
#[test]
fn another_job_gets_a_lock_when_the_log_has_that_it_is_given_up() {
    let mut driver = Driver::of(early());
    driver.run_until_call();
    assert!(!rival_gets(&mut driver, LockMode::Exclusive));
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    let began = |fact: &JobFact| matches!(fact, JobFact::StepBegan { seq: 1, .. });
    let facts = driver.run_until_commit(began);
    assert!(facts.contains(&JobFact::Locks(big())), "with the beginning of the step: {facts:?}");
    assert!(rival_waits(&driver), "given up before the log knows");
    let applied = driver.log.apply(driver.log.job_command(driver.job, facts));
    assert_eq!(applied, crate::state::Applied::Done);
    assert!(rival_waits(&driver));
    driver.feed(JobEvent::Committed(Ok(())));
    driver.run_until_call();
    assert!(!rival_waits(&driver), "not given up before the step acts");
    assert_eq!(driver.record().status(), JobStatus::Running);
}

// covers: L15 L76
#[test]
fn a_lock_may_be_shared_from_a_step_on() {
    let shared = vec![(LockName::bgl(), LockMode::Shared), (node(), LockMode::Shared)];
    let mut driver = Driver::of([create(0), keeping(create(1), shared.clone()), write(1)]);
    driver.run_until_call();
    assert!(!rival_gets(&mut driver, LockMode::Shared));
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run_until_call();
    assert!(!rival_waits(&driver));
    assert_eq!(driver.log.state.locks.get(&driver.job).map(|held| held.to_vec()), Some(shared));
    // A step that says the same again changes nothing.
    let _effects = driver.table.step(LockEvent::Release { job: RIVAL });
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    driver.check_ended();
}

#[test]
fn with_a_crash_at_any_point_the_same_locks_are_held_and_the_same_is_done() {
    let count = {
        let mut driver = Driver::of(early());
        driver.run();
        driver.check_ended();
        driver.n_effects
    };
    for at in 0..count {
        for crash in [Crash::Before, Crash::After] {
            let mut driver = Driver::of(early());
            driver.crashes.insert(at, crash);
            // The driver compares the table with the log at every call.
            driver.run();
            driver.check_ended();
            assert_eq!(driver.record().status(), JobStatus::Success, "{crash:?} {at}");
            assert_eq!(driver.world.disks, [0, 1].into(), "{crash:?} {at}");
        }
    }
}

#[test]
fn what_was_done_under_a_lock_is_taken_back_without_it() {
    let mut driver = Driver::of(early());
    driver.world.fails("1.0.2");
    driver.run_until_call();
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run_until_call();
    assert!(rival_gets(&mut driver, LockMode::Exclusive));
    driver.feed(JobEvent::CallEnded(CallEnd::Done(Default::default())));
    driver.run();
    assert_eq!(driver.record().status(), JobStatus::Error);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.1u", "1.0.0u"]);
    let _effects = driver.table.step(LockEvent::Release { job: RIVAL });
    driver.check_ended();
}

#[test]
fn a_step_cannot_keep_what_is_not_held() {
    for keeps in [
        vec![(LockName::node(node_id(3)), LockMode::Shared)],
        vec![(LockName::bgl(), LockMode::Exclusive)],
    ] {
        let mut driver = Driver::of([create(0), keeping(create(1), keeps)]);
        driver.run();
        driver.check_ended();
        let fault = driver.record().ops[0].fault.clone().expect("it failed");
        assert_eq!(fault.code, FaultCode::InternalError);
        assert!(fault.message.contains("which it does not hold"), "{fault}");
        assert_eq!(driver.world.disks, [].into());
    }
}

#[test]
fn a_step_that_the_log_refuses_gives_up_nothing() {
    // Instance 1 has serial 1 after it was added.
    let mut driver = Driver::of([create(0), add(1), keeping(mark(1, 9), big())]);
    driver.run_until(|effect| {
        matches!(effect, super::super::JobEffect::Call { step, .. }
        if step.direction == Direction::Undo)
    });
    assert!(!rival_gets(&mut driver, LockMode::Exclusive), "the log has it held");
    let held = driver.log.state.locks.get(&driver.job).map(|held| held.len());
    assert_eq!(held, Some(2));
}

// covers: I1
#[test]
fn what_is_settled_is_not_taken_back() {
    let steps = || {
        let settled = Step { settles: true, ..add(1) };
        vec![create(0), settled, create(1), write(1)]
    };
    let mut driver = Driver::of(steps());
    driver.world.fails("1.0.3");
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Error);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.2u"]);
    assert_eq!(driver.world.disks, [0].into());
    assert_eq!(driver.log.state.instances.len(), 1);
    let mut before = Driver::of(steps());
    before.world.fails("1.0.0");
    before.run();
    before.check_ended();
    assert_eq!(before.world.effects(Direction::Undo), ["1.0.0u"]);
}

#[test]
fn a_call_settles_only_when_it_is_done() {
    let settled = Step { settles: true, ..create(1) };
    let mut driver = Driver::new(vec![OpScript::new([create(0), settled])]);
    driver.world.fails("1.0.1");
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.1u", "1.0.0u"]);
}

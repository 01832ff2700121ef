//! Changes of the configuration, and what follows them, in one entry.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::jobs::JobStatus;
use gantry_model::locks::{LockMode, LockName};
use gantry_model::steps::{Direction, Step};

use super::super::join::JOINED_MAX;
use super::super::{JobEffect, JobEvent};
use super::driver::Driver;
use super::script::{add, create, mark, write};
use crate::state::JobFact;
use crate::state::tests::sample::node_id;

/// The steps that began in each entry of the job, in order.
fn begun(driver: &Driver) -> Vec<Vec<u32>> {
    let entries = driver.entries();
    let begun = entries.iter().map(|facts| {
        let seqs = facts.iter().filter_map(|fact| match fact {
            JobFact::StepBegan { seq, .. } => Some(*seq),
            _ => None,
        });
        seqs.collect::<Vec<_>>()
    });
    begun.filter(|seqs| !seqs.is_empty()).collect()
}

#[test]
fn changes_and_the_call_after_them_begin_in_one_entry() {
    let mut driver = Driver::of([create(0), add(1), mark(1, 1), write(0), mark(1, 2)]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    assert_eq!(begun(&driver), [vec![0], vec![1, 2, 3], vec![4]]);
    let last = driver.entries().pop().expect("an entry");
    assert!(matches!(last[..], [.., JobFact::OpEnded { .. }, JobFact::Locks(_)]), "{last:?}");
}

#[test]
fn a_call_waits_for_the_entry_of_the_changes_before_it() {
    let mut driver = Driver::of([add(1), create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Commit(_)));
    assert!(driver.log.state.instances.is_empty() && driver.world.sent.is_empty());
}

#[test]
fn more_changes_than_one_entry_may_have_are_several() {
    let marks = (1..=JOINED_MAX as u64 + 1).map(|serial| mark(1, serial));
    let mut driver = Driver::of([add(1)].into_iter().chain(marks));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    let sizes: Vec<usize> = begun(&driver).iter().map(Vec::len).collect();
    assert_eq!(sizes, [JOINED_MAX, 2]);
}

#[test]
fn of_changes_refused_together_those_before_the_guilty_one_are_done_and_taken_back() {
    let mut driver = Driver::of([add(1), add(2), mark(1, 99), create(0)]);
    driver.run();
    driver.check_ended();
    let undone = driver.entries().into_iter().flatten().filter_map(|fact| match fact {
        JobFact::UndoEnded { seq, .. } => Some(seq),
        _ => None,
    });
    assert_eq!(undone.collect::<Vec<_>>(), [1, 0]);
    assert!(driver.log.state.instances.is_empty() && driver.world.sent.is_empty());
    assert_eq!(driver.n_abandoned, 0);
    assert_eq!(driver.said(), ["* add instance 1", "* add instance 2", "* mark instance 1"]);
}

#[test]
fn an_end_refused_with_its_changes_is_tried_apart() {
    let mut driver = Driver::of([create(0), add(1)]);
    driver.run_until_commit(|fact| matches!(fact, JobFact::OpEnded { .. }));
    driver.feed(JobEvent::Committed(Err(Fault::new(FaultCode::WrongInput, "too large"))));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    assert_eq!(begun(&driver), [vec![0], vec![1]]);
    assert_eq!(driver.log.state.instances.len(), 1);
}

#[test]
fn a_unit_that_gives_up_after_a_change_takes_it_back() {
    let mut driver = Driver::of([add(1), create(0)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Decide { .. }));
    let add = Box::new(add(1));
    driver.feed(JobEvent::Next(Ok(super::super::Next::Step(add))));
    driver.run_until(|effect| matches!(effect, JobEffect::Decide { .. }));
    driver.feed(JobEvent::Next(Err(Fault::new(FaultCode::InternalError, "cannot go on"))));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Error);
    assert!(driver.log.state.instances.is_empty() && driver.world.sent.is_empty());
    assert_eq!(driver.n_abandoned, 0);
}

#[test]
fn a_failure_refused_with_its_changes_ends_all_the_same() {
    // The log refuses the change, and with it that the opcode unwinds.
    let mut driver = Driver::of([create(0), add(1), mark(1, 99)]);
    driver.run_until(|effect| matches!(effect, JobEffect::Decide { .. }));
    driver.feed(JobEvent::Next(Ok(super::super::Next::Step(Box::new(create(0))))));
    driver.run_until_call();
    driver.feed(JobEvent::CallEnded(super::super::CallEnd::Done(Default::default())));
    driver.run_until(|effect| matches!(effect, JobEffect::Decide { .. }));
    driver.feed(JobEvent::Next(Ok(super::super::Next::Step(Box::new(mark(1, 99))))));
    driver.run_until(|effect| matches!(effect, JobEffect::Decide { .. }));
    driver.feed(JobEvent::Next(Err(Fault::new(FaultCode::InternalError, "cannot go on"))));
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Error);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.0u"]);
    assert_eq!(driver.n_abandoned, 0);
}

#[test]
fn locks_are_given_up_step_by_step_within_an_entry() {
    let shared = vec![(LockName::bgl(), LockMode::Shared), lock(LockMode::Shared)];
    let less = vec![(LockName::bgl(), LockMode::Shared)];
    let keeping = |step, keeps| Step { keeps: Some(keeps), ..step };
    let again = keeping(mark(1, 2), shared.clone());
    let steps = [keeping(add(1), shared), keeping(mark(1, 1), less.clone()), create(0)];
    let mut driver = Driver::of(steps.clone());
    driver.run_until_call();
    assert_eq!(driver.log.state.locks.get(&driver.job).map(|held| held.to_vec()), Some(less));
    // What an earlier step of the entry has given up cannot be kept by a later one.
    let [first, second, _] = steps;
    let mut driver = Driver::of([first, second, again]);
    driver.run();
    driver.check_ended();
    let fault = driver.record().ops[0].fault.clone().expect("it failed");
    assert!(fault.message.contains("which it does not hold"), "{fault}");
}

fn lock(mode: LockMode) -> (LockName, LockMode) {
    (LockName::node(node_id(2)), mode)
}

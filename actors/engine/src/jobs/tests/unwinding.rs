//! Taking back.

use gantry_model::errors::FaultCode;
use gantry_model::jobs::{JobStatus, LogKind};
use gantry_model::steps::{Act, Direction, StepResult};

use super::driver::Driver;
use super::script::{OpScript, add, create, mark_act, wait, write};
use super::world::Way;
use crate::state::JobFact;

fn undone(driver: &Driver) -> Vec<(u32, bool)> {
    let facts = driver.facts().into_iter().filter_map(|fact| match fact {
        JobFact::UndoEnded { seq, result, .. } => {
            Some((seq, matches!(result, StepResult::Done(_))))
        }
        _ => None,
    });
    facts.collect()
}

#[test]
fn a_failure_at_each_step_takes_back_what_is_owed_last_first() {
    // The calls of the script, and what is owed when each of them fails: 3 is a change.
    let cases: [(u32, &[u32]); 4] = [(0, &[0]), (1, &[1, 0]), (2, &[1, 0]), (6, &[6, 3, 1, 0])];
    for (seq, owed) in cases {
        let mut driver = Driver::new(vec![OpScript::every_kind()]);
        driver.world.fails(&format!("1.0.{seq}"));
        driver.run();
        driver.check_ended();
        let expected: Vec<(u32, bool)> = owed.iter().map(|seq| (*seq, true)).collect();
        assert_eq!(undone(&driver), expected, "after step {seq}");
        let calls = owed.iter().filter(|seq| **seq != 3).map(|seq| format!("1.0.{seq}u"));
        assert_eq!(driver.world.effects(Direction::Undo), calls.collect::<Vec<_>>());
        assert!(driver.world.disks.is_empty());
        assert!(driver.log.state.instances.is_empty());
        let fault = Some("disk full".to_owned());
        assert_eq!(driver.outcome().ops, [(JobStatus::Error, None, fault)]);
    }
}

#[test]
fn an_undo_that_fails_is_said_and_the_others_go_on() {
    for failing in [0, 1, 6] {
        let mut driver = Driver::new(vec![OpScript::every_kind()]);
        driver.world.fails("1.0.6");
        driver.world.fails(&format!("1.0.{failing}u"));
        driver.run();
        driver.check_ended();
        let expected = [6, 3, 1, 0].map(|seq| (seq, seq != failing));
        assert_eq!(undone(&driver), expected);
        let index = if failing == 6 { 2 } else { failing };
        let warning = format!("could not take back 'create disk {index}': disk full");
        let lines = driver.record().ops[0].log.iter();
        let warnings: Vec<_> = lines.filter(|line| line.kind == LogKind::Warning).collect();
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].text, warning);
        assert_eq!(driver.outcome().ops[0].2.as_deref(), Some("disk full"), "the first cause");
    }
}

#[test]
fn a_change_that_cannot_be_taken_back_is_said_and_the_others_go_on() {
    let mut unwell = add(1);
    // Refused by the log: there is no such instance.
    unwell.undo = Some(mark_act(9, None));
    let mut driver = Driver::of([create(0), unwell, create(1)]);
    driver.world.fails("1.0.2");
    driver.run();
    driver.check_ended();
    assert_eq!(driver.n_abandoned, 0);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.2u", "1.0.0u"]);
    let said = driver.said();
    let warning = said.iter().find(|line| line.starts_with("could not take back 'add instance 1'"));
    assert!(warning.is_some_and(|line| line.ends_with("does not exist")), "{said:?}");
}

#[test]
fn what_may_fail_becomes_a_warning() {
    let mut may_fail = create(0);
    may_fail.may_fail = true;
    let mut driver = Driver::of([may_fail, create(1)]);
    driver.world.fails("1.0.0");
    driver.run();
    driver.check_ended();
    assert_eq!(driver.record().status(), JobStatus::Success);
    assert!(driver.said().contains(&"create disk 0: disk full".to_owned()));
    assert!(driver.world.effects(Direction::Undo).is_empty());
}

#[test]
fn what_may_fail_is_taken_back_when_a_later_step_fails() {
    let mut may_fail = create(0);
    may_fail.may_fail = true;
    let mut driver = Driver::of([may_fail, create(1)]);
    driver.world.fails("1.0.0");
    driver.world.fails("1.0.1");
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.1u", "1.0.0u"]);
}

#[test]
fn nothing_is_unwound_where_nothing_is_owed() {
    let mut driver = Driver::of([wait(), write(0)]);
    driver.world.fails("1.0.1");
    driver.run();
    driver.check_ended();
    assert!(!driver.facts().iter().any(|fact| matches!(fact, JobFact::Unwinding { .. })));
    assert_eq!(driver.record().status(), JobStatus::Error);
}

#[test]
fn a_call_that_never_left_is_not_taken_back() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.world.goes("1.0.1", &[Way::NotSent]);
    driver.run();
    driver.check_ended();
    assert_eq!(driver.world.sent.len(), 3, "one retry too many: {:?}", driver.world.sent);
    assert_eq!(driver.world.effects(Direction::Undo), ["1.0.0u"]);
    assert_eq!(driver.outcome().ops[0].2.as_deref(), Some("not connected"));
}

#[test]
fn a_first_call_that_never_left_leaves_nothing_to_do() {
    let mut driver = Driver::of([create(0)]);
    driver.world.goes("1.0.0", &[Way::NotSent]);
    driver.run();
    driver.check_ended();
    assert!(driver.world.executed.is_empty());
    assert_eq!(driver.world.sent.len(), 1);
}

#[test]
fn an_undo_that_never_left_is_sent_until_it_does() {
    let mut driver = Driver::of([create(0), create(1)]);
    driver.world.fails("1.0.1");
    driver.world.goes("1.0.0u", &[Way::NotSent, Way::NotSent, Way::LostBefore, Way::NotSent]);
    driver.run();
    driver.check_ended();
    assert!(driver.world.disks.is_empty());
    assert_eq!(driver.pauses_ms, [100, 200, 400, 800]);
}

#[test]
fn the_undo_of_a_wait_is_none() {
    let mut odd = wait();
    odd.undo = Some(Act::Wait { duration: gantry_model::units::Millis(3) });
    let mut driver = Driver::of([odd, write(0)]);
    driver.world.fails("1.0.1");
    driver.run();
    driver.check_ended();
    assert_eq!(undone(&driver), [(0, true)]);
}

#[test]
fn the_cause_keeps_its_code() {
    let mut driver = Driver::of([create(0)]);
    driver.world.fails("1.0.0");
    driver.run();
    let fault = driver.record().ops[0].fault.clone().expect("failed");
    assert_eq!(fault.code, FaultCode::EnvironmentError);
}

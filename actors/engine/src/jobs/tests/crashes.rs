//! The leader crashes before and after every single effect: nothing is lost, nothing is done twice.

use super::driver::{Crash, Driver, Outcome};
use super::script::{OpScript, add, create, mark, write};
use super::world::Way;

struct Story {
    name: &'static str,
    ops: Vec<OpScript>,
    fails: &'static [&'static str],
    goes: &'static [(&'static str, &'static [Way])],
}

/// Jobs whose outcome does not depend on when the leader crashes.
fn stories() -> Vec<Story> {
    let story = |name, ops| Story { name, ops, fails: &[], goes: &[] };
    vec![
        story("success", vec![OpScript::every_kind()]),
        story("refused by the check", vec![OpScript::refused("no")]),
        story("refused by the log", vec![OpScript::new([create(0), add(1), mark(1, 99)])]),
        story(
            "refused with what goes before it",
            vec![OpScript::new([add(1), mark(1, 1), mark(1, 99), create(0)])],
        ),
        story("nothing to do", vec![OpScript::new([]), OpScript::new([])]),
        story(
            "several opcodes",
            vec![OpScript::new([create(0), add(1)]), OpScript::new([mark(1, 1), write(0)])],
        ),
        Story {
            fails: &["1.0.6"],
            ..story("the last step fails", vec![OpScript::every_kind(), OpScript::new([])])
        },
        Story {
            fails: &["1.0.6", "1.0.1u"],
            ..story("an undo fails too", vec![OpScript::every_kind()])
        },
        Story {
            fails: &["1.1.1"],
            ..story(
                "the second opcode fails",
                vec![OpScript::new([create(0)]), OpScript::new([create(1), write(1)])],
            )
        },
        Story {
            goes: &[("1.0.0", &[Way::LostAfter, Way::LostBefore])],
            ..story("answers are lost", vec![OpScript::new([create(0), write(0)])])
        },
    ]
}

fn play(story: &Story, crashes: &[(usize, Crash)]) -> (Outcome, usize) {
    let mut driver = Driver::new(story.ops.clone());
    for step in story.fails {
        driver.world.fails(step);
    }
    for (step, ways) in story.goes {
        driver.world.goes(step, ways);
    }
    driver.crashes = crashes.iter().copied().collect();
    driver.run();
    driver.check_ended();
    assert_eq!(driver.n_abandoned, 0, "{}", story.name);
    (driver.outcome(), driver.n_effects)
}

#[test]
fn a_crash_before_or_after_any_effect_changes_nothing() {
    for story in stories() {
        let (expected, n_effects) = play(&story, &[]);
        for at in 0..n_effects {
            for crash in [Crash::Before, Crash::After] {
                let (outcome, _) = play(&story, &[(at, crash)]);
                assert_eq!(outcome, expected, "{}: {crash:?} effect {at}", story.name);
            }
        }
    }
}

#[test]
fn a_second_crash_while_the_first_is_being_recovered_changes_nothing() {
    for story in stories() {
        let (expected, n_effects) = play(&story, &[]);
        for first in 0..n_effects {
            for gap in 1..6 {
                let crashes = [(first, Crash::After), (first + gap, Crash::After)];
                let (outcome, _) = play(&story, &crashes);
                assert_eq!(outcome, expected, "{}: after {first} and {gap} on", story.name);
            }
        }
    }
}

#[test]
fn leaders_that_crash_one_after_the_other_change_nothing() {
    for story in stories() {
        let (expected, n_effects) = play(&story, &[]);
        // Far enough to be through in the end.
        let crashes: Vec<_> = (0..n_effects).map(|at| (at * 9, Crash::After)).collect();
        assert_eq!(play(&story, &crashes).0, expected, "{}", story.name);
    }
}

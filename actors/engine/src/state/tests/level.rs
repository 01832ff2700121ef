//! The level of the state: what it permits, and how it rises.

use std::collections::BTreeMap;

use gantry_model::errors::FaultCode;
use gantry_model::ids::{NodeUuid, ReignId, Revision};
use gantry_model::levels::Levels;
use gantry_model::units::Timestamp;

use super::sample::{Log, cluster, group, new_job, node, node_id};
use crate::state::level::{LevelDecision, next};
use crate::state::{
    Applied, ClusterState, Command, Entry, InitCluster, Rule, STATE_LEVEL, STATE_LEVELS,
};

fn raise(log: &Log, to: u32) -> Command {
    Command::RaiseLevel { reign: log.reign(), to }
}

fn at_level(level: u32) -> Log {
    let mut log = Log::new();
    log.state.level = level;
    log
}

/// One command of every rule that is one of commands.
fn commands(log: &Log) -> Vec<(Rule, Command)> {
    let reign = log.reign();
    vec![
        (Rule::JobsTouched, log.priority_command(gantry_model::ids::JobId(1), 3)),
        (Rule::History, Command::Archive { reign, jobs: Vec::new() }),
        (Rule::Transitions, Command::Transitions { reign, seen: Vec::new() }),
    ]
}

#[test]
fn the_level_rises_one_at_a_time() {
    let mut log = at_level(2);
    assert_eq!(log.apply(raise(&log, 3)), Applied::Done);
    assert_eq!(log.state.level, 3);
    for to in [0, 2, 3, 5] {
        assert_eq!(log.refused(raise(&log, to)).code, FaultCode::WrongState, "to {to}");
    }
}

#[test]
fn a_leader_that_was_replaced_raises_nothing() {
    let mut log = at_level(2);
    let command = raise(&log, 3);
    log.take_over();
    assert_eq!(log.refused(command).code, FaultCode::StaleToken);
}

#[test]
fn a_level_does_not_rise_before_there_is_a_cluster() {
    let mut log = Log::default();
    let fault = log.refused(Command::RaiseLevel { reign: ReignId(0), to: 1 });
    assert_eq!(fault.message, "there is no cluster");
}

#[test]
fn what_belongs_to_a_later_level_is_refused_and_says_who_is_to_be_upgraded() {
    for (rule, command) in commands(&Log::new()) {
        assert_eq!(command.level(), rule.level(), "{rule:?}");
        let mut log = at_level(rule.level() - 1);
        let refused = log.state.check_level(&command).expect_err("too early");
        assert_eq!((refused.needs, refused.level), (rule.level(), rule.level() - 1));
        let fault = log.refused(command.clone());
        assert_eq!(fault.code, FaultCode::WrongState);
        assert!(fault.message.contains("every holder of the log"), "{}", fault.message);
        log.state.level = rule.level();
        assert_eq!(log.state.check_level(&command), Ok(()), "{rule:?}");
    }
}

#[test]
fn no_rule_is_of_a_level_that_this_program_does_not_know() {
    assert!(Rule::ALL.iter().all(|rule| STATE_LEVELS.knows(rule.level())));
    assert!(Rule::ALL.is_sorted_by_key(|rule| rule.level()));
}

#[test]
fn what_has_always_been_there_belongs_to_every_level() {
    let mut log = at_level(1);
    let job = log.submit(new_job(1));
    assert_eq!(log.apply(log.cancel_command(job)), Applied::Done);
}

#[test]
fn replicas_of_different_programs_begin_at_the_level_of_the_first_entry() {
    for level in [1, 3, STATE_LEVEL, STATE_LEVEL + 7] {
        let init = InitCluster { cluster: cluster(), group: group(), node: node(1), level };
        let entry = Entry { at: Timestamp(1), command: Command::Init(Box::new(init)) };
        let mut state = ClusterState::default();
        assert_eq!(state.apply(Revision(1), &entry), Applied::Done);
        assert_eq!(state.level, level, "whatever this program knows");
    }
}

#[test]
fn a_first_entry_that_does_not_say_its_level_is_of_level_4() {
    let init =
        InitCluster { cluster: cluster(), group: group(), node: node(1), level: STATE_LEVEL };
    let mut json = serde_json::to_value(&init).expect("encodes");
    json.as_object_mut().expect("an object").remove("level");
    let init: InitCluster = serde_json::from_value(json).expect("decodes");
    assert_eq!(init.level, 4);
}

fn known(answers: &[(u8, Option<(u32, u32)>)]) -> BTreeMap<NodeUuid, Option<Levels>> {
    let levels = |(lowest, newest)| Levels { lowest, newest };
    answers.iter().map(|(node, answer)| (node_id(*node), answer.map(levels))).collect()
}

#[test]
fn the_level_rises_only_when_everybody_knows_the_next_one() {
    let new = Some((1, 6));
    let all_new = known(&[(1, new), (2, new), (3, new)]);
    assert_eq!(next(4, &all_new), LevelDecision::Raise { to: 5 });
    assert_eq!(next(6, &all_new), LevelDecision::Newest);
    let one_old = known(&[(1, new), (2, Some((1, 4))), (3, new)]);
    let by = vec![node_id(2)];
    assert_eq!(next(4, &one_old), LevelDecision::Held { newest: 6, by: by.clone() });
    assert_eq!(next(3, &one_old), LevelDecision::Raise { to: 4 }, "what all know is reached");
    let one_silent = known(&[(1, new), (2, None), (3, new)]);
    assert_eq!(next(4, &one_silent), LevelDecision::Held { newest: 6, by });
}

#[test]
fn nobody_is_blamed_while_nobody_knows_more() {
    assert_eq!(next(4, &known(&[(1, Some((1, 4))), (2, None)])), LevelDecision::Newest);
}

#[test]
fn a_program_that_does_not_know_the_next_level_any_more_holds_it_back() {
    let skips = known(&[(1, Some((5, 9)))]);
    assert_eq!(next(2, &skips), LevelDecision::Held { newest: 9, by: vec![node_id(1)] });
}

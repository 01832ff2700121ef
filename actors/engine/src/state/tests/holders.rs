//! Who is to hold the log, step by step.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::deltas::ConfigDelta;
use gantry_model::ids::{KeyGeneration, NodeUuid};
use gantry_model::messages::LogHeld;
use gantry_model::objects::{Node, NodeChange, NodeRole};
use proptest::prelude::*;

use super::sample::{Log, node, node_id};
use crate::state::{HolderStep, HolderWishes, Membership, VOTERS_MAX};

const LEADER: u8 = 1;

/// So many candidates; the first one leads.
fn candidates(n_nodes: u8) -> Log {
    let mut log = Log::new();
    // Those that every log of these tests begins with are no candidates.
    let first = [2, 3].map(|number| ConfigDelta::NodeRemove { node: node_id(number) });
    log.config(first.to_vec());
    for number in 2..=n_nodes {
        let node = Node { master_candidate: true, ..node(number) };
        log.config(vec![ConfigDelta::NodeAdd(Box::new(node))]);
    }
    log
}

fn ids(numbers: &[u8]) -> BTreeSet<NodeUuid> {
    numbers.iter().copied().map(node_id).collect()
}

fn members(voters: &[u8], learners: &[u8]) -> Membership {
    Membership { voters: ids(voters), learners: ids(learners), is_joint: false }
}

fn leaving(numbers: &[u8]) -> HolderWishes {
    HolderWishes { leaving: ids(numbers), next: None }
}

fn ready() -> LogHeld {
    LogHeld { holds: true, key: Some(KeyGeneration(0)) }
}

/// All these hold the log and have the key.
fn said(numbers: &[u8]) -> BTreeMap<NodeUuid, LogHeld> {
    numbers.iter().map(|number| (node_id(*number), ready())).collect()
}

fn next(log: &Log, members: &Membership, said: &BTreeMap<NodeUuid, LogHeld>) -> Option<HolderStep> {
    log.state.next_holder_step(node_id(LEADER), &HolderWishes::default(), members, said)
}

/// Steps until there is nothing to do, all of which succeed.
fn settle(log: &Log, wishes: &HolderWishes, mut members: Membership) -> Membership {
    let said: BTreeMap<_, _> = log.state.nodes.keys().map(|node| (*node, ready())).collect();
    for _ in 0..100 {
        let step = log.state.next_holder_step(node_id(LEADER), wishes, &members, &said);
        let Some(step) = step else { return members };
        match step {
            HolderStep::Add(node) => {
                assert!(!members.voters.contains(&node) && members.learners.insert(node));
            }
            HolderStep::Vote(voters) => {
                let all: BTreeSet<_> = members.voters.union(&members.learners).copied().collect();
                assert!(voters.is_subset(&all), "who does not hold the log cannot vote");
                assert!(voters.len() % 2 == 1 && voters.contains(&node_id(LEADER)));
                let learners = all.difference(&voters).copied().collect();
                members = Membership { voters, learners, is_joint: false };
            }
            HolderStep::Remove(node) => assert!(members.learners.remove(&node)),
            HolderStep::HandOver(node) => panic!("nobody wants {node} to lead"),
        }
    }
    panic!("it never settles");
}

// covers: P30 P32
#[test]
fn a_candidate_holds_the_log_first_and_votes_then() {
    let log = candidates(3);
    let alone = members(&[1], &[]);
    assert_eq!(next(&log, &alone, &said(&[])), None, "nobody is ready");
    assert_eq!(next(&log, &alone, &said(&[2])), Some(HolderStep::Add(node_id(2))));
    assert_eq!(next(&log, &members(&[1], &[2]), &said(&[2])), None, "two votes are no gain");
    let three = members(&[1], &[2, 3]);
    assert_eq!(next(&log, &three, &said(&[2, 3])), Some(HolderStep::Vote(ids(&[1, 2, 3]))));
}

#[test]
fn who_has_no_key_does_not_vote() {
    let log = candidates(3);
    let mut said = said(&[2, 3]);
    said.insert(node_id(3), LogHeld { holds: true, key: None });
    assert_eq!(next(&log, &members(&[1], &[2, 3]), &said), None);
}

#[test]
fn a_voter_that_does_not_answer_stays_one() {
    let log = candidates(3);
    assert_eq!(next(&log, &members(&[1, 2, 3], &[]), &said(&[2])), None);
}

#[test]
fn a_change_that_was_begun_is_ended() {
    let log = candidates(3);
    let joint = Membership { is_joint: true, ..members(&[1, 2, 3], &[]) };
    assert_eq!(next(&log, &joint, &said(&[])), Some(HolderStep::Vote(ids(&[1, 2, 3]))));
}

// covers: P33
#[test]
fn who_leaves_loses_the_vote_then_the_log() {
    let log = candidates(3);
    let (all, wishes) = (members(&[1, 2, 3], &[]), leaving(&[3]));
    let step = |members: &Membership| {
        log.state.next_holder_step(node_id(LEADER), &wishes, members, &said(&[2, 3]))
    };
    assert_eq!(step(&all), Some(HolderStep::Vote(ids(&[1]))));
    assert_eq!(step(&members(&[1], &[2, 3])), Some(HolderStep::Remove(node_id(3))));
    assert_eq!(step(&members(&[1], &[2])), None);
}

/// What is next when this node is to lead.
fn handing(log: &Log, to: u8, members: &Membership, said: &[u8]) -> Option<HolderStep> {
    let wishes = HolderWishes { next: Some(node_id(to)), ..HolderWishes::default() };
    log.state.next_holder_step(node_id(LEADER), &wishes, members, &self::said(said))
}

// covers: C13 P34
#[test]
fn who_is_to_lead_votes_first() {
    let log = candidates(2);
    let one = members(&[1], &[2]);
    assert_eq!(handing(&log, 2, &one, &[]), None, "whether it has the key is not known");
    assert_eq!(handing(&log, 2, &one, &[2]), Some(HolderStep::Vote(ids(&[1, 2]))));
    let two = members(&[1, 2], &[]);
    assert_eq!(handing(&log, 2, &two, &[2]), Some(HolderStep::HandOver(node_id(2))));
    assert_eq!(next(&log, &two, &said(&[2])), Some(HolderStep::Vote(ids(&[1]))), "nobody asks");
}

// covers: C13 P34
#[test]
fn who_is_no_candidate_never_leads_next() {
    let log = candidates(3);
    let all = members(&[1, 2, 3], &[]);
    assert_eq!(handing(&log, 7, &all, &[2, 3]), None);
    assert_eq!(handing(&log, 1, &all, &[2, 3]), None, "it leads already");
}

// covers: P34
#[test]
fn a_leader_that_is_no_candidate_hands_over_to_one_that_answers() {
    let mut log = candidates(4);
    let change = Box::new(NodeChange::role(NodeRole::Drained));
    log.config(vec![ConfigDelta::NodeChange { node: node_id(2), expected: None, change }]);
    let step = |members: &Membership, answer: &[u8]| {
        let wishes = HolderWishes::default();
        log.state.next_holder_step(node_id(2), &wishes, members, &said(answer))
    };
    let three = members(&[1, 2, 3], &[4]);
    assert_eq!(step(&three, &[]), None);
    assert_eq!(step(&three, &[3, 4]), Some(HolderStep::HandOver(node_id(3))));
}

proptest! {
    #[test]
    fn it_settles_from_anywhere(
        n_nodes in 1_u8..12,
        voters in proptest::collection::btree_set(1_u8..14, 0..7),
        learners in proptest::collection::btree_set(1_u8..14, 0..7),
        leaves in proptest::collection::btree_set(2_u8..12, 0..4),
    ) {
        let log = candidates(n_nodes);
        let voters: Vec<u8> = voters.into_iter().chain([LEADER]).collect();
        let learners: Vec<u8> = learners.into_iter().filter(|n| !voters.contains(n)).collect();
        let wishes = leaving(&leaves.into_iter().collect::<Vec<_>>());
        let settled = settle(&log, &wishes, members(&voters, &learners));
        let held: BTreeSet<_> = settled.voters.union(&settled.learners).copied().collect();
        prop_assert_eq!(&held, &log.state.wanted_holders(node_id(LEADER), &wishes));
        let most = held.len().min(VOTERS_MAX);
        prop_assert_eq!(settled.voters.len(), if most % 2 == 0 { most - 1 } else { most });
    }
}

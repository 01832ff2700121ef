//! What is true of any job, whatever fails and whenever the leader crashes.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::jobs::JobStatus;
use gantry_model::locks::{LockMode, LockName};
use gantry_model::steps::{Act, Direction, Step};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::driver::{Crash, Driver};
use super::script::{OpScript, add, create, mark, mark_act, wait, write};
use super::world::Way;

const CASES: u32 = 1_500;
const OPS_MAX: usize = 3;
const STEPS_MAX: usize = 5;

/// A step before it is known in which opcode and where it stands.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Create,
    Write,
    Add,
    /// Adds an instance, and its undo will be refused.
    AddForGood,
    /// Refused, unless an instance was added just before.
    Mark,
    Wait,
}

#[derive(Clone, Debug)]
struct Plot {
    ops: Vec<(bool, Vec<(Kind, bool)>)>,
    fails: BTreeSet<(usize, usize, bool)>,
    goes: BTreeMap<(usize, usize, bool), Vec<Way>>,
    crashes: BTreeMap<usize, Crash>,
    cancels: BTreeSet<usize>,
    diverges: bool,
    deaf: u32,
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        5 => Just(Kind::Create),
        2 => Just(Kind::Write),
        2 => Just(Kind::Add),
        1 => Just(Kind::AddForGood),
        1 => Just(Kind::Mark),
        1 => Just(Kind::Wait),
    ]
}

fn any_step_name() -> impl Strategy<Value = (usize, usize, bool)> {
    (0..OPS_MAX, 0..STEPS_MAX, any::<bool>())
}

fn any_plot() -> impl Strategy<Value = Plot> {
    let way = prop_oneof![Just(Way::NotSent), Just(Way::LostBefore), Just(Way::LostAfter)];
    let crash = prop_oneof![Just(Crash::Before), Just(Crash::After)];
    let step = (any_kind(), prop::bool::weighted(0.1));
    let op = (prop::bool::weighted(0.05), vec(step, 0..=STEPS_MAX));
    (
        vec(op, 1..=OPS_MAX),
        proptest::collection::btree_set(any_step_name(), 0..3),
        btree_map(any_step_name(), vec(way, 1..4), 0..3),
        btree_map(0..120_usize, crash, 0..6),
        proptest::collection::btree_set(0..60_usize, 0..2),
        prop::bool::weighted(0.1),
        0..3_u32,
    )
        .prop_map(|(ops, fails, goes, crashes, cancels, diverges, deaf)| Plot {
            ops,
            fails,
            goes,
            crashes,
            cancels,
            diverges,
            deaf,
        })
}

/// Each opcode has disks and an instance of its own.
fn step_of(op_idx: usize, seq: usize, kind: Kind, may_fail: bool) -> Step {
    let index = u32::try_from(op_idx * 10 + seq).expect("small");
    let number = u8::try_from(index + 1).expect("small");
    let step = match kind {
        Kind::Create => create(index),
        Kind::Write => write(index),
        Kind::Add => add(number),
        Kind::AddForGood => Step { undo: Some(mark_act(200, None)), ..add(number) },
        Kind::Mark => mark(number - 1, 1),
        Kind::Wait => wait(),
    };
    // Some give up all locks but the big one, which those after them hold then.
    let keeps = (seq % 3 == 2).then(|| vec![(LockName::bgl(), LockMode::Shared)]);
    Step { may_fail, keeps, ..step }
}

fn script(plot: &Plot) -> Vec<OpScript> {
    let ops = plot.ops.iter().enumerate().map(|(op_idx, (refused, kinds))| {
        if *refused {
            return OpScript::refused("no");
        }
        let steps = kinds.iter().enumerate();
        OpScript::new(steps.map(|(seq, (kind, may_fail))| step_of(op_idx, seq, *kind, *may_fail)))
    });
    ops.collect()
}

fn name(step: (usize, usize, bool)) -> String {
    let (op_idx, seq, undo) = step;
    format!("1.{op_idx}.{seq}{}", if undo { "u" } else { "" })
}

fn play(plot: &Plot) -> Driver {
    let mut driver = Driver::new(script(plot));
    for step in &plot.fails {
        driver.world.fails(&name(*step));
    }
    for (step, ways) in &plot.goes {
        driver.world.goes(&name(*step), ways);
    }
    driver.crashes = plot.crashes.clone();
    driver.cancels = plot.cancels.clone();
    driver.diverges = plot.diverges;
    driver.world.deaf = plot.deaf;
    driver.run();
    driver
}

/// An opcode that succeeded has taken nothing back; any other has taken back, last first, every
/// call that has an undo and had its effect.
fn check_balance(driver: &Driver, script: &[OpScript]) {
    for (op_idx, (op, script)) in driver.record().ops.iter().zip(script).enumerate() {
        let of = |direction| {
            let executed =
                driver.world.executed.iter().filter(move |step| {
                    step.op_idx as usize == op_idx && step.direction == direction
                });
            executed.map(|step| step.seq).collect::<Vec<u32>>()
        };
        let mut owed: Vec<u32> = of(Direction::Act);
        owed.retain(|seq| matches!(script.steps[*seq as usize].undo, Some(Act::Call { .. })));
        owed.reverse();
        let expected = if op.status == JobStatus::Success { Vec::new() } else { owed };
        assert_eq!(of(Direction::Undo), expected, "opcode {op_idx} ended as {}", op.status);
    }
}

/// Instances and disks are those of the opcodes that succeeded.
fn check_world(driver: &Driver, plot: &Plot) {
    let mut disks = BTreeSet::new();
    let mut n_instances = 0..=0;
    for (op_idx, (op, (_, kinds))) in driver.record().ops.iter().zip(&plot.ops).enumerate() {
        let of = |wanted: fn(&Kind) -> bool| kinds.iter().filter(|(kind, _)| wanted(kind)).count();
        let for_good = of(|kind| matches!(kind, Kind::AddForGood));
        if op.status == JobStatus::Success {
            let n_added = for_good + of(|kind| matches!(kind, Kind::Add));
            n_instances = n_instances.start() + n_added..=n_instances.end() + n_added;
            let made =
                kinds.iter().enumerate().filter(|(_, (kind, _))| matches!(kind, Kind::Create));
            disks.extend(made.map(|(seq, _)| u32::try_from(op_idx * 10 + seq).expect("small")));
        } else {
            n_instances = *n_instances.start()..=n_instances.end() + for_good;
        }
    }
    // A disk whose creation was allowed to fail before it left is not there.
    let missing: BTreeSet<u32> = disks.difference(&driver.world.disks).copied().collect();
    for index in &missing {
        let (op_idx, seq) = ((index / 10) as usize, (index % 10) as usize);
        let ways = plot.goes.get(&(op_idx, seq, false)).map(Vec::as_slice);
        let never_left = ways.is_some_and(|ways| ways[0] == Way::NotSent);
        assert!(plot.ops[op_idx].1[seq].1 && never_left, "disk {index} is lost");
    }
    assert!(driver.world.disks.is_subset(&disks), "left behind: {:?}", driver.world.disks);
    let n = driver.log.state.instances.len();
    assert!(n_instances.contains(&n), "{n} instances, not {n_instances:?}");
}

/// Failing cases become tests of their own, not files beside the code.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_job_ends_once_leaves_no_lock_and_is_done_or_taken_back(plot in any_plot()) {
        let driver = play(&plot);
        driver.check_ended();
        prop_assert_eq!(driver.n_abandoned, 0);
        prop_assert!(driver.n_ended <= 1);
        check_balance(&driver, &script(&plot));
        check_world(&driver, &plot);
    }

    #[test]
    fn without_faults_a_crash_is_not_to_be_seen(
        ops in vec((Just(false), vec((any_kind(), Just(false)), 0..=STEPS_MAX)), 1..=OPS_MAX),
        crashes in btree_map(0..150_usize, Just(Crash::After), 1..8),
    ) {
        let mut plot = Plot {
            ops,
            fails: BTreeSet::new(),
            goes: BTreeMap::new(),
            crashes: BTreeMap::new(),
            cancels: BTreeSet::new(),
            diverges: false,
            deaf: 0,
        };
        let expected = play(&plot).outcome();
        plot.crashes = crashes;
        prop_assert_eq!(play(&plot).outcome(), expected);
    }
}

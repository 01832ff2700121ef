//! Replicas that apply the same entries are equal, whatever the entries are.

use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{JobAttempt, JobId, ReignId, RunEpoch, Serial};
use gantry_model::jobs::{JobStatus, LogKind};
use gantry_model::objects::AdminState;
use gantry_model::report::GuestState;
use gantry_model::steps::{Act, Step, StepResult};
use gantry_model::transitions::GuestSeen;
use gantry_model::units::{Millis, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::sample::{
    Log, began, held, instance, instance_id, new_job, node, node_id, request_id, token,
};
use crate::state::{Applied, ClusterState, Command, JobEntry, JobFact, STATE_LEVEL};

const CASES: u32 = 400;
const COMMANDS: usize = 40;

fn any_delta() -> impl Strategy<Value = ConfigDelta> {
    let number = 1..5_u8;
    let epoch = 0..4_u64;
    let change = prop_oneof![
        prop_oneof![Just(AdminState::Up), Just(AdminState::Down), Just(AdminState::Offline)]
            .prop_map(InstanceChange::AdminState),
        (epoch, any::<bool>())
            .prop_map(|(e, remember)| InstanceChange::Start { epoch: RunEpoch(e), remember }),
    ];
    prop_oneof![
        1 => number.clone().prop_map(|n| ConfigDelta::NodeAdd(Box::new(node(n)))),
        1 => number.clone().prop_map(|n| ConfigDelta::NodeRemove { node: node_id(n) }),
        1 => ("[ab]", 1_000..1_060_u64)
            .prop_map(|(secret, at)| ConfigDelta::TokenIssue(token(&secret, Timestamp(at)))),
        1 => ("[ab]", "[xy]").prop_map(|(secret_hash, key_hash)| {
            ConfigDelta::TokenRedeem { secret_hash, key_hash }
        }),
        3 => (number.clone(), number.clone()).prop_map(|(n, on)| {
            let mut instance = instance(n);
            instance.primary = node_id(on);
            ConfigDelta::InstanceAdd(Box::new(instance))
        }),
        1 => number.clone().prop_map(|n| ConfigDelta::InstanceRemove { instance: instance_id(n) }),
        3 => (number, proptest::option::of(1..4_u64), change).prop_map(|(n, expected, change)| {
            let expected = expected.map(Serial);
            ConfigDelta::InstanceChange { instance: instance_id(n), expected, change }
        }),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Wait { duration: Millis(1) }),
        vec(any_delta(), 1..3).prop_map(Act::Config),
    ]
}

fn any_result() -> impl Strategy<Value = StepResult> {
    prop_oneof![
        Just(StepResult::Done(Default::default())),
        Just(StepResult::Failed(Fault::new(FaultCode::WrongState, "no"))),
    ]
}

fn any_fact() -> impl Strategy<Value = JobFact> {
    let (op_idx, seq) = (0..3_u32, 0..3_u32);
    let fault = || Fault::new(FaultCode::WrongState, "no");
    prop_oneof![
        any::<bool>().prop_map(|some| JobFact::Locks(if some { held() } else { Vec::new() })),
        op_idx.clone().prop_map(began),
        op_idx.clone().prop_map(|op_idx| JobFact::Log {
            op_idx,
            at: Timestamp(7),
            kind: LogKind::Info,
            text: "said".into(),
        }),
        (op_idx.clone(), seq.clone(), any_act(), proptest::option::of(any_act())).prop_map(
            |(op_idx, seq, act, undo)| {
                let step = Step::new("step", act).undone_by(undo);
                JobFact::StepBegan { op_idx, seq, step }
            }
        ),
        (op_idx.clone(), seq.clone(), any_result())
            .prop_map(|(op_idx, seq, result)| JobFact::StepEnded { op_idx, seq, result }),
        op_idx.clone().prop_map(move |op_idx| JobFact::Unwinding { op_idx, fault: fault() }),
        (op_idx.clone(), seq, any_result()).prop_map(|(op_idx, seq, result)| JobFact::UndoEnded {
            op_idx,
            seq,
            result
        }),
        (op_idx, 0..4_u8).prop_map(move |(op_idx, how)| {
            let (status, fault) = match how {
                0 => (JobStatus::Error, Some(fault())),
                1 => (JobStatus::Canceled, Some(fault())),
                _ => (JobStatus::Success, None),
            };
            let result = (how == 3).then_some(serde_json::Value::Null);
            JobFact::OpEnded { op_idx, status, result, fault }
        }),
    ]
}

fn any_sight() -> impl Strategy<Value = GuestSeen> {
    let state = prop_oneof![
        Just(GuestState::Running),
        Just(GuestState::Paused),
        Just(GuestState::Shutdown)
    ];
    let guest = proptest::option::of((state, (0..3_u64).prop_map(RunEpoch)));
    (1..5_u8, 1..4_u8, guest).prop_map(|(n, on, guest)| GuestSeen {
        instance: instance_id(n),
        node: node_id(on),
        guest,
        at: Timestamp(7),
    })
}

/// A command, and whether it comes from the present reign and attempt.
fn any_command() -> impl Strategy<Value = (Command, bool)> {
    let (reign, attempt, job) = (ReignId(0), JobAttempt(0), (1..6_u64).prop_map(JobId));
    let command = prop_oneof![
        1 => (1..4_u8).prop_map(|n| Command::TakeOver { node: node_id(n) }),
        4 => (0..6_u64, vec(1..4_usize, 0..3)).prop_map(move |(request, jobs)| Command::Submit {
            reign,
            request: request_id(request),
            jobs: jobs.into_iter().map(new_job).collect(),
            secrets: std::collections::BTreeMap::new(),
        }),
        12 => (job.clone(), vec(any_fact(), 1..5)).prop_map(move |(job, facts)| {
            Command::Job(Box::new(JobEntry { reign, job, attempt, facts }))
        }),
        1 => job.clone().prop_map(move |job| Command::Place { reign, job }),
        4 => vec(any_delta(), 1..3).prop_map(move |deltas| Command::Config { reign, deltas }),
        2 => job.clone().prop_map(move |job| Command::Cancel { reign, job }),
        1 => (job.clone(), -20..20_i8).prop_map(move |(job, priority)| Command::ChangePriority {
            reign,
            job,
            priority,
        }),
        2 => vec(job, 0..4).prop_map(move |jobs| Command::Archive { reign, jobs }),
        1 => (STATE_LEVEL..STATE_LEVEL + 3)
            .prop_map(move |to| Command::RaiseLevel { reign, to }),
        2 => vec(any_sight(), 0..4).prop_map(move |seen| Command::Transitions { reign, seen }),
    ];
    (command, prop::bool::weighted(0.95))
}

/// Puts in the reign and the attempt as they are, or one less.
fn fenced(state: &ClusterState, mut command: Command, present: bool) -> Command {
    let less = u64::from(!present);
    let now = ReignId(state.reign.0 - less);
    match &mut command {
        Command::Submit { reign, .. }
        | Command::Place { reign, .. }
        | Command::Config { reign, .. }
        | Command::Cancel { reign, .. }
        | Command::ChangePriority { reign, .. }
        | Command::Transitions { reign, .. }
        | Command::RaiseLevel { reign, .. }
        | Command::Archive { reign, .. } => *reign = now,
        Command::Job(entry) => {
            entry.reign = state.reign;
            let known = state.jobs.get(&entry.job).map_or(JobAttempt(1), |job| job.attempt);
            entry.attempt = JobAttempt(known.0 - less);
        }
        #[cfg(feature = "next-version")]
        Command::Trial { reign, .. } => *reign = now,
        Command::Init(_) | Command::TakeOver { .. } => {}
    }
    command
}

fn run(commands: Vec<(Command, bool)>) -> Log {
    let mut log = Log::new();
    for (command, present) in commands {
        let command = fenced(&log.state, command, present);
        let mut before = log.state.clone();
        if let Applied::Refused(_) = log.apply(command) {
            before.revision = log.state.revision;
            assert_eq!(log.state, before, "a refused entry changed something");
        }
        check(&log.state);
    }
    log
}

/// What is true of every state.
fn check(state: &ClusterState) {
    let unfinished = state.jobs.values().filter(|job| !job.status().is_final()).map(|job| job.id);
    assert!(unfinished.eq(state.unfinished.iter().copied()), "the set of unfinished jobs is wrong");
    for job in state.locks.keys() {
        assert!(state.unfinished.contains(job), "job {job} has ended and holds locks");
    }
    for job in state.jobs.values() {
        assert_eq!(job.end.is_some(), job.status().is_final(), "job {}", job.id);
        assert!(job.id <= state.last_job);
        let serials: Vec<u64> =
            job.ops.iter().flat_map(|op| &op.log).map(|line| line.serial).collect();
        assert_eq!(serials.len() as u64, job.log_serial(), "a serial is missing or twice");
    }
    assert_eq!(state.nodes.len(), state.node_names.len());
    for (name, uuid) in &state.node_names {
        assert_eq!(state.nodes.get(uuid).map(|node| &node.name), Some(name));
    }
    assert_eq!(state.instances.len(), state.instance_names.len());
    for instance in state.transitions.keys() {
        assert!(state.instances.contains_key(instance), "a transition of nobody");
    }
    for (name, uuid) in &state.instance_names {
        let instance = state.instances.get(uuid).expect("named instances exist");
        assert_eq!(&instance.name, name);
        assert!(state.nodes.contains_key(&instance.primary), "{name} lives nowhere");
    }
    assert!(state.requests.keys().eq({
        let mut requests: Vec<_> = state.request_order.values().collect();
        requests.sort();
        requests.into_iter()
    }));
}

/// Failing cases become tests of their own, not files beside the code.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn replicas_that_apply_the_same_entries_are_equal(
        commands in vec(any_command(), 1..COMMANDS),
    ) {
        let log = run(commands);
        let mut emitted = Vec::new();
        let mut replica = ClusterState::default();
        for (revision, entry) in &log.entries {
            // As a follower has it: read from its log.
            let bytes = gantry_wire::encode(entry).expect("an entry can be encoded");
            let entry = gantry_wire::decode(&bytes).expect("an entry can be decoded");
            replica.apply_into(*revision, &entry, &mut emitted);
        }
        prop_assert_eq!(&emitted, &log.emitted);
        prop_assert_eq!(&replica, &log.state);
        prop_assert_eq!(replica.hash().expect("hashes"), log.state.hash().expect("hashes"));
    }

    #[test]
    fn a_snapshot_is_the_state(commands in vec(any_command(), 1..COMMANDS)) {
        let state = run(commands).state;
        let bytes = gantry_wire::encode(&state).expect("a state can be encoded");
        let restored: ClusterState = gantry_wire::decode(&bytes).expect("and decoded");
        prop_assert_eq!(restored.hash().expect("hashes"), state.hash().expect("hashes"));
        prop_assert_eq!(restored, state);
    }
}

#[test]
fn the_hash_does_not_depend_on_the_order_in_which_things_came() {
    let add = |n| vec![ConfigDelta::InstanceAdd(Box::new(instance(n)))];
    let (mut one, mut other) = (Log::new(), Log::new());
    for n in 1..=200 {
        one.config(add(n));
        other.config(add(201 - n));
    }
    assert_eq!(one.state, other.state);
    assert_eq!(one.state.hash().expect("hashes"), other.state.hash().expect("hashes"));
}

#[test]
fn the_hash_tells_states_apart() {
    let one = Log::new().state;
    let mut other = one.clone();
    other.destroyed = true;
    assert_ne!(one.hash().expect("hashes"), other.hash().expect("hashes"));
    let mut log = Log::new();
    let job = log.submit(new_job(1));
    let before = log.state.clone();
    log.job(job, vec![JobFact::Locks(held())]);
    log.state.revision = before.revision;
    assert_ne!(before.hash().expect("hashes"), log.state.hash().expect("hashes"));
}

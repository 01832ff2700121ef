//! What a logical unit would say: opcodes as lists of steps.

use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::Serial;
use gantry_model::node_calls::{DiskCreate, DiskRemove, DiskWriteImage, NodeCall};
use gantry_model::objects::AdminState;
use gantry_model::opcodes::OpCommon;
use gantry_model::steps::{Act, Step};
use gantry_model::units::Millis;

use crate::state::tests::sample::{disk, instance, instance_id, node_id};

/// One opcode of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct OpScript {
    pub(super) common: OpCommon,
    /// What its check says; `None` lets it pass.
    pub(super) refusal: Option<Fault>,
    pub(super) steps: Vec<Step>,
    pub(super) answer: serde_json::Value,
}

impl OpScript {
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), answer: "answer".into(), ..Self::default() }
    }

    pub(super) fn refused(text: &str) -> Self {
        let refusal = Some(Fault::new(FaultCode::WrongState, text));
        Self { refusal, ..Self::default() }
    }

    /// Every kind of step: calls with and without undo, changes with and without, a wait.
    pub(super) fn every_kind() -> Self {
        Self::new([create(0), create(1), write(0), add(1), mark(1, 1), wait(), create(2)])
    }
}

fn call(call: impl Into<NodeCall>) -> Act {
    Act::call(node_id(2), call)
}

fn step(name: String, act: Act, undo: Option<Act>) -> Step {
    let line = format!("* {name}");
    Step::new(name, act).undone_by(undo).says(line)
}

/// Makes a disk; the undo removes it.
pub(super) fn create(index: u32) -> Step {
    let undo = call(DiskRemove { disk: disk(1, index) });
    step(format!("create disk {index}"), call(DiskCreate { disk: disk(1, index) }), Some(undo))
}

/// Writes to a disk; nothing has to be taken back.
pub(super) fn write(index: u32) -> Step {
    let write = DiskWriteImage { disk: disk(1, index), image: "/image".into() };
    step(format!("write disk {index}"), call(write), None)
}

/// Adds an instance to the configuration; the undo removes it.
pub(super) fn add(number: u8) -> Step {
    let add = ConfigDelta::InstanceAdd(Box::new(instance(number)));
    let remove = ConfigDelta::InstanceRemove { instance: instance_id(number) };
    let undo = Act::Config(vec![remove]);
    step(format!("add instance {number}"), Act::Config(vec![add]), Some(undo))
}

/// Marks an instance of this serial as up; nothing has to be taken back.
pub(super) fn mark(number: u8, expected: u64) -> Step {
    step(format!("mark instance {number}"), mark_act(number, Some(expected)), None)
}

pub(super) fn mark_act(number: u8, expected: Option<u64>) -> Act {
    Act::Config(vec![ConfigDelta::InstanceChange {
        instance: instance_id(number),
        expected: expected.map(Serial),
        change: InstanceChange::AdminState(AdminState::Up),
    }])
}

/// Waits until a node holds the log; goes on with a warning if it does not.
pub(super) fn give_log() -> Step {
    step("give the log to node 2".into(), Act::AwaitHolder { node: node_id(2) }, None).may_fail()
}

pub(super) fn wait() -> Step {
    step("wait".into(), Act::Wait { duration: Millis(7) }, None)
}

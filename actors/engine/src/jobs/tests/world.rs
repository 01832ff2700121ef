//! The nodes, as far as a job sees them: what happened, once for each step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::ReignId;
use gantry_model::node_calls::{CallOutcome, NodeCall};
use gantry_model::steps::{Direction, StepId, StepResult};

use super::super::CallEnd;

/// How a call goes once; without one it reaches the node and its answer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It never leaves.
    NotSent,
    /// It is lost before the node sees it, and nobody knows.
    LostBefore,
    /// The node does it, and the answer is lost.
    LostAfter,
}

/// The world. A call that fails leaves its effect there all the same.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) disks: BTreeSet<u32>,
    /// Every effect in order.
    pub(super) executed: Vec<StepId>,
    /// Every call that was sent, in order.
    pub(super) sent: Vec<StepId>,
    /// How often the node does not answer to a new reign.
    pub(super) deaf: u32,
    results: BTreeMap<StepId, StepResult>,
    ways: BTreeMap<String, VecDeque<Way>>,
    failing: BTreeSet<String>,
    reign: ReignId,
}

impl World {
    /// The step of this name (`1.0.2u`) will always fail.
    pub(super) fn fails(&mut self, step: &str) {
        self.failing.insert(step.to_owned());
    }

    /// The next calls of the step of this name go these ways.
    pub(super) fn goes(&mut self, step: &str, ways: &[Way]) {
        self.ways.entry(step.to_owned()).or_default().extend(ways);
    }

    /// The names of all effects of one direction, in order.
    pub(super) fn effects(&self, direction: Direction) -> Vec<String> {
        let executed = self.executed.iter().filter(|step| step.direction == direction);
        executed.map(ToString::to_string).collect()
    }

    pub(super) fn call(&mut self, reign: ReignId, step: StepId, call: &NodeCall) -> CallEnd {
        self.sent.push(step);
        let name = step.to_string();
        let way = self.ways.get_mut(&name).and_then(VecDeque::pop_front);
        let fault = |text: &str| Fault::new(FaultCode::OutcomeUnknown, text);
        match way {
            Some(Way::NotSent) => return CallEnd::NotSent(fault("not connected")),
            Some(Way::LostBefore) => return CallEnd::Unknown(fault("connection lost")),
            Some(Way::LostAfter) | None => {}
        }
        if reign < self.reign {
            return CallEnd::Failed(Fault::new(FaultCode::StaleToken, "an old reign"));
        }
        if !self.results.contains_key(&step) {
            let result = self.execute(step, &name, call);
            self.results.insert(step, result);
        }
        match (way, &self.results[&step]) {
            (Some(_), _) => CallEnd::Unknown(fault("connection lost")),
            (None, StepResult::Done(outcome)) => CallEnd::Done(outcome.clone()),
            (None, StepResult::Failed(fault)) => CallEnd::Failed(fault.clone()),
        }
    }

    fn execute(&mut self, step: StepId, name: &str, call: &NodeCall) -> StepResult {
        self.executed.push(step);
        match call {
            NodeCall::DiskCreate(create) => {
                assert!(self.disks.insert(create.disk.index), "{name}: made twice");
            }
            NodeCall::DiskRemove(remove) => {
                self.disks.remove(&remove.disk.index);
            }
            _ => {}
        }
        if self.failing.contains(name) {
            return StepResult::Failed(Fault::new(FaultCode::EnvironmentError, "disk full"));
        }
        StepResult::Done(CallOutcome::with_notes(vec![format!("did {name}")]))
    }

    /// Nothing of an older reign is begun any more; answers how the step ended.
    pub(super) fn install(
        &mut self,
        reign: ReignId,
        step: StepId,
    ) -> Result<Option<StepResult>, Fault> {
        if self.deaf > 0 {
            self.deaf -= 1;
            return Err(Fault::new(FaultCode::NotDelivered, "not connected"));
        }
        if reign < self.reign {
            return Err(Fault::new(FaultCode::StaleToken, "an old reign"));
        }
        self.reign = reign;
        Ok(self.results.get(&step).cloned())
    }
}

//! OP_TEST_DELAY (rows O66, C33).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::{ClusterState, not_known};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::NodeUuid;
use gantry_model::locks::{LockMode, LockName};
use gantry_model::node_calls::{DelaySocket, NodeDelay};
use gantry_model::objects::Node;
use gantry_model::opcodes::{DELAY_MAX, TestDelay};
use gantry_model::steps::{Act, STEPS_MAX, Step, StepRecord, StepResult};
use serde::{Deserialize, Serialize};

use crate::lu::{LogicalUnit, need, one_stage};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The nodes to wait on, in order.
    nodes: Vec<NodeUuid>,
    /// The socket of one that can be cut short, and the node that has it. It waits nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    socket: Option<(NodeUuid, String)>,
}

impl LogicalUnit for TestDelay {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
        if self.duration.0 == 0 {
            return refuse("the duration must be greater than zero".into());
        }
        if self.duration > DELAY_MAX {
            return refuse(format!("the duration exceeds {} seconds", DELAY_MAX.0 / 1000));
        }
        if !self.on_master && self.on_nodes.is_empty() {
            return refuse("neither the master nor a node is to wait".into());
        }
        let per_round = self.on_nodes.len() as u64 + u64::from(self.on_master);
        if per_round * u64::from(self.repeat.max(1)) > u64::from(STEPS_MAX) {
            return refuse(format!("more than {STEPS_MAX} waits in one opcode"));
        }
        Ok(())
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        if self.no_locks {
            return Ok(one_stage([]));
        }
        let mut nodes = find_nodes(self, state)?;
        if self.on_master {
            nodes.extend(state.master);
        }
        Ok(one_stage(nodes.into_iter().map(|node| (LockName::node(node), LockMode::Exclusive))))
    }

    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let master = self.interruptible.then(|| master_of(state)).transpose()?;
        Ok(master.map(|master| (master.uuid, FactQuery::DelaySocket)).into_iter().collect())
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let nodes = find_nodes(self, state)?;
        if !self.interruptible {
            return Ok(Plan { nodes, socket: None });
        }
        let master = master_of(state)?;
        match need(facts, master.uuid, &FactQuery::DelaySocket, master.name.as_str())? {
            Fact::DelaySocket { path } => {
                Ok(Plan { nodes, socket: Some((master.uuid, path.clone())) })
            }
            other => {
                let text = format!("the master made no socket but {other:?}");
                Err(Fault::new(FaultCode::InternalError, text))
            }
        }
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let rounds = 0..self.repeat.max(1);
        match &plan.socket {
            None => rounds.flat_map(|round| one_round(self, round, plan)).collect(),
            Some((node, path)) => {
                rounds.map(|round| wait_at_socket(self, round, *node, path)).collect()
            }
        }
    }

    /// One that was cut short is the last.
    fn steps_after(&self, plan: &Plan, done: &[StepRecord]) -> Vec<Step> {
        let mut steps = self.steps(plan);
        let interrupted = |record: &StepRecord| match &record.result {
            Some(StepResult::Done(outcome)) => outcome.interrupted,
            Some(StepResult::Failed(_)) | None => false,
        };
        if let Some(last) = done.iter().position(interrupted) {
            steps.truncate(last + 1);
        }
        steps
    }
}

fn master_of(state: &ClusterState) -> Result<&Node, Fault> {
    let master = state.master.and_then(|master| state.nodes.get(&master));
    let none = || Fault::new(FaultCode::WrongState, "the cluster has no master");
    master.map(AsRef::as_ref).ok_or_else(none)
}

fn iteration(op: &TestDelay, round: u32) -> Option<String> {
    (op.repeat > 0).then(|| format!("Test delay iteration {round}/{}", op.repeat - 1))
}

fn wait_at_socket(op: &TestDelay, round: u32, node: NodeUuid, path: &str) -> Step {
    let keep = round + 1 < op.repeat;
    let socket = Some(DelaySocket { path: path.to_owned(), keep });
    let wait = Act::call(node, NodeDelay { duration: op.duration, socket });
    Step::new(format!("wait at a socket, round {round}"), wait)
        .says_if(iteration(op, round))
        .waits_at_if((round == 0).then(|| path.to_owned()))
}

fn one_round(op: &TestDelay, round: u32, plan: &Plan) -> Vec<Step> {
    let mut says = iteration(op, round);
    let mut steps = Vec::new();
    if op.on_master {
        let wait = Act::Wait { duration: op.duration };
        let name = format!("wait on the master, round {round}");
        steps.push(Step::new(name, wait).says_if(says.take()));
    }
    for node in &plan.nodes {
        let wait = Act::call(*node, NodeDelay::of(op.duration));
        let name = format!("wait on node {node}, round {round}");
        steps.push(Step::new(name, wait).says_if(says.take()));
    }
    steps
}

fn find_nodes(op: &TestDelay, state: &ClusterState) -> Result<Vec<NodeUuid>, Fault> {
    op.on_nodes
        .iter()
        .map(|name| {
            let node = state.node_by_name(name);
            node.map(|node| node.uuid).ok_or_else(|| not_known("Node", name.as_str()))
        })
        .collect()
}

#[cfg(test)]
mod tests;

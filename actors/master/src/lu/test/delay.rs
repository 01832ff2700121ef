//! OP_TEST_DELAY (rows O66, C33).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::{ClusterState, not_known};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::ids::NodeUuid;
use gantry_model::locks::{LockMode, LockName};
use gantry_model::node_calls::NodeDelay;
use gantry_model::opcodes::{DELAY_MAX, TestDelay};
use gantry_model::steps::{Act, STEPS_MAX, Step};
use serde::{Deserialize, Serialize};

use crate::lu::{LogicalUnit, one_stage};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The nodes to wait on, in order.
    nodes: Vec<NodeUuid>,
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

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        Ok(Plan { nodes: find_nodes(self, state)? })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        (0..self.repeat.max(1)).flat_map(|round| one_round(self, round, plan)).collect()
    }
}

fn one_round(op: &TestDelay, round: u32, plan: &Plan) -> Vec<Step> {
    let mut says =
        (op.repeat > 0).then(|| format!("Test delay iteration {round}/{}", op.repeat - 1));
    let mut steps = Vec::new();
    if op.on_master {
        let wait = Act::Wait { duration: op.duration };
        let name = format!("wait on the master, round {round}");
        steps.push(Step::new(name, wait).says_if(says.take()));
    }
    for node in &plan.nodes {
        let wait = Act::call(*node, NodeDelay { duration: op.duration });
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

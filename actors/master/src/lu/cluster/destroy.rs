//! OP_CLUSTER_DESTROY (rows O2, C7).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::opcodes::ClusterDestroy;
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lu::{LogicalUnit, big_lock};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// Name of the master, the opcode's answer.
    master: String,
}

impl LogicalUnit for ClusterDestroy {
    type Plan = Plan;

    fn locks(&self, _stage: u32, _state: &ClusterState) -> Result<LockStage, Fault> {
        Ok(big_lock())
    }

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        let refuse = |text: String| Err(Fault::new(FaultCode::WrongState, text));
        let others: Vec<&str> = state
            .nodes
            .values()
            .filter(|node| Some(node.uuid) != state.master)
            .map(|node| node.name.as_str())
            .collect();
        if !others.is_empty() {
            return refuse(format!(
                "the cluster still has {} other nodes, remove them first: {}",
                others.len(),
                others.join(", ")
            ));
        }
        if !state.instances.is_empty() {
            return refuse(format!(
                "the cluster still has {} instances, remove them first",
                state.instances.len()
            ));
        }
        let master = state.master.and_then(|master| state.nodes.get(&master));
        Ok(Plan { master: master.map(|node| node.name.to_string()).unwrap_or_default() })
    }

    fn steps(&self, _plan: &Plan) -> Vec<Step> {
        vec![Step::new("destroy the cluster", Act::change(ConfigDelta::ClusterDestroy))]
    }

    fn result(&self, plan: &Plan) -> Value {
        Value::String(plan.master.clone())
    }
}

#[cfg(test)]
mod tests;

//! OP_NODE_REMOVE (rows O21, C116).

use std::collections::BTreeSet;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::{ClusterState, not_known};
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::ids::NodeUuid;
use gantry_model::node_calls::NodeLeave;
use gantry_model::opcodes::NodeRemove;
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};

use super::promoted::Promoted;
use crate::lu::{LogicalUnit, big_lock};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The node.
    node: NodeUuid,
    /// Who becomes a candidate in its place. Plans of an older program had nobody.
    #[serde(default, skip_serializing_if = "Promoted::is_empty")]
    promoted: Promoted,
}

impl LogicalUnit for NodeRemove {
    type Plan = Plan;

    fn locks(&self, _stage: u32, _state: &ClusterState) -> Result<LockStage, Fault> {
        Ok(big_lock())
    }

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        let name = &self.node_name;
        let Some(node) = state.node_by_name(name) else {
            return Err(not_known("Node", name.as_str()));
        };
        let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
        if state.master == Some(node.uuid) {
            let text = "Node is the master node, failover to another node is required";
            return refuse(text.into());
        }
        // As Ganeti names the first of them.
        let mut instances = state.instances.values().filter(|i| i.primary == node.uuid);
        if let Some(instance) = instances.next() {
            let text = format!(
                "Instance {} is still running on the node, please remove first",
                instance.name
            );
            return refuse(text);
        }
        let promoted = Promoted::without(state, &BTreeSet::from([node.uuid]));
        Ok(Plan { node: node.uuid, promoted })
    }

    /// The node is told first, while the configuration still says where it is. It may be dead; then
    /// it is removed all the same, and will not be believed when it comes back.
    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let name = &self.node_name;
        let leave = Act::call(plan.node, NodeLeave {});
        let remove = [ConfigDelta::NodeRemove { node: plan.node }];
        let remove = Act::Config(remove.into_iter().chain(plan.promoted.deltas()).collect());
        let says = [Some(format!("* removing node {name} from the cluster")), plan.promoted.line()];
        let says: Vec<String> = says.into_iter().flatten().collect();
        let mut steps = vec![
            Step::new(format!("tell node {name} to leave"), leave).may_fail(),
            Step::new(format!("remove node {name}"), remove).says(says.join("\n")),
        ];
        steps.extend(plan.promoted.steps());
        steps
    }
}

#[cfg(test)]
mod tests;

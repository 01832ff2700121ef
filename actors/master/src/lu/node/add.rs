//! OP_NODE_ADD (rows O22, C106): a node has presented its join token.

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::objects::Node;
use gantry_model::opcodes::NodeAdd;
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};

use crate::lu::{LogicalUnit, big_lock};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The node; `None` if the holder of this very key is a member already.
    node: Option<Node>,
}

impl LogicalUnit for NodeAdd {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        match self.address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
                Ok(())
            }
            _ => {
                let text = format!("address {:?} is not of the form host:port", self.address);
                Err(Fault::new(FaultCode::WrongInput, text))
            }
        }
    }

    fn locks(&self, _stage: u32, _state: &ClusterState) -> Result<LockStage, Fault> {
        Ok(big_lock())
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let refuse = |text: &str| Err(Fault::new(FaultCode::Forbidden, text));
        let Some(token) = state.tokens.get(&self.secret_hash) else {
            return refuse("the join token is not known to this cluster");
        };
        if token.node_name != self.node_name || token.node != self.node_uuid {
            return refuse("the join token is for another node");
        }
        if token.expires <= facts.now {
            return refuse("the join token has expired");
        }
        match &token.redeemed_by {
            Some(key) if *key != self.key_hash => {
                return refuse("the join token has been used already");
            }
            Some(_) if state.nodes.contains_key(&self.node_uuid) => {
                return Ok(Plan { node: None });
            }
            _ => {}
        }
        let Some(group) = state.groups.keys().next() else {
            return Err(Fault::new(FaultCode::InternalError, "there is no node group"));
        };
        let node = Node::new(
            self.node_uuid,
            self.node_name.clone(),
            self.address.clone(),
            *group,
            facts.now,
        );
        Ok(Plan { node: Some(node) })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let Some(node) = &plan.node else { return Vec::new() };
        let redeem = ConfigDelta::TokenRedeem {
            secret_hash: self.secret_hash.clone(),
            key_hash: self.key_hash.clone(),
        };
        let act = Act::Config(vec![redeem, ConfigDelta::NodeAdd(Box::new(node.clone()))]);
        let says = format!("* adding node {} to the cluster", node.name);
        vec![Step::new(format!("add node {}", node.name), act).says(says)]
    }
}

#[cfg(test)]
mod tests;

//! OP_NODE_ADD (rows O22, C106): a node has presented its join token.

use std::net::IpAddr;
use std::sync::Arc;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::ids::GroupUuid;
use gantry_model::objects::{Node, NodeTerms};
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
        if token.terms != self.terms {
            return refuse("the join token is for a node of which something else was said");
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
        let terms = &self.terms;
        let group = check_terms(state, terms)?;
        let (uuid, name) = (self.node_uuid, self.node_name.clone());
        let node = Node {
            master_candidate: terms.master_capable && state.pool_has_room(),
            master_capable: terms.master_capable,
            vm_capable: terms.vm_capable,
            secondary_ip: terms.secondary_ip,
            ndparams: terms.ndparams.clone(),
            hv_state: terms.hv_state.clone(),
            disk_state: terms.disk_state.clone(),
            ..Node::new(uuid, name, self.address.clone(), group, facts.now)
        };
        check_addresses(state, &node)?;
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

/// Whether a node may be like that, as far as it is known before the node comes. Gives its group.
///
/// Asked when the token is made, so that whoever adds the node learns it at once, and again when
/// the node comes, because the cluster may have changed meanwhile.
pub(crate) fn check_terms(state: &ClusterState, terms: &NodeTerms) -> Result<GroupUuid, Fault> {
    let refuse = |code, text: String| Err(Fault::new(code, text));
    terms.check().map_err(|error| Fault::new(FaultCode::WrongInput, error.to_string()))?;
    let group = group_of(state, terms)?;
    let Some(secondary) = terms.secondary_ip else {
        let version =
            state.cluster.as_ref().and_then(|cluster| cluster.settings.primary_ip_version);
        if version == Some(6) {
            let text = "When using a IPv6 primary address, a valid IPv4 address must be given as \
                        secondary";
            return refuse(FaultCode::WrongInput, text.into());
        }
        if master_has_secondary(state) {
            return refuse(FaultCode::WrongInput, NO_SECONDARY.into());
        }
        return Ok(group);
    };
    match state.nodes.values().find(|node| uses(node, secondary)) {
        Some(node) => Err(conflict(node)),
        None => Ok(group),
    }
}

/// Ganeti wants all nodes alike, and says so.
const NO_SECONDARY: &str = "The master has a secondary ip but the new node doesn't have one";

fn group_of(state: &ClusterState, terms: &NodeTerms) -> Result<GroupUuid, Fault> {
    match (terms.group, state.groups.len()) {
        (Some(group), _) if state.groups.contains_key(&group) => Ok(group),
        (Some(group), _) => {
            let text = format!("Node group '{group}' not found");
            Err(Fault::new(FaultCode::UnknownEntity, text))
        }
        (None, 0 | 1) => {
            let none = || Fault::new(FaultCode::InternalError, "there is no node group");
            state.groups.keys().next().copied().ok_or_else(none)
        }
        (None, _) => {
            let text = "More than one node group exists. Target group must be specified \
                        explicitly.";
            Err(Fault::new(FaultCode::WrongInput, text))
        }
    }
}

fn master_has_secondary(state: &ClusterState) -> bool {
    let master = state.master.and_then(|master| state.nodes.get(&master));
    master.is_some_and(|master| master.own_secondary_ip().is_some())
}

fn uses(node: &Node, address: IpAddr) -> bool {
    node.secondary_ip == Some(address) || node.host().parse() == Ok(address)
}

fn conflict(node: &Node) -> Fault {
    let text = format!("New node ip address(es) conflict with existing node {}", node.name);
    Fault::new(FaultCode::ResourceNotUnique, text)
}

/// The addresses of a node that has come. Several may share the host of one: nodes of a trial run
/// on one machine, with a port each.
fn check_addresses(state: &ClusterState, new: &Node) -> Result<(), Fault> {
    let primary: Option<IpAddr> = new.host().parse().ok();
    let taken = |node: &&Arc<Node>| {
        node.address == new.address || (primary.is_some() && node.own_secondary_ip() == primary)
    };
    if let Some(node) = state.nodes.values().find(taken) {
        return Err(conflict(node));
    }
    let text = match (master_has_secondary(state), new.own_secondary_ip().is_some()) {
        (false, true) => "The master has no secondary ip but the new node has one",
        (true, false) => NO_SECONDARY,
        (true, true) | (false, false) => return Ok(()),
    };
    Err(Fault::new(FaultCode::WrongInput, text))
}

#[cfg(test)]
mod tests;

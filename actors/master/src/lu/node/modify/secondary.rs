//! Whether a node may get another address to replicate disks over: all nodes have one, or none.
//! Pure. Deliberately absent: whether the node has that address, which whoever replicates asks.

use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::objects::Node;
use gantry_model::opcodes::NodeSetParams;

/// What there is to say about it, if anything.
pub(super) fn check(
    op: &NodeSetParams,
    state: &ClusterState,
    node: &Node,
) -> Result<Option<String>, Fault> {
    let Some(secondary) = op.secondary_ip else { return Ok(None) };
    let Some(master) = state.master.and_then(|master| state.nodes.get(&master)) else {
        return Ok(None);
    };
    let is_own = node.host().parse() == Ok(secondary);
    let forced = op.force && node.uuid == master.uuid;
    let (refusal, warning) = match (master.own_secondary_ip().is_some(), is_own) {
        (false, false) => (
            "Changing the secondary ip on a single-homed cluster requires the --force option to \
             be passed, and the target node to be the master",
            "Transitioning from single-homed to multi-homed cluster; all nodes will require a \
             secondary IP address",
        ),
        (true, true) => (
            "Cannot set the secondary IP to be the same as the primary IP on a multi-homed \
             cluster, unless the --force option is passed, and the target node is the master",
            "Transitioning from multi-homed to single-homed cluster; secondary IP addresses will \
             have to be removed",
        ),
        (true, false) | (false, true) => return conflict(secondary, state, node).map(|()| None),
    };
    match forced {
        true => Ok(Some(format!(" - WARNING: {warning}"))),
        false => Err(Fault::new(FaultCode::WrongInput, refusal)),
    }
}

fn conflict(secondary: std::net::IpAddr, state: &ClusterState, node: &Node) -> Result<(), Fault> {
    let others = state.nodes.values().filter(|other| other.uuid != node.uuid);
    match others.into_iter().find(|other| other.secondary_ip == Some(secondary)) {
        Some(other) => {
            let text = format!("{secondary} is the secondary ip of node {}", other.name);
            Err(Fault::new(FaultCode::ResourceNotUnique, text))
        }
        None => Ok(()),
    }
}

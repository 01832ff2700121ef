//! Which role a node has after a change of its flags, and why not another. Pure.

use std::collections::BTreeSet;

use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::objects::{Node, NodeRole};
use gantry_model::opcodes::NodeSetParams;

/// Whether a candidate may become something else by it.
pub(super) fn might_demote(op: &NodeSetParams) -> bool {
    op.master_candidate == Some(false)
        || op.offline == Some(true)
        || op.drained == Some(true)
        || op.master_capable == Some(false)
}

/// A change of a node, as things are.
pub(super) struct Case<'a> {
    pub(super) op: &'a NodeSetParams,
    pub(super) state: &'a ClusterState,
    pub(super) node: &'a Node,
}

impl Case<'_> {
    /// What is asked of the flags and cannot be. In Ganeti's order, so that of several reasons the
    /// same is told.
    pub(super) fn check_flags(&self) -> Result<(), Fault> {
        let Self { op, state, node } = self;
        let name = &node.name;
        let refuse = |code, text: String| Err(Fault::new(code, text));
        let is_master = state.master == Some(node.uuid);
        let sets_role = op.master_candidate.or(op.drained).or(op.offline).is_some();
        if sets_role && is_master {
            let text = "The master role can be changed only via master-failover";
            return refuse(FaultCode::WrongInput, text.into());
        }
        if op.master_candidate == Some(true) && !node.master_capable {
            let text =
                format!("Node {name} is not master capable, cannot make it a master candidate");
            return refuse(FaultCode::WrongState, text);
        }
        if op.vm_capable == Some(false) && state.instances.values().any(|i| i.primary == node.uuid)
        {
            let text = format!("Node {name} hosts instances, cannot unset the vm_capable flag");
            return refuse(FaultCode::WrongState, text);
        }
        if node.master_candidate && might_demote(op) && !op.auto_promote {
            let rest = state.pool_without(&BTreeSet::from([node.uuid]));
            if rest.now < rest.wanted {
                let text = "Not enough master candidates, please pass auto promote option to \
                            allow promotion (--auto-promote or RAPI auto_promote=True)";
                return refuse(FaultCode::WrongState, text.into());
            }
        }
        if op.powered.is_some() {
            let text = format!(
                "Unable to change powered state for node {name} as it does not support \
                 out-of-band handling"
            );
            return refuse(FaultCode::WrongState, text);
        }
        if op.master_capable == Some(false) && is_master {
            return refuse(FaultCode::WrongState, "Master must remain master capable".into());
        }
        Ok(())
    }

    /// Its role afterwards, and what there is to say about it. Whoever comes back into use becomes
    /// a candidate if one is needed (P32).
    pub(super) fn new_role(&self) -> (NodeRole, Vec<String>) {
        let Self { op, state, node } = self;
        let mut lines = Vec::new();
        let mut ask = |name: &str, asked: Option<bool>, now: bool| {
            if asked == Some(false) && !now {
                let text = format!(" - INFO: Ignoring request to unset flag {name}, already unset");
                lines.push(text);
                return None;
            }
            asked
        };
        let mut candidate = ask("master_candidate", op.master_candidate, node.master_candidate);
        let drained = ask("drained", op.drained, node.drained);
        let offline = ask("offline", op.offline, node.offline);
        let comes_back = drained == Some(false)
            || offline == Some(false)
            || (op.master_capable == Some(true) && !node.master_capable);
        let is_able = op.master_capable.unwrap_or(node.master_capable)
            && drained != Some(true)
            && offline != Some(true)
            && (drained == Some(false) || !node.drained)
            && (offline == Some(false) || !node.offline);
        if comes_back && is_able && candidate.is_none() && state.pool_has_room() {
            candidate = Some(true);
            lines.push(" - INFO: Auto-promoting node to master candidate".into());
        }
        if op.master_capable == Some(false) && node.master_candidate {
            candidate = Some(false);
            lines.push(" - INFO: Demoting from master candidate".into());
        }
        let new = match (candidate, drained, offline) {
            (Some(true), ..) => NodeRole::Candidate,
            (_, Some(true), _) => NodeRole::Drained,
            (.., Some(true)) => NodeRole::Offline,
            (None, None, None) => node.role(),
            _ => NodeRole::Regular,
        };
        (new, lines)
    }

    /// Whether a node that was out of use is talked to again.
    pub(super) fn brings_back(&self) -> bool {
        self.node.role() == NodeRole::Offline && self.new_role().0 != NodeRole::Offline
    }
}

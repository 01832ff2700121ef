//! OP_NODE_SET_PARAMS (rows O27, C113, P30 to P39): flags, addresses and parameters of a node.
//!
//! What becomes of the log when a node is a candidate, or none any more, is the leader's business
//! ([`crate::holders`]); the opcode waits for it, so that whoever takes a node out of use knows
//! when it may be switched off.

mod role;
mod secondary;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::{ClusterState, not_known};
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{FactQuery, Facts};
use gantry_model::ids::{NodeUuid, Serial};
use gantry_model::locks::{LockLevel, LockMode, LockName};
use gantry_model::objects::{
    Node, NodeChange, NodeRole, NodeTermsError, States, check_own_parameter, check_states,
};
use gantry_model::opcodes::{NodeSetParams, PARAMETER_DEFAULT};
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::role::{Case, might_demote};
use super::promoted::{self, Promoted};
use crate::lu::{LogicalUnit, need, one_stage};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    node: NodeUuid,
    serial: Serial,
    change: NodeChange,
    promoted: Promoted,
    /// Whether its part in the log changes.
    awaits: bool,
    /// For the job's log.
    lines: Vec<String>,
    /// Names and values of what changes, as the command prints them.
    result: Vec<(String, String)>,
}

impl LogicalUnit for NodeSetParams {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
        if self.changes_nothing() {
            return refuse("Please pass at least one modification".into());
        }
        let flags = [
            self.offline,
            self.master_candidate,
            self.drained,
            self.master_capable,
            self.vm_capable,
        ];
        if flags.into_iter().filter(|flag| *flag == Some(true)).count() > 1 {
            return refuse("Can't set the node into more than one state at the same time".into());
        }
        let wrong = |error: NodeTermsError| Fault::new(FaultCode::WrongInput, error.to_string());
        if let Some(address @ IpAddr::V6(_)) = self.secondary_ip {
            return Err(wrong(NodeTermsError::SecondaryIp(address)));
        }
        let given = self.ndparams.iter().flatten();
        for (name, value) in given.filter(|(_, value)| *value != PARAMETER_DEFAULT) {
            check_own_parameter(name, value).map_err(wrong)?;
        }
        let none = States::new();
        let hv_state = self.hv_state.as_ref().unwrap_or(&none);
        check_states(hv_state, self.disk_state.as_ref().unwrap_or(&none)).map_err(wrong)
    }

    /// All nodes where another may become a candidate: its flags change too.
    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        let levels = match self.auto_promote && might_demote(self) {
            true => [LockLevel::Node, LockLevel::NodeRes].map(LockName::set),
            false => {
                let node = find(self, state)?.uuid;
                [LockName::node(node), LockName::node_res(node)]
            }
        };
        Ok(one_stage(levels.map(|name| (name, LockMode::Exclusive))))
    }

    /// A node that comes back must be there (P35).
    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let node = find(self, state)?;
        let asked = Case { op: self, state, node }.brings_back();
        Ok(asked.then_some((node.uuid, FactQuery::Node)).into_iter().collect())
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let node = find(self, state)?;
        let case = Case { op: self, state, node };
        case.check_flags()?;
        let old = node.role();
        let (new, mut lines) = case.new_role();
        if case.brings_back() {
            need(facts, node.uuid, &FactQuery::Node, node.name.as_str()).map_err(|fault| {
                let text = format!(
                    "Node {} is being de-offlined but fails to report its version: {}",
                    node.name, fault.message
                );
                Fault::new(FaultCode::WrongState, text)
            })?;
            lines.push(
                " - WARNING: Transitioning node from offline to online state without using \
                 re-add. Please make sure the node is healthy!"
                    .into(),
            );
        }
        lines.extend(secondary::check(self, state, node)?);
        let promoted = match self.auto_promote && might_demote(self) {
            true => Promoted::without(state, &BTreeSet::from([node.uuid])),
            false => Promoted::default(),
        };
        lines.extend(promoted.line());
        let change = NodeChange {
            role: (new != old).then_some(new),
            master_capable: self.master_capable,
            vm_capable: self.vm_capable,
            secondary_ip: self.secondary_ip,
            ndparams: self.ndparams.as_ref().map(|change| merged(&node.ndparams, change)),
            hv_state: self.hv_state.as_ref().map(|change| merged_states(&node.hv_state, change)),
            disk_state: self
                .disk_state
                .as_ref()
                .map(|change| merged_states(&node.disk_state, change)),
        };
        let awaits = (old == NodeRole::Candidate) != (new == NodeRole::Candidate);
        let result = shown(self, old, new);
        let (uuid, serial) = (node.uuid, node.serial);
        Ok(Plan { node: uuid, serial, change, promoted, awaits, lines, result })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let name = &self.node_name;
        let (node, expected) = (plan.node, Some(plan.serial));
        let change = Box::new(plan.change.clone());
        let mut deltas = vec![ConfigDelta::NodeChange { node, expected, change }];
        deltas.extend(plan.promoted.deltas());
        let lines = (!plan.lines.is_empty()).then(|| plan.lines.join("\n"));
        let modify = Step::new(format!("modify node {name}"), Act::Config(deltas));
        let mut steps = vec![modify.says_if(lines).settles()];
        if plan.awaits {
            let holds = plan.change.role == Some(NodeRole::Candidate);
            steps.push(promoted::await_holder(node, name.as_str(), holds));
        }
        steps.extend(plan.promoted.steps());
        steps
    }

    fn result(&self, plan: &Plan) -> Value {
        json!(plan.result)
    }
}

fn find<'a>(op: &NodeSetParams, state: &'a ClusterState) -> Result<&'a Node, Fault> {
    let found = state.node_by_name(&op.node_name);
    found.map(AsRef::as_ref).ok_or_else(|| not_known("Node", op.node_name.as_str()))
}

/// Own parameters after a change.
fn merged(
    old: &BTreeMap<String, String>,
    change: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = old.clone();
    for (name, value) in change {
        if value == PARAMETER_DEFAULT {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    all
}

fn merged_states(old: &States, change: &States) -> States {
    let mut all = old.clone();
    for (of, numbers) in change {
        let known = all.entry(of.clone()).or_default();
        known.extend(numbers.iter().map(|(name, number)| (name.clone(), *number)));
    }
    all
}

/// What Ganeti answers: flags and addresses that were set, and the flags of roles that differ.
fn shown(op: &NodeSetParams, old: NodeRole, new: NodeRole) -> Vec<(String, String)> {
    let python = |flag| if flag { "True" } else { "False" };
    let mut shown = Vec::new();
    for (name, flag) in [("master_capable", op.master_capable), ("vm_capable", op.vm_capable)] {
        shown.extend(flag.map(|flag| (name.to_owned(), python(flag).to_owned())));
    }
    shown.extend(op.secondary_ip.map(|ip| ("secondary_ip".to_owned(), ip.to_string())));
    let differ = old.flags().into_iter().zip(new.flags()).filter(|(old, new)| old != new);
    shown.extend(differ.map(|(_, (name, flag))| (name.to_owned(), python(flag).to_owned())));
    shown
}

#[cfg(test)]
mod tests;

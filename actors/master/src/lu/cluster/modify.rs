//! OP_CLUSTER_SET_PARAMS (rows O12, C26): the size of the candidate pool. The other parameters of
//! Ganeti's opcode are not there yet and refused where they are read.

use std::collections::BTreeSet;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::{ClusterChange, ConfigDelta};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::ids::Serial;
use gantry_model::locks::{LockLevel, LockMode, LockName};
use gantry_model::opcodes::ClusterSetParams;
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};

use crate::lu::node::Promoted;
use crate::lu::{LogicalUnit, one_stage};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    serial: Serial,
    size: u32,
    promoted: Promoted,
    /// For the job's log.
    lines: Vec<String>,
}

impl LogicalUnit for ClusterSetParams {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        match self.candidate_pool_size {
            None => {
                let text = "Please pass at least one modification";
                Err(Fault::new(FaultCode::WrongInput, text))
            }
            Some(0) => {
                let text = "candidate_pool_size is 0, it must be at least 1: the master is one";
                Err(Fault::new(FaultCode::WrongInput, text))
            }
            Some(_) => Ok(()),
        }
    }

    /// Exclusively, and not shared as in Ganeti: two that fill the pool at once would fill it
    /// twice.
    fn locks(&self, _stage: u32, _state: &ClusterState) -> Result<LockStage, Fault> {
        Ok(one_stage([(LockName::set(LockLevel::Node), LockMode::Exclusive)]))
    }

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        let none = || Fault::new(FaultCode::WrongState, "there is no cluster");
        let cluster = state.cluster.as_ref().ok_or_else(none)?;
        let size = self.candidate_pool_size.unwrap_or(cluster.candidate_pool_size);
        let promoted = Promoted::to_size(state, size, &BTreeSet::new());
        let mut lines: Vec<String> = promoted.line().into_iter().collect();
        let now = state.pool_without(&BTreeSet::new()).now;
        if promoted.is_empty() && now > size as usize {
            lines.push(format!(
                " - INFO: Note: more nodes are candidates ({now}) than desired ({size})"
            ));
        }
        Ok(Plan { serial: cluster.serial, size, promoted, lines })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let change = ClusterChange { candidate_pool_size: Some(plan.size) };
        let mut deltas = vec![ConfigDelta::ClusterChange { expected: Some(plan.serial), change }];
        deltas.extend(plan.promoted.deltas());
        let lines = (!plan.lines.is_empty()).then(|| plan.lines.join("\n"));
        let modify = Step::new("modify the cluster", Act::Config(deltas)).says_if(lines).settles();
        std::iter::once(modify).chain(plan.promoted.steps()).collect()
    }
}

#[cfg(test)]
mod tests;

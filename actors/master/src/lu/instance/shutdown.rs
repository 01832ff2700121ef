//! OP_INSTANCE_SHUTDOWN (rows O37, C74, I6).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::InstanceChange;
use gantry_model::errors::Fault;
use gantry_model::facts::Facts;
use gantry_model::objects::{AdminState, Instance};
use gantry_model::opcodes::InstanceShutdown;
use gantry_model::steps::Step;
use serde::{Deserialize, Serialize};

use crate::lu::LogicalUnit;
use crate::lu::guest;

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The instance as it was.
    instance: Instance,
    /// Whether its node is offline, and only the wanted state is to be set. Plans of an older
    /// program do not have it.
    #[serde(default)]
    offline: bool,
}

impl LogicalUnit for InstanceShutdown {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        guest::check_timeout(self.shutdown_timeout)
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        guest::instance_lock(state, &self.instance_name)
    }

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        if !self.force {
            guest::not_offline(instance)?;
        }
        let offline = self.ignore_offline_nodes && guest::home(state, instance)?.offline;
        if !offline {
            guest::primary(state, instance)?;
        }
        Ok(Plan { instance: instance.as_ref().clone(), offline })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.no_remember && plan.instance.admin_state == AdminState::Up {
            let down = InstanceChange::AdminState(AdminState::Down);
            let act = guest::change(plan.instance.uuid, plan.instance.serial, down);
            let says = plan.offline.then(|| NODE_OFFLINE.to_owned());
            steps.push(Step::new("mark instance as down", act).says_if(says));
        }
        if !plan.offline {
            steps.push(guest::stop_step(&plan.instance, self.shutdown_timeout, false));
        }
        steps
    }
}

/// In Ganeti's words, with the prefix that its lines of this kind have.
const NODE_OFFLINE: &str = " - INFO: Primary node offline, marked instance as stopped";

#[cfg(test)]
mod tests;

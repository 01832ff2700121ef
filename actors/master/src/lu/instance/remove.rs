//! OP_INSTANCE_REMOVE (rows O34, C70, I10).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::errors::Fault;
use gantry_model::facts::Facts;
use gantry_model::node_calls::DiskRemove;
use gantry_model::objects::{AdminState, Disk, Instance};
use gantry_model::opcodes::InstanceRemove;
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};

use crate::lu::LogicalUnit;
use crate::lu::guest;

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The instance as it was.
    instance: Instance,
}

impl LogicalUnit for InstanceRemove {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        guest::check_timeout(self.shutdown_timeout)
    }

    fn locks(&self, stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        guest::instance_then_node_locks(stage, state, &self.instance_name, true)
    }

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        if !self.ignore_failures {
            guest::primary(state, instance)?;
        }
        Ok(Plan { instance: instance.as_ref().clone() })
    }

    /// Nothing here can be taken back. It is marked as down first, so that a removal which stops
    /// half-way leaves an instance that nobody starts, and that can be removed again. As
    /// Ganeti's it says nothing as long as all goes well.
    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let instance = &plan.instance;
        let mut steps = Vec::new();
        if instance.admin_state == AdminState::Up {
            let down = InstanceChange::AdminState(AdminState::Down);
            let act = guest::change(instance.uuid, instance.serial, down);
            steps.push(Step::new("mark instance as down", act));
        }
        steps.push(guest::stop_step(instance, self.shutdown_timeout, self.ignore_failures));
        steps.extend(instance.disks.iter().map(|disk| remove_disk(instance, disk, self)));
        let name = format!("remove instance {}", instance.name);
        let act = Act::change(ConfigDelta::InstanceRemove { instance: instance.uuid });
        steps.push(Step::new(name, act));
        steps
    }
}

fn remove_disk(instance: &Instance, disk: &Disk, op: &InstanceRemove) -> Step {
    let call = DiskRemove { disk: disk.clone() };
    Step::new(format!("remove disk {}", disk.index), Act::call(instance.primary, call))
        .may_fail_if(op.ignore_failures)
}

#[cfg(test)]
mod tests;

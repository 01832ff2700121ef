//! OP_INSTANCE_REBOOT (rows O38, C76, I7).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::InstanceChange;
use gantry_model::errors::Fault;
use gantry_model::facts::{FactQuery, Facts};
use gantry_model::ids::NodeUuid;
use gantry_model::node_calls;
use gantry_model::objects::{GuestSpec, Instance, Node};
use gantry_model::opcodes::{InstanceReboot, RebootType};
use gantry_model::report::GuestState;
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lu::LogicalUnit;
use crate::lu::guest;

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The instance as it was.
    instance: Instance,
    /// Where.
    node: Node,
    /// The guest under a new epoch, if it has to be started anew.
    spec: GuestSpec,
    /// Whether it runs.
    runs: bool,
    /// Whether its last guest has ended by itself and is still held.
    ended: bool,
    /// Names the reset, if there is one. Plans of an older program have none.
    #[serde(default)]
    mark: Option<Uuid>,
}

impl LogicalUnit for InstanceReboot {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        guest::check_timeout(self.shutdown_timeout)
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        guest::instance_lock(state, &self.instance_name)
    }

    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        let node = guest::primary(state, instance)?;
        Ok(vec![(node.uuid, guest::guest_query(instance))])
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        guest::not_offline(instance)?;
        let node = guest::primary(state, instance)?;
        let cluster = guest::cluster(state)?;
        let report = guest::running(facts, instance, node)?;
        Ok(Plan {
            spec: guest::spec(cluster, instance, instance.run_epoch.next()),
            runs: report.is_some_and(|report| report.state != GuestState::Shutdown),
            ended: report.is_some_and(|report| report.state == GuestState::Shutdown),
            instance: instance.as_ref().clone(),
            node: node.as_ref().clone(),
            mark: Some(guest::derived(facts, "reboot", 0)),
        })
    }

    /// A running guest is reset in place, unless all of it is to be made anew; one that does not
    /// run is started, as Ganeti does.
    fn steps(&self, plan: &Plan) -> Vec<Step> {
        if plan.runs && self.reboot_type != RebootType::Full {
            let call = node_calls::InstanceReboot {
                instance: plan.instance.uuid,
                hypervisor: plan.instance.hypervisor(),
                mark: plan.mark,
            };
            let name = format!("reboot instance {}", plan.instance.name);
            return vec![Step::new(name, Act::call(plan.node.uuid, call))];
        }
        let mut steps = Vec::new();
        if plan.runs {
            steps.push(guest::stop_step(&plan.instance, self.shutdown_timeout, false));
        } else if plan.ended {
            steps.push(guest::clean_up_step(&plan.spec, &plan.node));
        }
        let start = InstanceChange::Start { epoch: plan.spec.epoch, remember: true };
        let act = guest::change(plan.instance.uuid, plan.instance.serial, start);
        let says = (!plan.runs).then(|| {
            let name = &plan.instance.name;
            format!(" - INFO: Instance {name} was already stopped, starting now")
        });
        steps.push(Step::new("begin a new run of the instance", act).says_if(says));
        steps.push(guest::start_step(&plan.spec, &plan.node, false));
        steps
    }
}

#[cfg(test)]
mod tests;

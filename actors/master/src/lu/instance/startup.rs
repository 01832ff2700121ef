//! OP_INSTANCE_STARTUP (rows O36, C75, I5).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::InstanceChange;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{FactQuery, Facts};
use gantry_model::ids::{NodeUuid, Serial};
use gantry_model::objects::{AdminState, GuestSpec, Node};
use gantry_model::opcodes::InstanceStartup;
use gantry_model::report::GuestState;
use gantry_model::steps::Step;
use serde::{Deserialize, Serialize};

use crate::lu::LogicalUnit;
use crate::lu::guest;

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The guest under its new epoch.
    spec: GuestSpec,
    /// Where.
    node: Node,
    /// The serial that was read.
    serial: Serial,
    /// Whether it runs already: then only the wanted state is set, if it has to be.
    runs: bool,
    /// Whether its last guest has ended by itself and is still held.
    ended: bool,
    /// Whether the wanted state was `up` already.
    is_up: bool,
}

impl LogicalUnit for InstanceStartup {
    type Plan = Plan;

    fn locks(&self, stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        guest::instance_then_node_locks(stage, state, &self.instance_name, false)
    }

    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        let node = guest::primary(state, instance)?;
        let cluster = guest::cluster(state)?;
        let spec = guest::spec(cluster, instance, instance.run_epoch.next());
        Ok(vec![
            (node.uuid, FactQuery::Node),
            (node.uuid, guest::guest_query(instance)),
            (node.uuid, FactQuery::CanRun(Box::new(spec))),
        ])
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        guest::not_offline(instance)?;
        let node = guest::primary(state, instance)?;
        let cluster = guest::cluster(state)?;
        let spec = guest::spec(cluster, instance, instance.run_epoch.next());
        let report = guest::running(facts, instance, node)?;
        let ended = report.is_some_and(|report| report.state == GuestState::Shutdown);
        let runs = match report {
            Some(report) if report.state == GuestState::Shutdown => false,
            Some(report) if report.epoch == instance.run_epoch => true,
            Some(report) => {
                let text = format!(
                    "node {} runs a guest of instance {} from another start (epoch {}, the last \
                     one is {}); stop it first",
                    node.name, instance.name, report.epoch, instance.run_epoch
                );
                return Err(Fault::new(FaultCode::WrongState, text));
            }
            None => false,
        };
        if !runs {
            guest::can_run(facts, node, &spec)?;
        }
        Ok(Plan {
            spec,
            node: node.as_ref().clone(),
            serial: instance.serial,
            runs,
            ended,
            is_up: instance.admin_state == AdminState::Up,
        })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let remember = !self.no_remember;
        let change = |change, name: &str| {
            Step::new(name, guest::change(plan.spec.instance, plan.serial, change))
        };
        if plan.runs {
            let marks = remember && !plan.is_up;
            return marks
                .then(|| change(InstanceChange::AdminState(AdminState::Up), "mark instance as up"))
                .into_iter()
                .collect();
        }
        let start = InstanceChange::Start { epoch: plan.spec.epoch, remember };
        let clean_up = plan.ended.then(|| guest::clean_up_step(&plan.spec, &plan.node));
        clean_up
            .into_iter()
            .chain([
                change(start, "begin a new run of the instance"),
                guest::start_step(&plan.spec, &plan.node, self.startup_paused),
            ])
            .collect()
    }
}

#[cfg(test)]
mod tests;

//! OP_INSTANCE_STARTUP (rows O36, C75, I5).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::InstanceChange;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{FactQuery, Facts};
use gantry_model::ids::{NodeUuid, Serial};
use gantry_model::objects::{AdminState, GuestSpec, Instance, Node};
use gantry_model::opcodes::InstanceStartup;
use gantry_model::params::BackendOverrides;
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
    /// Whether its node is offline, and only the wanted state is to be set. Plans of an older
    /// program do not have it.
    #[serde(default)]
    offline: bool,
}

impl LogicalUnit for InstanceStartup {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        let Some(be) = &self.beparams else { return Ok(()) };
        check_sizes(be)
    }

    fn locks(&self, stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        guest::instance_then_node_locks(stage, state, &self.instance_name, false)
    }

    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        if only_marks(self, state, instance)? {
            return Ok(Vec::new());
        }
        let node = guest::primary(state, instance)?;
        let cluster = guest::cluster(state)?;
        let for_now = for_this_run(self, instance)?;
        let spec = guest::spec(cluster, &for_now, instance.run_epoch.next());
        Ok(vec![
            (node.uuid, FactQuery::Node),
            (node.uuid, guest::guest_query(instance)),
            (node.uuid, FactQuery::CanRun(Box::new(spec))),
        ])
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        guest::not_offline(instance)?;
        let cluster = guest::cluster(state)?;
        let for_now = for_this_run(self, instance)?;
        let spec = guest::spec(cluster, &for_now, instance.run_epoch.next());
        let is_up = instance.admin_state == AdminState::Up;
        if only_marks(self, state, instance)? {
            let (node, serial) = (guest::home(state, instance)?.as_ref().clone(), instance.serial);
            let (runs, ended, offline) = (false, false, true);
            return Ok(Plan { spec, node, serial, runs, ended, is_up, offline });
        }
        guest::check_parameters(cluster, &for_now)?;
        let node = guest::primary(state, instance)?;
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
            is_up,
            offline: false,
        })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let remember = !self.no_remember;
        let change = |change, name: &str| {
            Step::new(name, guest::change(plan.spec.instance, plan.serial, change))
        };
        if plan.offline {
            let up = InstanceChange::AdminState(AdminState::Up);
            let step = change(up, "mark instance as up").says(NODE_OFFLINE);
            return remember.then_some(step).into_iter().collect();
        }
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

/// In Ganeti's words, with the prefix that its lines of this kind have.
const NODE_OFFLINE: &str = " - INFO: Primary node offline, marked instance as started";

/// Whether its node is offline and that is to be ignored.
fn only_marks(
    op: &InstanceStartup,
    state: &ClusterState,
    instance: &Instance,
) -> Result<bool, Fault> {
    Ok(op.ignore_offline_nodes && guest::home(state, instance)?.offline)
}

/// Values that no guest has, whatever the others are.
fn check_sizes(be: &BackendOverrides) -> Result<(), Fault> {
    let zero = [("maxmem", be.maxmem), ("minmem", be.minmem), ("vcpus", be.vcpus)]
        .into_iter()
        .find_map(|(name, value)| (value == Some(0)).then_some(name));
    match zero {
        Some(name) => {
            let text = format!("beparams: {name} of 0 is not possible");
            Err(Fault::new(FaultCode::WrongInput, text))
        }
        None => Ok(()),
    }
}

/// The instance with what is different this once.
fn for_this_run(op: &InstanceStartup, instance: &Instance) -> Result<Instance, Fault> {
    let mut for_now = instance.clone();
    if let Some(hv) = &op.hvparams {
        if hv.kind() != instance.hypervisor() {
            let text = format!(
                "parameters of hypervisor {} are not for instance {}, which has {}",
                hv.kind(),
                instance.name,
                instance.hypervisor()
            );
            return Err(Fault::new(FaultCode::WrongInput, text));
        }
        for (name, text) in hv.rows() {
            for_now.hvparams.set(name, &text).map_err(|error| guest::refused(&error))?;
        }
    }
    if let Some(be) = &op.beparams {
        for (name, text) in be.rows() {
            for_now.beparams.set(name, &text).map_err(|error| guest::refused(&error))?;
        }
    }
    Ok(for_now)
}

#[cfg(test)]
mod tests;

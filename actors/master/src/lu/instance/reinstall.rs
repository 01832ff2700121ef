//! OP_INSTANCE_REINSTALL (rows O33, C69, I8).
//!
//! Copies an image onto the first disk of a stopped instance. Deliberately absent: the scripts of
//! OS definitions, which nothing runs yet.

use std::collections::BTreeMap;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::InstanceChange;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::NodeUuid;
use gantry_model::node_calls::DiskWriteImage;
use gantry_model::objects::{AdminState, Disk, Instance, Node};
use gantry_model::opcodes::InstanceReinstall;
use gantry_model::params::PrivateParams;
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};

use super::osparams::{OS_IMAGE, OsParams};
use crate::lu::guest;
use crate::lu::{LogicalUnit, need};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The instance as it was.
    instance: Instance,
    /// Its first disk.
    disk: Disk,
    /// What is copied onto it.
    image: String,
    /// The OS and its parameters afterwards, if they differ.
    os: Option<(String, BTreeMap<String, String>)>,
    /// The parameters of the OS that nobody is shown, if anything of it differs.
    #[serde(default)]
    private: PrivateParams,
    /// Where. Plans of an older program do not have it.
    #[serde(default)]
    node: Option<Node>,
}

impl LogicalUnit for InstanceReinstall {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
        OsParams::new(&self.osparams, &self.osparams_private, &self.osparams_secret).check()?;
        match self.osparams.get(OS_IMAGE) {
            Some(path) if !path.starts_with('/') => {
                refuse(format!("{OS_IMAGE} {path:?} is not an absolute path"))
            }
            _ => Ok(()),
        }
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        guest::instance_lock(state, &self.instance_name)
    }

    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        let node = guest::primary(state, instance)?.uuid;
        let mut queries = vec![(node, guest::guest_query(instance))];
        if let Some(path) = osparams(self, instance).remove(OS_IMAGE) {
            queries.push((node, FactQuery::Image { path }));
        }
        Ok(queries)
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let instance = guest::find(state, &self.instance_name)?;
        let node = guest::primary(state, instance)?;
        let name = &instance.name;
        let Some(disk) = instance.disks.first() else {
            let text = format!("Instance '{name}' has no disks");
            return Err(Fault::new(FaultCode::WrongInput, text));
        };
        let marked = match instance.admin_state {
            AdminState::Down => None,
            AdminState::Up => Some("up"),
            AdminState::Offline => Some("offline"),
        };
        if let Some(state) = marked {
            let text = format!("Instance '{name}' is marked to be {state}, cannot reinstall");
            return Err(Fault::new(FaultCode::WrongState, text));
        }
        if guest::running(facts, instance, node)?.is_some() {
            let text = format!("Instance {name} is running, cannot reinstall");
            return Err(Fault::new(FaultCode::WrongState, text));
        }
        let osparams = osparams(self, instance);
        let Some(image) = osparams.get(OS_IMAGE).cloned() else {
            let text = format!(
                "nothing to install on instance {name}: it has no {OS_IMAGE} yet, give -O \
                 {OS_IMAGE}=PATH"
            );
            return Err(Fault::new(FaultCode::WrongInput, text));
        };
        let query = FactQuery::Image { path: image.clone() };
        match need(facts, node.uuid, &query, node.name.as_str())? {
            Fact::Image { size } if *size > disk.size => {
                let text = format!("image {image} has {size}, more than disk 0 with {}", disk.size);
                return Err(Fault::new(FaultCode::WrongInput, text));
            }
            Fact::Image { .. } => {}
            other => return Err(guest::unexpected(other)),
        }
        let os = self.os_type.clone().unwrap_or_else(|| instance.os.clone());
        let private = instance.osparams_private.with(&self.osparams_private);
        let all = OsParams::new(&osparams, &private, &self.osparams_secret);
        all.check().and_then(|()| all.check_owner(&os))?;
        let differs = os != instance.os
            || osparams != instance.osparams
            || private != instance.osparams_private;
        let (instance, disk) = (instance.as_ref().clone(), disk.clone());
        let os = differs.then_some((os, osparams));
        Ok(Plan { instance, disk, image, os, private, node: Some(node.as_ref().clone()) })
    }

    /// The disk first: the configuration then says what is on it. Nothing brings back what was.
    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let call = DiskWriteImage { disk: plan.disk.clone(), image: plan.image.clone() };
        let write = Act::call(plan.instance.primary, call);
        let mut steps = vec![
            Step::new("copy an image onto disk 0", write).settles().says_if(beginning(self, plan)),
        ];
        if let Some((os, osparams)) = plan.os.clone() {
            let says =
                (os != plan.instance.os).then(|| format!("Changing OS scripts to '{os}'..."));
            let osparams_private = plan.private.clone();
            let change = InstanceChange::Os { os, osparams, osparams_private };
            let act = guest::change(plan.instance.uuid, plan.instance.serial, change);
            steps.push(Step::new("change the OS of the instance", act).says_if(says));
        }
        steps
    }
}

/// What Ganeti says first, in its words: which image, if that was said now, and that it is copied.
fn beginning(op: &InstanceReinstall, plan: &Plan) -> Option<String> {
    let given = op.osparams.get(OS_IMAGE).map(|image| format!("Using OS image '{image}'"));
    let node = plan.node.as_ref();
    let imaging = node.map(|node| guest::imaging(&plan.instance, node, &plan.disk));
    let lines: Vec<String> = given.into_iter().chain(imaging).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Its OS parameters, with those that change.
fn osparams(op: &InstanceReinstall, instance: &Instance) -> BTreeMap<String, String> {
    let mut osparams = instance.osparams.clone();
    osparams.extend(op.osparams.clone());
    osparams
}

#[cfg(test)]
mod tests;

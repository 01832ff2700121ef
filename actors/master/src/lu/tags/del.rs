//! OP_TAGS_DEL (rows O65, C22, C84, C123).

use std::collections::BTreeSet;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::opcodes::TagsDel;
use gantry_model::steps::Step;

use super::{Plan, change, check_arguments, locks, resolve, tags_of};
use crate::lu::LogicalUnit;

impl LogicalUnit for TagsDel {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        check_arguments(&self.tags)
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        locks(&self.object, state)
    }

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        let object = resolve(&self.object, state)?;
        let present: BTreeSet<&String> = tags_of(object, state).iter().collect();
        let wanted: BTreeSet<&String> = self.tags.iter().collect();
        let missing: Vec<String> =
            wanted.difference(&present).map(|tag| format!("'{tag}'")).collect();
        if missing.is_empty() {
            return Ok(Plan { object });
        }
        let text = format!("Tag(s) {} not found on {}", missing.join(", "), self.object);
        Err(Fault::new(FaultCode::UnknownEntity, text))
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        change(format!("remove tags from {}", self.object), plan.object, &[], &self.tags)
    }
}

#[cfg(test)]
mod tests;

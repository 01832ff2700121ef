//! OP_TAGS_SET (rows O64, C21, C83, C122).

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::errors::Fault;
use gantry_model::facts::Facts;
use gantry_model::opcodes::TagsSet;
use gantry_model::steps::Step;
use gantry_model::tags::changed_tags;

use super::{Plan, change, check_arguments, invalid, locks, resolve, tags_of};
use crate::lu::LogicalUnit;

impl LogicalUnit for TagsSet {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        check_arguments(&self.tags)
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        locks(&self.object, state)
    }

    fn check(&self, state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        let object = resolve(&self.object, state)?;
        changed_tags(tags_of(object, state), &self.tags, &[]).map_err(|error| invalid(&error))?;
        Ok(Plan { object })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        change(format!("add tags to {}", self.object), plan.object, &self.tags, &[])
    }
}

#[cfg(test)]
mod tests;

//! OP_TEST_NEXT: what only the test-only next version can do.

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::errors::Fault;
use gantry_model::facts::Facts;
use gantry_model::opcodes::TestNext;
use gantry_model::steps::{Act, Step};
use gantry_model::units::Millis;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lu::{LogicalUnit, one_stage};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    note: String,
}

impl LogicalUnit for TestNext {
    type Plan = Plan;

    fn locks(&self, _stage: u32, _state: &ClusterState) -> Result<LockStage, Fault> {
        Ok(one_stage([]))
    }

    fn check(&self, _state: &ClusterState, _facts: &Facts) -> Result<Plan, Fault> {
        Ok(Plan { note: self.note.clone() })
    }

    fn steps(&self, _plan: &Plan) -> Vec<Step> {
        vec![Step::new("wait on the master".to_owned(), Act::Wait { duration: Millis(1) })]
    }

    fn result(&self, plan: &Plan) -> Value {
        Value::from(plan.note.as_str())
    }
}

//! The logical units: what each opcode means. One opcode, one file, `lu/<noun>/<verb>.rs`.
//!
//! A unit is pure. It names its locks, the facts it wants, checks, and returns a plan; from the
//! plan and the results so far it names the next step. It is asked again after a crash and must
//! answer the same, so a plan contains everything that was read, and steps are values.
//!
//! Adding one: a line in the table of opcodes makes `dispatch!` fail to build here.

mod cluster;
#[cfg(test)]
mod generic_tests;
mod guest;
mod instance;
mod node;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod samples;
mod tags;
mod test;

use gantry_engine::jobs::{LockStage, Next};
use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::NodeUuid;
use gantry_model::locks::{LockChange, LockMode, LockName};
use gantry_model::opcodes::OpCode;
use gantry_model::steps::{PlanRecord, Step, StepRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::node::check_terms;

/// What an opcode means.
pub trait LogicalUnit {
    /// What it decides; encoded into the journal.
    type Plan: Serialize + DeserializeOwned;

    /// Version of the plan's form; raised when an old plan would be misread.
    const PLAN_VERSION: u32 = 1;

    /// Checks what can be checked without any state. Called at submission too.
    ///
    /// # Errors
    /// When the input is wrong whatever the state.
    fn arguments(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Locks of one stage. Later stages may depend on what earlier ones protect.
    ///
    /// # Errors
    /// When an object that it needs does not exist.
    fn locks(&self, stage: u32, state: &ClusterState) -> Result<LockStage, Fault>;

    /// What it wants to know of nodes, under its locks.
    ///
    /// # Errors
    /// When an object that it needs does not exist.
    fn facts(&self, _state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        Ok(Vec::new())
    }

    /// Decides.
    ///
    /// # Errors
    /// When it cannot be done as things are; nothing has changed then.
    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Self::Plan, Fault>;

    /// All its steps, in order.
    fn steps(&self, plan: &Self::Plan) -> Vec<Step>;

    /// The same for a unit whose later steps depend on how earlier ones ended. Must give the same
    /// beginning for a longer journal.
    fn steps_after(&self, plan: &Self::Plan, _done: &[StepRecord]) -> Vec<Step> {
        self.steps(plan)
    }

    /// Its answer, when all steps are done.
    fn result(&self, _plan: &Self::Plan) -> Value {
        Value::Null
    }
}

/// Runs an expression on the unit inside an opcode.
macro_rules! dispatch {
    ($op:expr, $unit:ident => $body:expr) => {
        match $op {
            OpCode::ClusterDestroy($unit) => $body,
            OpCode::ClusterRenewCrypto($unit) => $body,
            OpCode::ClusterSetParams($unit) => $body,
            OpCode::NodeAdd($unit) => $body,
            OpCode::NodeRemove($unit) => $body,
            OpCode::NodeSetParams($unit) => $body,
            OpCode::InstanceCreate($unit) => $body,
            OpCode::InstanceRemove($unit) => $body,
            OpCode::InstanceReinstall($unit) => $body,
            OpCode::InstanceStartup($unit) => $body,
            OpCode::InstanceShutdown($unit) => $body,
            OpCode::InstanceReboot($unit) => $body,
            OpCode::TagsSet($unit) => $body,
            OpCode::TagsDel($unit) => $body,
            OpCode::TestDelay($unit) => $body,
            #[cfg(feature = "next-version")]
            OpCode::TestNext($unit) => $body,
        }
    };
}

/// [`LogicalUnit::arguments`] of an opcode.
///
/// # Errors
/// As there.
pub fn arguments(op: &OpCode) -> Result<(), Fault> {
    dispatch!(op, unit => unit.arguments())
}

/// [`LogicalUnit::locks`] of an opcode, in the global order.
///
/// # Errors
/// As there.
pub fn locks(op: &OpCode, stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
    let mut stage = dispatch!(op, unit => unit.locks(stage, state))?;
    stage.changes.sort_by(|a, b| a.0.cmp(&b.0));
    stage.changes.dedup();
    Ok(stage)
}

/// [`LogicalUnit::facts`] of an opcode.
///
/// # Errors
/// As there.
pub fn facts(op: &OpCode, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
    dispatch!(op, unit => unit.facts(state))
}

/// [`LogicalUnit::check`] of an opcode, as it is journalled.
///
/// # Errors
/// As there.
pub fn check(op: &OpCode, state: &ClusterState, facts: &Facts) -> Result<PlanRecord, Fault> {
    dispatch!(op, unit => {
        unit.arguments()?;
        record(unit, &unit.check(state, facts)?, state)
    })
}

/// The next step of an opcode, or its answer.
///
/// # Errors
/// When the plan cannot be read.
pub fn next(op: &OpCode, plan: &PlanRecord, done: &[StepRecord]) -> Result<Next, Fault> {
    dispatch!(op, unit => next_of(unit, plan, done))
}

/// Derives the journalled steps again.
///
/// # Errors
/// `lu_diverged` when one differs.
pub fn replay(op: &OpCode, plan: &PlanRecord, steps: &[StepRecord]) -> Result<(), Fault> {
    for (seq, record) in steps.iter().enumerate() {
        match next(op, plan, &steps[..seq])? {
            Next::Step(step) if is_same(&step, &record.step) => {}
            _ => {
                let text = format!(
                    "{}: the journal has '{}' as step {seq}, the program would do something else",
                    op.summary(),
                    record.step.name
                );
                return Err(Fault::new(FaultCode::LuDiverged, text));
            }
        }
    }
    Ok(())
}

/// Whether two steps do the same. What they say may differ: the words of another version do not
/// make it another step.
fn is_same(decided: &Step, journalled: &Step) -> bool {
    let silent = |step: &Step| Step { says: None, ..step.clone() };
    silent(decided) == silent(journalled)
}

fn record<U: LogicalUnit>(
    _unit: &U,
    plan: &U::Plan,
    state: &ClusterState,
) -> Result<PlanRecord, Fault> {
    let plan = gantry_wire::encode(plan)
        .map_err(|e| Fault::from_error(FaultCode::InternalError, "encode the plan", &e))?;
    Ok(PlanRecord { version: U::PLAN_VERSION, plan, revision: state.revision })
}

fn next_of<U: LogicalUnit>(
    unit: &U,
    record: &PlanRecord,
    done: &[StepRecord],
) -> Result<Next, Fault> {
    if record.version != U::PLAN_VERSION {
        let text = format!("a plan of version {} cannot be read", record.version);
        return Err(Fault::new(FaultCode::LuDiverged, text));
    }
    let plan: U::Plan = gantry_wire::decode(&record.plan)
        .map_err(|e| Fault::from_error(FaultCode::LuDiverged, "read the plan", &e))?;
    Ok(match unit.steps_after(&plan, done).into_iter().nth(done.len()) {
        Some(step) => Next::Step(Box::new(step)),
        None => Next::Finish(unit.result(&plan)),
    })
}

/// Every lock in one stage, the big lock shared first (rows L1, L64).
pub(crate) fn one_stage(locks: impl IntoIterator<Item = (LockName, LockMode)>) -> LockStage {
    stage(locks, true)
}

/// A stage that another follows, the big lock shared first.
pub(crate) fn first_stage(locks: impl IntoIterator<Item = (LockName, LockMode)>) -> LockStage {
    stage(locks, false)
}

fn stage(locks: impl IntoIterator<Item = (LockName, LockMode)>, last: bool) -> LockStage {
    let mut changes = vec![(LockName::bgl(), LockChange::Hold(LockMode::Shared))];
    changes.extend(locks.into_iter().map(|(name, mode)| (name, LockChange::Hold(mode))));
    LockStage { changes, last }
}

/// The last stage of several; the big lock is held already.
pub(crate) fn last_stage(locks: impl IntoIterator<Item = (LockName, LockMode)>) -> LockStage {
    let changes = locks.into_iter().map(|(name, mode)| (name, LockChange::Hold(mode))).collect();
    LockStage { changes, last: true }
}

/// The big lock alone (row L1).
pub(crate) fn big_lock() -> LockStage {
    let changes = vec![(LockName::bgl(), LockChange::Hold(LockMode::Exclusive))];
    LockStage { changes, last: true }
}

/// A fact that must be there and good, or why not.
pub(crate) fn need<'a>(
    facts: &'a Facts,
    node: NodeUuid,
    query: &FactQuery,
    node_name: &str,
) -> Result<&'a Fact, Fault> {
    match facts.get(node, query) {
        Some(Fact::No { reason }) => {
            let text = format!("node {node_name}: {reason}");
            Err(Fault::new(FaultCode::EnvironmentError, text))
        }
        Some(Fact::Unreachable { reason }) => {
            let text = format!("node {node_name} does not answer: {reason}");
            Err(Fault::new(FaultCode::EnvironmentError, text).retry_later())
        }
        Some(fact) => Ok(fact),
        None => {
            let text = format!("node {node_name} was not asked for {query:?}");
            Err(Fault::new(FaultCode::InternalError, text))
        }
    }
}

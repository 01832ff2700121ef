//! Saying what a job would do: its locks, nodes, steps and changes, and nothing else (`--plan`).

use std::collections::BTreeSet;

use gantry_engine::jobs::Next;
use gantry_engine::state::{Applied, ClusterState, Command, Entry};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::locks::LockChange;
use gantry_model::messages::{NewJob, PlanJob};
use gantry_model::opcodes::OpCode;
use gantry_model::plan::{JobPlan, OpPlan, PlannedLock, PlannedStep};
use gantry_model::steps::{Act, PlanRecord, STEPS_MAX, Step, StepRecord, StepResult};
use gantry_model::units::Timestamp;
use gantry_runtime::{Context, Handler, Reply};

use super::ClusterActor;
use super::submit::{check, complete_names};
use crate::context::MasterContext;
use crate::job_actor::gather_facts;
use crate::lu;

/// Most stages in which an opcode asks for locks. The longest has three; a unit that never names
/// the last one is a bug.
const STAGES_MAX: u32 = 16;

impl Handler<PlanJob> for ClusterActor {
    fn handle(
        &mut self,
        message: PlanJob,
        reply: Reply<Result<JobPlan, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let mut job = message.job;
        let state = match self.context.believed_state() {
            Ok(state) => state,
            Err(fault) => return reply.send(Err(fault)),
        };
        if let Err(fault) = complete_names(&mut job, &state).and_then(|()| check(&job, state.level))
        {
            return reply.send(Err(fault));
        }
        let planning = plan(self.context.clone(), ClusterState::clone(&state), job);
        ctx.spawn_then(planning, |_, planned, _| reply.send(planned));
    }
}

async fn plan(
    context: MasterContext,
    mut state: ClusterState,
    job: NewJob,
) -> Result<JobPlan, Fault> {
    let revision = state.revision;
    let mut ops = Vec::with_capacity(job.ops.len());
    for request in &job.ops {
        let op = &request.op;
        let locks = locks(op, &state)?;
        let facts = gather_facts(context.clone(), lu::facts(op, &state)?).await;
        let record = lu::check(op, &state, &facts).map_err(as_prerequisite)?;
        let steps = steps(op, &record)?;
        let asked = facts.answers.iter().map(|(node, _, _)| *node);
        let acted = steps.iter().filter_map(|step| node_of(&step.act));
        let nodes: BTreeSet<NodeUuid> = asked.chain(acted).collect();
        let before = state.clone();
        for step in &steps {
            change(&mut state, &step.act, facts.now)?;
        }
        let changes = before.differences(&state).map_err(|error| {
            Fault::from_error(FaultCode::InternalError, "compare the configuration", &error)
        })?;
        ops.push(OpPlan {
            summary: op.summary(),
            locks,
            nodes: nodes.into_iter().map(|node| before.name_of_node(node)).collect(),
            steps: steps.iter().map(|step| planned(step, &before)).collect(),
            changes,
        });
    }
    Ok(JobPlan { revision, ops })
}

fn as_prerequisite(fault: Fault) -> Fault {
    Fault { prerequisite: true, ..fault }
}

fn locks(op: &OpCode, state: &ClusterState) -> Result<Vec<Vec<PlannedLock>>, Fault> {
    let mut stages = Vec::new();
    for number in 0..STAGES_MAX {
        let stage = lu::locks(op, number, state)?;
        let held = stage.changes.into_iter().filter_map(|(name, change)| match change {
            LockChange::Hold(mode) => Some(PlannedLock { name: name.to_string(), mode }),
            LockChange::Release => None,
        });
        stages.push(held.collect());
        if stage.last {
            return Ok(stages);
        }
    }
    let text = format!("{} asks for locks in more than {STAGES_MAX} stages", op.summary());
    Err(Fault::new(FaultCode::InternalError, text))
}

/// All steps, if each succeeds.
fn steps(op: &OpCode, record: &PlanRecord) -> Result<Vec<Step>, Fault> {
    let mut done: Vec<StepRecord> = Vec::new();
    for _ in 0..=STEPS_MAX {
        match lu::next(op, record, &done)? {
            Next::Finish(_) => return Ok(done.into_iter().map(|record| record.step).collect()),
            Next::Step(step) => done.push(StepRecord {
                step: *step,
                result: Some(StepResult::Done(Default::default())),
                undone: None,
            }),
        }
    }
    let text = format!("{} has more than {STEPS_MAX} steps", op.summary());
    Err(Fault::new(FaultCode::InternalError, text))
}

/// Makes the change of a step in a copy of the state.
fn change(state: &mut ClusterState, act: &Act, at: Timestamp) -> Result<(), Fault> {
    let Act::Config(deltas) = act else { return Ok(()) };
    let command = Command::Config { reign: state.reign, deltas: deltas.clone() };
    match state.apply(state.revision.next(), &Entry { at, command }) {
        Applied::Refused(fault) => Err(as_prerequisite(fault)),
        _ => Ok(()),
    }
}

fn node_of(act: &Act) -> Option<NodeUuid> {
    match act {
        Act::Call { node, .. } => Some(*node),
        Act::AwaitHolder { node } => Some(*node),
        Act::Config(_) | Act::Wait { .. } => None,
    }
}

fn act_name(act: &Act) -> String {
    match act {
        Act::Call { call, .. } => call.wire_name().to_owned(),
        Act::Config(_) => "configuration".to_owned(),
        Act::Wait { .. } | Act::AwaitHolder { .. } => "wait".to_owned(),
    }
}

fn planned(step: &Step, state: &ClusterState) -> PlannedStep {
    PlannedStep {
        name: step.name.clone(),
        act: act_name(&step.act),
        node: node_of(&step.act).map(|node| state.name_of_node(node)),
        undo: step.undo.as_ref().map(act_name),
        may_fail: step.may_fail,
    }
}

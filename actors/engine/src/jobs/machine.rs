//! The machine of one job.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus, LogKind, OpRecord};
use gantry_model::locks::{LockMode, LockName};
use gantry_model::opcodes::OpRequest;
use gantry_model::steps::{Act, Direction, PlanRecord, Step, StepId, StepRecord, StepResult};
use gantry_model::units::{Millis, Timestamp};

use super::join::Joined;
use super::protocol::{CallEnd, JobEffect, JobEvent, LockStage, Next, RETRY_FIRST, RETRY_MAX};
use crate::state::JobFact;

/// What a job is waiting for. The state owns what is valid only in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Nothing has been asked of it yet.
    New,
    /// The logical unit names its locks.
    Declaring { stage: u32 },
    /// The lock actor.
    Locking { stage: u32, last: bool },
    /// The logical unit names facts.
    Wanting,
    /// The nodes.
    Gathering,
    /// The logical unit decides.
    Checking,
    /// The logical unit derives journalled steps again.
    Replaying,
    /// The logical unit chooses a step.
    Deciding,
    /// The log; what follows when it is applied.
    Committing(After),
    /// A node that is told of the reign.
    Installing { pause: Millis },
    /// A call, or a wait, of this step.
    Acting { direction: Direction, seq: u32, pause: Millis, uncertain: bool },
    /// A pause before the call of this step is sent again.
    Pausing { direction: Direction, seq: u32, pause: Millis, uncertain: bool },
    /// A pause before a node is told of the reign again.
    PausingInstall { pause: Millis },
    /// Nothing any more.
    Over,
}

/// What follows a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum After {
    /// The step that began with it is acted.
    Act { seq: u32 },
    /// The next step is chosen.
    Decide,
    /// The next undo.
    Undo,
    /// The next opcode, or the end.
    NextOp { ok: bool },
}

/// One job. See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobMachine {
    pub(super) id: JobId,
    ops: Vec<OpRequest>,
    pub(super) op_idx: usize,
    pub(super) phase: Phase,
    cancel: bool,
    pub(super) held: Vec<(LockName, LockMode)>,
    /// What is held when the commit under way is applied, if that is less.
    pub(super) narrowing: Option<Vec<(LockName, LockMode)>>,
    /// Whether the present opcode is in the log as begun.
    pub(super) began: bool,
    start: Timestamp,
    exec: Timestamp,
    pub(super) plan: Option<PlanRecord>,
    pub(super) steps: Vec<StepRecord>,
    pub(super) unwinding: Option<Fault>,
    /// Why the opcode unwinds as soon as the call under way has ended.
    pub(super) diverged: Option<Fault>,
    /// Facts that travel with the next commit.
    pub(super) pending: Vec<JobFact>,
    /// Facts of the commit under way.
    pub(super) committing: Vec<JobFact>,
    /// The steps that are not in the log yet, if there are any.
    pub(super) joined: Option<Joined>,
    /// Whether every step has an entry of its own, because the log refused one with several.
    pub(super) one_by_one: bool,
}

impl JobMachine {
    /// A machine for a job as the log has it, holding the locks that the log says it holds.
    #[must_use]
    pub fn new(record: &JobRecord, held: Vec<(LockName, LockMode)>) -> Self {
        let op_idx =
            record.ops.iter().position(|op| !op.status.is_final()).unwrap_or(record.ops.len());
        let op = record.ops.get(op_idx);
        Self {
            id: record.id,
            ops: record.ops.iter().map(op_as_it_is).collect(),
            op_idx,
            phase: Phase::New,
            cancel: record.cancel,
            held,
            narrowing: None,
            began: op.is_some_and(|op| op.plan.is_some()),
            start: op.and_then(|op| op.start).unwrap_or_default(),
            exec: op.and_then(|op| op.exec).unwrap_or_default(),
            plan: op.and_then(|op| op.plan.clone()),
            steps: op.map(|op| op.steps.clone()).unwrap_or_default(),
            unwinding: op.and_then(|op| op.unwinding.clone()),
            diverged: None,
            pending: Vec::new(),
            committing: Vec::new(),
            joined: None,
            one_by_one: false,
        }
    }

    /// The opcode at hand, if the job has not ended.
    #[must_use]
    pub fn op(&self) -> Option<&OpRequest> {
        self.ops.get(self.op_idx)
    }

    /// What was decided for it, once that is so.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanRecord> {
        self.plan.as_ref()
    }

    /// What was done for it so far.
    #[must_use]
    pub fn steps(&self) -> &[StepRecord] {
        &self.steps
    }

    /// Whether the lock actor's answer is what it waits for.
    #[must_use]
    pub fn waits_for_locks(&self) -> bool {
        matches!(self.phase, Phase::Locking { .. })
    }

    /// Its state as people should see it now; the log only knows what is durable.
    #[must_use]
    pub fn live_status(&self) -> JobStatus {
        match &self.phase {
            Phase::New => JobStatus::Queued,
            Phase::Declaring { .. }
            | Phase::Locking { .. }
            | Phase::Wanting
            | Phase::Gathering
            | Phase::Checking
            | Phase::Committing(After::NextOp { ok: false })
                if !self.began =>
            {
                if self.cancel {
                    JobStatus::Canceling
                } else {
                    JobStatus::Waiting
                }
            }
            _ => JobStatus::Running,
        }
    }

    /// Takes one event. Events that do not fit the phase are late answers to questions that no
    /// longer matter; they change nothing.
    pub fn step(&mut self, event: JobEvent, now: Timestamp) -> Vec<JobEffect> {
        match (self.phase.clone(), event) {
            (Phase::New, JobEvent::Start) => self.begin_or_resume(now),
            (_, JobEvent::Cancel) => self.on_cancel(),
            (_, JobEvent::Priority(priority)) => self.on_priority(priority),
            (Phase::Declaring { stage }, JobEvent::Declared(declared)) => {
                self.on_declared(stage, declared)
            }
            (Phase::Locking { stage, last }, JobEvent::Locks(granted)) => {
                self.on_locks(stage, last, granted, now)
            }
            (Phase::Wanting, JobEvent::Wanted(wanted)) => match wanted {
                Ok(queries) => {
                    self.phase = Phase::Gathering;
                    vec![JobEffect::Gather(queries)]
                }
                Err(fault) => self.fail(fault),
            },
            (Phase::Gathering, JobEvent::Gathered(facts)) => {
                self.phase = Phase::Checking;
                vec![JobEffect::Check { op_idx: self.op_number(), facts }]
            }
            (Phase::Checking, JobEvent::Checked(checked)) => self.on_checked(checked, now),
            (Phase::Replaying, JobEvent::Replayed(replayed)) => self.on_replayed(replayed),
            (Phase::Deciding, JobEvent::Next(next)) => self.on_next(next, now),
            (Phase::Committing(after), JobEvent::Committed(result)) => {
                self.on_committed(after, result, now)
            }
            (Phase::Installing { pause }, JobEvent::Installed(result)) => {
                self.on_installed(pause, result, now)
            }
            (Phase::PausingInstall { pause }, JobEvent::Elapsed) => self.install(pause),
            (Phase::Acting { direction, seq, .. }, JobEvent::Elapsed)
                if !self.is_answered(direction, seq) =>
            {
                self.on_acted(direction, seq, StepResult::Done(Default::default()), now)
            }
            (Phase::Acting { direction, seq, pause, uncertain }, JobEvent::CallEnded(end))
                if self.is_answered(direction, seq) =>
            {
                self.on_call_ended(direction, seq, pause, uncertain, end, now)
            }
            (Phase::Pausing { direction, seq, pause, uncertain }, JobEvent::Elapsed) => {
                self.act(direction, seq, pause, uncertain)
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn op_number(&self) -> u32 {
        u32::try_from(self.op_idx).unwrap_or(u32::MAX)
    }

    pub(super) fn begin_op(&mut self, now: Timestamp) -> Vec<JobEffect> {
        if self.op_idx >= self.ops.len() {
            return self.end();
        }
        if self.cancel {
            return self.fail(cancel_fault(self.id));
        }
        self.start = now;
        self.phase = Phase::Declaring { stage: 0 };
        vec![JobEffect::Declare { op_idx: self.op_number(), stage: 0 }]
    }

    fn on_cancel(&mut self) -> Vec<JobEffect> {
        self.cancel = true;
        match self.phase {
            // Waiting for locks has no effect that would have to be taken back.
            Phase::Locking { .. } if !self.began => {
                let mut effects = vec![JobEffect::Release];
                effects.extend(self.fail(cancel_fault(self.id)));
                effects
            }
            _ => Vec::new(),
        }
    }

    /// Only what is still to be waited for is urgent in another way.
    fn on_priority(&mut self, priority: i8) -> Vec<JobEffect> {
        let first = if self.began { self.op_idx + 1 } else { self.op_idx };
        for op in self.ops.iter_mut().skip(first) {
            op.common.priority = priority;
        }
        match self.phase {
            Phase::Locking { .. } if !self.began => vec![JobEffect::Reprioritize(priority)],
            _ => Vec::new(),
        }
    }

    fn on_declared(&mut self, stage: u32, declared: Result<LockStage, Fault>) -> Vec<JobEffect> {
        match declared {
            Ok(locks) => {
                self.phase = Phase::Locking { stage, last: locks.last };
                let priority = self.op().map(|op| op.common.priority).unwrap_or_default();
                vec![
                    JobEffect::Waits(Some("locks".into())),
                    JobEffect::Acquire { changes: locks.changes, priority },
                ]
            }
            Err(fault) => self.fail(fault),
        }
    }

    fn on_locks(
        &mut self,
        stage: u32,
        last: bool,
        granted: Result<Vec<(LockName, LockMode)>, Fault>,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        match granted {
            Ok(held) => self.held = held,
            Err(fault) => return self.fail(fault),
        }
        let mut effects = vec![JobEffect::Waits(None)];
        if self.cancel {
            effects.extend(self.fail(cancel_fault(self.id)));
        } else if last {
            self.exec = now;
            self.phase = Phase::Wanting;
            effects.push(JobEffect::Want { op_idx: self.op_number() });
        } else {
            self.phase = Phase::Declaring { stage: stage + 1 };
            effects.push(JobEffect::Declare { op_idx: self.op_number(), stage: stage + 1 });
        }
        effects
    }

    fn on_checked(&mut self, checked: Result<PlanRecord, Fault>, now: Timestamp) -> Vec<JobEffect> {
        let plan = match checked {
            Ok(plan) => plan,
            Err(fault) => return self.fail(fault),
        };
        if self.cancel {
            return self.fail(cancel_fault(self.id));
        }
        let op_idx = self.op_number();
        self.pending.push(JobFact::Locks(self.held.clone()));
        self.pending.push(JobFact::OpBegan {
            op_idx,
            start: self.start,
            exec: self.exec,
            plan: plan.clone(),
        });
        self.plan = Some(plan);
        if self.op().is_some_and(|op| op.common.dry_run) {
            self.log(LogKind::Message, DRY_RUN.to_owned(), now);
            return self.finish(serde_json::Value::Null);
        }
        self.decide()
    }

    pub(super) fn decide(&mut self) -> Vec<JobEffect> {
        self.phase = Phase::Deciding;
        vec![JobEffect::Decide { op_idx: self.op_number() }]
    }

    fn on_next(&mut self, next: Result<Next, Fault>, now: Timestamp) -> Vec<JobEffect> {
        match next {
            Ok(Next::Step(step)) => self.begin_step(*step, now),
            Ok(Next::Finish(result)) => self.finish(result),
            Err(fault) => self.fail(fault),
        }
    }

    fn begin_step(&mut self, step: Step, now: Timestamp) -> Vec<JobEffect> {
        let op_idx = self.op_number();
        let seq = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.open_entry();
        for line in step.says.iter().flat_map(|text| text.lines()) {
            self.log(LogKind::Message, line.to_owned(), now);
        }
        if let Some(socket) = &step.waits_at {
            self.log(LogKind::DelayTest, socket.clone(), now);
        }
        if let Err(fault) = self.narrow(&step) {
            return self.fail(fault);
        }
        let is_config = matches!(step.act, Act::Config(_));
        self.pending.push(JobFact::StepBegan { op_idx, seq, step: step.clone() });
        let result = is_config.then(|| StepResult::Done(Default::default()));
        self.steps.push(StepRecord { step, result, undone: None });
        match is_config {
            true if self.may_join() => self.decide(),
            true => self.commit(After::Decide),
            false => self.commit(After::Act { seq }),
        }
    }

    pub(super) fn log(&mut self, kind: LogKind, text: String, at: Timestamp) {
        let op_idx = self.op_number();
        self.pending.push(JobFact::Log { op_idx, at, kind, text });
    }

    pub(super) fn commit(&mut self, after: After) -> Vec<JobEffect> {
        self.phase = Phase::Committing(after);
        self.committing = std::mem::take(&mut self.pending);
        vec![JobEffect::Commit(self.committing.clone())]
    }

    fn on_committed(
        &mut self,
        after: After,
        result: Result<(), Fault>,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        if let Err(fault) = result {
            return self.on_refused(after, fault, now);
        }
        self.began = true;
        self.joined = None;
        let mut effects: Vec<JobEffect> = self.narrowed().into_iter().collect();
        effects.extend(match after {
            After::Act { seq } => self.act(Direction::Act, seq, RETRY_FIRST, false),
            After::Decide => self.decide(),
            After::Undo => self.undo_next(),
            After::NextOp { ok } => self.next_op(ok, now),
        });
        effects
    }

    fn next_op(&mut self, ok: bool, now: Timestamp) -> Vec<JobEffect> {
        self.held.clear();
        self.steps.clear();
        self.plan = None;
        self.unwinding = None;
        self.began = false;
        self.one_by_one = false;
        self.op_idx = if ok { self.op_idx + 1 } else { self.ops.len() };
        if self.op_idx >= self.ops.len() {
            return self.end();
        }
        let mut effects = vec![JobEffect::Release];
        effects.extend(self.begin_op(now));
        effects
    }

    /// The log has the end of the job.
    pub(super) fn end(&mut self) -> Vec<JobEffect> {
        self.phase = Phase::Over;
        vec![JobEffect::Release, JobEffect::Ended]
    }

    /// Another placement has taken over.
    pub(super) fn abandon(&mut self, fault: Fault) -> Vec<JobEffect> {
        self.phase = Phase::Over;
        vec![JobEffect::Abandon(fault)]
    }

    fn finish(&mut self, result: serde_json::Value) -> Vec<JobEffect> {
        let op_idx = self.op_number();
        self.pending.push(JobFact::OpEnded {
            op_idx,
            status: JobStatus::Success,
            // In the encoding of the log "no answer" and an answer of null are the same.
            result: Some(result).filter(|result| !result.is_null()),
            fault: None,
        });
        self.pending.push(JobFact::Locks(Vec::new()));
        self.commit(After::NextOp { ok: true })
    }

    /// Ends the opcode with a failure: at once when nothing was done, otherwise after taking back.
    pub(super) fn fail(&mut self, fault: Fault) -> Vec<JobEffect> {
        if self.steps.iter().any(|record| record.step.undo.is_some()) {
            return self.begin_unwinding(fault);
        }
        self.end_failed(fault)
    }

    pub(super) fn end_failed(&mut self, fault: Fault) -> Vec<JobEffect> {
        let op_idx = self.op_number();
        let status = if fault.code == FaultCode::Canceled && self.steps.is_empty() {
            JobStatus::Canceled
        } else {
            JobStatus::Error
        };
        self.pending.push(JobFact::OpEnded { op_idx, status, result: None, fault: Some(fault) });
        self.pending.push(JobFact::Locks(Vec::new()));
        self.commit(After::NextOp { ok: false })
    }

    /// Sends the call of a step, or waits. A wait is begun anew after a crash.
    pub(super) fn act(
        &mut self,
        direction: Direction,
        seq: u32,
        pause: Millis,
        uncertain: bool,
    ) -> Vec<JobEffect> {
        self.phase = Phase::Acting { direction, seq, pause, uncertain };
        match self.act_of(direction, seq) {
            Some(Act::Call { node, call }) => {
                let step = self.step_id(direction, seq);
                vec![JobEffect::Call { step, node: *node, call: call.clone() }]
            }
            Some(Act::Wait { duration }) => vec![JobEffect::Wait(*duration)],
            Some(Act::AwaitHolder { node }) => {
                let what = self.steps.get(seq as usize).map(|record| record.step.name.clone());
                vec![JobEffect::Waits(what), JobEffect::AwaitHolder(*node)]
            }
            Some(Act::Config(_)) | None => vec![JobEffect::Wait(Millis(0))],
        }
    }

    fn act_of(&self, direction: Direction, seq: u32) -> Option<&Act> {
        let step = &self.steps.get(seq as usize)?.step;
        match direction {
            Direction::Act => Some(&step.act),
            Direction::Undo => step.undo.as_ref(),
        }
    }

    /// Whether it ends with an answer, and not with time.
    fn is_answered(&self, direction: Direction, seq: u32) -> bool {
        matches!(self.act_of(direction, seq), Some(Act::Call { .. } | Act::AwaitHolder { .. }))
    }

    pub(super) fn step_id(&self, direction: Direction, seq: u32) -> StepId {
        StepId { job: self.id, op_idx: self.op_number(), seq, direction }
    }

    fn on_call_ended(
        &mut self,
        direction: Direction,
        seq: u32,
        pause: Millis,
        uncertain: bool,
        end: CallEnd,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        let (fault, uncertain) = match end {
            CallEnd::Done(outcome) => {
                return self.on_acted(direction, seq, StepResult::Done(outcome), now);
            }
            CallEnd::Failed(fault) if fault.code == FaultCode::StaleToken => {
                return self.abandon(fault);
            }
            CallEnd::Failed(fault) => {
                return self.on_acted(direction, seq, StepResult::Failed(fault), now);
            }
            // What never left can be given up; what must be taken back cannot.
            CallEnd::NotSent(fault) if direction == Direction::Act && !uncertain => {
                self.owe_nothing(seq);
                return self.on_acted(direction, seq, StepResult::Failed(fault), now);
            }
            CallEnd::NotSent(fault) => (fault, uncertain),
            CallEnd::Unknown(fault) => (fault, true),
        };
        if direction == Direction::Act && self.gives_up(seq, pause) {
            return self.on_acted(direction, seq, StepResult::Failed(fault), now);
        }
        let next_pause = Millis((pause.0 * 2).min(RETRY_MAX.0));
        self.phase = Phase::Pausing { direction, seq, pause: next_pause, uncertain };
        vec![JobEffect::Waits(Some(fault.one_line())), JobEffect::Wait(pause)]
    }

    /// Whether a node that does not answer is asked no more: a step that may fail is not worth the
    /// locks that the job holds meanwhile (a node that leaves the cluster may be gone for good).
    pub(super) fn gives_up(&self, seq: u32, pause: Millis) -> bool {
        pause >= RETRY_MAX
            && self.steps.get(seq as usize).is_some_and(|record| record.step.may_fail)
    }

    pub(super) fn on_acted(
        &mut self,
        direction: Direction,
        seq: u32,
        result: StepResult,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        if direction == Direction::Undo {
            return self.on_undone(seq, result, now);
        }
        let op_idx = self.op_number();
        self.pending.push(JobFact::StepEnded { op_idx, seq, result: result.clone() });
        let Some(record) = self.steps.get_mut(seq as usize) else { return Vec::new() };
        record.result = Some(result.clone());
        let (may_fail, name) = (record.step.may_fail, record.step.name.clone());
        let failed = match result {
            StepResult::Done(outcome) => {
                for note in outcome.notes {
                    self.log(LogKind::Info, note, now);
                }
                None
            }
            StepResult::Failed(fault) if may_fail => {
                self.log(LogKind::Warning, format!("{name}: {}", fault.one_line()), now);
                None
            }
            StepResult::Failed(fault) => Some(fault),
        };
        let mut effects = vec![JobEffect::Waits(None)];
        effects.extend(match self.diverged.take().or(failed) {
            Some(fault) => self.fail(fault),
            None => self.decide(),
        });
        effects
    }
}

/// What was submitted, as urgent as it is now.
fn op_as_it_is(op: &OpRecord) -> OpRequest {
    let mut input = op.input.clone();
    input.common.priority = op.priority();
    input
}

/// In Ganeti's words, with the prefix that its lines of this kind have.
const DRY_RUN: &str = " - INFO: dry-run mode requested, not actually executing the operation";

fn cancel_fault(id: JobId) -> Fault {
    Fault::new(FaultCode::Canceled, format!("job {id} was canceled"))
}

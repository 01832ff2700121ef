//! Drives one job as its actor would: carries out effects, feeds answers, crashes where told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::ids::{InstanceUuid, JobAttempt, JobId, ReignId, RunEpoch, Serial};
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::locks::{LockChange, LockMode, LockName};
use gantry_model::messages::NewJob;
use gantry_model::node_calls::CallOutcome;
use gantry_model::objects::AdminState;
use gantry_model::opcodes::{OpRequest, TestDelay};
use gantry_model::steps::{Direction, StepId};

use super::super::{CallEnd, JobEffect, JobEvent, JobMachine, LockStage, Next};
use super::script::OpScript;
use super::world::World;
use crate::locking::{LockEffect, LockEvent, LockTable};
use crate::state::tests::sample::{Log, node_id, plan};
use crate::state::{Applied, Command, JobFact};

/// Most effects of one job: none of the scripts needs a tenth; a job that goes round for ever does.
const EFFECTS_MAX: usize = 5_000;

/// A job that holds what the driven one wants.
pub(super) const OTHER: JobId = JobId(999);

/// On which side of an effect the leader crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Before,
    /// The effect is there, its answer is lost.
    After,
}

pub(super) struct Driver {
    pub(super) log: Log,
    pub(super) world: World,
    pub(super) table: LockTable,
    pub(super) job: JobId,
    pub(super) machine: Option<JobMachine>,
    pub(super) crashes: BTreeMap<usize, Crash>,
    /// Before which effects somebody cancels the job.
    pub(super) cancels: BTreeSet<usize>,
    /// Whether the unit is another one after a crash.
    pub(super) diverges: bool,
    pub(super) n_effects: usize,
    pub(super) n_abandoned: usize,
    pub(super) n_ended: usize,
    pub(super) pauses_ms: Vec<u64>,
    pub(super) statuses: Vec<JobStatus>,
    script: Vec<OpScript>,
    queue: VecDeque<JobEffect>,
    attempt: JobAttempt,
    reign: ReignId,
}

/// Everything that has come of a job, without times and counters that a crash may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) ops: Vec<(JobStatus, Option<serde_json::Value>, Option<String>)>,
    pub(super) said: Vec<String>,
    pub(super) instances: Vec<(InstanceUuid, AdminState, RunEpoch, Serial)>,
    pub(super) disks: BTreeSet<u32>,
}

impl Driver {
    /// A submitted job that has not begun.
    pub(super) fn new(script: Vec<OpScript>) -> Self {
        let mut log = Log::new();
        let ops = script
            .iter()
            .map(|op| OpRequest { op: TestDelay::default().into(), common: op.common.clone() });
        let job = log.submit(NewJob { ops: ops.collect() });
        let mut driver = Self {
            log,
            world: World::default(),
            table: LockTable::default(),
            job,
            machine: None,
            crashes: BTreeMap::new(),
            cancels: BTreeSet::new(),
            diverges: false,
            n_effects: 0,
            n_abandoned: 0,
            n_ended: 0,
            pauses_ms: Vec::new(),
            statuses: Vec::new(),
            script,
            queue: VecDeque::new(),
            attempt: JobAttempt(0),
            reign: ReignId(0),
        };
        driver.place();
        driver
    }

    pub(super) fn of(steps: impl IntoIterator<Item = gantry_model::steps::Step>) -> Self {
        Self::new(vec![OpScript::new(steps)])
    }

    /// Drives the job until nothing more is to be done.
    pub(super) fn run(&mut self) {
        while self.carry_out_next() {}
    }

    /// Drives the job until an effect is the next one; that is not carried out any more.
    pub(super) fn run_until(&mut self, wanted: impl Fn(&JobEffect) -> bool) -> JobEffect {
        loop {
            if self.queue.front().is_some_and(&wanted) {
                return self.queue.pop_front().expect("it was there");
            }
            assert!(self.carry_out_next(), "it never happens: {:?}", self.machine);
        }
    }

    pub(super) fn run_until_call(&mut self) -> StepId {
        match self.run_until(|effect| matches!(effect, JobEffect::Call { .. })) {
            JobEffect::Call { step, .. } => step,
            other => panic!("not a call: {other:?}"),
        }
    }

    pub(super) fn run_until_commit(&mut self, of: impl Fn(&JobFact) -> bool) -> Vec<JobFact> {
        let wanted = |effect: &JobEffect| match effect {
            JobEffect::Commit(facts) => facts.iter().any(&of),
            _ => false,
        };
        match self.run_until(wanted) {
            JobEffect::Commit(facts) => facts,
            other => panic!("not a commit: {other:?}"),
        }
    }

    /// What the machine wants after an event; it is not carried out.
    pub(super) fn effects_of(&mut self, event: JobEvent) -> Vec<JobEffect> {
        let machine = self.machine.as_mut().expect("a placed job");
        machine.step(event, self.log.now)
    }

    /// Gives the machine an event; what it wants will be carried out.
    pub(super) fn feed(&mut self, event: JobEvent) {
        let effects = self.effects_of(event);
        self.queue.extend(effects);
        let status = self.machine.as_ref().expect("a placed job").live_status();
        if self.statuses.last() != Some(&status) {
            self.statuses.push(status);
        }
    }

    /// The leader crashes and another one takes over.
    pub(super) fn crash(&mut self) {
        self.log.take_over();
        self.place();
    }

    /// Somebody cancels the job, if that is still possible.
    pub(super) fn cancel(&mut self) -> Applied {
        let applied = self.log.apply(self.log.cancel_command(self.job));
        if applied == Applied::Done && self.machine.is_some() {
            self.feed(JobEvent::Cancel);
        }
        applied
    }

    /// Another job takes the node before this one asks.
    pub(super) fn occupy(&mut self) {
        let changes = vec![(LockName::node(node_id(2)), LockChange::Hold(LockMode::Exclusive))];
        let event = LockEvent::Acquire { job: OTHER, attempt: JobAttempt(1), priority: 0, changes };
        let effects = self.table.step(event);
        assert!(matches!(effects[..], [LockEffect::Granted { .. }]));
    }

    /// The other job is done with the node.
    pub(super) fn vacate(&mut self) {
        let effects = self.table.step(LockEvent::Release { job: OTHER });
        if let Some(event) = self.answer_of_table(effects) {
            self.feed(event);
        }
    }

    pub(super) fn record(&self) -> &JobRecord {
        self.log.state.jobs.get(&self.job).expect("submitted")
    }

    pub(super) fn said(&self) -> Vec<String> {
        let lines = self.record().ops.iter().flat_map(|op| &op.log);
        lines.map(|line| line.text.clone()).collect()
    }

    /// All facts that the log has taken of the job, in order. Must not be called if an entry of it
    /// was refused.
    pub(super) fn facts(&self) -> Vec<JobFact> {
        self.entries().into_iter().flatten().collect()
    }

    /// The facts of each entry of it that the log has taken.
    pub(super) fn entries(&self) -> Vec<Vec<JobFact>> {
        let entries = self.log.entries.iter().filter_map(|(_, entry)| match &entry.command {
            Command::Job(entry) => Some(entry.facts.clone()),
            _ => None,
        });
        entries.collect()
    }

    pub(super) fn outcome(&self) -> Outcome {
        let ops = self.record().ops.iter();
        let instances = self.log.state.instances.values();
        Outcome {
            ops: ops
                .map(|op| {
                    let fault = op.fault.as_ref().map(Fault::one_line);
                    (op.status, op.result.clone(), fault)
                })
                .collect(),
            said: self.said(),
            instances: instances.map(|i| (i.uuid, i.admin_state, i.run_epoch, i.serial)).collect(),
            disks: self.world.disks.clone(),
        }
    }

    /// What is true of every job that has ended.
    pub(super) fn check_ended(&self) {
        assert!(self.record().status().is_final(), "has not ended: {:?}", self.machine);
        assert!(self.log.state.unfinished.is_empty());
        assert!(self.log.state.locks.is_empty(), "locks in the log");
        assert!(self.table.is_empty(), "locks in the table: {:?}", self.table.rows());
        let once: BTreeSet<_> = self.world.executed.iter().collect();
        assert_eq!(once.len(), self.world.executed.len(), "a step had its effect twice");
        let serials: BTreeSet<u64> =
            self.record().ops.iter().flat_map(|op| &op.log).map(|line| line.serial).collect();
        assert_eq!(serials.len(), self.said().len(), "a serial is there twice");
    }

    /// As the job actor does it: from the log, with the locks that the log knows.
    fn place(&mut self) {
        self.queue.clear();
        self.machine = None;
        self.reign = self.log.reign();
        self.table = LockTable::default();
        for (job, held) in self.log.state.locks.clone() {
            let attempt = self.log.state.jobs.get(&job).expect("known").attempt;
            let held = held.as_ref().clone();
            assert!(self.table.step(LockEvent::Restore { job, attempt, held }).is_empty());
        }
        let record = self.record().clone();
        if record.status().is_final() {
            return;
        }
        self.attempt = record.attempt;
        let held = self.log.state.locks.get(&self.job).cloned().unwrap_or_default();
        self.machine = Some(JobMachine::new(&record, held.as_ref().clone()));
        self.feed(JobEvent::Start);
    }

    fn carry_out_next(&mut self) -> bool {
        if self.cancels.remove(&self.n_effects) && !self.record().status().is_final() {
            self.cancel();
        }
        let Some(effect) = self.queue.pop_front() else { return false };
        let crash = self.crashes.get(&self.n_effects).copied();
        self.n_effects += 1;
        assert!(self.n_effects < EFFECTS_MAX, "the job goes round for ever: {effect:?}");
        if crash == Some(Crash::Before) {
            self.crash();
            return true;
        }
        let answer = self.carry_out(effect);
        if crash == Some(Crash::After) {
            self.crash();
        } else if let Some(event) = answer {
            self.feed(event);
        }
        true
    }

    fn carry_out(&mut self, effect: JobEffect) -> Option<JobEvent> {
        match effect {
            JobEffect::Declare { stage, .. } => Some(JobEvent::Declared(Ok(stage_of(stage)))),
            JobEffect::Acquire { changes, priority } => self.acquire(changes, priority),
            JobEffect::Reprioritize(priority) => {
                let event = LockEvent::ChangePriority { job: self.job, priority };
                let effects = self.table.step(event);
                self.answer_of_table(effects)
            }
            JobEffect::Want { .. } => Some(JobEvent::Wanted(Ok(Vec::new()))),
            JobEffect::Gather(_) => Some(JobEvent::Gathered(Facts::default())),
            JobEffect::Check { op_idx, .. } => {
                let refusal = self.script[op_idx as usize].refusal.clone();
                Some(JobEvent::Checked(refusal.map_or_else(|| Ok(plan()), Err)))
            }
            JobEffect::Decide { op_idx } => Some(JobEvent::Next(Ok(self.next(op_idx)))),
            JobEffect::Replay { op_idx } => Some(JobEvent::Replayed(self.replay(op_idx))),
            JobEffect::Commit(facts) => Some(JobEvent::Committed(self.commit(facts))),
            JobEffect::Call { step, call, .. } => {
                self.check_intention(step);
                Some(JobEvent::CallEnded(self.world.call(self.reign, step, &call)))
            }
            JobEffect::Install { step, .. } => {
                Some(JobEvent::Installed(self.world.install(self.reign, step)))
            }
            JobEffect::Wait(pause) => {
                self.pauses_ms.push(pause.0);
                Some(JobEvent::Elapsed)
            }
            JobEffect::AwaitHolder(_) => {
                Some(JobEvent::CallEnded(CallEnd::Done(CallOutcome::default())))
            }
            JobEffect::Waits(_) => None,
            JobEffect::GiveUp(changes) => {
                let (job, attempt) = (self.job, self.attempt);
                let event = LockEvent::Acquire { job, attempt, priority: 0, changes };
                let effects = self.table.step(event);
                assert!(matches!(effects[0], LockEffect::Granted { .. }), "{effects:?}");
                None
            }
            JobEffect::Release => {
                let effects = self.table.step(LockEvent::Release { job: self.job });
                // A request that was pending is withdrawn; nobody waits for that answer any more.
                if let Some(JobEvent::Locks(answer)) = self.answer_of_table(effects) {
                    let code = answer.map_err(|fault| fault.code);
                    assert_eq!(code, Err(FaultCode::Canceled));
                }
                None
            }
            JobEffect::Ended => {
                self.n_ended += 1;
                assert!(self.record().status().is_final(), "ended, but not in the log");
                None
            }
            JobEffect::Abandon(_) => {
                self.n_abandoned += 1;
                self.log.apply(Command::Place { reign: self.log.reign(), job: self.job });
                self.place();
                None
            }
        }
    }

    fn commit(&mut self, facts: Vec<JobFact>) -> Result<(), Fault> {
        let Command::Job(mut entry) = self.log.job_command(self.job, facts) else {
            unreachable!("an entry of a job is one");
        };
        (entry.reign, entry.attempt) = (self.reign, self.attempt);
        match self.log.apply(Command::Job(entry)) {
            Applied::Refused(fault) => Err(fault),
            _ => Ok(()),
        }
    }

    fn next(&self, op_idx: u32) -> Next {
        let script = &self.script[op_idx as usize];
        let n_done = self.machine.as_ref().expect("a placed job").steps().len();
        match script.steps.get(n_done) {
            Some(step) => Next::Step(Box::new(step.clone())),
            None => Next::Finish(script.answer.clone()),
        }
    }

    fn replay(&self, op_idx: u32) -> Result<(), Fault> {
        let journal = self.machine.as_ref().expect("a placed job").steps();
        let steps = &self.script[op_idx as usize].steps;
        let same = journal.iter().zip(steps).all(|(record, step)| record.step == *step);
        if self.diverges || !same {
            return Err(Fault::new(FaultCode::LuDiverged, "another program"));
        }
        Ok(())
    }

    fn acquire(&mut self, changes: Vec<(LockName, LockChange)>, priority: i8) -> Option<JobEvent> {
        let (job, attempt) = (self.job, self.attempt);
        let effects = self.table.step(LockEvent::Acquire { job, attempt, priority, changes });
        self.answer_of_table(effects)
    }

    fn answer_of_table(&self, effects: Vec<LockEffect>) -> Option<JobEvent> {
        effects.into_iter().find_map(|effect| match effect {
            LockEffect::Granted { job, held, .. } if job == self.job => {
                Some(JobEvent::Locks(Ok(held)))
            }
            LockEffect::Refused { job, reason, .. } if job == self.job => {
                Some(JobEvent::Locks(Err(reason.to_fault())))
            }
            _ => None,
        })
    }

    /// No effect without its intention in the log, under locks that are in the log.
    fn check_intention(&self, step: StepId) {
        let op = &self.record().ops[step.op_idx as usize];
        let record = op.steps.get(step.seq as usize).expect("a call whose step is not in the log");
        assert_eq!(op.unwinding.is_some(), step.direction == Direction::Undo, "{step}");
        if step.direction == Direction::Undo {
            assert!(record.undone.is_none(), "{step}: taken back already");
        }
        let logged = self.log.state.locks.get(&self.job).expect("locks of a job that acts");
        let held = self.table.held(self.job).map(|(name, mode)| (name.clone(), mode));
        assert!(held.eq(logged.iter().cloned()), "{step}: acts under locks that are not logged");
    }
}

/// Two stages, as most units have.
fn stage_of(stage: u32) -> LockStage {
    let (name, mode) = match stage {
        0 => (LockName::bgl(), LockMode::Shared),
        _ => (LockName::node(node_id(2)), LockMode::Exclusive),
    };
    LockStage { changes: vec![(name, LockChange::Hold(mode))], last: stage > 0 }
}

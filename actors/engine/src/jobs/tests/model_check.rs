//! All interleavings of three jobs on three locks: upgrades, early releases, a failure that is
//! taken back, one cancel, one takeover of the leadership.
//!
//! What is walked is the product's own code: the machines of the jobs, the lock table and the
//! state that the log makes. The model only carries messages: everything that a job actor sends is
//! an action of its own, and so is every answer of the lock actor. What a job decides by itself
//! happens at once. So do the answers of the log and of nodes: nothing but a takeover can come
//! between them and what the job wants to send next, and that loses the one as well as the other.
//! A takeover loses all but the log and what is on its way to a node.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::Facts;
use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::jobs::JobStatus;
use gantry_model::locks::{LockChange, LockMode, LockName};
use gantry_model::messages::NewJob;
use gantry_model::node_calls::CallOutcome;
use gantry_model::opcodes::{OpRequest, TestDelay};
use gantry_model::steps::{Direction, Step, StepId, StepResult};
use gantry_model::units::Timestamp;
use stateright::{Checker, Model, Property};

use super::super::{CallEnd, JobEffect, JobEvent, JobMachine, LockStage, Next};
use super::script::create;
use crate::locking::{LockEffect, LockEvent, LockTable};
use crate::state::tests::sample::{Log, node_id, plan};
use crate::state::{Applied, ClusterState, Command, Entry, JobEntry, JobFact};

const N_JOBS: usize = 3;
const NOW: Timestamp = Timestamp(9_000);

/// Fewest states that make the walk worth its name; it visits far more.
const STATES_MIN: usize = 10_000;

fn lock(number: u8) -> LockName {
    LockName::node(node_id(number))
}

/// What a job wants, stage by stage. Two of them upgrade the same lock.
fn stage_of(job: usize, stage: u32) -> LockStage {
    let (shared, alone) =
        (LockChange::Hold(LockMode::Shared), LockChange::Hold(LockMode::Exclusive));
    let changes = match (job, stage) {
        (0 | 1, 0) => vec![(lock(1), shared)],
        (0, _) => vec![(lock(1), alone), (lock(2), alone)],
        (1, _) => vec![(lock(1), alone), (lock(3), alone)],
        _ => vec![(lock(2), alone), (lock(3), alone)],
    };
    LockStage { changes, last: job == 2 || stage > 0 }
}

/// What a job does. The second step of the first fails, after it gave up a lock.
fn steps_of(job: usize) -> Vec<Step> {
    let keeps = match job {
        0 => vec![(lock(2), LockMode::Exclusive)],
        1 => vec![(lock(1), LockMode::Shared), (lock(3), LockMode::Exclusive)],
        _ => vec![(lock(2), LockMode::Shared)],
    };
    let first = Step { says: None, ..create(u32::try_from(job * 2).expect("small")) };
    let second = Step { says: None, ..create(u32::try_from(job * 2 + 1).expect("small")) };
    vec![first, Step { keeps: Some(keeps), ..second }]
}

/// What must be held when a step has its effect. What is taken back is the job's own.
fn needed(step: StepId, job: usize) -> Vec<(LockName, LockMode)> {
    match (step.direction, step.seq, job) {
        (Direction::Undo, ..) => vec![],
        (_, 0, 0) => vec![(lock(1), LockMode::Exclusive), (lock(2), LockMode::Exclusive)],
        (_, 0, 1) => vec![(lock(1), LockMode::Exclusive), (lock(3), LockMode::Exclusive)],
        (_, 0, _) => vec![(lock(2), LockMode::Exclusive), (lock(3), LockMode::Exclusive)],
        (_, _, 0) => vec![(lock(2), LockMode::Exclusive)],
        (_, _, 1) => vec![(lock(1), LockMode::Shared), (lock(3), LockMode::Exclusive)],
        _ => vec![(lock(2), LockMode::Shared)],
    }
}

/// The actor of a job: its machine, what it is about to send, what is on its way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Actor {
    machine: Option<JobMachine>,
    to_send: VecDeque<JobEffect>,
    to_hear: VecDeque<JobEvent>,
    /// The log has a cancel of which it has not been told.
    touched: bool,
}

#[derive(Clone, Debug)]
struct World {
    log: ClusterState,
    table: LockTable,
    actors: Vec<Actor>,
    /// Calls of the old leader that are still on their way.
    late: Vec<StepId>,
    /// Whether the nodes know the new reign.
    fenced: bool,
    taken_over: bool,
    canceled: bool,
    /// How often each step had its effect.
    effects: BTreeMap<StepId, u8>,
    wrong: Option<String>,
}

impl World {
    /// Everything that matters for what may come; revisions and reigns only ever rise.
    fn essence(&self) -> impl Hash + PartialEq + '_ {
        let jobs: Vec<_> = self.log.jobs.values().map(|job| job.as_ref()).collect();
        let locks: Vec<_> = self.log.locks.iter().map(|(job, held)| (job, held.as_ref())).collect();
        let flags = (self.fenced, self.taken_over, self.canceled);
        (jobs, locks, &self.table, &self.actors, &self.late, flags, &self.effects, &self.wrong)
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.essence().hash(hasher);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        // Two opaque types of one function cannot be compared; the same parts, one by one.
        self.log.jobs == other.log.jobs
            && self.log.locks == other.log.locks
            && self.table == other.table
            && self.actors == other.actors
            && self.late == other.late
            && (self.fenced, self.taken_over, self.canceled)
                == (other.fenced, other.taken_over, other.canceled)
            && self.effects == other.effects
            && self.wrong == other.wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// What a job wants reaches whom it is for.
    Send(usize),
    /// An answer reaches the job.
    Hear(usize),
    /// Somebody cancels the job.
    Cancel(usize),
    /// The actor of the job is told so.
    Touch(usize),
    /// A call of the old leader reaches its node.
    Late(usize),
    /// The leader dies and another one takes over.
    TakeOver,
}

fn id(job: usize) -> JobId {
    JobId(job as u64 + 1)
}

fn index(job: JobId) -> usize {
    usize::try_from(job.0).expect("small") - 1
}

impl World {
    fn new() -> Self {
        let mut log = Log::new();
        for _ in 0..N_JOBS {
            log.submit(NewJob { ops: vec![OpRequest::from(TestDelay::default())] });
        }
        let mut world = Self {
            log: log.state,
            table: LockTable::default(),
            actors: vec![Actor::default(); N_JOBS],
            late: Vec::new(),
            fenced: false,
            taken_over: false,
            canceled: false,
            effects: BTreeMap::new(),
            wrong: None,
        };
        (0..N_JOBS).for_each(|job| world.place(job));
        world
    }

    fn apply(&mut self, command: Command) -> Applied {
        self.log.apply(self.log.revision.next(), &Entry { at: NOW, command })
    }

    fn note(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    /// A new actor for a job, from the log.
    fn place(&mut self, job: usize) {
        self.actors[job] = Actor::default();
        let record = self.log.jobs.get(&id(job)).expect("submitted").clone();
        let held = self.log.locks.get(&id(job)).map(|held| held.to_vec()).unwrap_or_default();
        let restore =
            LockEvent::Restore { job: id(job), attempt: record.attempt, held: held.clone() };
        let effects = self.table.step(restore);
        self.hear_of_locks(effects, None);
        if !record.status().is_final() {
            self.actors[job].machine = Some(JobMachine::new(&record, held));
            self.feed(job, JobEvent::Start);
        }
    }

    /// Gives a machine an event. What it asks of its own logical unit is answered at once.
    fn feed(&mut self, job: usize, event: JobEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let Some(machine) = &mut self.actors[job].machine else { return };
            let effects = machine.step(event, NOW);
            let done = machine.steps().len();
            for effect in effects {
                match effect {
                    JobEffect::Declare { stage, .. } => {
                        events.push_back(JobEvent::Declared(Ok(stage_of(job, stage))));
                    }
                    JobEffect::Want { .. } => events.push_back(JobEvent::Wanted(Ok(Vec::new()))),
                    JobEffect::Gather(_) => events.push_back(JobEvent::Gathered(Facts::default())),
                    JobEffect::Check { .. } => events.push_back(JobEvent::Checked(Ok(plan()))),
                    JobEffect::Decide { .. } => {
                        let next = match steps_of(job).into_iter().nth(done) {
                            Some(step) => Next::Step(Box::new(step)),
                            None => Next::Finish(serde_json::Value::Null),
                        };
                        events.push_back(JobEvent::Next(Ok(next)));
                    }
                    JobEffect::Replay { .. } => events.push_back(JobEvent::Replayed(Ok(()))),
                    JobEffect::Wait(_) => events.push_back(JobEvent::Elapsed),
                    JobEffect::Waits(_) => {}
                    other => self.actors[job].to_send.push_back(other),
                }
            }
        }
    }

    /// The lock actor tells jobs; one that has just given something up expects no answer.
    fn hear_of_locks(&mut self, effects: Vec<LockEffect>, silent: Option<usize>) {
        for effect in effects {
            let (job, event) = match effect {
                LockEffect::Granted { job, held, .. } => (index(job), JobEvent::Locks(Ok(held))),
                LockEffect::Refused { job, reason, .. } => {
                    (index(job), JobEvent::Locks(Err(reason.to_fault())))
                }
                LockEffect::Waiting { .. } => continue,
            };
            if silent != Some(job) {
                self.actors[job].to_hear.push_back(event);
            }
        }
    }

    fn attempt(&self, job: usize) -> JobAttempt {
        self.log.jobs.get(&id(job)).expect("submitted").attempt
    }

    fn send(&mut self, job: usize) {
        let Some(effect) = self.actors[job].to_send.pop_front() else { return };
        let attempt = self.attempt(job);
        match effect {
            JobEffect::Acquire { changes, priority } => {
                let ask = LockEvent::Acquire { job: id(job), attempt, priority, changes };
                let effects = self.table.step(ask);
                self.hear_of_locks(effects, None);
            }
            JobEffect::GiveUp(changes) => {
                let ask = LockEvent::Acquire { job: id(job), attempt, priority: 0, changes };
                let effects = self.table.step(ask);
                self.hear_of_locks(effects, Some(job));
            }
            JobEffect::Release => {
                let effects = self.table.step(LockEvent::Release { job: id(job) });
                self.hear_of_locks(effects, Some(job));
            }
            JobEffect::Commit(facts) => {
                let committed = self.commit(job, attempt, facts);
                self.feed(job, JobEvent::Committed(committed));
            }
            JobEffect::Call { step, .. } => {
                // The nodes learn of the reign with its first call.
                self.fenced |= self.taken_over;
                let end = self.act(step);
                self.feed(job, JobEvent::CallEnded(end));
            }
            JobEffect::Install { step, .. } => {
                self.fenced = true;
                let known = self.effects.contains_key(&step).then(|| result_of(step));
                self.feed(job, JobEvent::Installed(Ok(known)));
            }
            JobEffect::Ended => self.actors[job].machine = None,
            JobEffect::Abandon(_) => {
                let reign = self.log.reign;
                self.apply(Command::Place { reign, job: id(job) });
                self.place(job);
            }
            other => self.note(format!("job {job} wants {other:?}")),
        }
    }

    fn commit(
        &mut self,
        job: usize,
        attempt: JobAttempt,
        facts: Vec<JobFact>,
    ) -> Result<(), Fault> {
        let entry = JobEntry { reign: self.log.reign, job: id(job), attempt, facts };
        match self.apply(Command::Job(Box::new(entry))) {
            Applied::Refused(fault) => Err(fault),
            _ => Ok(()),
        }
    }

    /// A call reaches its node. A step that it knows is not done twice.
    fn act(&mut self, step: StepId) -> CallEnd {
        if !self.effects.contains_key(&step) {
            self.check_effect(step);
            self.effects.insert(step, 1);
        }
        match result_of(step) {
            StepResult::Done(outcome) => CallEnd::Done(outcome),
            StepResult::Failed(fault) => CallEnd::Failed(fault),
        }
    }

    /// An effect is of a job that has not ended, is in the log as begun, and is under its locks.
    fn check_effect(&mut self, step: StepId) {
        let job = index(step.job);
        let record = self.log.jobs.get(&step.job).expect("submitted");
        let op = &record.ops[0];
        let begun = op.steps.get(step.seq as usize).is_some();
        let backward = op.unwinding.is_some();
        let right_way = backward == (step.direction == Direction::Undo);
        let final_already = record.status().is_final();
        let held = self.log.locks.get(&step.job).map(|held| held.to_vec()).unwrap_or_default();
        let missing = needed(step, job).into_iter().find(|(name, mode)| {
            !held.iter().any(|(held, held_mode)| held == name && held_mode >= mode)
        });
        if final_already || !begun || !right_way || missing.is_some() {
            self.note(format!("step {step} acts out of turn, or without {missing:?}"));
        }
        let reversed = StepId { direction: Direction::Undo, ..step };
        if step.direction == Direction::Act && self.effects.contains_key(&reversed) {
            self.note(format!("step {step} acts after it was taken back"));
        }
    }

    fn take_over(&mut self) {
        self.taken_over = true;
        for actor in &self.actors {
            if let Some(JobEffect::Call { step, .. }) = actor.to_send.front() {
                self.late.push(*step);
            }
        }
        self.apply(Command::TakeOver { node: node_id(1) });
        self.table = LockTable::default();
        // All that hold something, then all that go on, as the lock actor and the cluster do it.
        let held: Vec<_> = self.log.locks.iter().map(|(job, held)| (*job, held.to_vec())).collect();
        for (job, held) in held {
            let attempt = self.attempt(index(job));
            let effects = self.table.step(LockEvent::Restore { job, attempt, held });
            if !effects.is_empty() {
                self.note(format!("the locks of job {job} cannot be restored: {effects:?}"));
            }
        }
        (0..N_JOBS).for_each(|job| self.place(job));
    }

    fn has_ended(&self, job: usize) -> bool {
        self.log.jobs.get(&id(job)).expect("submitted").status().is_final()
    }

    fn has_two_owners(&self) -> bool {
        let in_log: Vec<_> = self
            .log
            .locks
            .iter()
            .flat_map(|(job, held)| held.iter().map(move |l| (l, job)))
            .collect();
        let conflict = in_log.iter().any(|((name, mode), job)| {
            in_log.iter().any(|((other, other_mode), other_job)| {
                let alone = [mode, other_mode].contains(&&LockMode::Exclusive);
                name == other && job != other_job && alone
            })
        });
        let crowded = |row: gantry_model::locks::LockRow| {
            row.mode == Some(LockMode::Exclusive) && row.owners.len() > 1
        };
        conflict || self.table.rows().into_iter().any(crowded)
    }
}

/// The second step of the first job fails.
fn result_of(step: StepId) -> StepResult {
    if (index(step.job), step.seq, step.direction) == (0, 1, Direction::Act) {
        StepResult::Failed(Fault::new(FaultCode::EnvironmentError, "no"))
    } else {
        StepResult::Done(CallOutcome::default())
    }
}

/// The walk; without a takeover and a cancel it is the small one.
struct Walk;

impl Model for Walk {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for job in 0..N_JOBS {
            let actor = &world.actors[job];
            if !actor.to_send.is_empty() {
                actions.push(Action::Send(job));
            }
            if !actor.to_hear.is_empty() {
                actions.push(Action::Hear(job));
            }
            if actor.touched {
                actions.push(Action::Touch(job));
            }
            if !world.canceled && !world.has_ended(job) {
                actions.push(Action::Cancel(job));
            }
        }
        actions.extend((0..world.late.len()).map(Action::Late));
        if !world.taken_over && (0..N_JOBS).any(|job| !world.has_ended(job)) {
            actions.push(Action::TakeOver);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        match action {
            Action::Send(job) => world.send(job),
            Action::Hear(job) => {
                let event = world.actors[job].to_hear.pop_front()?;
                world.feed(job, event);
            }
            Action::Cancel(job) => {
                world.canceled = true;
                let reign = world.log.reign;
                let applied = world.apply(Command::Cancel { reign, job: id(job) });
                world.actors[job].touched = applied == Applied::Done;
            }
            Action::Touch(job) => {
                world.actors[job].touched = false;
                world.feed(job, JobEvent::Cancel);
            }
            Action::Late(at) => {
                let step = world.late.remove(at);
                if !world.fenced {
                    let _nobody_hears = world.act(step);
                }
            }
            Action::TakeOver => world.take_over(),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no lock has two owners", |_, world: &World| !world.has_two_owners()),
            Property::always("no effect is out of turn", |_, world: &World| world.wrong.is_none()),
            Property::always("whoever cannot go on has ended", |model: &Walk, world: &World| {
                let mut actions = Vec::new();
                model.actions(world, &mut actions);
                let done = (0..N_JOBS).all(|job| world.has_ended(job));
                !actions.is_empty()
                    || (done && world.table.is_empty() && world.log.locks.is_empty())
            }),
            Property::sometimes("all succeed that can", |_, world: &World| {
                let status = |job| world.log.jobs.get(&id(job)).map(|record| record.status());
                status(0) == Some(JobStatus::Error)
                    && [1, 2].into_iter().all(|job| status(job) == Some(JobStatus::Success))
            }),
            Property::sometimes("one is canceled", |_, world: &World| {
                world.log.jobs.values().any(|job| job.status() == JobStatus::Canceled)
            }),
            Property::sometimes("a call of the old leader arrives late", |_, world: &World| {
                world.taken_over && !world.fenced && !world.effects.is_empty()
            }),
            Property::sometimes("two upgrade one lock and one is refused", |_, world: &World| {
                world.log.jobs.values().any(|job| {
                    let fault = job.ops[0].fault.as_ref();
                    fault.is_some_and(|fault| fault.message.contains("upgrade"))
                })
            }),
        ]
    }
}

// covers: L15 L24 L76 Q34
#[test]
fn three_jobs_on_three_locks_with_a_cancel_and_a_takeover() {
    let checker = Walk.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    let n_states = checker.unique_state_count();
    println!("{n_states} states, {} deep", checker.max_depth());
    assert!(n_states > STATES_MIN, "only {n_states} states");
}

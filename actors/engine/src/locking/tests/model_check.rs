//! Every interleaving of three jobs over three locks, with upgrades, early releases, cancellations
//! and one takeover: nobody waits for ever, nothing is owned twice (design of locks, L24).
//!
//! The jobs follow scripts. What a job holds reaches its journal with an effect; a release is in
//! the journal before the table hears of it; a takeover restores the journals and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, Model, Property};

use super::reference::in_the_way;
use super::*;
use crate::locking::LockRefusal;

/// One step of a job.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Asks for a change of locks.
    Ask(&'static str),
    /// Does something to the world, covered by the locks held.
    Effect,
    /// Gives up or weakens some locks: first in the journal, then here.
    Narrow(&'static str),
}
use Act::{Ask, Effect, Narrow};

/// How often a job that is refused begins anew; bounded, so that every path ends.
const RESTARTS: u8 = 1;

type Locks = Vec<(LockName, LockMode)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Ready,
    Waiting,
    Refused,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Job {
    attempt: JobAttempt,
    phase: Phase,
    next: usize,
    /// What it was told that it holds.
    held: Locks,
    /// Where it goes on after a takeover, and with which locks.
    journal: (usize, Locks),
    restarts_left: u8,
    cancelled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    table: LockTable,
    jobs: Vec<Job>,
    took_over: bool,
    /// A takeover met somebody who waited.
    took_over_waiting: bool,
    /// The table said something that it must not say.
    surprise: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Go(usize),
    Cancel(usize),
    TakeOver,
    /// A message of the attempt before the takeover comes late.
    Stale(usize),
}

struct World {
    scripts: [(i8, &'static [Act]); 3],
}

impl World {
    fn script(&self, index: usize) -> &'static [Act] {
        self.scripts[index].1
    }

    fn ask(&self, state: &mut State, index: usize, changes: Vec<(LockName, LockChange)>) {
        let attempt = state.jobs[index].attempt;
        let priority = self.scripts[index].0;
        let event = LockEvent::Acquire { job: id(index), attempt, priority, changes };
        step(state, event);
    }

    /// The job whose turn it is does what its script says next.
    fn go(&self, state: &mut State, index: usize) {
        let job = &mut state.jobs[index];
        let act = self.script(index).get(job.next).copied();
        if job.phase == Phase::Refused || act.is_none() {
            let again = job.phase == Phase::Refused && job.restarts_left > 0;
            job.restarts_left -= u8::from(again);
            job.phase = if again { Phase::Ready } else { Phase::Done };
            (job.next, job.held, job.journal) = (0, Locks::new(), (0, Locks::new()));
            return step(state, LockEvent::Release { job: id(index) });
        }
        match act {
            Some(Ask(text)) => self.ask(state, index, changes(text)),
            Some(Narrow(text)) => {
                let changes = changes(text);
                job.journal = (job.next, changed(&job.held, &changes));
                self.ask(state, index, changes);
            }
            Some(Effect) => {
                job.next += 1;
                job.journal = (job.next, job.held.clone());
            }
            None => {}
        }
    }

    fn cancel(&self, state: &mut State, index: usize) {
        self.ask(state, index, Vec::new());
        let job = &mut state.jobs[index];
        job.next = self.script(index).len();
        job.cancelled = true;
    }
}

fn changed(held: &Locks, changes: &[(LockName, LockChange)]) -> Locks {
    let mut after: BTreeMap<LockName, LockMode> = held.iter().cloned().collect();
    for (name, change) in changes {
        match change {
            LockChange::Hold(mode) => after.insert(name.clone(), *mode),
            LockChange::Release => after.remove(name),
        };
    }
    after.into_iter().collect()
}

fn id(index: usize) -> JobId {
    JobId(index as u64 + 1)
}

fn step(state: &mut State, event: LockEvent) {
    let effects = state.table.step(event);
    for effect in effects {
        match effect {
            LockEffect::Granted { job, attempt, held } => {
                let known = state.jobs.get_mut(job.0 as usize - 1);
                match known.filter(|known| known.attempt == attempt) {
                    Some(known) => {
                        (known.phase, known.held) = (Phase::Ready, held);
                        known.next += 1;
                    }
                    None => state.surprise = Some(format!("{attempt} of {job} is granted")),
                }
            }
            LockEffect::Waiting { job, .. } => {
                state.jobs[job.0 as usize - 1].phase = Phase::Waiting;
            }
            LockEffect::Refused { job, reason: LockRefusal::UpgradeContended { .. }, .. } => {
                state.jobs[job.0 as usize - 1].phase = Phase::Refused;
            }
            LockEffect::Refused { reason: LockRefusal::Withdrawn, .. } => {}
            LockEffect::Refused { job, reason, .. } => {
                state.surprise = Some(format!("{job} is refused: {reason}"));
            }
        }
    }
}

/// A new leader: an empty table, the journals, and jobs placed anew.
fn take_over(state: &mut State) {
    state.took_over = true;
    state.took_over_waiting = state.jobs.iter().any(|job| job.phase == Phase::Waiting);
    state.table = LockTable::default();
    for index in 0..state.jobs.len() {
        let job = &mut state.jobs[index];
        if job.phase == Phase::Done {
            continue;
        }
        job.attempt = job.attempt.next();
        job.phase = Phase::Ready;
        (job.next, job.held) = job.journal.clone();
        let (attempt, held) = (job.attempt, job.held.clone());
        step(state, LockEvent::Restore { job: id(index), attempt, held });
    }
}

/// The table must refuse it; nothing else may come of it.
fn stale(state: &mut State, index: usize) {
    let event = LockEvent::Acquire {
        job: id(index),
        attempt: JobAttempt(1),
        priority: 0,
        changes: changes("network/n=x"),
    };
    let before = state.table.clone();
    let effects = state.table.step(event);
    let refused = matches!(
        effects[..],
        [LockEffect::Refused { reason: LockRefusal::StaleAttempt { .. }, .. }]
    );
    if !refused || state.table != before {
        state.surprise = Some(format!("a late message: {effects:?}"));
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let job = Job {
            attempt: JobAttempt(1),
            phase: Phase::Ready,
            next: 0,
            held: Locks::new(),
            journal: (0, Locks::new()),
            restarts_left: RESTARTS,
            cancelled: false,
        };
        let jobs = vec![job; self.scripts.len()];
        let table = LockTable::default();
        vec![State { table, jobs, took_over: false, took_over_waiting: false, surprise: None }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, job) in state.jobs.iter().enumerate() {
            match job.phase {
                Phase::Ready | Phase::Refused => actions.push(Action::Go(index)),
                Phase::Waiting => actions.push(Action::Cancel(index)),
                Phase::Done => {}
            }
            // Of a job that has nothing the table knows nothing; there the lock actor refuses.
            if state.took_over && state.table.held(id(index)).next().is_some() {
                actions.push(Action::Stale(index));
            }
        }
        if !state.took_over && state.jobs.iter().any(|job| job.phase != Phase::Done) {
            actions.push(Action::TakeOver);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Go(index) => self.go(&mut state, index),
            Action::Cancel(index) => self.cancel(&mut state, index),
            Action::TakeOver => take_over(&mut state),
            Action::Stale(index) => stale(&mut state, index),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is owned twice", |_, state: &State| owned_once(state)),
            Property::always("told and held are the same", |_, state: &State| told_right(state)),
            Property::always("no circle", |_, state: &State| no_circle(state)),
            Property::always("no surprise", |_, state: &State| state.surprise.is_none()),
            Property::always("nothing is left", |_, state: &State| {
                state.jobs.iter().any(|job| job.phase != Phase::Done)
                    || state.table == LockTable::default()
            }),
            Property::eventually("every job ends", |_, state: &State| {
                state.jobs.iter().all(|job| job.phase == Phase::Done)
            }),
            Property::sometimes("somebody is refused", |_, state: &State| {
                state.jobs.iter().any(|job| job.phase == Phase::Refused)
            }),
            Property::sometimes("somebody is cancelled", |_, state: &State| {
                state.jobs.iter().any(|job| job.cancelled && !job.held.is_empty())
            }),
            Property::sometimes("a takeover meets a waiting job", |_, state: &State| {
                state.took_over_waiting
            }),
            Property::sometimes("two jobs wait", |_, state: &State| {
                state.jobs.iter().filter(|job| job.phase == Phase::Waiting).count() == 2
            }),
        ]
    }
}

/// From every waiting job all ways lead to jobs that can go on.
fn no_circle(state: &State) -> bool {
    let ids = (0..state.jobs.len()).map(id);
    let mut left: BTreeSet<JobId> = ids.filter(|job| state.table.is_waiting(*job)).collect();
    let phases = (0..).zip(&state.jobs);
    let waiting = phases.filter(|(_, job)| job.phase == Phase::Waiting);
    if left != waiting.map(|(index, _)| id(index)).collect() {
        return false;
    }
    while let Some(job) = left.iter().copied().find(|job| {
        let blockers = state.table.blockers(*job);
        !blockers.is_empty() && blockers.is_disjoint(&left)
    }) {
        left.remove(&job);
    }
    left.is_empty()
}

fn owned_once(state: &State) -> bool {
    let held: Vec<Locks> = (0..state.jobs.len()).map(|index| table_held(state, index)).collect();
    held.iter().enumerate().all(|(index, one)| {
        one.iter().all(|has| {
            let mut others = held[index + 1..].iter().flatten();
            !others.any(|theirs| in_the_way((&has.0, has.1), (&theirs.0, theirs.1)))
        })
    })
}

fn told_right(state: &State) -> bool {
    state.jobs.iter().enumerate().all(|(index, job)| job.held == table_held(state, index))
}

fn table_held(state: &State, index: usize) -> Locks {
    state.table.held(id(index)).map(|(name, mode)| (name.clone(), mode)).collect()
}

fn check(scripts: [(i8, &'static [Act]); 3]) {
    let checker = World { scripts }.checker().spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    assert!(states > 1_000, "only {states} states: the scripts hardly meet");
}

// covers: L10 L13 L15 L16 L24 L71 L75 L76
#[test]
fn members_of_two_levels() {
    check([
        (
            0,
            &[
                Ask("instance/i=x"),
                Effect,
                Ask("node/a=s node/b=s"),
                Effect,
                Ask("node/b=x"),
                Effect,
                Narrow("node/a=-"),
            ],
        ),
        (0, &[Ask("node/a=s"), Ask("node/b=s"), Effect, Ask("node/b=x"), Effect]),
        (-1, &[Ask("instance/i=s node/a=x"), Effect, Narrow("instance/i=-"), Ask("node/b=x")]),
    ]);
}

// covers: L12 L14 L15 L16 L24 L71 L75 L76
#[test]
fn a_set_and_its_members() {
    check([
        (
            0,
            &[
                Ask("node/[lockset]=s"),
                Effect,
                Ask("node/[lockset]=x"),
                Effect,
                Narrow("node/a=x node/[lockset]=-"),
                Effect,
            ],
        ),
        (0, &[Ask("node/a=s"), Effect, Ask("node/a=x"), Effect, Ask("node/b=x")]),
        (-1, &[Ask("node/b=s"), Effect, Ask("node/b=x")]),
    ]);
}

// covers: L15 L16 L24 L71 L73 L75
#[test]
fn three_who_upgrade_and_downgrade_one_lock() {
    check([
        (0, &[Ask("node/a=s"), Ask("node/a=x"), Effect, Narrow("node/a=s")]),
        (0, &[Ask("node/a=s"), Ask("node/a=x"), Effect, Ask("node/b=x")]),
        (1, &[Ask("instance/i=x node/a=s"), Effect, Ask("node/a=x")]),
    ]);
}

/// The rule that releases and downgrades are journalled first is not the table's to keep. Without
/// it a takeover finds two owners, and the table says so instead of installing them.
// covers: L22 L75
#[test]
fn a_downgrade_that_is_not_in_the_journal_is_found_out() {
    let scripts: [(i8, &'static [Act]); 3] = [
        (0, &[Ask("node/a=x"), Effect, Ask("node/a=s")]),
        (0, &[Ask("node/a=s"), Effect]),
        (0, &[]),
    ];
    let checker = World { scripts }.checker().spawn_bfs().join();
    checker.assert_any_discovery("no surprise");
    let path = checker.discovery("no surprise").expect("just asserted");
    let surprise = path.last_state().surprise.clone().expect("a surprise");
    assert!(surprise.contains("cannot be restored"), "{surprise}");
    assert!(checker.discovery("nothing is owned twice").is_none());
}

//! What is true after any sequence of events, legal or not: L10, L12, L13, L16, L17, L24, L70, L73.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::reference::{Held, Reference, Said, in_the_way, said};
use super::*;

const JOBS: u64 = 6;
const EVENTS: usize = 60;
const CASES: u32 = 400;

/// Which locks and how many jobs a sequence of events is about.
#[derive(Clone, Copy)]
struct Field {
    locks: &'static [&'static str],
    n_jobs: u64,
    n_changes_max: usize,
}

/// Two levels with set and members, and the configuration lock: enough for every kind of conflict.
const WIDE: Field = Field {
    locks: &[
        "cluster/config",
        "instance/[lockset]",
        "instance/a",
        "instance/b",
        "node/[lockset]",
        "node/a",
        "node/b",
        "node/c",
    ],
    n_jobs: JOBS,
    n_changes_max: 3,
};

/// So little that jobs meet all the time, and upgrade against each other.
const NARROW: Field =
    Field { locks: &["node/[lockset]", "node/a", "node/b"], n_jobs: 3, n_changes_max: 1 };

fn any_lock(field: Field) -> impl Strategy<Value = LockName> {
    (0..field.locks.len()).prop_map(move |index| lock(field.locks[index]))
}

fn any_mode() -> impl Strategy<Value = LockMode> {
    prop_oneof![3 => Just(LockMode::Shared), 2 => Just(LockMode::Exclusive)]
}

fn any_change() -> impl Strategy<Value = LockChange> {
    prop_oneof![5 => any_mode().prop_map(LockChange::Hold), 1 => Just(LockChange::Release)]
}

/// Mostly the first attempt, so that jobs live long enough to meet.
fn any_attempt() -> impl Strategy<Value = JobAttempt> {
    prop_oneof![30 => Just(JobAttempt(1)), 1 => Just(JobAttempt(2))]
}

/// In both fields, as they are found to break different things.
fn any_events() -> impl Strategy<Value = Vec<LockEvent>> {
    prop_oneof![vec(any_event(WIDE), 1..EVENTS), vec(any_event(NARROW), 1..EVENTS)]
}

fn any_event(field: Field) -> impl Strategy<Value = LockEvent> {
    let job = move || (1..=field.n_jobs).prop_map(JobId);
    let any_lock = move || any_lock(field);
    let any_changes = vec((any_lock(), any_change()), 1..=field.n_changes_max);
    let priority = || -1_i8..=1;
    prop_oneof![
        16 => (job(), any_attempt(), priority(), any_changes)
            .prop_map(|(job, attempt, priority, changes)| {
                LockEvent::Acquire { job, attempt, priority, changes }
            }),
        1 => (job(), any_lock()).prop_map(|(job, name)| LockEvent::Acquire {
            job,
            attempt: JobAttempt(1),
            priority: 0,
            changes: vec![(name, LockChange::Release)],
        }),
        1 => (job(), any_attempt(), 0..3_usize, vec(any_lock(), 1..4), any_mode()).prop_map(
            |(job, attempt, at_least, names, mode)| {
                LockEvent::AcquireFree { job, attempt, at_least, names, mode }
            }
        ),
        3 => job().prop_map(|job| LockEvent::Release { job }),
        1 => (job(), any_attempt(), vec((any_lock(), any_mode()), 0..3))
            .prop_map(|(job, attempt, held)| LockEvent::Restore { job, attempt, held }),
        2 => (job(), priority())
            .prop_map(|(job, priority)| LockEvent::ChangePriority { job, priority }),
    ]
}

fn settings() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

/// The table, the reference, and requests that have no answer yet.
#[derive(Default)]
struct Pair {
    table: LockTable,
    reference: Reference,
    unanswered: BTreeMap<(JobId, JobAttempt), usize>,
}

impl Pair {
    fn held(&self, job: JobId) -> Held {
        self.table.held(job).map(|(name, mode)| (name.clone(), mode)).collect()
    }

    /// Both do the event; they must say the same and hold the same.
    fn step(&mut self, event: &LockEvent) -> Vec<LockEffect> {
        let effects = self.table.step(event.clone());
        let mut real: Vec<Said> = effects.iter().map(said).collect();
        let mut simple = self.reference.step(event.clone());
        real.sort();
        simple.sort();
        assert_eq!(real, simple, "what is said after {event:?}");
        for job in (1..=JOBS).map(JobId) {
            assert_eq!(self.held(job), self.reference.held(job), "what {job} has after {event:?}");
            let waits = self.reference.waiting().contains(&job);
            assert_eq!(self.table.is_waiting(job), waits, "whether {job} waits after {event:?}");
        }
        effects
    }

    /// Whoever waits has somebody in the way, and only such who are.
    fn check_blockers(&self) {
        for job in (1..=JOBS).map(JobId) {
            let blockers = self.table.blockers(job);
            let holders = self.reference.holders(job);
            let all: BTreeSet<JobId> = &holders | &self.reference.ahead(job);
            assert_eq!(blockers.is_empty(), !self.table.is_waiting(job));
            assert!(blockers.is_superset(&holders), "all holders in the way of {job} are named");
            assert!(blockers.is_subset(&all), "nobody else is named as in the way of {job}");
        }
    }

    fn check_exclusion(&self) {
        for one in (1..=JOBS).map(JobId) {
            for other in (one.0 + 1..=JOBS).map(JobId) {
                let (one, other) = (self.held(one), self.held(other));
                let clash = one.iter().find(|has| {
                    other.iter().any(|theirs| in_the_way((has.0, *has.1), (theirs.0, *theirs.1)))
                });
                assert_eq!(clash, None, "two jobs hold locks in conflict");
            }
        }
    }

    /// From every waiting job all ways lead to jobs that do not wait.
    fn check_no_circle(&self) {
        let mut left = self.reference.waiting();
        while !left.is_empty() {
            let in_way = |job: JobId| &self.reference.holders(job) | &self.reference.ahead(job);
            let next = left.iter().copied().find(|job| in_way(*job).is_disjoint(&left));
            let next = next.unwrap_or_else(|| panic!("{left:?} wait for each other"));
            left.remove(&next);
        }
    }

    /// What is waited for is not below what is held.
    fn check_order(&self) {
        let position = |name: &LockName| (*name == lock("cluster/config"), name.clone());
        for job in self.reference.waiting() {
            let highest = self.held(job).keys().map(position).max();
            let lowest = self.reference.wants(job).iter().map(|(name, _)| position(name)).min();
            assert!(highest.is_none() || lowest >= highest, "{job} waits out of order");
        }
    }

    fn check_rows(&self) {
        let mut owners = BTreeSet::new();
        let mut pending = BTreeSet::new();
        for row in self.table.rows() {
            assert!(row.mode.is_some() || !row.pending.is_empty(), "a row of nothing");
            owners.extend(row.owners.iter().map(|job| (row.name.clone(), *job, row.mode)));
            pending.extend(row.pending.iter().flat_map(|(mode, jobs)| {
                jobs.iter().map(|job| (row.name.clone(), *job, *mode)).collect::<Vec<_>>()
            }));
        }
        let jobs = || (1..=JOBS).map(JobId);
        let held = jobs().flat_map(|job| {
            self.held(job).into_iter().map(move |(name, mode)| (name, job, Some(mode)))
        });
        assert_eq!(owners, held.collect());
        let wanted = jobs().flat_map(|job| {
            self.reference.wants(job).into_iter().map(move |(name, mode)| (name, job, mode))
        });
        assert_eq!(pending, wanted.collect());
    }

    /// Each acquisition is answered once, and is waiting exactly as long as it is not.
    fn check_answers(&mut self, event: &LockEvent, effects: &[LockEffect]) {
        if let LockEvent::Acquire { job, attempt, .. }
        | LockEvent::AcquireFree { job, attempt, .. }
        | LockEvent::Restore { job, attempt, .. } = event
        {
            *self.unanswered.entry((*job, *attempt)).or_insert(0) += 1;
        }
        let mut refused = false;
        for effect in effects {
            let answered = match effect {
                LockEffect::Granted { job, attempt, .. } => (*job, *attempt),
                LockEffect::Refused { job, attempt, reason } => {
                    refused |= !reason.answers_earlier_request();
                    (*job, *attempt)
                }
                LockEffect::Waiting { .. } => continue,
            };
            let count = self.unanswered.get_mut(&answered).expect("an answer to a request");
            *count = count.checked_sub(1).expect("one answer to each request");
        }
        if let LockEvent::Restore { job, attempt, .. } = event
            && !refused
        {
            *self.unanswered.entry((*job, *attempt)).or_insert(1) -= 1;
        }
        self.unanswered.retain(|_, count| *count > 0);
        let waiting = self.reference.waiting().into_iter();
        let waiting = waiting.map(|job| ((job, self.reference.attempt(job)), 1));
        assert_eq!(self.unanswered, waiting.collect(), "requests without an answer");
    }
}

/// Nobody gets past a waiting job without being more urgent, or holding what one at least as
/// urgent as that job waits for, directly or not.
fn check_overtaking(before: &Reference, pair: &Pair, event: &LockEvent, effects: &[LockEffect]) {
    let after = &pair.reference;
    for effect in effects {
        let LockEffect::Granted { job, held, .. } = effect else { continue };
        let own = match event {
            LockEvent::Acquire { job: asks, priority, .. } if asks == job => {
                Some((*priority, *job))
            }
            LockEvent::ChangePriority { job: asks, priority } if asks == job => {
                Some((*priority, *job))
            }
            _ => before.rank(*job),
        };
        let had = before.held(*job);
        let new = held.iter().filter(|(name, mode)| had.get(name) < Some(mode));
        for (name, mode) in new {
            for passed in after.waiting().intersection(&before.waiting()) {
                let wants = after.wants(*passed);
                let stood = wants.iter().any(|want| in_the_way((&want.0, want.1), (name, *mode)));
                if !stood || before.holders(*passed).contains(job) {
                    continue;
                }
                let rank = after.rank(*passed);
                let behalf = |state: &Reference| {
                    let waiting = state.waiting().into_iter();
                    let mut urgent = waiting.filter(|other| state.rank(*other) <= rank);
                    urgent.any(|other| state.waits_for(other, *job))
                };
                let may = own.is_some_and(|own| Some(own) < rank);
                assert!(may || behalf(before) || behalf(after), "{job} passed {passed}: {event:?}");
            }
        }
    }
}

/// Nothing is had by halves: what a job holds changes only by an event that says so.
fn check_whole(before: &Reference, pair: &Pair, event: &LockEvent, effects: &[LockEffect]) {
    for job in (1..=JOBS).map(JobId) {
        let (was, is) = (before.held(job), pair.held(job));
        let granted = effects.iter().rev().find_map(|effect| match effect {
            LockEffect::Granted { job: to, held, .. } if *to == job => Some(held.clone()),
            _ => None,
        });
        let asked = match event {
            LockEvent::Acquire { job, attempt, .. }
            | LockEvent::AcquireFree { job, attempt, .. }
            | LockEvent::Restore { job, attempt, .. } => Some((*job, Some(*attempt))),
            LockEvent::Release { job } => Some((*job, None)),
            LockEvent::ChangePriority { .. } => None,
        };
        match granted {
            Some(held) => assert_eq!(held.into_iter().collect::<Held>(), is),
            // Given up by the job itself: released, restored, or a newer attempt came.
            None if asked.is_some_and(|(of, attempt)| {
                let newer = attempt.is_none_or(|attempt| attempt > before.attempt(job));
                of == job && (newer || matches!(event, LockEvent::Restore { .. }))
            }) => {}
            None => assert_eq!(was, is, "{job} has something else after {event:?}"),
        }
    }
}

proptest! {
    #![proptest_config(settings())]

    // covers: L10 L12 L13 L16 L17 L18 L21 L23 L24 L70 L71 L73
    #[test]
    fn any_sequence_of_events_keeps_the_rules(events in any_events()) {
        let mut pair = Pair::default();
        for event in &events {
            let before = pair.reference.clone();
            let effects = pair.step(event);
            pair.check_exclusion();
            pair.check_blockers();
            pair.check_no_circle();
            pair.check_rows();
            pair.check_order();
            pair.check_answers(event, &effects);
            check_overtaking(&before, &pair, event, &effects);
            check_whole(&before, &pair, event, &effects);
        }
    }

    // covers: L16 L24 L73
    #[test]
    fn everybody_is_served_when_those_who_can_go_on_end(events in any_events()) {
        let mut pair = Pair::default();
        for event in &events {
            pair.step(event);
        }
        // Each round ends everybody who does not wait, so each brings at least one of the rest on.
        for _ in 0..=JOBS {
            let waiting = pair.reference.waiting();
            let able: BTreeSet<JobId> = pair.reference.jobs().collect();
            for job in able.difference(&waiting).copied() {
                pair.step(&LockEvent::Release { job });
            }
            let later = pair.reference.waiting();
            prop_assert!(later.is_empty() || later.len() < waiting.len());
        }
        prop_assert_eq!(&pair.table, &LockTable::default());
    }

    // covers: L22
    #[test]
    fn a_new_leader_that_restores_and_hears_everybody_again_serves_everybody(
        events in any_events(),
    ) {
        let mut old = Pair::default();
        for event in &events {
            old.step(event);
        }
        let mut new = Pair::default();
        for job in old.reference.jobs() {
            let (attempt, held) = (old.reference.attempt(job), old.held(job));
            let held = held.into_iter().collect();
            prop_assert_eq!(new.step(&LockEvent::Restore { job, attempt, held }), []);
            prop_assert_eq!(new.held(job), old.held(job));
        }
        for job in old.reference.waiting() {
            let changes = old.reference.wants(job).into_iter();
            let changes = changes.map(|(name, mode)| (name, LockChange::Hold(mode))).collect();
            let priority = old.reference.rank(job).expect("it waits").0;
            let attempt = old.reference.attempt(job);
            let said = new.step(&LockEvent::Acquire { job, attempt, priority, changes });
            // Whoever was only behind others in the queue may now have come before them.
            let granted = said.iter().all(|effect| !matches!(effect, LockEffect::Refused { .. }));
            prop_assert!(granted, "the order of requests makes none of them illegal: {said:?}");
            prop_assert!(old.reference.holders(job).is_empty() || new.table.is_waiting(job));
        }
        new.check_exclusion();
        new.check_no_circle();
    }
}

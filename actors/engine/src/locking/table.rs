//! The table: events in, effects out.
//!
//! Owns the life of an owner, from its first request to its release. How requests wait is in
//! `queue`, whose urgency they wait with in `inherit`.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::locks::{LockChange, LockMode, LockName, LockRow};

use super::cells::{Cells, Urgency};
use super::event::{LockEffect, LockEvent, LockRefusal};
use super::order::{self, Ask, Held};

/// Who holds which lock and who waits. See the module for the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LockTable {
    /// Only jobs that hold or want something.
    pub(super) owners: BTreeMap<JobId, Owner>,
    pub(super) cells: Cells,
}

/// A job that holds or wants locks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) attempt: JobAttempt,
    pub(super) held: Held,
    pub(super) pending: Option<Pending>,
    /// Waiting jobs to be looked at when this one gives up what is in their way, and the lock that
    /// each of them wants there.
    pub(super) watchers: BTreeSet<Watcher>,
}

/// A waiting job, after the lock at which it is hindered.
pub(super) type Watcher = (LockName, JobId);

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    pub(super) asks: Vec<Ask>,
    pub(super) priority: i8,
    /// Its own or an inherited one; under this it stands in the queues.
    pub(super) urgency: Urgency,
    /// One job in its way, and at which lock: as long as that one stays there, so does this.
    pub(super) watched: Option<(JobId, LockName)>,
}

/// What an event has brought about so far.
#[derive(Default)]
pub(super) struct Ripple {
    pub(super) effects: Vec<LockEffect>,
    /// Waiting jobs that may have nobody in their way any more.
    pub(super) woken: BTreeSet<JobId>,
}

impl LockTable {
    /// Applies one event. The effects are in the order in which they came about.
    #[must_use]
    pub fn step(&mut self, event: LockEvent) -> Vec<LockEffect> {
        let mut ripple = Ripple::default();
        match event {
            LockEvent::Acquire { job, attempt, priority, changes } => {
                let outcome = self.acquire(job, attempt, priority, changes, &mut ripple);
                refuse(outcome, job, attempt, &mut ripple);
            }
            LockEvent::AcquireFree { job, attempt, at_least, names, mode } => {
                let outcome = self.acquire_free(job, attempt, at_least, names, mode, &mut ripple);
                refuse(outcome, job, attempt, &mut ripple);
            }
            LockEvent::Release { job } => self.evict(job, LockRefusal::Withdrawn, &mut ripple),
            LockEvent::Restore { job, attempt, held } => {
                let outcome = self.restore(job, attempt, held, &mut ripple);
                refuse(outcome, job, attempt, &mut ripple);
            }
            LockEvent::ChangePriority { job, priority } => {
                self.change_priority(job, priority, &mut ripple);
            }
        }
        self.settle(&mut ripple);
        ripple.effects
    }

    /// What a job holds, ordered by name.
    pub fn held(&self, job: JobId) -> impl Iterator<Item = (&LockName, LockMode)> {
        let held = self.owners.get(&job).map(|owner| &owner.held);
        held.into_iter().flatten().map(|(name, mode)| (name, *mode))
    }

    /// Whether a request of the job is pending.
    #[must_use]
    pub fn is_waiting(&self, job: JobId) -> bool {
        self.pending(job).is_some()
    }

    /// Who is in the way of a job now: all that hold what it wants, and for each lock the nearest
    /// job ahead of it in the queue. Empty exactly if it does not wait.
    #[must_use]
    pub fn blockers(&self, job: JobId) -> BTreeSet<JobId> {
        let Some(pending) = self.pending(job) else { return BTreeSet::new() };
        let mut blockers = self.holders_against(job, &pending.asks);
        for (name, mode) in wants(&pending.asks) {
            let cells = self.cells.related(name);
            blockers.extend(cells.filter_map(|cell| cell.nearest_ahead(mode, pending.urgency)));
        }
        blockers
    }

    /// Whether nobody holds or wants anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// How many locks are held, each counted once for every job that holds it.
    #[must_use]
    pub fn n_held(&self) -> usize {
        self.cells.n_held()
    }

    /// All locks held or wanted, in the order in which they are acquired (L23, L74). Waiting jobs
    /// stand in the order of the queue, neighbours of one mode together.
    #[must_use]
    pub fn rows(&self) -> Vec<LockRow> {
        self.cells
            .all()
            .into_iter()
            .map(|(name, cell)| {
                let (mode, owners) = cell.holders();
                let mut pending: Vec<(LockMode, Vec<JobId>)> = Vec::new();
                for (mode, job) in cell.queue() {
                    match pending.last_mut().filter(|(last, _)| *last == mode) {
                        Some((_, jobs)) => jobs.push(job),
                        None => pending.push((mode, vec![job])),
                    }
                }
                LockRow { name, mode, owners, pending }
            })
            .collect()
    }

    fn acquire(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        priority: i8,
        changes: Vec<(LockName, LockChange)>,
        ripple: &mut Ripple,
    ) -> Result<(), LockRefusal> {
        self.admit(job, attempt, ripple)?;
        let waits = self.is_waiting(job);
        if waits && changes.iter().any(|(_, change)| *change != LockChange::Release) {
            return Err(LockRefusal::RequestPending);
        }
        let asks = order::request(changes, self.owners.get(&job).map(|owner| &owner.held))?;
        if waits {
            self.withdraw(job, LockRefusal::Withdrawn, ripple);
        }
        self.refuse_circle(job, &asks)?;
        let urgency = Urgency { priority, job };
        if self.obstacle(job, &asks, urgency).is_none() {
            self.grant(job, attempt, asks, ripple);
        } else {
            self.enqueue(job, attempt, asks, priority, ripple);
            self.settle(ripple);
            if self.is_waiting(job) {
                let blockers = self.blockers(job);
                ripple.effects.push(LockEffect::Waiting { job, blockers });
            }
        }
        Ok(())
    }

    fn acquire_free(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        at_least: usize,
        names: Vec<LockName>,
        mode: LockMode,
        ripple: &mut Ripple,
    ) -> Result<(), LockRefusal> {
        self.admit(job, attempt, ripple)?;
        if self.is_waiting(job) {
            return Err(LockRefusal::RequestPending);
        }
        let changes = names.into_iter().map(|name| (name, LockChange::Hold(mode))).collect();
        let mut asks = order::request(changes, self.owners.get(&job).map(|owner| &owner.held))?;
        // Whoever waits has been promised the lock; one who does not wait may not jump that queue.
        asks.retain(|ask| {
            ask.wanted().is_some_and(|mode| {
                self.cells.related(&ask.name).all(|cell| {
                    cell.holders_against(mode, job).next().is_none()
                        && cell.first_wanted_against(mode, job).is_none()
                })
            })
        });
        if asks.len() < at_least {
            return Err(LockRefusal::TooFewFree { n_free: asks.len(), at_least });
        }
        self.grant(job, attempt, asks, ripple);
        Ok(())
    }

    fn restore(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        held: Vec<(LockName, LockMode)>,
        ripple: &mut Ripple,
    ) -> Result<(), LockRefusal> {
        self.refuse_stale(job, attempt)?;
        let held = order::distinct(held)?;
        for (name, mode) in &held {
            let owner = self.cells.related(name).find_map(|cell| {
                let mut holders = cell.holders_against(*mode, job);
                holders.next()
            });
            if let Some(owner) = owner {
                return Err(LockRefusal::RestoreConflict { name: name.clone(), owner });
            }
        }
        self.admit(job, attempt, ripple)?;
        self.evict(job, LockRefusal::Withdrawn, ripple);
        if held.is_empty() {
            return Ok(());
        }
        for (name, mode) in &held {
            self.cells.hold(name, *mode, job);
        }
        self.owner(job, attempt).held = held.into_iter().collect();
        Ok(())
    }

    fn refuse_stale(&self, job: JobId, attempt: JobAttempt) -> Result<(), LockRefusal> {
        match self.owners.get(&job) {
            Some(owner) if owner.attempt > attempt => {
                Err(LockRefusal::StaleAttempt { known: owner.attempt })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses an old attempt; clears away what an older one has.
    fn admit(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        ripple: &mut Ripple,
    ) -> Result<(), LockRefusal> {
        self.refuse_stale(job, attempt)?;
        if self.owners.get(&job).is_some_and(|owner| owner.attempt < attempt) {
            self.evict(job, LockRefusal::Superseded { by: attempt }, ripple);
        }
        Ok(())
    }

    /// Takes everything from a job, held and asked for.
    fn evict(&mut self, job: JobId, reason: LockRefusal, ripple: &mut Ripple) {
        self.withdraw(job, reason, ripple);
        if let Some(owner) = self.owners.remove(&job) {
            for (name, mode) in &owner.held {
                self.cells.let_go(name, *mode, job);
            }
            ripple.woken.extend(owner.watchers.into_iter().map(|(_, job)| job));
        }
    }

    /// Does what a request asks for; nobody is in its way.
    pub(super) fn grant(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        asks: Vec<Ask>,
        ripple: &mut Ripple,
    ) {
        let mut held = std::mem::take(&mut self.owner(job, attempt).held);
        let mut given_up = Vec::new();
        for Ask { name, change, .. } in asks {
            let before = held.get(&name).copied();
            let after = match change {
                LockChange::Hold(mode) => Some(mode),
                LockChange::Release => None,
            };
            if before == after {
                continue;
            }
            if let Some(mode) = before {
                self.cells.let_go(&name, mode, job);
            }
            if after < before {
                given_up.push(name.clone());
            }
            if let Some(mode) = after {
                self.cells.hold(&name, mode, job);
                held.insert(name, mode);
            } else {
                held.remove(&name);
            }
        }
        let granted = held.iter().map(|(name, mode)| (name.clone(), *mode)).collect();
        ripple.effects.push(LockEffect::Granted { job, attempt, held: granted });
        let owner = self.owner(job, attempt);
        owner.held = held;
        // Those woken come back to watch this job again if it is still in their way.
        for name in given_up {
            ripple.woken.extend(hindered_at(&owner.watchers, &name));
        }
        self.forget_if_idle(job);
    }

    pub(super) fn owner(&mut self, job: JobId, attempt: JobAttempt) -> &mut Owner {
        self.owners.entry(job).or_insert_with(|| Owner {
            attempt,
            held: Held::new(),
            pending: None,
            watchers: BTreeSet::new(),
        })
    }

    pub(super) fn forget_if_idle(&mut self, job: JobId) {
        let idle = |owner: &Owner| owner.held.is_empty() && owner.pending.is_none();
        if self.owners.get(&job).is_some_and(idle) {
            self.owners.remove(&job);
        }
    }

    pub(super) fn pending(&self, job: JobId) -> Option<&Pending> {
        self.owners.get(&job)?.pending.as_ref()
    }
}

fn refuse(outcome: Result<(), LockRefusal>, job: JobId, attempt: JobAttempt, ripple: &mut Ripple) {
    if let Err(reason) = outcome {
        ripple.effects.push(LockEffect::Refused { job, attempt, reason });
    }
}

/// Those who are hindered at a lock, or at its set or a member of it.
fn hindered_at(watchers: &BTreeSet<Watcher>, name: &LockName) -> Vec<JobId> {
    let of_one =
        |name: LockName| watchers.range((name.clone(), JobId(0))..=(name, JobId(u64::MAX)));
    let set = LockName::set(name.level);
    let watchers: Vec<&Watcher> = if *name == set {
        let from_set = watchers.range((set, JobId(0))..);
        from_set.take_while(|(at, _)| at.level == name.level).collect()
    } else {
        of_one(name.clone()).chain(of_one(set)).collect()
    };
    watchers.into_iter().map(|(_, job)| *job).collect()
}

/// What has to be obtained from others.
pub(super) fn wants(asks: &[Ask]) -> impl Iterator<Item = (&LockName, LockMode)> {
    asks.iter().filter_map(|ask| ask.wanted().map(|mode| (&ask.name, mode)))
}

//! How requests wait: who is in the way, who is looked at again and when.
//!
//! Owns the watching: each waiting job watches one job that is in its way, and is looked at again
//! only when that one gives something up or falls behind. Called by the table only.

use std::collections::BTreeSet;

use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::locks::{LockMember, LockMode, LockName};

use super::cells::Urgency;
use super::event::{LockEffect, LockRefusal};
use super::order::{self, Ask};
use super::table::{LockTable, Pending, Ripple, wants};

impl LockTable {
    /// Somebody in the way of a request, and the lock wanted there. In a queue it is the one
    /// immediately before: then a release wakes the next in line and not the whole queue.
    pub(super) fn obstacle<'a>(
        &self,
        job: JobId,
        asks: &'a [Ask],
        urgency: Urgency,
    ) -> Option<(JobId, &'a LockName)> {
        wants(asks).find_map(|(name, mode)| {
            let cells = self.cells.related(name);
            let ahead = cells.clone().find_map(|cell| cell.nearest_ahead(mode, urgency));
            let holder = || cells.clone().find_map(|cell| cell.holders_against(mode, job).next());
            ahead.or_else(holder).map(|other| (other, name))
        })
    }

    /// All who hold what a request wants.
    pub(super) fn holders_against(&self, job: JobId, asks: &[Ask]) -> BTreeSet<JobId> {
        wants(asks)
            .flat_map(|(name, mode)| {
                let cells = self.cells.related(name);
                cells.flat_map(move |cell| cell.holders_against(mode, job))
            })
            .collect()
    }

    /// Refuses a request that would wait for a job which waits for this one: the two pairs that
    /// the order of locks does not rule out (see the module, point 2).
    pub(super) fn refuse_circle(&self, job: JobId, asks: &[Ask]) -> Result<(), LockRefusal> {
        let Some(owner) = self.owners.get(&job) else { return Ok(()) };
        for (name, _) in wants(asks).filter(|(_, mode)| *mode == LockMode::Exclusive) {
            let upgraded = if owner.held.contains_key(name) { self.cells.own(name) } else { None };
            let other = upgraded
                .and_then(|own| own.exclusive_wanter_holding(own, job))
                .or_else(|| upgraded.and_then(|_| self.against_set(name, job)))
                .or_else(|| self.against_member(name, job));
            if let Some(other) = other {
                return Err(LockRefusal::UpgradeContended { name: name.clone(), other });
            }
        }
        Ok(())
    }

    /// The job upgrades a set: who wants a member exclusively and holds one?
    fn against_set(&self, name: &LockName, job: JobId) -> Option<JobId> {
        let members = self.cells.any_member(name.level);
        let is_set = name.member == LockMember::Set;
        members.exclusive_wanter_holding(members, job).filter(|_| is_set)
    }

    /// The job wants a member exclusively: if it holds one, who upgrades the set?
    fn against_member(&self, name: &LockName, job: JobId) -> Option<JobId> {
        let set = self.cells.set(name.level);
        let holds_one = self.cells.any_member(name.level).is_held_by(job);
        set.exclusive_wanter_holding(set, job).filter(|_| holds_one && order::is_member(name))
    }

    /// Puts a request into the queues. Whom it watches is decided when the ripple settles.
    pub(super) fn enqueue(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        asks: Vec<Ask>,
        priority: i8,
        ripple: &mut Ripple,
    ) {
        let urgency = Urgency { priority, job };
        for (name, mode) in wants(&asks) {
            self.cells.want(name, mode, (urgency, job));
        }
        let pending = Pending { asks, priority, urgency, watched: None };
        self.owner(job, attempt).pending = Some(pending);
        self.inherit(job, ripple);
        self.pass_on(job, ripple);
        ripple.woken.insert(job);
    }

    /// Ends a pending request, if there is one, without granting it.
    pub(super) fn withdraw(&mut self, job: JobId, reason: LockRefusal, ripple: &mut Ripple) {
        let Some(pending) = self.pending(job) else { return };
        let before = pending.urgency;
        let heirs = self.holders_against(job, &pending.asks);
        let Some((attempt, _)) = self.dequeue(job) else { return };
        ripple.effects.push(LockEffect::Refused { job, attempt, reason });
        if let Some(owner) = self.owners.get(&job) {
            ripple.woken.extend(owner.watchers.iter().map(|(_, job)| *job));
        }
        self.disinherit(heirs, before, ripple);
        self.forget_if_idle(job);
    }

    /// Looks at all jobs woken, the most urgent first, and grants what can be granted.
    pub(super) fn settle(&mut self, ripple: &mut Ripple) {
        let mut turns = BTreeSet::new();
        loop {
            // Granting changes nobody's urgency, so a turn once noted stays right.
            turns.extend(std::mem::take(&mut ripple.woken).into_iter().filter_map(|job| {
                let pending = self.pending(job)?;
                Some((pending.urgency, job))
            }));
            let Some((_, job)) = turns.pop_first() else { return };
            self.look_at(job, ripple);
        }
    }

    fn look_at(&mut self, job: JobId, ripple: &mut Ripple) {
        let Some(pending) = self.pending(job) else { return };
        let obstacle = self.obstacle(job, &pending.asks, pending.urgency);
        if let Some((other, name)) = obstacle {
            let watched = (other, name.clone());
            self.watch(job, Some(watched));
        } else if let Some((attempt, asks)) = self.dequeue(job) {
            self.grant(job, attempt, asks, ripple);
        }
    }

    /// Takes a request out of the queues. Those who watch its job stay as they are.
    fn dequeue(&mut self, job: JobId) -> Option<(JobAttempt, Vec<Ask>)> {
        self.watch(job, None);
        let owner = self.owners.get_mut(&job)?;
        let pending = owner.pending.take()?;
        for (name, mode) in wants(&pending.asks) {
            self.cells.want_no_more(name, mode, (pending.urgency, job));
        }
        Some((owner.attempt, pending.asks))
    }

    fn watch(&mut self, job: JobId, watched: Option<(JobId, LockName)>) {
        let pending = self.owners.get_mut(&job).and_then(|owner| owner.pending.as_mut());
        let Some(pending) = pending else { return };
        let before = std::mem::replace(&mut pending.watched, watched.clone());
        if let Some((other, name)) = before
            && let Some(owner) = self.owners.get_mut(&other)
        {
            owner.watchers.remove(&(name, job));
        }
        if let Some((other, name)) = watched
            && let Some(owner) = self.owners.get_mut(&other)
        {
            owner.watchers.insert((name, job));
        }
    }
}

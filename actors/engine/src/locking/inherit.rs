//! With which urgency a request waits.
//!
//! Owns the rule that a waiting job is as urgent as the most urgent job that waits for what it
//! holds, directly or along a chain. The argument against deadlock rests on it (see the module,
//! point 1). Called by the table and its queue only.

use std::collections::BTreeSet;

use gantry_model::ids::JobId;

use super::cells::Urgency;
use super::table::{LockTable, Ripple, wants};

impl LockTable {
    /// Raises a waiting job to the urgency of those who wait for what it holds already.
    pub(super) fn inherit(&mut self, job: JobId, ripple: &mut Ripple) {
        let Some(owner) = self.owners.get(&job) else { return };
        let waiting = owner.held.iter().filter_map(|(name, mode)| {
            let cells = self.cells.related(name);
            cells.filter_map(|cell| cell.first_wanted_against(*mode, job)).min()
        });
        if let Some(urgency) = waiting.min() {
            self.raise(job, urgency, ripple);
        }
    }

    /// Raises those who hold what a waiting job wants, and those who hold what they want.
    pub(super) fn pass_on(&mut self, job: JobId, ripple: &mut Ripple) {
        let mut givers = vec![job];
        while let Some(giver) = givers.pop() {
            let Some(pending) = self.pending(giver) else { continue };
            let urgency = pending.urgency;
            for heir in self.holders_against(giver, &pending.asks) {
                if self.raise(heir, urgency, ripple) {
                    givers.push(heir);
                }
            }
        }
    }

    /// Takes back what jobs have inherited: `given` was the urgency of a job that waits for `heirs`
    /// no more or less urgently. An urgency names the job that it comes from, so those who have it
    /// from there are exactly those who have this value.
    pub(super) fn disinherit(
        &mut self,
        heirs: BTreeSet<JobId>,
        given: Urgency,
        ripple: &mut Ripple,
    ) {
        let mut losers = BTreeSet::new();
        let mut next: Vec<JobId> = heirs.into_iter().collect();
        while let Some(heir) = next.pop() {
            let Some(pending) = self.pending(heir) else { continue };
            if pending.urgency == given && losers.insert(heir) {
                next.extend(self.holders_against(heir, &pending.asks));
            }
        }
        for loser in &losers {
            if let Some(priority) = self.pending(*loser).map(|pending| pending.priority) {
                self.reposition(*loser, Urgency { priority, job: *loser });
            }
        }
        for loser in &losers {
            self.inherit(*loser, ripple);
            self.pass_on(*loser, ripple);
        }
        for loser in losers {
            if let Some(owner) = self.owners.get(&loser)
                && owner.pending.as_ref().is_some_and(|pending| pending.urgency > given)
            {
                ripple.woken.extend(owner.watchers.iter().map(|(_, job)| *job));
            }
        }
    }

    /// A new priority of a waiting job; a job that does not wait has none here.
    pub(super) fn change_priority(&mut self, job: JobId, priority: i8, ripple: &mut Ripple) {
        let owner = self.owners.get_mut(&job);
        let Some(pending) = owner.and_then(|owner| owner.pending.as_mut()) else { return };
        let before = Urgency { priority: pending.priority, job };
        let after = Urgency { priority, job };
        pending.priority = priority;
        if after < before {
            self.raise(job, after, ripple);
            self.pass_on(job, ripple);
        } else {
            self.disinherit(BTreeSet::from([job]), before, ripple);
        }
    }

    /// Makes a waiting job more urgent, if that is more; it may pass others then.
    fn raise(&mut self, job: JobId, urgency: Urgency, ripple: &mut Ripple) -> bool {
        let more = self.pending(job).is_some_and(|pending| urgency < pending.urgency);
        if more {
            self.reposition(job, urgency);
            ripple.woken.insert(job);
        }
        more
    }

    fn reposition(&mut self, job: JobId, urgency: Urgency) {
        let owner = self.owners.get_mut(&job);
        let Some(pending) = owner.and_then(|owner| owner.pending.as_mut()) else { return };
        let before = std::mem::replace(&mut pending.urgency, urgency);
        for (name, mode) in wants(&pending.asks) {
            self.cells.want_no_more(name, mode, (before, job));
            self.cells.want(name, mode, (urgency, job));
        }
    }
}

//! A second lock table, as simple as possible and as slow as it likes: it keeps requests as they
//! came and computes everything anew from the rules. The real one has to agree with it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::locking::LockRefusal;

pub(super) type Held = BTreeMap<LockName, LockMode>;
type Rank = (i8, JobId);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Job {
    attempt: JobAttempt,
    held: Held,
    pending: Option<(i8, Vec<(LockName, LockChange)>)>,
}

/// What can be compared of an effect without deciding how it is computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Granted(JobId, JobAttempt, Vec<(LockName, LockMode)>),
    Refused(JobId, JobAttempt, String),
    Waiting(JobId),
}

pub(super) fn said(effect: &LockEffect) -> Said {
    match effect {
        LockEffect::Granted { job, attempt, held } => Said::Granted(*job, *attempt, held.clone()),
        LockEffect::Refused { job, attempt, reason } => {
            // Of several reasons or jobs any may be named.
            let reason = format!("{reason:?}");
            let kind = reason.split([' ', '{']).next().unwrap_or_default();
            Said::Refused(*job, *attempt, kind.to_owned())
        }
        LockEffect::Waiting { job, .. } => Said::Waiting(*job),
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    jobs: BTreeMap<JobId, Job>,
}

pub(super) fn in_the_way(one: (&LockName, LockMode), other: (&LockName, LockMode)) -> bool {
    let config = lock("cluster/config");
    let set_and_member = one.0.level == other.0.level
        && (one.0.member == LockMember::Set) != (other.0.member == LockMember::Set)
        && *one.0 != config
        && *other.0 != config;
    let both_shared = one.1 == LockMode::Shared && other.1 == LockMode::Shared;
    (one.0 == other.0 || set_and_member) && !both_shared
}

fn position(name: &LockName) -> (bool, &LockName) {
    (*name == lock("cluster/config"), name)
}

fn covered(name: &LockName, mode: LockMode, held: &Held) -> bool {
    let set = LockName::set(name.level);
    let by_set = *name != lock("cluster/config") && held.get(&set).is_some_and(|has| *has >= mode);
    by_set && *name != set || held.get(name).is_some_and(|has| *has >= mode)
}

impl Job {
    fn wants(&self) -> Vec<(LockName, LockMode)> {
        let changes = self.pending.iter().flat_map(|(_, changes)| changes);
        let holds = changes.filter_map(|(name, change)| match change {
            LockChange::Hold(mode) if !covered(name, *mode, &self.held) => {
                Some((name.clone(), *mode))
            }
            LockChange::Hold(_) | LockChange::Release => None,
        });
        holds.collect()
    }

    fn rule_broken(&self, changes: &[(LockName, LockChange)]) -> Option<&'static str> {
        let names: BTreeSet<&LockName> = changes.iter().map(|(name, _)| name).collect();
        if names.len() != changes.len() {
            return Some("NamedTwice");
        }
        let mut sorted = changes.to_vec();
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        let probe = Self { pending: Some((0, sorted)), ..self.clone() };
        probe.wants().iter().find_map(|(name, mode)| {
            let higher = |held: &&LockName| position(held) > position(name);
            let member = name.member != LockMember::Set && *name != lock("cluster/config");
            let set_held = member && self.held.contains_key(&LockName::set(name.level));
            if self.held.keys().any(|held| higher(&held)) {
                Some("OutOfOrder")
            } else if *mode == LockMode::Exclusive && set_held {
                Some("SetHeldShared")
            } else {
                None
            }
        })
    }
}

impl Reference {
    pub(super) fn held(&self, job: JobId) -> Held {
        self.jobs.get(&job).map(|job| job.held.clone()).unwrap_or_default()
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.jobs.keys().copied()
    }

    pub(super) fn attempt(&self, job: JobId) -> JobAttempt {
        self.jobs.get(&job).map(|job| job.attempt).unwrap_or_default()
    }

    pub(super) fn waiting(&self) -> BTreeSet<JobId> {
        let waiting = self.jobs.iter().filter(|(_, job)| job.pending.is_some());
        waiting.map(|(id, _)| *id).collect()
    }

    pub(super) fn wants(&self, job: JobId) -> Vec<(LockName, LockMode)> {
        self.jobs.get(&job).map(Job::wants).unwrap_or_default()
    }

    pub(super) fn rank(&self, job: JobId) -> Option<Rank> {
        Some((self.jobs.get(&job)?.pending.as_ref()?.0, job))
    }

    /// Who holds what a job wants.
    pub(super) fn holders(&self, job: JobId) -> BTreeSet<JobId> {
        let wants = self.wants(job);
        let holds = |held: &Held| {
            wants
                .iter()
                .any(|want| held.iter().any(|has| in_the_way((&want.0, want.1), (has.0, *has.1))))
        };
        let others = self.jobs.iter().filter(|(id, other)| **id != job && holds(&other.held));
        others.map(|(id, _)| *id).collect()
    }

    /// Whether following holders from one waiting job leads to another job.
    pub(super) fn waits_for(&self, from: JobId, to: JobId) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(job) = next.pop() {
            for holder in self.holders(job) {
                if holder == to {
                    return true;
                }
                if seen.insert(holder) {
                    next.push(holder);
                }
            }
        }
        false
    }

    /// The most urgent of the job and all that wait for it.
    pub(super) fn urgency(&self, job: JobId) -> Option<Rank> {
        let heard = self.waiting().into_iter().filter(|other| self.waits_for(*other, job));
        heard
            .chain([job])
            .filter_map(|other| self.rank(other))
            .min()
            .filter(|_| self.jobs.get(&job).is_some_and(|job| job.pending.is_some()))
    }

    /// Who waits, is more urgent, and wants what is in the way of what the job wants.
    pub(super) fn ahead(&self, job: JobId) -> BTreeSet<JobId> {
        let (wants, urgency) = (self.wants(job), self.urgency(job));
        let in_way = |other: &JobId| {
            let others = self.wants(*other);
            self.urgency(*other) < urgency
                && wants.iter().any(|want| {
                    others.iter().any(|has| in_the_way((&want.0, want.1), (&has.0, has.1)))
                })
        };
        self.waiting().into_iter().filter(|other| *other != job).filter(in_way).collect()
    }

    pub(super) fn step(&mut self, event: LockEvent) -> Vec<Said> {
        let mut out = Vec::new();
        match event {
            LockEvent::Acquire { job, attempt, priority, changes } => {
                if let Err(kind) = self.acquire(job, attempt, priority, changes, &mut out) {
                    out.push(Said::Refused(job, attempt, kind.into()));
                }
            }
            LockEvent::AcquireFree { job, attempt, at_least, names, mode } => {
                if let Err(kind) = self.acquire_free(job, attempt, at_least, names, mode, &mut out)
                {
                    out.push(Said::Refused(job, attempt, kind.into()));
                }
            }
            LockEvent::Release { job } => self.remove(job, "Withdrawn", &mut out),
            LockEvent::Restore { job, attempt, held } => {
                if let Err(kind) = self.restore(job, attempt, held, &mut out) {
                    out.push(Said::Refused(job, attempt, kind.into()));
                }
            }
            LockEvent::ChangePriority { job, priority } => {
                if let Some(job) = self.jobs.get_mut(&job)
                    && let Some(pending) = &mut job.pending
                {
                    pending.0 = priority;
                }
            }
        }
        self.settle(&mut out);
        self.jobs.retain(|_, job| !job.held.is_empty() || job.pending.is_some());
        out
    }

    fn settle(&mut self, out: &mut Vec<Said>) {
        loop {
            let free = |id: &JobId| self.holders(*id).is_empty() && self.ahead(*id).is_empty();
            let free = self.waiting().into_iter().filter(free);
            let Some(id) = free.min_by_key(|id| (self.urgency(*id), *id)) else { return };
            let job = self.jobs.get_mut(&id).expect("it waits");
            let (_, changes) = job.pending.take().expect("it waits");
            for (name, change) in changes {
                match change {
                    LockChange::Hold(mode) => job.held.insert(name, mode),
                    LockChange::Release => job.held.remove(&name),
                };
            }
            let held = job.held.clone().into_iter().collect();
            out.retain(|said| *said != Said::Waiting(id));
            out.push(Said::Granted(id, job.attempt, held));
        }
    }

    fn admit(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        out: &mut Vec<Said>,
    ) -> Result<(), &'static str> {
        if self.jobs.contains_key(&job) && self.attempt(job) > attempt {
            return Err("StaleAttempt");
        }
        if self.jobs.contains_key(&job) && self.attempt(job) < attempt {
            self.remove(job, "Superseded", out);
        }
        Ok(())
    }

    fn remove(&mut self, job: JobId, kind: &str, out: &mut Vec<Said>) {
        if let Some(Job { attempt, pending: Some(_), .. }) = self.jobs.remove(&job) {
            out.push(Said::Refused(job, attempt, kind.into()));
        }
    }

    fn acquire(
        &mut self,
        id: JobId,
        attempt: JobAttempt,
        priority: i8,
        changes: Vec<(LockName, LockChange)>,
        out: &mut Vec<Said>,
    ) -> Result<(), &'static str> {
        self.admit(id, attempt, out)?;
        let mut job = self.jobs.get(&id).cloned().unwrap_or_default();
        job.attempt = attempt;
        let releases = changes.iter().all(|(_, change)| *change == LockChange::Release);
        if job.pending.is_some() && !releases {
            return Err("RequestPending");
        }
        if let Some(rule) = job.rule_broken(&changes) {
            return Err(rule);
        }
        if job.pending.is_some() {
            out.push(Said::Refused(id, attempt, "Withdrawn".into()));
        }
        let before = self.jobs.insert(id, Job { pending: Some((priority, changes)), ..job });
        if self.waits_for(id, id) {
            match before {
                Some(job) => self.jobs.insert(id, job),
                None => self.jobs.remove(&id),
            };
            return Err("UpgradeContended");
        }
        out.push(Said::Waiting(id));
        Ok(())
    }

    fn acquire_free(
        &mut self,
        id: JobId,
        attempt: JobAttempt,
        at_least: usize,
        names: Vec<LockName>,
        mode: LockMode,
        out: &mut Vec<Said>,
    ) -> Result<(), &'static str> {
        self.admit(id, attempt, out)?;
        let mut job = self.jobs.get(&id).cloned().unwrap_or_default();
        job.attempt = attempt;
        let changes: Vec<_> =
            names.into_iter().map(|name| (name, LockChange::Hold(mode))).collect();
        if job.pending.is_some() {
            return Err("RequestPending");
        }
        if let Some(rule) = job.rule_broken(&changes) {
            return Err(rule);
        }
        job.pending = Some((0, changes));
        let mut free = job.wants();
        job.pending = None;
        free.retain(|want| {
            self.jobs.iter().filter(|(other, _)| **other != id).all(|(_, other)| {
                let wants = other.wants();
                let theirs = wants.iter().map(|(name, mode)| (name, *mode));
                let held = other.held.iter().map(|(name, mode)| (name, *mode));
                !theirs.chain(held).any(|has| in_the_way((&want.0, want.1), has))
            })
        });
        if free.len() < at_least {
            return Err("TooFewFree");
        }
        job.held.extend(free);
        out.push(Said::Granted(id, attempt, job.held.clone().into_iter().collect()));
        self.jobs.insert(id, job);
        Ok(())
    }

    fn restore(
        &mut self,
        id: JobId,
        attempt: JobAttempt,
        held: Vec<(LockName, LockMode)>,
        out: &mut Vec<Said>,
    ) -> Result<(), &'static str> {
        if self.attempt(id) > attempt {
            return Err("StaleAttempt");
        }
        let n_named = held.len();
        let held: Held = held.into_iter().collect();
        if held.len() != n_named {
            return Err("NamedTwice");
        }
        let taken = self.jobs.iter().filter(|(other, _)| **other != id).any(|(_, other)| {
            let mut theirs = other.held.iter();
            theirs.any(|has| held.iter().any(|mine| in_the_way((mine.0, *mine.1), (has.0, *has.1))))
        });
        if taken {
            return Err("RestoreConflict");
        }
        self.admit(id, attempt, out)?;
        self.remove(id, "Withdrawn", out);
        self.jobs.insert(id, Job { attempt, held, pending: None });
        Ok(())
    }
}

#[test]
fn refusals_are_compared_by_kind() {
    let reason = LockRefusal::OutOfOrder { name: lock("node/a"), highest: lock("node/b") };
    let effect = LockEffect::Refused { job: JobId(1), attempt: JobAttempt(1), reason };
    let kind = Said::Refused(JobId(1), JobAttempt(1), "OutOfOrder".into());
    assert_eq!(said(&effect), kind);
}

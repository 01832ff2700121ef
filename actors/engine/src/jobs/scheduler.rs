//! Which job runs next (rows Q28–Q30, Q33).
//!
//! Owns the order of the queue: by urgency, then by age, those first whose dependencies have ended.
//! Deliberately absent: locks. A job that has begun may wait for them; that is the lock table's
//! affair.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus};

use crate::state::ClusterState;

/// Whether a queued job may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing is in its way.
    Ready,
    /// Another job must end first.
    Waits(JobId),
    /// It can never begin.
    Fails(Fault),
}

/// The queue of one leader. Rebuilt from the state at its takeover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scheduler {
    /// Submitted since the last look at the state.
    new: BTreeSet<(i8, JobId)>,
    queued: BTreeSet<(i8, JobId)>,
    priorities: BTreeMap<JobId, i8>,
    running: BTreeSet<JobId>,
}

impl Scheduler {
    /// Adds a job that has not begun, or that has to be resumed.
    pub fn submitted(&mut self, job: JobId, priority: i8) {
        if !self.running.contains(&job) && self.priorities.insert(job, priority).is_none() {
            self.new.insert((priority, job));
        }
    }

    /// A job has ended, or was canceled before it began.
    pub fn ended(&mut self, job: JobId) {
        self.running.remove(&job);
        if let Some(priority) = self.priorities.remove(&job) {
            self.new.remove(&(priority, job));
            self.queued.remove(&(priority, job));
        }
    }

    /// A job that has not begun is urgent in another way.
    pub fn reprioritize(&mut self, job: JobId, priority: i8) {
        let Some(known) = self.priorities.get_mut(&job) else { return };
        let before = std::mem::replace(known, priority);
        for queue in [&mut self.new, &mut self.queued] {
            if queue.remove(&(before, job)) {
                queue.insert((priority, job));
            }
        }
    }

    /// Whether a job has begun and not ended.
    #[must_use]
    pub fn is_running(&self, job: JobId) -> bool {
        self.running.contains(&job)
    }

    /// The jobs to begin now, so that at most `running_max` run. Those that can never begin are
    /// among them: beginning ends them.
    ///
    /// Those that have begun under an earlier leader come first and whatever the limit: they may
    /// hold locks that all others would wait for.
    pub fn next(&mut self, state: &ClusterState, running_max: usize) -> Vec<JobId> {
        let (mut begun, new): (Vec<_>, Vec<_>) = std::mem::take(&mut self.new)
            .into_iter()
            .partition(|(_, job)| state.jobs.get(job).is_some_and(|record| record.start.is_some()));
        self.queued.extend(new);
        let mut room = running_max.saturating_sub(self.running.len() + begun.len());
        for (priority, job) in &self.queued {
            if room == 0 {
                break;
            }
            let record = state.jobs.get(job);
            let waits = record
                .is_some_and(|record| matches!(readiness(state, record), Readiness::Waits(_)));
            if !waits {
                begun.push((*priority, *job));
                room -= 1;
            }
        }
        for (priority, job) in &begun {
            self.priorities.remove(job);
            self.queued.remove(&(*priority, *job));
            self.running.insert(*job);
        }
        begun.into_iter().map(|(_, job)| job).collect()
    }

    /// How many have begun and not ended.
    #[must_use]
    pub fn n_running(&self) -> usize {
        self.running.len()
    }
}

/// Whether the dependencies of a job's opcodes allow it to begin. A job that has begun once is
/// always ready.
#[must_use]
pub fn readiness(state: &ClusterState, record: &JobRecord) -> Readiness {
    if record.start.is_some() {
        return Readiness::Ready;
    }
    for dependency in record.ops.iter().flat_map(|op| &op.input.common.depends) {
        let id = dependency.job;
        if id == record.id {
            let text = format!("job {id} depends on itself");
            return Readiness::Fails(Fault::new(FaultCode::WrongInput, text));
        }
        let Some(other) = state.jobs.get(&id) else {
            let text = format!("job {} depends on job {id}, which does not exist", record.id);
            return Readiness::Fails(Fault::new(FaultCode::UnknownEntity, text));
        };
        let status = other.status();
        if !status.is_final() {
            return Readiness::Waits(id);
        }
        if !dependency.states.is_empty() && !dependency.states.contains(&status) {
            let code = match status {
                JobStatus::Canceled => FaultCode::Canceled,
                _ => FaultCode::WrongState,
            };
            let wanted: Vec<String> =
                dependency.states.iter().map(|state| format!("'{state}'")).collect();
            let text = format!(
                "Dependency job {id} finished with status '{status}', not one of {} as required",
                wanted.join(", ")
            );
            return Readiness::Fails(Fault::new(code, text));
        }
    }
    Readiness::Ready
}

//! Applying what people want of a job that exists: that it stops (Q34, Q35), that it becomes more
//! or less urgent (Q31).

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::units::Timestamp;

use super::ClusterState;
use super::apply::end_unfinished_ops;
use super::level::Rule;

impl ClusterState {
    /// A job that has not begun ends at once. One that has is told: it ends between two opcodes. An
    /// opcode that is in the log as begun is not canceled any more.
    pub(super) fn cancel(&mut self, id: JobId, at: Timestamp) -> Result<(), Fault> {
        let job = self.unfinished_job(id)?;
        if job.status() == JobStatus::Running && !self.permits(Rule::JobsTouched) {
            let text = format!("job {id} is running, it cannot be canceled any more");
            return Err(Fault::new(FaultCode::WrongState, text));
        }
        let untouched = job.status() == JobStatus::Queued && job.start.is_none();
        self.change_job(id, |job| {
            job.cancel = true;
            if untouched {
                end_unfinished_ops(job, JobStatus::Canceled, &canceled(id), at);
            }
        });
        if untouched {
            self.finish_job(id, at);
        }
        Ok(())
    }

    /// Only opcodes that are not in the log as begun take it; without one it is refused.
    pub(super) fn change_priority(&mut self, id: JobId, priority: i8) -> Result<(), Fault> {
        let job = self.unfinished_job(id)?;
        if !job.ops.iter().any(|op| op.status == JobStatus::Queued) {
            let text = format!("job {id} has no pending opcodes");
            return Err(Fault::new(FaultCode::WrongState, text));
        }
        self.change_job(id, |job| {
            for op in job.ops.iter_mut().filter(|op| op.status == JobStatus::Queued) {
                op.priority = Some(priority);
            }
        });
        Ok(())
    }

    /// Whether an opcode may not be begun any more, because its job was asked to stop.
    pub(super) fn begins_too_late(&self, job: &JobRecord) -> bool {
        job.cancel && self.permits(Rule::JobsTouched)
    }

    fn unfinished_job(&self, id: JobId) -> Result<&JobRecord, Fault> {
        let Some(job) = self.jobs.get(&id) else {
            return Err(Fault::new(FaultCode::UnknownEntity, format!("job {id} does not exist")));
        };
        if job.status().is_final() {
            let text = format!("job {id} has ended: {}", job.status());
            return Err(Fault::new(FaultCode::WrongState, text));
        }
        Ok(job)
    }
}

/// The fault of a job that was asked to stop.
pub(super) fn canceled(id: JobId) -> Fault {
    Fault::new(FaultCode::Canceled, format!("job {id} was canceled"))
}

//! Applying what has become of a job.

use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::jobs::{JobRecord, JobStatus, LogLine, OpRecord};
use gantry_model::node_calls::CallOutcome;
use gantry_model::steps::{Act, STEPS_MAX, Step, StepRecord, StepResult};
use gantry_model::units::Timestamp;

use super::apply::end_unfinished_ops;
use super::touch::canceled;
use super::{ClusterState, JobEntry, JobFact};

impl ClusterState {
    /// Applies an entry of a job: all facts, or none.
    pub(super) fn journal(&mut self, entry: &JobEntry, at: Timestamp) -> Result<(), Fault> {
        let Some(job) = self.jobs.get(&entry.job) else {
            let text = format!("job {} does not exist", entry.job);
            return Err(Fault::new(FaultCode::UnknownEntity, text));
        };
        if job.status().is_final() {
            let text = format!("job {} has ended", entry.job);
            return Err(Fault::new(FaultCode::WrongState, text));
        }
        if entry.attempt != job.attempt {
            let text = format!(
                "job {}: attempt {} is over, the present one is {}",
                entry.job, entry.attempt, job.attempt
            );
            return Err(Fault::new(FaultCode::StaleToken, text));
        }
        let begins = entry.facts.iter().any(|fact| matches!(fact, JobFact::OpBegan { .. }));
        if begins && self.begins_too_late(job) {
            return Err(canceled(entry.job));
        }
        let mut changed = self.clone();
        for fact in &entry.facts {
            changed.note(entry, fact, at)?;
        }
        if changed.jobs.get(&entry.job).is_some_and(|job| job.status().is_final()) {
            changed.finish_job(entry.job, at);
        }
        *self = changed;
        Ok(())
    }

    fn note(&mut self, entry: &JobEntry, fact: &JobFact, at: Timestamp) -> Result<(), Fault> {
        match fact {
            JobFact::Locks(held) if held.is_empty() => {
                self.locks.remove(&entry.job);
                Ok(())
            }
            JobFact::Locks(held) => {
                self.locks.insert(entry.job, Arc::new(held.clone()));
                Ok(())
            }
            JobFact::OpBegan { op_idx, start, exec, plan } => self.with_job(entry, |job| {
                job.start = job.start.or(Some(*start));
                let op = op_of(job, *op_idx)?;
                op.status = JobStatus::Running;
                op.start = Some(*start);
                op.exec = Some(*exec);
                op.plan = Some(plan.clone());
                Ok(())
            }),
            JobFact::Log { op_idx, at: said_at, kind, text } => self.with_job(entry, |job| {
                let serial = job.log_serial() + 1;
                let line = LogLine { serial, at: *said_at, kind: *kind, text: text.clone() };
                op_of(job, *op_idx)?.log.push(line);
                Ok(())
            }),
            JobFact::StepBegan { op_idx, seq, step } => {
                self.begin_step(entry, *op_idx, *seq, step, at)
            }
            JobFact::StepEnded { op_idx, seq, result } => self.with_job(entry, |job| {
                step_of(job, *op_idx, *seq)?.result = Some(result.clone());
                Ok(())
            }),
            JobFact::Unwinding { op_idx, fault } => self.with_job(entry, |job| {
                op_of(job, *op_idx)?.unwinding = Some(fault.clone());
                Ok(())
            }),
            JobFact::UndoEnded { op_idx, seq, result } => {
                self.end_undo(entry, *op_idx, *seq, result, at)
            }
            JobFact::OpEnded { op_idx, status, result, fault } => self.with_job(entry, |job| {
                job.start = job.start.or(Some(at));
                let op = op_of(job, *op_idx)?;
                op.status = *status;
                // A null is lost in the encoding of the log and of snapshots.
                op.result = result.clone().filter(|result| !result.is_null());
                op.fault.clone_from(fault);
                op.end = Some(at);
                if let (JobStatus::Error | JobStatus::Canceled, Some(fault)) = (status, fault) {
                    end_unfinished_ops(job, *status, fault, at);
                }
                Ok(())
            }),
        }
    }

    fn begin_step(
        &mut self,
        entry: &JobEntry,
        op_idx: u32,
        seq: u32,
        step: &Step,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let mut result = None;
        if let Act::Config(deltas) = &step.act {
            self.change_config(deltas, at)?;
            result = Some(StepResult::Done(CallOutcome::default()));
        }
        self.with_job(entry, |job| {
            let op = op_of(job, op_idx)?;
            if op.steps.len() != seq as usize || seq >= STEPS_MAX {
                let text = format!("step {seq} cannot follow {} steps", op.steps.len());
                return Err(Fault::new(FaultCode::InternalError, text));
            }
            op.steps.push(StepRecord { step: step.clone(), result, undone: None });
            Ok(())
        })
    }

    fn end_undo(
        &mut self,
        entry: &JobEntry,
        op_idx: u32,
        seq: u32,
        result: &StepResult,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let mut undo = None;
        self.with_job(entry, |job| {
            let record = step_of(job, op_idx, seq)?;
            if record.undone.is_none() && matches!(result, StepResult::Done(_)) {
                undo.clone_from(&record.step.undo);
            }
            record.undone = Some(result.clone());
            Ok(())
        })?;
        match undo {
            Some(Act::Config(deltas)) => self.change_config(&deltas, at),
            Some(Act::Call { .. } | Act::Wait { .. } | Act::AwaitHolder { .. }) | None => Ok(()),
        }
    }

    fn with_job(
        &mut self,
        entry: &JobEntry,
        change: impl FnOnce(&mut JobRecord) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self.jobs.get_mut(&entry.job) {
            Some(job) => change(Arc::make_mut(job)),
            None => Err(Fault::new(FaultCode::UnknownEntity, format!("no job {}", entry.job))),
        }
    }
}

fn op_of(job: &mut JobRecord, op_idx: u32) -> Result<&mut OpRecord, Fault> {
    let id = job.id;
    job.ops.get_mut(op_idx as usize).ok_or_else(|| {
        Fault::new(FaultCode::InternalError, format!("job {id} has no opcode {op_idx}"))
    })
}

fn step_of(job: &mut JobRecord, op_idx: u32, seq: u32) -> Result<&mut StepRecord, Fault> {
    let id = job.id;
    op_of(job, op_idx)?.steps.get_mut(seq as usize).ok_or_else(|| {
        Fault::new(FaultCode::InternalError, format!("job {id} has no step {op_idx}.{seq}"))
    })
}

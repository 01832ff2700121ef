//! Jobs that people touch: asked to stop (rows C89, Q34, Q35), made more or less urgent (C93, Q31).
//!
//! What is wanted is an entry of the log first. Then the job's actor, if it has one, is told to
//! look; if that word is lost it still finds the wish in the log, at the latest when it wants to
//! begin an opcode, which the log then refuses.

use std::cell::Cell;
use std::rc::Rc;

use gantry_engine::state::Command;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::messages::{
    CANCEL_WAIT, CancelJob, Canceled, ChangeJobPriority, JobTouched, PriorityChanged, job_path,
};
use gantry_model::opcodes::{PRIORITY_HIGHEST, PRIORITY_LOWEST};
use gantry_runtime::{Context, Handler, Reply};

use super::ClusterActor;

type CancelAnswer = Reply<Result<Canceled, Fault>>;

impl Handler<CancelJob> for ClusterActor {
    fn handle(&mut self, message: CancelJob, reply: CancelAnswer, ctx: &mut Context<Self>) {
        let CancelJob { job, kill } = message;
        let state = self.context.state();
        let Some(record) = state.jobs.get(&job) else {
            reply.send(Err(unknown(job)));
            return;
        };
        if record.status().is_final() {
            // Who asks again after a change of leader cannot know that it was they who stopped it.
            let is_canceled = record.status() == JobStatus::Canceled;
            reply.send(Ok(if is_canceled { Canceled::Stopped } else { Canceled::Over }));
            return;
        }
        if kill && self.status_of(record) == JobStatus::Running {
            reply.send(Err(no_kill(job)));
            return;
        }
        let context = self.context.clone();
        let command = Command::Cancel { reign: context.reign, job };
        ctx.spawn_then(
            async move { context.commit_asked(command).await },
            move |actor, wanted, ctx| match wanted {
                Ok(_) => actor.stop_job(job, reply, ctx),
                Err(fault) => reply.send(actor.not_stopped(job, fault)),
            },
        );
    }
}

impl Handler<ChangeJobPriority> for ClusterActor {
    fn handle(
        &mut self,
        message: ChangeJobPriority,
        reply: Reply<Result<PriorityChanged, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let ChangeJobPriority { job, priority } = message;
        if !(PRIORITY_HIGHEST..=PRIORITY_LOWEST).contains(&priority) {
            let text =
                format!("priority {priority} is not {PRIORITY_HIGHEST} to {PRIORITY_LOWEST}");
            reply.send(Err(Fault::new(FaultCode::WrongInput, text)));
            return;
        }
        let state = self.context.state();
        let Some(record) = state.jobs.get(&job) else {
            reply.send(Err(unknown(job)));
            return;
        };
        if let Some(answer) = unchangeable(record) {
            reply.send(Ok(answer));
            return;
        }
        let context = self.context.clone();
        let command = Command::ChangePriority { reign: context.reign, job, priority };
        ctx.spawn_then(
            async move { context.commit_asked(command).await },
            move |actor, changed, _| {
                let state = actor.context.state();
                let record = state.jobs.get(&job);
                reply.send(match (changed, record) {
                    (Ok(_), Some(record)) => {
                        actor.scheduler.reprioritize(job, record.priority());
                        actor.touch(job);
                        Ok(PriorityChanged::Done { priority })
                    }
                    (Ok(_), None) => Ok(PriorityChanged::Finished),
                    // It may have gone on while the entry was on its way.
                    (Err(fault), record) => record.and_then(|r| unchangeable(r)).ok_or(fault),
                });
            },
        );
    }
}

impl ClusterActor {
    /// The log has the wish that a job stops.
    fn stop_job(&mut self, job: JobId, reply: CancelAnswer, ctx: &mut Context<Self>) {
        let status = self.context.state().jobs.get(&job).map(|record| record.status());
        if !self.scheduler.is_running(job) {
            // It has no actor; if it has ended, that was all of it.
            let dequeued = status.is_none_or(JobStatus::is_final);
            self.job_ended(job, ctx);
            reply.send(Ok(if dequeued { Canceled::Dequeued } else { Canceled::Acts }));
            return;
        }
        self.touch(job);
        if status == Some(JobStatus::Running) {
            reply.send(Ok(Canceled::Acts));
            return;
        }
        // Answered when it has ended, its locks free, or when that takes long; only once.
        let answer = Rc::new(Cell::new(Some(reply)));
        let late = Rc::clone(&answer);
        self.on_job_end(
            job,
            Box::new(move |_, record, _| {
                if let Some(reply) = answer.take() {
                    reply.send(Ok(match record.status() {
                        JobStatus::Canceled => Canceled::Stopped,
                        other => Canceled::EndedAs(other),
                    }));
                }
            }),
        );
        ctx.after(CANCEL_WAIT, move |actor, _| {
            if let Some(reply) = late.take() {
                let state = actor.context.state();
                let status = state.jobs.get(&job).map(|record| actor.status_of(record));
                reply.send(Ok(Canceled::NotYet(status.unwrap_or(JobStatus::Canceling))));
            }
        })
        .detach();
    }

    /// The log did not take the wish: the job has ended meanwhile, or it is the log that refuses.
    fn not_stopped(&self, job: JobId, fault: Fault) -> Result<Canceled, Fault> {
        let state = self.context.state();
        match state.jobs.get(&job).map(|record| record.status()) {
            Some(status) if status.is_final() => Ok(Canceled::EndedAs(status)),
            _ => Err(fault),
        }
    }

    /// Tells the actor of a job to look at the log.
    fn touch(&self, job: JobId) {
        if !self.scheduler.is_running(job) {
            return;
        }
        let told = self.context.system.actor_ref::<JobTouched>(job_path(job)).tell(JobTouched {});
        if let Err(error) = told {
            tracing::warn!(%job, %error, "the job's actor could not be told of a change");
        }
    }
}

/// Why the urgency of a job cannot be changed, as far as the log knows.
fn unchangeable(record: &JobRecord) -> Option<PriorityChanged> {
    if record.status().is_final() {
        Some(PriorityChanged::Finished)
    } else if record.cancel {
        Some(PriorityChanged::Canceling)
    } else if record.ops.iter().all(|op| op.status != JobStatus::Queued) {
        Some(PriorityChanged::NothingPending)
    } else {
        None
    }
}

fn unknown(job: JobId) -> Fault {
    Fault::new(FaultCode::UnknownEntity, format!("job {job} does not exist"))
}

fn no_kill(job: JobId) -> Fault {
    let text = format!(
        "job {job} acts and has no process that could be killed: whoever carries it on does so \
         from its journal, to its end or back to its beginning"
    );
    Fault::new(FaultCode::WrongState, text)
}

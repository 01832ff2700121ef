//! Submitting jobs (rows Q24, Q27, Q50): answered when they are durable.

use gantry_engine::state::{Applied, ClusterState, Command, NotPermitted};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::{NewJob, SubmitJobs};
use gantry_model::opcodes::{OpCode, PRIORITIES_SUBMITTED};
use gantry_runtime::{Context, Handler, Reply};
use gantry_wire::{RequestId, TraceId};

use super::ClusterActor;
use super::sealing::{check_given, seal};
use crate::expected::check_expected;
use crate::lu;

type Answer = Reply<Result<Vec<Result<JobId, Fault>>, Fault>>;

impl Handler<SubmitJobs> for ClusterActor {
    fn handle(&mut self, message: SubmitJobs, reply: Answer, ctx: &mut Context<Self>) {
        let SubmitJobs { request, mut jobs } = message;
        let state = self.context.state();
        let mut checks: Vec<Result<(), Fault>> = jobs
            .iter_mut()
            .map(|job| complete_names(job, &state).and_then(|()| check(job, state.level)))
            .collect();
        close_gaps(&mut jobs, &mut checks);
        let good: Vec<NewJob> = jobs
            .into_iter()
            .zip(&checks)
            .filter(|(_, check)| check.is_ok())
            .map(|(job, _)| job)
            .collect();
        self.submit(request, good, ctx, move |_, submitted, _| {
            reply.send(submitted.map(|ids| {
                let mut ids = ids.into_iter();
                let missing = || Fault::new(FaultCode::InternalError, "the job got no id");
                checks
                    .into_iter()
                    .map(|check| check.and_then(|()| ids.next().ok_or_else(missing)))
                    .collect()
            }));
        });
    }
}

impl ClusterActor {
    /// Submits jobs that have been checked; `then` hears their ids when they are durable.
    pub(super) fn submit(
        &mut self,
        request: RequestId,
        jobs: Vec<NewJob>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Result<Vec<JobId>, Fault>, &mut Context<Self>) + 'static,
    ) {
        if jobs.is_empty() {
            then(self, Ok(Vec::new()), ctx);
            return;
        }
        let context = self.context.clone();
        let reign = context.reign;
        let submitting = async move {
            let mut jobs = jobs;
            let secrets = seal(&context, request, &mut jobs).await?;
            context.commit_asked(Command::Submit { reign, request, jobs, secrets }).await
        };
        ctx.spawn_then(submitting, move |actor, applied, ctx| {
            let ids = match applied {
                Ok(Applied::Jobs(ids)) => Ok(ids),
                Ok(other) => {
                    let text = format!("the log answered {other:?} to a submission");
                    Err(Fault::new(FaultCode::InternalError, text))
                }
                Err(fault) => Err(fault),
            };
            if let Ok(ids) = &ids {
                actor.traces.extend(ids.iter().map(|id| (*id, TraceId::from(request))));
                actor.enqueue(ids);
            }
            // The answer first: a client may already look at its job while it begins.
            then(actor, ids, ctx);
            actor.begin_jobs(ctx);
        });
    }

    fn enqueue(&mut self, ids: &[JobId]) {
        let state = self.context.state();
        for id in ids {
            let queued = state.jobs.get(id).filter(|job| job.status() == JobStatus::Queued);
            if let Some(record) = queued.filter(|job| job.start.is_none()) {
                self.scheduler.submitted(*id, record.priority());
            }
        }
    }
}

/// Completes the names of objects (C208), so that the job means them whatever is made later. A name
/// that is nothing's stays: an earlier job may make what it names.
pub(super) fn complete_names(job: &mut NewJob, state: &ClusterState) -> Result<(), Fault> {
    let known = |fault: Fault| match fault.code {
        FaultCode::UnknownEntity => Ok(()),
        _ => Err(fault),
    };
    for request in &mut job.ops {
        if state.level < request.level() {
            // How much scripts say is no reason to refuse a job that older programs could do.
            request.common.debug_level = 0;
        }
        let named = request.op.named();
        for name in named.nodes {
            match state.find_node(name.as_str()) {
                Ok(node) => *name = node.name.clone(),
                Err(fault) => known(fault)?,
            }
        }
        for name in named.instances {
            match state.find_instance(name.as_str()) {
                Ok(instance) => *name = instance.name.clone(),
                Err(fault) => known(fault)?,
            }
        }
        check_expected(&request.common, state).or_else(known)?;
    }
    Ok(())
}

/// Jobs get their numbers without those that were refused, so dependencies that count jobs back
/// (O94) must not count these. What depends on a refused one is refused as well.
fn close_gaps(jobs: &mut [NewJob], checks: &mut [Result<(), Fault>]) {
    for idx in 0..jobs.len() {
        let refused_before = |end: usize| checks[..end].iter().filter(|c| c.is_err()).count();
        let depends = jobs[idx].ops.iter_mut().flat_map(|op| &mut op.common.depends);
        let mut refusal = None;
        for back in depends.filter_map(|dependency| dependency.back.as_mut()) {
            let distance = usize::try_from(*back).unwrap_or(usize::MAX);
            let target = idx.checked_sub(distance);
            if let Some(fault) = target.and_then(|target| checks[target].as_ref().err()) {
                let text = "the job depends on one that was refused";
                refusal = Some(fault.clone().within(text));
            }
            let gaps = refused_before(idx) - refused_before(target.unwrap_or(0));
            *back -= u32::try_from(gaps).unwrap_or(*back).min(*back);
        }
        if let (Some(fault), Ok(())) = (refusal, &checks[idx]) {
            checks[idx] = Err(fault);
        }
    }
}

/// An urgency that nobody may submit.
pub(super) fn no_priority(priority: i8) -> Fault {
    let text = format!("priority {priority} is not one of -10, 0, 10");
    Fault::new(FaultCode::WrongInput, text)
}

/// What can be said of a job by the level of the state alone.
pub(super) fn check(job: &NewJob, level: u32) -> Result<(), Fault> {
    let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
    if job.ops.is_empty() {
        return refuse("a job needs at least one opcode".into());
    }
    check_given(job)?;
    for request in &job.ops {
        let priority = request.common.priority;
        if !PRIORITIES_SUBMITTED.contains(&priority) {
            return Err(no_priority(priority));
        }
        let (what, needs) = (request.op.op_id(), request.level());
        if needs > level {
            return Err(NotPermitted { what, needs, level }.into());
        }
        if let OpCode::NodeAdd(_) = request.op {
            return refuse(
                "nodes are added by presenting a join token, not by submitting a job".into(),
            );
        }
        lu::arguments(&request.op)?;
    }
    Ok(())
}

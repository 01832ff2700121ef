//! Archiving jobs (rows Q36, S226-S230): finished ones leave the state for the history, when
//! somebody says so and by themselves when they are old.

use std::time::Duration;

use gantry_engine::state::{Applied, ClusterState, Command};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobRecord;
use gantry_model::messages::{ArchiveJobs, AutoArchiveJobs, AutoArchived};
use gantry_model::units::{Millis, Timestamp};
use gantry_runtime::{Context, Handler, Reply};
use gantry_store::Archived;
use tokio::time::Instant;

use super::ClusterActor;
use crate::context::MasterContext;

/// Age from its end at which a job is archived by itself (row S228: 6 hours). Lower hides last
/// night's jobs from lists, higher makes lists and snapshots longer.
pub(crate) const ARCHIVE_AFTER: Millis = Millis(6 * 3600 * 1000);

/// How often old jobs are looked for: as often as Ganeti's watcher runs. Lower makes an entry for
/// every few jobs, higher keeps them that much longer.
const ARCHIVE_EVERY: Duration = Duration::from_secs(300);

/// Most jobs that one entry archives. Each is encoded while the entry is applied, some 20 µs; lower
/// makes more entries, higher holds up those behind it.
const ARCHIVE_BATCH: usize = 500;

/// How long one `autoarchive` goes on (row Q36); what is left is told. Lower leaves some of a full
/// queue, higher lets its client wait.
const ARCHIVE_TIME: Duration = Duration::from_secs(10);

/// Jobs that ended at least `age` ago, oldest first; without an age all that have ended.
fn due(state: &ClusterState, now: Timestamp, age: Option<Millis>) -> Vec<JobId> {
    let age_us = age.map_or(0, |age| age.0.saturating_mul(1000));
    let is_due = |job: &JobRecord| {
        job.status().is_final()
            && job.end.is_some_and(|end| age.is_none() || end.0.saturating_add(age_us) <= now.0)
    };
    state.jobs.values().filter(|job| is_due(job)).map(|job| job.id).collect()
}

async fn commit(context: &MasterContext, jobs: Vec<JobId>) -> Result<Vec<JobId>, Fault> {
    match context.commit_asked(Command::Archive { reign: context.reign, jobs }).await? {
        Applied::Jobs(gone) => Ok(gone),
        other => {
            let text = format!("the log answered {other:?} to archiving");
            Err(Fault::new(FaultCode::InternalError, text))
        }
    }
}

async fn auto_archive(context: MasterContext, age: Option<Millis>) -> Result<AutoArchived, Fault> {
    let until = Instant::now() + ARCHIVE_TIME;
    let due = due(&context.state(), context.now(), age);
    let (mut archived, mut left) = (0, due.len() as u64);
    for some in due.chunks(ARCHIVE_BATCH) {
        if Instant::now() >= until {
            break;
        }
        archived += commit(&context, some.to_vec()).await?.len() as u64;
        left -= some.len() as u64;
    }
    Ok(AutoArchived { archived, left })
}

impl Handler<ArchiveJobs> for ClusterActor {
    fn handle(
        &mut self,
        message: ArchiveJobs,
        reply: Reply<Result<Vec<Result<(), Fault>>, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let (context, wanted) = (self.context.clone(), message.jobs);
        let archiving = async move {
            let mut gone = Vec::new();
            for some in wanted.chunks(ARCHIVE_BATCH) {
                gone.extend(commit(&context, some.to_vec()).await?);
            }
            let state = context.state();
            Ok(wanted.iter().map(|id| archived_or_why(&state, &gone, *id)).collect())
        };
        ctx.spawn_then(archiving, |_, answer, _| reply.send(answer));
    }
}

fn archived_or_why(state: &ClusterState, gone: &[JobId], id: JobId) -> Result<(), Fault> {
    if gone.contains(&id) {
        return Ok(());
    }
    Err(match state.jobs.get(&id) {
        Some(job) => {
            let text = format!("job {id} has not ended, it is {}", job.status());
            Fault::new(FaultCode::WrongState, text)
        }
        None => {
            let text = format!("job {id} is archived already, or does not exist");
            Fault::new(FaultCode::UnknownEntity, text)
        }
    })
}

impl Handler<AutoArchiveJobs> for ClusterActor {
    fn handle(
        &mut self,
        message: AutoArchiveJobs,
        reply: Reply<Result<AutoArchived, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let archiving = auto_archive(self.context.clone(), message.age);
        ctx.spawn_then(archiving, |_, answer, _| reply.send(answer));
    }
}

impl ClusterActor {
    /// Archives old jobs now and then, as long as this actor lives.
    pub(super) fn archive_old_jobs(&self, ctx: &mut Context<Self>) {
        ctx.after(ARCHIVE_EVERY, |actor, ctx| {
            let archiving = auto_archive(actor.context.clone(), Some(ARCHIVE_AFTER));
            ctx.spawn_then(archiving, |actor, done, ctx| {
                match done {
                    Ok(AutoArchived { archived: 0, .. }) => {}
                    Ok(AutoArchived { archived, left }) => {
                        tracing::info!(archived, left, "old jobs archived");
                    }
                    Err(fault) => {
                        tracing::warn!(fault = fault.one_line(), "old jobs were not archived");
                    }
                }
                actor.archive_old_jobs(ctx);
            });
        })
        .detach();
    }
}

/// A job from the history.
pub(super) async fn from_history(context: &MasterContext, id: JobId) -> Result<JobRecord, Fault> {
    if id > context.state().last_job {
        return Err(no_such_job(id));
    }
    match context.store.archived_job(id).await {
        Ok(Archived::Found(job)) => Ok(*job),
        Ok(Archived::Unknown) => Err(no_such_job(id)),
        Ok(Archived::BeingFetched) => {
            let text = format!("job {id} was archived, and its record is still being fetched");
            Err(Fault::new(FaultCode::WrongState, text).retry_later())
        }
        Err(error) => {
            Err(Fault::from_error(FaultCode::EnvironmentError, format!("read job {id}"), &error))
        }
    }
}

fn no_such_job(id: JobId) -> Fault {
    Fault::new(FaultCode::UnknownEntity, format!("job {id} does not exist"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_model::ids::JobAttempt;

    use super::*;

    fn ended(id: u64, end: Option<u64>) -> JobRecord {
        JobRecord {
            id: JobId(id),
            ops: Vec::new(),
            received: Timestamp(1),
            start: None,
            end: end.map(Timestamp),
            attempt: JobAttempt(1),
            cancel: false,
        }
    }

    // covers: S227 S228
    #[test]
    fn jobs_are_due_when_their_end_is_old_enough_the_oldest_first() {
        let mut state = ClusterState::default();
        let second = 1_000_000;
        for job in [ended(1, Some(5 * second)), ended(2, Some(2 * second)), ended(3, None)] {
            state.jobs.insert(job.id, Arc::new(job));
        }
        let now = Timestamp(10 * second);
        assert_eq!(due(&state, now, Some(Millis(5_000))), [JobId(1), JobId(2)]);
        assert_eq!(due(&state, now, Some(Millis(5_001))), [JobId(2)]);
        assert_eq!(due(&state, now, None), [JobId(1), JobId(2)]);
        assert_eq!(due(&state, now, Some(Millis(u64::MAX))), []);
    }
}

//! `/locks`: the lock actor, a thin shell around the lock table.
//!
//! Owns the table of one reign. Job actors ask it; nobody else may. It never persists anything:
//! what is held with effect is in the log, and a new leader restores it from there before it grants
//! anything. When it fails, it is restored the same way, and jobs that waited ask again.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_engine::locking::{LockEffect, LockEvent, LockTable};
use gantry_model::errors::Fault;
use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::locks::{LockChange, LockMode, LockName, LockRow};
use gantry_model::messages::{AcquireLocks, LocksGranted, QueryLocks, ReleaseLocks};
use gantry_runtime::{Actor, Clock, Context, Handler, Protocol, Reply};
use tokio::time::Instant;

use crate::context::MasterContext;
use crate::lock_waits::LockWaits;

type Answer = Reply<Result<LocksGranted, Fault>>;

pub(crate) struct LockActor {
    table: LockTable,
    /// Who waits, and since when.
    waiting: BTreeMap<JobId, (Answer, Instant)>,
    clock: Clock,
    waits: Arc<LockWaits>,
}

impl LockActor {
    /// A table in which every unfinished job holds what the log says.
    pub(crate) fn restore(context: &MasterContext) -> Self {
        let (clock, waits) = (context.system.platform().clock(), &context.config.lock_waits);
        let mut actor = Self {
            table: LockTable::default(),
            waiting: BTreeMap::new(),
            clock: clock.clone(),
            waits: Arc::clone(waits),
        };
        let state = context.state();
        for (job, held) in &state.locks {
            let attempt = state.jobs.get(job).map(|job| job.attempt).unwrap_or_default();
            actor.restore_job(*job, attempt, held.as_ref().clone());
        }
        actor
    }

    /// A job is placed anew and holds what the log says.
    pub(crate) fn restore_job(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        held: Vec<(LockName, LockMode)>,
    ) {
        let effects = self.table.step(LockEvent::Restore { job, attempt, held });
        self.tell(effects);
    }

    /// A job needs some of its locks no longer, or no longer alone. Its commit is behind us.
    pub(crate) fn give_up(
        &mut self,
        job: JobId,
        attempt: JobAttempt,
        changes: Vec<(LockName, LockChange)>,
    ) {
        // What is only released never waits, so the urgency means nothing.
        let event = LockEvent::Acquire { job, attempt, priority: 0, changes };
        let effects = self.table.step(event);
        self.tell(effects);
    }

    /// What a job waits for is urgent in another way (L63).
    pub(crate) fn change_priority(&mut self, job: JobId, priority: i8) {
        let effects = self.table.step(LockEvent::ChangePriority { job, priority });
        self.tell(effects);
    }

    fn tell(&mut self, effects: Vec<LockEffect>) {
        for effect in effects {
            match effect {
                LockEffect::Granted { job, held, .. } => {
                    if let Some((answer, since)) = self.waiting.remove(&job) {
                        self.waits.granted_after(self.clock.now() - since);
                        answer.send(Ok(LocksGranted { held }));
                    }
                }
                LockEffect::Refused { job, reason, .. } => {
                    tracing::debug!(%job, %reason, "locks refused");
                    if let Some((answer, _)) = self.waiting.remove(&job) {
                        answer.send(Err(reason.to_fault()));
                    }
                }
                LockEffect::Waiting { job, blockers } => {
                    tracing::debug!(%job, ?blockers, "locks are waited for");
                }
            }
        }
        self.waits.stand(self.waiting.len(), self.table.n_held());
    }
}

impl Drop for LockActor {
    /// With the reign, or before it is made again.
    fn drop(&mut self) {
        self.waits.stand(0, 0);
    }
}

impl Actor for LockActor {
    const KIND: &'static str = "locks";

    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<AcquireLocks>().on::<ReleaseLocks>().on::<QueryLocks>()
    }
}

impl Handler<AcquireLocks> for LockActor {
    fn handle(&mut self, message: AcquireLocks, reply: Answer, _ctx: &mut Context<Self>) {
        let AcquireLocks { job, attempt, priority, changes } = message;
        if let Some(earlier) = self.waiting.insert(job, (reply, self.clock.now())) {
            // The asker of the earlier one is gone: a job has one actor, which asks once.
            drop(earlier);
        }
        let effects = self.table.step(LockEvent::Acquire { job, attempt, priority, changes });
        self.tell(effects);
    }
}

impl Handler<ReleaseLocks> for LockActor {
    fn handle(&mut self, message: ReleaseLocks, reply: Reply<()>, _ctx: &mut Context<Self>) {
        self.waiting.remove(&message.job);
        let effects = self.table.step(LockEvent::Release { job: message.job });
        self.tell(effects);
        reply.send(());
    }
}

impl Handler<QueryLocks> for LockActor {
    fn handle(&mut self, _: QueryLocks, reply: Reply<Vec<LockRow>>, _ctx: &mut Context<Self>) {
        reply.send(self.table.rows());
    }
}

//! Waiting for a change of a job (row Q37), without polling.

use std::collections::BTreeMap;

use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus, OpRecord};
use gantry_model::messages::{JobChange, WAIT_MAX, WaitJob};
use gantry_runtime::{Context, Handler, Reply};

use super::ClusterActor;
use super::archive::from_history;

type Answer = Reply<Result<JobChange, Fault>>;

/// Most waits at the same time. Each holds an answer of some 100 bytes; a client waits for one job
/// at a time, so this is a thousand scripts with ten jobs each. Beyond, waits are answered at once
/// and the client asks again.
const WAITERS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Waiters {
    next: u64,
    n_waiting: usize,
    by_job: BTreeMap<JobId, BTreeMap<u64, Waiter>>,
}

struct Waiter {
    known: Option<JobStatus>,
    log_after: u64,
    answer: Answer,
}

impl Handler<WaitJob> for ClusterActor {
    fn handle(&mut self, message: WaitJob, reply: Answer, ctx: &mut Context<Self>) {
        let WaitJob { job, known, log_after, wait } = message;
        let state = self.context.state();
        let Some(record) = state.jobs.get(&job) else {
            let context = self.context.clone();
            let reading = async move { from_history(&context, job).await };
            ctx.spawn_then(reading, move |actor, record, _| {
                reply.send(record.map(|record| actor.change(&record, log_after)));
            });
            return;
        };
        let changed = self.is_news(record, known, log_after);
        if changed || wait.0 == 0 || self.waiters.n_waiting >= WAITERS_MAX {
            reply.send(Ok(self.change(record, log_after)));
            return;
        }
        let number = self.waiters.next;
        self.waiters.next += 1;
        self.waiters.n_waiting += 1;
        let waiter = Waiter { known, log_after, answer: reply };
        self.waiters.by_job.entry(job).or_default().insert(number, waiter);
        // Answered a little before the asker gives up, so that "nothing new" is an answer.
        let wait = std::time::Duration::from(wait).min(WAIT_MAX);
        ctx.after(wait, move |actor, _| actor.give_up_wait(job, number)).detach();
    }
}

impl ClusterActor {
    pub(super) fn answer_waiters(&mut self, job: JobId) {
        if !self.waiters.by_job.contains_key(&job) {
            return;
        }
        let state = self.context.state();
        let Some(record) = state.jobs.get(&job) else { return };
        let waiting = self.waiters.by_job.remove(&job).unwrap_or_default();
        let (news, rest): (BTreeMap<_, _>, BTreeMap<_, _>) = waiting
            .into_iter()
            .partition(|(_, waiter)| self.is_news(record, waiter.known, waiter.log_after));
        for waiter in news.into_values() {
            self.waiters.n_waiting -= 1;
            let change = self.change(record, waiter.log_after);
            waiter.answer.send(Ok(change));
        }
        if !rest.is_empty() {
            self.waiters.by_job.insert(job, rest);
        }
    }

    fn give_up_wait(&mut self, job: JobId, number: u64) {
        let Some(waiting) = self.waiters.by_job.get_mut(&job) else { return };
        let Some(waiter) = waiting.remove(&number) else { return };
        if waiting.is_empty() {
            self.waiters.by_job.remove(&job);
        }
        self.waiters.n_waiting -= 1;
        let state = self.context.state();
        if let Some(record) = state.jobs.get(&job) {
            let change = self.change(record, waiter.log_after);
            waiter.answer.send(Ok(change));
        }
    }

    /// The state of a job as it is now, durable or not.
    pub(super) fn status_of(&self, record: &JobRecord) -> JobStatus {
        let durable = record.status();
        if durable.is_final() {
            return durable;
        }
        self.live.get(&record.id).copied().unwrap_or(durable)
    }

    fn is_news(&self, record: &JobRecord, known: Option<JobStatus>, log_after: u64) -> bool {
        let status = self.status_of(record);
        status.is_final() || known != Some(status) || record.log_serial() > log_after
    }

    fn change(&self, record: &JobRecord, log_after: u64) -> JobChange {
        let log = record
            .ops
            .iter()
            .flat_map(|op| &op.log)
            .filter(|line| line.serial > log_after)
            .cloned()
            .collect();
        JobChange {
            status: self.status_of(record),
            log,
            fault: record.ops.iter().find_map(fault_of),
            results: record.ops.iter().map(|op| op.result.clone().unwrap_or_default()).collect(),
            waits_for: self.waits.get(&record.id).cloned(),
        }
    }
}

/// The failure of an opcode, marked if it had not begun to act.
fn fault_of(op: &OpRecord) -> Option<Fault> {
    let fault = op.fault.clone()?;
    Some(Fault { prerequisite: op.exec.is_none(), ..fault })
}

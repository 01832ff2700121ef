//! Applying entries: dispatch, takeover, submission.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{JobAttempt, JobId, NodeUuid, ReignId, Revision};
use gantry_model::jobs::{JobRecord, JobStatus, OpRecord};
use gantry_model::messages::NewJob;
use gantry_model::opcodes::OpRequest;
use gantry_model::trust::{SealedSecret, SecretName};
use gantry_model::units::Timestamp;
use gantry_wire::RequestId;

use super::{
    Applied, BATCH_MAX, ClusterState, Command, Emitted, Entry, InitCluster, REQUESTS_MAX,
    UNFINISHED_JOBS_MAX,
};

impl ClusterState {
    /// Applies the entry at `revision`. The same entries in the same order give the same state and
    /// the same answers everywhere.
    ///
    /// A refusal leaves everything but [`ClusterState::revision`] as it was.
    pub fn apply(&mut self, revision: Revision, entry: &Entry) -> Applied {
        self.apply_into(revision, entry, &mut Vec::new())
    }

    /// As [`ClusterState::apply`]; `out` gets what leaves the state for the history, in order.
    pub fn apply_into(
        &mut self,
        revision: Revision,
        entry: &Entry,
        out: &mut Vec<Emitted>,
    ) -> Applied {
        debug_assert!(revision > self.revision, "entries are applied once, in order");
        self.revision = revision;
        if let Err(error) = self.check_level(&entry.command) {
            return Applied::Refused(error.into());
        }
        let outcome = match &entry.command {
            Command::Init(init) => self.init(init),
            Command::TakeOver { node } => self.take_over(*node),
            Command::Submit { reign, request, jobs, secrets } => self
                .check_reign(*reign)
                .and_then(|()| self.submit(*request, (jobs, secrets), entry.at, out)),
            Command::Archive { reign, jobs } => {
                self.check_reign(*reign).and_then(|()| self.archive(jobs, entry.at, out))
            }
            Command::Job(job_entry) => self
                .check_reign(job_entry.reign)
                .and_then(|()| self.journal(job_entry, entry.at))
                .map(|()| Applied::Done),
            Command::Place { reign, job } => self.check_reign(*reign).map(|()| {
                // Its end may have been on its way when it was asked for; an end is for ever.
                if self.unfinished.contains(job) {
                    self.change_job(*job, |job| job.attempt = job.attempt.next());
                }
                Applied::Done
            }),
            Command::Config { reign, deltas } => self
                .check_reign(*reign)
                .and_then(|()| self.change_config(deltas, entry.at))
                .map(|()| Applied::Done),
            Command::Transitions { reign, seen } => self
                .check_reign(*reign)
                .and_then(|()| self.note_transitions(seen, entry.at, out))
                .map(|()| Applied::Done),
            #[cfg(feature = "next-version")]
            Command::Trial { reign, value } => self.check_reign(*reign).map(|()| {
                self.trial = *value;
                Applied::Done
            }),
            Command::RaiseLevel { reign, to } => {
                self.check_reign(*reign).and_then(|()| self.raise_level(*to))
            }
            Command::Cancel { reign, job } => self
                .check_reign(*reign)
                .and_then(|()| self.cancel(*job, entry.at))
                .map(|()| Applied::Done),
            Command::ChangePriority { reign, job, priority } => self
                .check_reign(*reign)
                .and_then(|()| self.change_priority(*job, *priority))
                .map(|()| Applied::Done),
        };
        outcome.unwrap_or_else(Applied::Refused)
    }

    fn check_reign(&self, reign: ReignId) -> Result<(), Fault> {
        if reign != self.reign {
            let text = format!("reign {reign} is over, the present one is {}", self.reign);
            return Err(Fault::new(FaultCode::StaleToken, text));
        }
        Ok(())
    }

    /// After its destruction a cluster takes no new work; the job that did it may still end.
    pub(super) fn check_lives(&self) -> Result<(), Fault> {
        if self.destroyed {
            return Err(Fault::new(FaultCode::WrongState, "the cluster has been destroyed"));
        }
        Ok(())
    }

    fn init(&mut self, init: &InitCluster) -> Result<Applied, Fault> {
        if self.cluster.is_some() || self.destroyed {
            return Err(Fault::new(FaultCode::WrongState, "the cluster exists already"));
        }
        self.level = init.level;
        self.cluster = Some(Arc::new(init.cluster.clone()));
        self.groups.insert(init.group.uuid, Arc::new(init.group.clone()));
        self.node_names.insert(init.node.name.clone(), init.node.uuid);
        self.nodes.insert(init.node.uuid, Arc::new(init.node.clone()));
        Ok(Applied::Done)
    }

    fn take_over(&mut self, node: NodeUuid) -> Result<Applied, Fault> {
        if self.cluster.is_none() {
            return Err(Fault::new(FaultCode::WrongState, "there is no cluster"));
        }
        self.reign = ReignId(self.revision.0);
        self.master = Some(node);
        for id in self.unfinished.clone() {
            self.change_job(id, |job| job.attempt = job.attempt.next());
        }
        Ok(Applied::Reign(self.reign))
    }

    fn submit(
        &mut self,
        request: RequestId,
        (jobs, secrets): (&[NewJob], &BTreeMap<SecretName, SealedSecret>),
        at: Timestamp,
        out: &mut Vec<Emitted>,
    ) -> Result<Applied, Fault> {
        if let Some(ids) = self.requests.get(&request) {
            return Ok(Applied::Jobs(ids.as_ref().clone()));
        }
        self.check_lives()?;
        if jobs.len() > BATCH_MAX || jobs.iter().any(|job| job.ops.len() > BATCH_MAX) {
            let text = format!("more than {BATCH_MAX} jobs or opcodes in one submission");
            return Err(Fault::new(FaultCode::WrongInput, text));
        }
        if jobs.iter().any(|job| job.ops.is_empty()) {
            return Err(Fault::new(FaultCode::WrongInput, "a job needs at least one opcode"));
        }
        if self.unfinished.len() + jobs.len() > UNFINISHED_JOBS_MAX {
            let text = format!(
                "the queue is full: {} unfinished jobs, at most {UNFINISHED_JOBS_MAX}",
                self.unfinished.len()
            );
            return Err(Fault::new(FaultCode::QueueFull, text));
        }
        let numbers = (self.last_job.0 + 1..).map(JobId);
        if let Some((id, _)) = numbers.zip(jobs).find(|(id, job)| !can_resolve(*id, job)) {
            let text = format!("job {id} would depend on a job before the first one");
            return Err(Fault::new(FaultCode::WrongInput, text));
        }
        let mut sealed = jobs.iter().flat_map(|job| &job.ops).filter_map(|op| op.op.secret());
        if let Some(name) = sealed.find(|name| !secrets.contains_key(*name)) {
            let text = format!("the submission does not have the secret {name} that it names");
            return Err(Fault::new(FaultCode::WrongInput, text));
        }
        self.add_secrets(secrets)?;
        let ids: Vec<JobId> = jobs.iter().map(|job| self.add_job(job, at)).collect();
        self.remember_request(request, &ids);
        self.archive_excess(at, out);
        Ok(Applied::Jobs(ids))
    }

    fn add_job(&mut self, job: &NewJob, at: Timestamp) -> JobId {
        let id = self.last_job.next();
        self.last_job = id;
        let record = JobRecord {
            id,
            ops: job.ops.iter().map(|input| queued(id, input)).collect(),
            received: at,
            start: None,
            end: None,
            attempt: JobAttempt(1),
            cancel: false,
        };
        self.jobs.insert(id, Arc::new(record));
        self.unfinished.insert(id);
        id
    }

    fn remember_request(&mut self, request: RequestId, ids: &[JobId]) {
        self.requests.insert(request, Arc::new(ids.to_vec()));
        self.request_order.insert(self.revision, request);
        while self.requests.len() > REQUESTS_MAX {
            let Some((oldest, forgotten)) = self.request_order.get_min().cloned() else { break };
            self.request_order.remove(&oldest);
            self.requests.remove(&forgotten);
        }
    }

    /// Changes a job's record in place; does nothing if it does not exist.
    pub(super) fn change_job(&mut self, id: JobId, change: impl FnOnce(&mut JobRecord)) {
        if let Some(job) = self.jobs.get_mut(&id) {
            change(Arc::make_mut(job));
        }
    }

    /// Erases what only an unfinished job needs, parameters that nobody is shown among it, and its
    /// locks.
    pub(super) fn finish_job(&mut self, id: JobId, at: Timestamp) {
        let secrets = &mut self.secrets;
        if let Some(job) = self.jobs.get_mut(&id) {
            let job = Arc::make_mut(job);
            job.end = Some(at);
            for op in &mut job.ops {
                op.plan = None;
                op.input.op.redact();
                if let Some(params) = op.input.op.secret_mut() {
                    params.secret().and_then(|name| secrets.remove(name));
                    *params = params.redacted().into();
                }
                op.steps = Vec::new();
                op.unwinding = None;
            }
        }
        self.unfinished.remove(&id);
        self.locks.remove(&id);
    }
}

/// Ends every opcode that has not ended.
pub(super) fn end_unfinished_ops(
    job: &mut JobRecord,
    status: JobStatus,
    fault: &Fault,
    at: Timestamp,
) {
    for op in job.ops.iter_mut().filter(|op| !op.status.is_final()) {
        op.status = status;
        op.fault = Some(fault.clone());
        op.end = Some(at);
    }
}

/// Whether every dependency of a job that gets this number names a job.
fn can_resolve(id: JobId, job: &NewJob) -> bool {
    let mut dependencies = job.ops.iter().flat_map(|op| &op.common.depends);
    dependencies.all(|dependency| dependency.resolved(id).is_some())
}

fn queued(id: JobId, input: &OpRequest) -> OpRecord {
    let mut input = input.clone();
    for dependency in &mut input.common.depends {
        if let Some(resolved) = dependency.resolved(id) {
            *dependency = resolved;
        }
    }
    OpRecord {
        input,
        status: JobStatus::Queued,
        result: None,
        fault: None,
        log: Vec::new(),
        start: None,
        exec: None,
        end: None,
        plan: None,
        steps: Vec::new(),
        unwinding: None,
        priority: None,
    }
}

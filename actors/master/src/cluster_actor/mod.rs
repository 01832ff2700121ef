//! `/cluster`: the cluster actor. Commands, nodes and jobs talk to it.
//!
//! Owns the picture of the nodes, the order of the queue, and who waits for which job, all of one
//! reign and none of it durable: made again, it reads the state and asks the nodes. It decides
//! nothing itself: tables are filled by `engine::query`, the queue is ordered by
//! `engine::jobs::Scheduler`, what jobs do is theirs.

mod archive;
mod certificates;
mod failover;
mod join;
mod level;
mod plan;
mod queries;
mod reports;
mod sealing;
mod submit;
mod touch;
mod transitions;
mod waiting;

use std::collections::BTreeMap;

use gantry_engine::jobs::Scheduler;
use gantry_engine::query::{Picture, Sightings};
use gantry_engine::state::ClusterState;
use gantry_model::ids::{JobId, NodeUuid};
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::levels::LevelStanding;
use gantry_model::messages::{
    ArchiveJobs, AutoArchiveJobs, CancelJob, CertificateIssue, CertificateRenew, ChangeJobPriority,
    ClusterKeyFetch, Join, MasterFailover, PlanJob, QueryActors, QueryCluster, QueryFields,
    QueryJobs, QueryTable, QueryTrust, Report, SearchTags, SubmitJobs, TokenIssue, WaitJob,
    job_path,
};
use gantry_model::opcodes::OpCode;
use gantry_runtime::{Actor, Context, LocalRef, Protocol, SpawnOptions, Thread};
use gantry_wire::TraceId;

use crate::context::MasterContext;
use crate::job_actor::JobActor;
use crate::lock_actor::LockActor;
use waiting::Waiters;

/// What is to be done when a job has ended.
type OnEnd = Box<dyn FnOnce(&mut ClusterActor, &JobRecord, &mut Context<ClusterActor>)>;

pub(crate) struct ClusterActor {
    context: MasterContext,
    locks: LocalRef<LockActor>,
    picture: Picture,
    /// Guests that may have changed, and whether that is being written.
    sightings: Sightings,
    writes_transitions: bool,
    scheduler: Scheduler,
    /// Which command each unfinished job is of.
    traces: BTreeMap<JobId, TraceId>,
    /// States that only the leader knows.
    live: BTreeMap<JobId, JobStatus>,
    /// What jobs wait for, for people.
    waits: BTreeMap<JobId, String>,
    waiters: Waiters,
    on_end: BTreeMap<JobId, Vec<OnEnd>>,
    /// Where the level was when the holders of the log were last asked.
    level: LevelStanding,
}

impl ClusterActor {
    pub(crate) fn new(context: MasterContext, locks: LocalRef<LockActor>) -> Self {
        let traces = traces_of(&context.state());
        Self {
            context,
            locks,
            picture: Picture::default(),
            sightings: Sightings::default(),
            writes_transitions: false,
            scheduler: Scheduler::default(),
            traces,
            live: BTreeMap::new(),
            waits: BTreeMap::new(),
            waiters: Waiters::default(),
            on_end: BTreeMap::new(),
            level: LevelStanding::default(),
        }
    }

    /// A job's state changed in a way that the log does not have.
    pub(crate) fn job_is(&mut self, job: JobId, status: JobStatus) {
        self.live.insert(job, status);
        self.answer_waiters(job);
    }

    /// What a job waits for; `None` when it goes on.
    pub(crate) fn job_waits(&mut self, job: JobId, what: Option<String>) {
        match what {
            Some(what) => self.waits.insert(job, what),
            None => self.waits.remove(&job),
        };
    }

    /// The log has something new of a job.
    pub(crate) fn job_moved(&mut self, job: JobId, _ctx: &mut Context<Self>) {
        self.answer_waiters(job);
    }

    /// A job has ended: its place in the queue is free.
    pub(crate) fn job_ended(&mut self, job: JobId, ctx: &mut Context<Self>) {
        self.live.remove(&job);
        self.traces.remove(&job);
        self.waits.remove(&job);
        self.scheduler.ended(job);
        let state = self.context.state();
        if let Some(record) = state.jobs.get(&job) {
            if record.ops.iter().any(|op| changes_nodes(&op.input.op)) {
                self.learn_addresses(ctx);
            }
            for on_end in self.on_end.remove(&job).unwrap_or_default() {
                on_end(self, record, ctx);
            }
        }
        self.answer_waiters(job);
        self.begin_jobs(ctx);
    }

    /// Begins as many queued jobs as may run.
    pub(crate) fn begin_jobs(&mut self, ctx: &mut Context<Self>) {
        let state = self.context.state();
        let running_max =
            state.cluster.as_ref().map_or(1, |cluster| cluster.max_running_jobs) as usize;
        for job in self.scheduler.next(&state, running_max) {
            self.begin_job(job, ctx);
        }
    }

    fn begin_job(&self, job: JobId, ctx: &Context<Self>) {
        let context = self.context.clone();
        let (cluster, locks) = (ctx.local(), self.locks.clone());
        let trace = self.traces.get(&job).copied();
        let placed_before = std::sync::Arc::default();
        // Beside the cluster and lock actors: a hop between threads costs more than a message.
        let options = SpawnOptions { thread: Thread::Control, ..SpawnOptions::default() };
        let spawned = ctx.system().spawn(job_path(job), options, move || {
            JobActor::new(
                context.clone(),
                cluster.clone(),
                locks.clone(),
                (job, trace),
                std::sync::Arc::clone(&placed_before),
            )
        });
        if let Err(error) = spawned {
            tracing::error!(%job, %error, "the job could not be placed");
        }
    }

    fn on_job_end(&mut self, job: JobId, then: OnEnd) {
        self.on_end.entry(job).or_default().push(then);
    }

    fn is_member(&self, node: NodeUuid) -> bool {
        self.context.state().nodes.contains_key(&node)
    }
}

/// The commands of the unfinished jobs, from the requests that the log remembers.
fn traces_of(state: &ClusterState) -> BTreeMap<JobId, TraceId> {
    let jobs = state.requests.iter().flat_map(|(request, jobs)| {
        let unfinished = jobs.iter().filter(|job| state.unfinished.contains(*job));
        unfinished.map(|job| (*job, TraceId::from(*request)))
    });
    jobs.collect()
}

fn changes_nodes(op: &OpCode) -> bool {
    matches!(op, OpCode::NodeAdd(_) | OpCode::NodeRemove(_))
}

impl Actor for ClusterActor {
    const KIND: &'static str = "cluster";

    fn protocol() -> Protocol<Self> {
        Protocol::new()
            .on::<SubmitJobs>()
            .on::<PlanJob>()
            .on::<QueryTable>()
            .on::<QueryFields>()
            .on::<QueryJobs>()
            .on::<ArchiveJobs>()
            .on::<AutoArchiveJobs>()
            .on::<QueryCluster>()
            .on::<SearchTags>()
            .on::<QueryActors>()
            .on::<WaitJob>()
            .on::<CancelJob>()
            .on::<ChangeJobPriority>()
            .on::<MasterFailover>()
            .on::<TokenIssue>()
            .on::<Join>()
            .on::<CertificateRenew>()
            .on::<CertificateIssue>()
            .on::<QueryTrust>()
            .on::<ClusterKeyFetch>()
            .on::<Report>()
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        let state = self.context.state();
        for id in &state.unfinished {
            if let Some(record) = state.jobs.get(id)
                && !ctx.system().is_live(&job_path(*id))
            {
                self.scheduler.submitted(*id, record.priority());
            }
        }
        self.learn_addresses(ctx);
        self.watch_nodes(ctx);
        self.archive_old_jobs(ctx);
        self.raise_level(ctx);
        self.begin_jobs(ctx);
    }
}

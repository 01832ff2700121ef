//! Answering questions, from the state and the picture.

use std::sync::Arc;
use std::time::Duration;

use gantry_engine::query::{Asked, Live, fields, search_tags, table};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobRecord;
use gantry_model::locks::LockRow;
use gantry_model::messages::{
    ActorRow, ClusterInfo, Fields, FoundTag, QueryActors, QueryCluster, QueryFields, QueryJobs,
    QueryLocks, QueryTable, SearchTags, Versions,
};
use gantry_model::node_calls::node_path;
use gantry_model::query::{Resource, Table};
use gantry_runtime::{Context, Handler, Reply};

use super::ClusterActor;
use super::archive::from_history;
use crate::context::MasterContext;

/// How long the lock actor and nodes may take to answer a question for people.
const ANSWER: Duration = Duration::from_secs(5);

/// Most archived jobs in one list, the newest. Each is read from a file and makes a row; lower
/// hides what is still kept, higher makes an answer that does not fit a message.
const ARCHIVED_LIST_MAX: usize = 5_000;

impl Handler<QueryTable> for ClusterActor {
    fn handle(
        &mut self,
        message: QueryTable,
        reply: Reply<Result<Table, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        if message.resource == Resource::Cluster {
            let info = self.info();
            reply.send(info.and_then(|info| self.fill(&message, &[], &[], Some(&info))));
            return;
        }
        if message.resource == Resource::Job {
            let archived = archived_jobs(self.context.clone(), message.clone());
            ctx.spawn_then(archived, move |actor, archived, _| {
                reply.send(archived.and_then(|jobs| actor.fill(&message, &jobs, &[], None)));
            });
            return;
        }
        if message.resource != Resource::Lock {
            reply.send(self.fill(&message, &[], &[], None));
            return;
        }
        let asked = self.locks.to::<QueryLocks>().ask(QueryLocks {}, ANSWER);
        ctx.spawn_then(asked, move |actor, rows, _| {
            reply.send(match rows {
                Ok(rows) => actor.fill(&message, &[], &rows, None),
                Err(error) => Err(Fault::from_ask(&error).within("ask for the locks")),
            });
        });
    }
}

impl ClusterActor {
    fn fill(
        &self,
        message: &QueryTable,
        archived: &[JobRecord],
        locks: &[LockRow],
        cluster: Option<&ClusterInfo>,
    ) -> Result<Table, Fault> {
        let state = self.context.believed_state()?;
        let live = Live { picture: &self.picture, jobs: &self.live, archived, locks, cluster };
        table(&state, live, asked(message))
    }
}

impl Handler<QueryFields> for ClusterActor {
    fn handle(
        &mut self,
        message: QueryFields,
        reply: Reply<Result<Fields, Fault>>,
        _ctx: &mut Context<Self>,
    ) {
        reply.send(Ok(fields(message.resource, &message.fields)));
    }
}

impl Handler<SearchTags> for ClusterActor {
    fn handle(
        &mut self,
        message: SearchTags,
        reply: Reply<Result<Vec<FoundTag>, Fault>>,
        _ctx: &mut Context<Self>,
    ) {
        let state = self.context.believed_state();
        reply.send(state.map(|state| search_tags(&state, &message.pattern)));
    }
}

impl Handler<QueryJobs> for ClusterActor {
    fn handle(
        &mut self,
        message: QueryJobs,
        reply: Reply<Result<Vec<JobRecord>, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let state = match self.context.believed_state() {
            Ok(state) => state,
            Err(fault) => return reply.send(Err(fault)),
        };
        let found: Vec<Result<JobRecord, JobId>> = message
            .jobs
            .iter()
            .map(|id| state.jobs.get(id).map(|job| self.as_it_is(job)).ok_or(*id))
            .collect();
        let context = self.context.clone();
        let reading = async move {
            let mut jobs = Vec::with_capacity(found.len());
            for job in found {
                jobs.push(match job {
                    Ok(current) => current,
                    Err(id) => from_history(&context, id).await?,
                });
            }
            Ok(jobs)
        };
        ctx.spawn_then(reading, |_, jobs, _| reply.send(jobs));
    }
}

impl ClusterActor {
    /// A job with the state that only the leader knows.
    fn as_it_is(&self, job: &JobRecord) -> JobRecord {
        let mut record = job.redacted();
        let status = self.status_of(&record);
        if let Some(op) = record.ops.iter_mut().find(|op| !op.status.is_final()) {
            op.status = status;
        }
        record
    }
}

fn asked(message: &QueryTable) -> Asked<'_> {
    let QueryTable { resource, fields, names, filter, archived: _ } = message;
    Asked { resource: *resource, fields, names, filter: filter.as_ref() }
}

/// The field of jobs that only archived ones have: who asks for it wants to see them, as in Ganeti.
const ARCHIVED: &str = "archived";

/// Jobs from the history for a list: those that are named, or the newest if they are wanted.
async fn archived_jobs(
    context: MasterContext,
    message: QueryTable,
) -> Result<Vec<JobRecord>, Fault> {
    let by_name = asked(&message).rows_by_name();
    let names = by_name.as_deref().unwrap_or(&message.names);
    let mut jobs = Vec::new();
    for name in names {
        let id: Option<JobId> = name.parse().ok();
        let state = context.state();
        // What is no number, or is in the state, is dealt with where the table is filled; so is
        // what does not exist.
        if let Some(id) = id.filter(|id| !state.jobs.contains_key(id)) {
            match from_history(&context, id).await {
                Ok(job) => jobs.push(job),
                Err(fault) if fault.code == FaultCode::UnknownEntity => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    let looks_at = message.filter.as_ref().is_some_and(|filter| filter.looks_at(ARCHIVED));
    let shows = message.fields.iter().any(|field| field == ARCHIVED);
    if names.is_empty() && (message.archived || shows || looks_at) {
        let newest = context.store.archived_jobs(ARCHIVED_LIST_MAX).await.map_err(|error| {
            Fault::from_error(FaultCode::EnvironmentError, "read the archived jobs", &error)
        })?;
        if newest.being_fetched {
            tracing::info!("a list of archived jobs lacks what is still being fetched");
        }
        for damage in &newest.damaged {
            tracing::error!(damage, "a list of archived jobs lacks what nobody can read any more");
        }
        jobs = newest.jobs;
    }
    Ok(jobs)
}

impl Handler<QueryCluster> for ClusterActor {
    fn handle(
        &mut self,
        _: QueryCluster,
        reply: Reply<Result<ClusterInfo, Fault>>,
        _ctx: &mut Context<Self>,
    ) {
        reply.send(self.info());
    }
}

impl ClusterActor {
    fn info(&self) -> Result<ClusterInfo, Fault> {
        let state = self.context.believed_state()?;
        let master = state.master.and_then(|master| state.nodes.get(&master));
        match (&state.cluster, master) {
            (Some(cluster), Some(master)) => Ok(ClusterInfo {
                cluster: cluster.as_ref().clone(),
                master: master.as_ref().clone(),
                groups: state.groups.values().map(|group| group.as_ref().clone()).collect(),
                reign: state.reign,
                revision: state.revision,
                software_version: self.context.config.software_version.clone(),
                architecture: std::env::consts::ARCH.to_owned(),
                versions: Versions {
                    protocol: gantry_link::protocol_version().into(),
                    configuration: state.level,
                    os_api: 0,
                    export: 0,
                    vcs: self.context.config.vcs_version.clone(),
                },
                level: self.level_standing(&state),
                holders: crate::holders::shown(&self.context, &state),
            }),
            _ => Err(Fault::new(FaultCode::WrongState, "there is no cluster")),
        }
    }
}

impl Handler<QueryActors> for ClusterActor {
    fn handle(
        &mut self,
        _: QueryActors,
        reply: Reply<Result<Vec<ActorRow>, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let state = self.context.state();
        let asked: Vec<_> = state
            .nodes
            .values()
            .map(|node| {
                let asked = ctx
                    .system()
                    .remote::<QueryActors>(node.uuid.into(), node_path(node.uuid))
                    .ask(QueryActors {}, ANSWER);
                (Arc::clone(node), asked)
            })
            .map(|(node, asked)| async move { (node, asked.await) })
            .collect();
        ctx.spawn_then(futures_util::future::join_all(asked), |_, answers, _| {
            let mut rows = Vec::new();
            for (node, answer) in answers {
                match answer {
                    Ok(Ok(of_node)) => rows.extend(of_node.into_iter().map(|mut row| {
                        row.node = node.name.to_string();
                        row
                    })),
                    Ok(Err(fault)) => {
                        tracing::warn!(node = %node.name, fault = fault.one_line(), "no actors");
                    }
                    Err(error) => tracing::warn!(node = %node.name, %error, "no actors"),
                }
            }
            reply.send(Ok(rows));
        });
    }
}

//! The client itself.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gantry_model::errors::Fault;
use gantry_model::ids::{InstanceUuid, JobId, NodeUuid};
use gantry_model::jobs::JobRecord;
use gantry_model::locks::LockRow;
use gantry_model::messages::{
    ActorRow, ArchiveJobs, AutoArchiveJobs, AutoArchived, CANCEL_WAIT, CancelJob, Canceled,
    ChangeJobPriority, ClusterInfo, ConsoleChunk, FAILOVER_WAIT, Fields, FlightRow, FoundTag,
    LinkTable, MasterFailover, NewJob, PlanJob, PriorityChanged, QueryActors, QueryCluster,
    QueryFields, QueryFlight, QueryJobs, QueryLinks, QueryLocks, QueryTable, ReadConsole,
    SearchTags, SubmitJobs, TokenIssue, TokenIssued, WriteConsole, cluster_path, locks_path,
};
use gantry_model::node_calls::{instance_path, node_path};
use gantry_model::plan::JobPlan;
use gantry_model::query::{Cell, Pattern, Resource, Table};
use gantry_model::units::Millis;
use gantry_wire::{ActorPath, Envelope, Message, RequestId, SpanId, TraceContext, TraceId};
use uuid::Uuid;

use crate::patience::Attempts;
use crate::{
    ATTEMPT_TIMEOUT, ClientConfig, ClientError, JobWatch, LocalTransport, QuicTransport,
    READ_PATIENCE, SUBMIT_PATIENCE, Transport,
};

/// Makes what the request ids of a client begin with. Two requests with one id would be one
/// request, so the real one takes it from the operating system's randomness; simulations pass a
/// seeded one.
pub type RequestIds = Arc<dyn Fn() -> Uuid + Send + Sync>;

/// The requests of one client, numbered; all of them have one trace.
struct Requests {
    bases: RequestIds,
    /// The present beginning, and the last number.
    state: Mutex<Option<(Uuid, u16)>>,
}

impl Requests {
    fn new(bases: RequestIds) -> Arc<Self> {
        Arc::new(Self { bases, state: Mutex::new(None) })
    }

    fn advance(&self, by: u16) -> RequestId {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (base, last) = state.unwrap_or_else(|| ((self.bases)(), 0));
        // A client that has made so many begins a new trace.
        let (base, number) = match last.checked_add(by) {
            Some(number) => (base, number),
            None => ((self.bases)(), by),
        };
        *state = Some((base, number));
        RequestId::numbered(base, number)
    }

    fn next(&self) -> RequestId {
        self.advance(1)
    }

    fn trace(&self) -> TraceId {
        self.advance(0).into()
    }
}

/// A connection to a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    requests: Arc<Requests>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("transport", &self.transport.describe()).finish()
    }
}

/// Asks that every message with a refusal in its reply shares.
fn flat<T>(reply: Result<T, Fault>) -> Result<T, ClientError> {
    reply.map_err(ClientError::Fault)
}

impl Client {
    /// Connects to a daemon and waits for its hello.
    ///
    /// # Errors
    /// When no daemon answers within [`crate::CONNECT_TIMEOUT`], or it is not of this cluster.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let transport = QuicTransport::connect(config).await?;
        Ok(Self::over(Arc::new(transport)))
    }

    /// Connects to the daemon of a state directory: through its socket, where the kernel says who
    /// this is, or else over the network with the credentials in the directory. With an `endpoint`,
    /// always over the network, to that node.
    ///
    /// # Errors
    /// When the daemon refuses this user, there is no daemon, or there are no credentials.
    pub async fn discover(state_dir: &Path, endpoint: Option<&str>) -> Result<Self, ClientError> {
        if endpoint.is_none()
            && let Some(local) = LocalTransport::connect(state_dir).await?
        {
            return Ok(Self::over(Arc::new(local)));
        }
        Self::connect(ClientConfig::discover(state_dir, endpoint).await?).await
    }

    /// A client over any transport.
    #[must_use]
    pub fn over(transport: Arc<dyn Transport>) -> Self {
        Self { transport, requests: Requests::new(Arc::new(Uuid::new_v4)) }
    }

    /// The same client with another source of request ids.
    #[must_use]
    pub fn with_request_ids(self, request_ids: RequestIds) -> Self {
        Self { requests: Requests::new(request_ids), ..self }
    }

    /// What all that this client causes is known by in logs, here and on every node.
    #[must_use]
    pub fn trace(&self) -> TraceId {
        self.requests.trace()
    }

    /// Whom it talks to, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        self.transport.describe()
    }

    /// Says goodbye, at most for `grace`.
    pub async fn close(&self, grace: Duration) {
        self.transport.close(grace).await;
    }

    /// Sends a message once and waits for the answer.
    ///
    /// # Errors
    /// With the transport's outcome when that is not *done*. A refusal inside the reply is not an
    /// error here.
    pub async fn ask<M: Message>(
        &self,
        to: &ActorPath,
        message: &M,
        timeout: Duration,
    ) -> Result<M::Reply, ClientError> {
        self.ask_as(to, message, timeout, None).await
    }

    async fn ask_as<M: Message>(
        &self,
        to: &ActorPath,
        message: &M,
        timeout: Duration,
        request: Option<RequestId>,
    ) -> Result<M::Reply, ClientError> {
        let codec = |action, source| ClientError::Codec { action, message: M::WIRE_NAME, source };
        let body = gantry_wire::encode(message).map_err(|source| codec("encode", source))?;
        let deadline_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let (message, body) = (M::WIRE_NAME.into(), Bytes::from(body));
        let plain = Envelope::new(to.clone(), message, body, deadline_ms);
        let trace = TraceContext { trace: self.trace(), parent: SpanId::default() };
        let envelope = Envelope { request, trace: Some(trace), ..plain };
        let path = to.to_string();
        let reply = self.transport.ask(envelope).await.map_err(|source| ClientError::Ask {
            message: M::WIRE_NAME,
            path,
            source,
        })?;
        gantry_wire::decode(&reply).map_err(|source| codec("read the answer to", source))
    }

    /// Asks until there is an answer, the attempts are over, or another attempt would not help. For
    /// messages that may be repeated.
    pub(crate) async fn ask_patiently<M: Message, T>(
        &self,
        to: &ActorPath,
        message: &M,
        request: Option<RequestId>,
        mut attempts: Attempts,
        flatten: impl Fn(M::Reply) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        loop {
            let timeout = attempts.timeout();
            let answer = self.ask_as(to, message, timeout, request).await.and_then(&flatten);
            match answer {
                Ok(value) => return Ok(value),
                Err(error) => attempts.pause_after(M::WIRE_NAME, error).await?,
            }
        }
    }

    async fn read<M, T>(&self, to: &ActorPath, message: &M) -> Result<T, ClientError>
    where
        M: Message<Reply = Result<T, Fault>>,
    {
        let attempts = Attempts::new(READ_PATIENCE, ATTEMPT_TIMEOUT);
        self.ask_patiently(to, message, None, attempts, flat).await
    }

    /// Submits jobs: repeats the submission under one request id until the jobs are durable, so
    /// that each is made once whatever happens on the way. Answers each with its id or its refusal.
    ///
    /// # Errors
    /// When there is no answer within [`SUBMIT_PATIENCE`]: the jobs may or may not have been made.
    pub async fn submit(
        &self,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Result<JobId, Fault>>, ClientError> {
        let n_jobs = jobs.len();
        let request = self.requests.next();
        let message = SubmitJobs { request, jobs };
        let attempts = Attempts::new(SUBMIT_PATIENCE, ATTEMPT_TIMEOUT);
        let answers =
            self.ask_patiently(&cluster_path(), &message, Some(request), attempts, flat).await?;
        if answers.len() != n_jobs {
            let reason = format!("{} answers for {n_jobs} jobs", answers.len());
            return Err(ClientError::Protocol { message: SubmitJobs::WIRE_NAME, reason });
        }
        Ok(answers)
    }

    /// Asks what a job would do, without submitting it.
    ///
    /// # Errors
    /// When it would be refused, or there is no answer.
    pub async fn plan(&self, job: NewJob) -> Result<JobPlan, ClientError> {
        self.read(&cluster_path(), &PlanJob { job }).await
    }

    /// Follows a job from its beginning.
    #[must_use]
    pub fn watch(&self, job: JobId) -> JobWatch {
        JobWatch::new(self.clone(), job)
    }

    /// Asks for a table: no fields is all fields, no names is all rows.
    ///
    /// # Errors
    /// When a name does not exist, or there is no answer.
    pub async fn query(
        &self,
        resource: Resource,
        fields: &[&str],
        names: &[String],
    ) -> Result<Table, ClientError> {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let names = names.to_vec();
        self.table(&QueryTable { resource, fields, names, archived: false, filter: None }).await
    }

    /// As [`Client::query`] for jobs, with the newest of those that were archived.
    ///
    /// # Errors
    /// When a job does not exist, or there is no answer.
    pub async fn query_archived(
        &self,
        fields: &[&str],
        names: &[String],
    ) -> Result<Table, ClientError> {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let (resource, names) = (Resource::Job, names.to_vec());
        self.table(&QueryTable { resource, fields, names, archived: true, filter: None }).await
    }

    /// Asks for a table, with all that can be said of it.
    ///
    /// # Errors
    /// When a row does not exist, the filter cannot be applied, or there is no answer.
    pub async fn table(&self, message: &QueryTable) -> Result<Table, ClientError> {
        let table = self.read(&cluster_path(), message).await?;
        if message.filter.is_some() && !table.filtered {
            let reason = "all rows were sent: it knows of no filters".to_owned();
            return Err(ClientError::Protocol { message: QueryTable::WIRE_NAME, reason });
        }
        match table.rows.iter().find(|row| row.len() != table.fields.len()) {
            None => Ok(table),
            Some(row) => {
                let reason =
                    format!("a row of {} cells under {} fields", row.len(), table.fields.len());
                Err(ClientError::Protocol { message: QueryTable::WIRE_NAME, reason })
            }
        }
    }

    /// Asks which fields there are: by name, or all.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fields(
        &self,
        resource: Resource,
        names: &[String],
    ) -> Result<Fields, ClientError> {
        self.read(&cluster_path(), &QueryFields { resource, fields: names.to_vec() }).await
    }

    /// Asks for the cluster's own configuration.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn cluster(&self) -> Result<ClusterInfo, ClientError> {
        self.read(&cluster_path(), &QueryCluster {}).await
    }

    /// Looks for a pattern in the tags of everything.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn search_tags(&self, pattern: Pattern) -> Result<Vec<FoundTag>, ClientError> {
        self.read(&cluster_path(), &SearchTags { pattern }).await
    }

    /// Asks for whole jobs.
    ///
    /// # Errors
    /// When one does not exist, or there is no answer.
    pub async fn jobs(&self, jobs: Vec<JobId>) -> Result<Vec<JobRecord>, ClientError> {
        self.read(&cluster_path(), &QueryJobs { jobs }).await
    }

    /// Stops a job that has not begun to act, and waits for its end. Repeated until there is an
    /// answer: to stop a job twice is to stop it.
    ///
    /// # Errors
    /// When the job does not exist, it is to be killed and acts, or there is no answer.
    pub async fn cancel_job(&self, job: JobId, kill: bool) -> Result<Canceled, ClientError> {
        let attempts = Attempts::new(CANCEL_WAIT + READ_PATIENCE, CANCEL_WAIT + ATTEMPT_TIMEOUT);
        let message = CancelJob { job, kill };
        self.ask_patiently(&cluster_path(), &message, None, attempts, flat).await
    }

    /// Changes the urgency of the opcodes of a job that have not begun to act.
    ///
    /// # Errors
    /// When the job does not exist, the urgency is none, or there is no answer.
    pub async fn change_job_priority(
        &self,
        job: JobId,
        priority: i8,
    ) -> Result<PriorityChanged, ClientError> {
        self.read(&cluster_path(), &ChangeJobPriority { job, priority }).await
    }

    /// Makes a candidate the master, and waits until it is. Repeated until there is an answer: the
    /// old master may be gone before it can give one.
    ///
    /// # Errors
    /// When the node is no candidate, does not take over in time, or there is no answer.
    pub async fn fail_master_over(&self, to: NodeUuid) -> Result<(), ClientError> {
        let (patience, each) = (FAILOVER_WAIT + READ_PATIENCE, FAILOVER_WAIT + ATTEMPT_TIMEOUT);
        let attempts = Attempts::new(patience, each);
        self.ask_patiently(&cluster_path(), &MasterFailover { to }, None, attempts, flat).await
    }

    /// Archives jobs; answers for each in order. Not repeated: a job that was archived by the first
    /// attempt would be refused by the second.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn archive(&self, jobs: Vec<JobId>) -> Result<Vec<Result<(), Fault>>, ClientError> {
        self.ask(&cluster_path(), &ArchiveJobs { jobs }, READ_PATIENCE).await.and_then(flat)
    }

    /// Archives jobs that ended at least `age` ago, or all that have ended.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn auto_archive(&self, age: Option<Millis>) -> Result<AutoArchived, ClientError> {
        self.ask(&cluster_path(), &AutoArchiveJobs { age }, READ_PATIENCE).await.and_then(flat)
    }

    /// Asks for the lock table.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn locks(&self) -> Result<Vec<LockRow>, ClientError> {
        let attempts = Attempts::new(READ_PATIENCE, ATTEMPT_TIMEOUT);
        self.ask_patiently(&locks_path(), &QueryLocks {}, None, attempts, Ok).await
    }

    /// Asks for live actors: of one node, or of the leader's.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn actors(&self, node: Option<NodeUuid>) -> Result<Vec<ActorRow>, ClientError> {
        let path = node.map_or_else(cluster_path, node_path);
        self.read(&path, &QueryActors {}).await
    }

    /// Asks a node for the last turns of its actors, newest first: of one, or of all.
    ///
    /// # Errors
    /// When no actor lives at that path, or there is no answer.
    pub async fn flight(
        &self,
        node: NodeUuid,
        path: Option<String>,
        limit: u32,
    ) -> Result<Vec<FlightRow>, ClientError> {
        self.read(&node_path(node), &QueryFlight { path, limit }).await
    }

    /// Asks a node for its connections.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn links(&self, node: NodeUuid) -> Result<LinkTable, ClientError> {
        self.read(&node_path(node), &QueryLinks {}).await
    }

    /// Makes a one-time token by which a node may join. Not repeated: a second token would make the
    /// first useless, and nobody would know which of them arrived.
    ///
    /// # Errors
    /// When the name is taken, or there is no answer.
    pub async fn issue_token(&self, wanted: &TokenIssue) -> Result<TokenIssued, ClientError> {
        self.ask(&cluster_path(), wanted, READ_PATIENCE).await.and_then(flat)
    }

    /// The id of an instance.
    ///
    /// # Errors
    /// When it does not exist, or there is no answer.
    pub async fn instance_uuid(&self, name: &str) -> Result<InstanceUuid, ClientError> {
        self.uuid_of(Resource::Instance, name).await.map(InstanceUuid)
    }

    /// The id of a node.
    ///
    /// # Errors
    /// When it does not exist, or there is no answer.
    pub async fn node_uuid(&self, name: &str) -> Result<NodeUuid, ClientError> {
        self.uuid_of(Resource::Node, name).await.map(NodeUuid)
    }

    async fn uuid_of(&self, resource: Resource, name: &str) -> Result<Uuid, ClientError> {
        let table = self.query(resource, &["uuid"], &[name.to_owned()]).await?;
        let uuid = match table.rows.first().and_then(|row| row.first()) {
            Some(Cell::Value(value)) => value.as_str().and_then(|text| text.parse().ok()),
            _ => None,
        };
        uuid.ok_or_else(|| ClientError::Protocol {
            message: QueryTable::WIRE_NAME,
            reason: format!("no id for {} {name}", resource.as_str()),
        })
    }

    /// Reads what a guest has written to its console since `offset`; waits up to `wait` for more.
    /// The same offset may be read again, so lost connections are survived.
    ///
    /// # Errors
    /// When the guest does not run, or there is no answer.
    pub async fn read_console(
        &self,
        instance: InstanceUuid,
        offset: u64,
        wait: Duration,
    ) -> Result<ConsoleChunk, ClientError> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let message = ReadConsole { offset, wait: Millis(wait_ms) };
        let attempts = Attempts::new(wait + READ_PATIENCE, wait + ATTEMPT_TIMEOUT);
        self.ask_patiently(&instance_path(instance), &message, None, attempts, flat).await
    }

    /// Writes to a guest's console, once: typed characters are not idempotent.
    ///
    /// # Errors
    /// When the guest does not run, or there is no answer.
    pub async fn write_console(
        &self,
        instance: InstanceUuid,
        bytes: Vec<u8>,
    ) -> Result<(), ClientError> {
        let message = WriteConsole { bytes };
        self.ask(&instance_path(instance), &message, ATTEMPT_TIMEOUT).await.and_then(flat)
    }
}

//! A client of a simulated cluster: a process of its own on the network.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gantry_client::{Client, ClientError, InProcess};
use gantry_link::sim::{SimLink, SimNetwork};
use gantry_link::{Answer, Inbound, Link, Peer};
use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobStatus, LogLine};
use gantry_model::messages::{NewJob, WAIT_MAX};
use gantry_model::opcodes::OpRequest;
use gantry_wire::{AskError, BootId, Envelope, NodeId, NotDelivered, Role};
use serde_json::Value;

use crate::seeds::derived_uuid;

/// Ids of jobs that some client was told.
pub(crate) type Acknowledged = Arc<Mutex<BTreeSet<JobId>>>;

/// How a job ended, as its client saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEnd {
    /// Which.
    pub job: JobId,
    /// How.
    pub status: JobStatus,
    /// Why not well.
    pub fault: Option<Fault>,
    /// Results of its opcodes.
    pub results: Vec<Value>,
    /// All that it said.
    pub log: Vec<LogLine>,
    /// What it said it waited for, each thing once.
    pub waited_for: BTreeSet<String>,
}

impl JobEnd {
    /// The same, of a job that must have succeeded.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert_eq!(self.status, JobStatus::Success, "job {}: {:?}", self.job, self.fault);
        self
    }
}

/// A client that entered at one node. Dereferences to the product's own [`Client`].
#[derive(Clone)]
pub struct SimClient {
    client: Client,
    network: SimNetwork,
    link: SimLink,
    id: NodeId,
    door: NodeId,
    acknowledged: Acknowledged,
}

impl std::fmt::Debug for SimClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimClient").field("id", &self.id).field("door", &self.door).finish()
    }
}

impl Deref for SimClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl SimClient {
    /// Client number `number` of the cluster, that talks to node `door`.
    pub(crate) fn enter(
        network: &SimNetwork,
        (seed, number): (u64, u64),
        role: Role,
        door: NodeId,
        acknowledged: Acknowledged,
    ) -> Self {
        let id = NodeId(derived_uuid(seed, "client", number));
        let boot = BootId(derived_uuid(seed, "client boot", number));
        let link = network.start(id, role, boot, Arc::new(TakesNothing));
        link.know(door, vec![network.addr(door)]);
        let carrier = link.clone();
        let transport =
            InProcess::new(format!("client {number}"), move |envelope| carrier.ask(door, envelope));
        let next = AtomicU64::new(0);
        let request_ids = Arc::new(move || {
            let request = next.fetch_add(1, Ordering::Relaxed);
            derived_uuid(seed, "request", number * 1_000_000 + request)
        });
        let client = Client::over(Arc::new(transport)).with_request_ids(request_ids);
        Self { client, network: network.clone(), link, id, door, acknowledged }
    }

    /// As nodes know it.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The process ends without a word.
    pub fn die(&self) {
        self.network.crash(self.id);
    }

    /// Sends a message as it is, once, and gives back the encoded answer.
    ///
    /// # Errors
    /// With the outcome, when it is not *done*.
    pub async fn send(&self, envelope: Envelope) -> Result<Bytes, AskError> {
        self.link.ask(self.door, envelope).await
    }

    /// Submits jobs of one opcode each; their ids.
    ///
    /// # Errors
    /// When there is no answer, or one of them is refused.
    pub async fn submit_ops<T: Into<OpRequest>>(
        &self,
        ops: impl IntoIterator<Item = T>,
    ) -> Result<Vec<JobId>, ClientError> {
        let jobs = ops.into_iter().map(|op| NewJob { ops: vec![op.into()] }).collect();
        let answers = self.client.submit(jobs).await?;
        let ids: Vec<JobId> =
            answers.into_iter().collect::<Result<_, _>>().map_err(ClientError::Fault)?;
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).extend(&ids);
        Ok(ids)
    }

    /// Submits one opcode as a job.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn submit_one(&self, op: impl Into<OpRequest>) -> JobId {
        let submitted = self.submit_ops([op.into()]).await.expect("the job is accepted");
        submitted[0]
    }

    /// Follows a job to its end.
    ///
    /// # Panics
    /// When it cannot be followed.
    pub async fn wait(&self, job: JobId) -> JobEnd {
        let mut watch = self.client.watch(job);
        let (mut log, mut waited_for) = (Vec::new(), BTreeSet::new());
        loop {
            let change = watch.next(WAIT_MAX).await.expect("the job can be followed");
            let change = change.expect("a job that goes on has a next change");
            log.extend(change.log);
            waited_for.extend(change.waits_for);
            if change.status.is_final() {
                let (status, fault, results) = (change.status, change.fault, change.results);
                return JobEnd { job, status, fault, results, log, waited_for };
            }
        }
    }

    /// Submits one opcode and waits for its end.
    pub async fn submit_and_wait(&self, op: impl Into<OpRequest>) -> JobEnd {
        let job = self.submit_one(op).await;
        self.wait(job).await
    }

    /// Submits one opcode, which must succeed.
    pub async fn done(&self, op: impl Into<OpRequest>) -> JobEnd {
        self.submit_and_wait(op).await.expect_success()
    }
}

/// A process that has no actors.
pub(crate) struct TakesNothing;

fn nobody(envelope: &Envelope) -> NotDelivered {
    NotDelivered::NoSuchActor(envelope.to.to_string())
}

impl Inbound for TakesNothing {
    fn tell(&self, _from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        Err(nobody(&envelope))
    }

    fn ask(&self, _from: &Peer, envelope: Envelope, answer: Answer) {
        answer.refuse(nobody(&envelope));
    }
}

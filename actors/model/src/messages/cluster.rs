//! What is said to `/cluster`.

use std::time::Duration;

use gantry_wire::{BootId, RequestId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::ids::{JobId, NodeUuid, ReignId, Revision};
use crate::jobs::{JobRecord, JobStatus, LogLine};
use crate::levels::{LevelStanding, Levels};
use crate::messages::node::ActorRow;
use crate::names::NodeName;
use crate::objects::{Cluster, Node, NodeGroup, NodeTerms};
use crate::opcodes::{OpRequest, Reason};
use crate::plan::JobPlan;
use crate::query::{FieldDef, Filter, Pattern, Resource, Table};
use crate::report::ReportEvent;
use crate::units::{Millis, Timestamp};

/// Longest wait for a change of a job in one message (row Q37 has 89 s; ours is shorter than any
/// idle time-out of a link). A client waits longer by asking again.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// A job to be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NewJob {
    /// Its opcodes; at least one.
    pub ops: Vec<OpRequest>,
}

/// Makes jobs. Answered when they are durable, each with its id or its refusal (Q50).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmitJobs {
    /// The same id again gives the same jobs again.
    #[schemars(with = "String")]
    pub request: RequestId,
    /// The jobs.
    pub jobs: Vec<NewJob>,
}

/// Asks what a job would do; nothing is submitted, and no lock is taken. Refused as the job would
/// be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanJob {
    /// The job.
    pub job: NewJob,
}

/// Asks for a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryTable {
    /// Of what.
    pub resource: Resource,
    /// Columns; empty is every column there is.
    pub fields: Vec<String>,
    /// Rows by name, id or number; empty is all. A name that does not exist is a fault.
    pub names: Vec<String>,
    /// Of jobs: archived ones too, the newest of them. Slow: they are read from files.
    #[serde(default)]
    pub archived: bool,
    /// Of these rows only those that it wants. One that asks for nothing but names asks for rows by
    /// name where `names` has none: then each must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}

/// Asks for what can be asked for. Answered for each name, also for those that do not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryFields {
    /// Of what.
    pub resource: Resource,
    /// Columns; empty is every column there is, sorted.
    pub fields: Vec<String>,
}

/// The columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fields {
    /// In the order asked for.
    pub fields: Vec<FieldDef>,
    /// Those that do not exist.
    pub unknown_fields: Vec<String>,
}

/// Asks for whole jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryJobs {
    /// Which; an unknown one is a fault.
    pub jobs: Vec<JobId>,
}

/// Archives jobs that have ended (row C87). Answers for each in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveJobs {
    /// Which.
    pub jobs: Vec<JobId>,
}

/// Archives old jobs (row C88).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AutoArchiveJobs {
    /// Since their end; without it all that have ended.
    pub age: Option<Millis>,
}

/// What was archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AutoArchived {
    /// How many jobs.
    pub archived: u64,
    /// How many more were old enough, when the time was over.
    pub left: u64,
}

/// Waits until a job differs from what is known of it, at most `wait` (Q37).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitJob {
    /// Which.
    pub job: JobId,
    /// The state that is known.
    pub known: Option<JobStatus>,
    /// The last log line that is known.
    pub log_after: u64,
    /// How long to wait; cut to [`WAIT_MAX`].
    pub wait: Millis,
}

/// What a job is like now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobChange {
    /// Its state.
    pub status: JobStatus,
    /// Log lines after the known one.
    pub log: Vec<LogLine>,
    /// Its failure, if it failed.
    pub fault: Option<Fault>,
    /// Results of its opcodes, if it succeeded.
    pub results: Vec<serde_json::Value>,
    /// What it waits for, for people: locks and who holds them, or a node.
    pub waits_for: Option<String>,
}

/// Stops jobs that have not begun to act (rows C89, Q34, Q35). Answered when that is durable and,
/// if it has an actor, when the job has ended or after [`CANCEL_WAIT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelJob {
    /// Which.
    pub job: JobId,
    /// Also if it has begun to act. That is refused: see [`Canceled`].
    #[serde(default)]
    pub kill: bool,
}

/// How long the answer to [`CancelJob`] waits for the end of the job. A job that waits for locks
/// ends at once, one that asks its nodes ends when they have answered, which takes them up to ten
/// seconds. Lower reports such a job as not canceled yet; higher outlasts a client's patience.
pub const CANCEL_WAIT: Duration = Duration::from_secs(12);

/// What became of a [`CancelJob`].
///
/// There is no kill of a job that acts: Ganeti kills its process and leaves behind what it had
/// done. Here a job has no process; whoever carries it on does so from its journal, to its end or
/// back to its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Canceled {
    /// It had not left the queue and never will.
    Dequeued,
    /// It waited, for locks or for its nodes, and has ended.
    Stopped,
    /// It acts and goes on; of its opcodes none will begin after the present one.
    Acts,
    /// It had ended before it could be stopped.
    EndedAs(JobStatus),
    /// It has been told to stop and has not done so yet.
    NotYet(JobStatus),
    /// There was nothing to stop: it had ended before anybody asked.
    Over,
}

impl Canceled {
    /// Whether it is as was wished, in Ganeti's eyes.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Dequeued | Self::Stopped)
    }

    /// What Ganeti says.
    #[must_use]
    pub fn text(self, job: JobId) -> String {
        match self {
            Self::Dequeued => format!("Dequeued job {job}"),
            Self::Stopped => "Job successfully cancelled".to_owned(),
            Self::Acts => "Job no longer waiting, can't cancel (informed it anyway)".to_owned(),
            Self::EndedAs(status) => {
                format!("Job exited before it could have been canceled, status {status}")
            }
            Self::NotYet(status) => format!("Job could not be canceled, status {status}"),
            Self::Over => format!("Job {job} not found in queue"),
        }
    }
}

/// Changes the urgency of those opcodes of a job that have not begun to act (rows C93, Q31). If it
/// waits for locks, its place in their queues changes with it (L63).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeJobPriority {
    /// Which.
    pub job: JobId,
    /// The new urgency, -20 to 19; lower is more urgent.
    pub priority: i8,
}

/// What became of a [`ChangeJobPriority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriorityChanged {
    /// Changed.
    Done {
        /// The urgency that its pending opcodes have now.
        priority: i8,
    },
    /// It acts on its last opcode; nothing is pending.
    NothingPending,
    /// It is being canceled.
    Canceling,
    /// It has ended.
    Finished,
}

impl PriorityChanged {
    /// Whether it is as was wished.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// What Ganeti says.
    #[must_use]
    pub fn text(self, job: JobId) -> String {
        match self {
            Self::Done { priority } => format!(
                "Priorities of pending opcodes for job {job} have been changed to {priority}"
            ),
            Self::NothingPending => format!("Job {job} had no pending opcodes"),
            Self::Canceling => format!("Job {job} is cancelling"),
            Self::Finished => format!("Job {job} is finished"),
        }
    }
}

/// The log has something new of a job that its actor did not put there: it was asked to stop, or
/// is urgent in another way. Said to `/job/<id>`; what it is, the actor reads in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobTouched {}

/// Asks for the cluster itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryCluster {}

/// The cluster itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterInfo {
    /// Its configuration.
    pub cluster: Cluster,
    /// The master node.
    pub master: Node,
    /// Its group, for the name.
    pub groups: Vec<NodeGroup>,
    /// Present reign.
    pub reign: ReignId,
    /// Present revision.
    pub revision: Revision,
    /// Version of the program that answers.
    pub software_version: String,
    /// `x86_64` and the like, of the master.
    pub architecture: String,
    /// What else has a version.
    #[serde(default)]
    pub versions: Versions,
    /// Where the state level is, and who keeps it there.
    #[serde(default)]
    pub level: LevelStanding,
    /// Who holds the log.
    #[serde(default)]
    pub holders: LogHolders,
}

/// Who holds the log, by name; one that the configuration does not know (any more) by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogHolders {
    /// Those that vote: the cluster works while more than half of them do.
    pub voters: Vec<String>,
    /// Those that get the log and do not vote.
    pub learners: Vec<String>,
}

impl ClusterInfo {
    /// Ganeti's two words for the architecture: how many bits, and the machine.
    #[must_use]
    pub fn architecture_words(&self) -> (u32, &str) {
        let machine = self.architecture.as_str();
        let is_64 = machine.ends_with("64") || machine == "s390x";
        (if is_64 { 64 } else { 32 }, machine)
    }

    /// What version control calls the sources; in Ganeti's form for releases when it was not asked.
    #[must_use]
    pub fn vcs_version(&self) -> String {
        match self.versions.vcs.as_str() {
            "" => format!("(gantry) version v{}", self.software_version),
            told => told.to_owned(),
        }
    }
}

/// Versions of what the answering program speaks and writes (C15). Zero is none: the program does
/// not have it, or is too old to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Versions {
    /// Newest version of the protocol between nodes.
    pub protocol: u32,
    /// The committed level of the state: which rules and variants the log and the configuration
    /// may contain. It rises only when every holder of the log supports it.
    pub configuration: u32,
    /// Interface of OS definitions. Zero: no OS scripts are run yet, images are copied.
    pub os_api: u32,
    /// Interface of exports. Zero: there are none yet.
    pub export: u32,
    /// The name that version control has for the sources of the build; empty if nobody said it.
    pub vcs: String,
}

/// Looks for a pattern in the tags of everything (row C23).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchTags {
    /// Found anywhere in a tag.
    pub pattern: Pattern,
}

/// A tag, and whose it is.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct FoundTag {
    /// Ganeti's path of the object: `/cluster`, `/nodes/node1.example`.
    pub path: String,
    /// The tag.
    pub tag: String,
}

/// Asks for the live actors of the node that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryActors {}

/// Makes a one-time token for a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenIssue {
    /// For the node of this name; must be free.
    pub node_name: NodeName,
    /// How long it is good.
    pub valid: Millis,
    /// What the node is to be like.
    #[serde(default, skip_serializing_if = "NodeTerms::is_default")]
    pub terms: NodeTerms,
    /// Urgency of the job that will add the node.
    #[serde(default)]
    pub priority: i8,
    /// Who asks for the node and why: goes into that job.
    #[serde(default)]
    pub reason: Vec<Reason>,
}

impl TokenIssue {
    /// For a node of which nothing else is said.
    #[must_use]
    pub fn new(node_name: NodeName, valid: Millis) -> Self {
        let (terms, reason) = (NodeTerms::default(), Vec::new());
        Self { node_name, valid, terms, priority: 0, reason }
    }
}

/// A one-time token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenIssued {
    /// To be given to `gantry join`. The only place where the secret exists.
    pub token: String,
    /// From then on it is refused.
    pub expires: Timestamp,
}

/// Joins the cluster with a one-time token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Join {
    /// The secret of the token.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub secret: Vec<u8>,
    /// Certificate request, DER: carries the public key.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub csr: Vec<u8>,
    /// Where its daemon will listen, `host:port`.
    pub address: String,
    /// Which state levels its program knows; one that does not say so is not admitted.
    #[serde(default)]
    pub levels: Option<Levels>,
}

/// Welcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Joined {
    /// The cluster, with its authority's certificate.
    pub cluster: Cluster,
    /// The node's id.
    pub node: NodeUuid,
    /// Its name.
    pub node_name: NodeName,
    /// Its certificate chain, DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// The master, to report to.
    pub master: Node,
    /// It is a candidate: it holds the log from its first start on.
    #[serde(default)]
    pub hold_log: bool,
}

/// How long a candidate may take to become the master. An election takes a second; a candidate that
/// has to get the log first needs the rest, and lower would refuse it. Higher keeps people waiting
/// for a node that is off.
pub const FAILOVER_WAIT: Duration = Duration::from_secs(20);

/// Makes a candidate the master. Asked of a master that is this node already, it is done. Another
/// one hands over and is then not the master any more, so that whoever asks again is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MasterFailover {
    /// Which.
    pub to: NodeUuid,
}

/// What happened on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Which node.
    pub node: NodeUuid,
    /// Which run of its daemon.
    #[schemars(with = "String")]
    pub boot: BootId,
    /// Number of the first event; events are numbered from 0 in each run.
    pub first: u64,
    /// The events.
    pub events: Vec<ReportEvent>,
}

/// What the leader wants next from a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportAck {
    /// The event with this number.
    Next(u64),
    /// A full report: the leader has no picture of this run.
    Full,
    /// Nothing: the node is not in the cluster (any more).
    NotAMember,
}

super::messages! {
    SubmitJobs = "cluster.submit-jobs", Operate, Result<Vec<Result<JobId, Fault>>, Fault>;
    PlanJob = "cluster.plan-job", Read, Result<JobPlan, Fault>;
    QueryTable = "cluster.query-table", Read, Result<Table, Fault>;
    QueryFields = "cluster.query-fields", Read, Result<Fields, Fault>;
    QueryJobs = "cluster.query-jobs", Read, Result<Vec<JobRecord>, Fault>;
    ArchiveJobs = "cluster.archive-jobs", Operate, Result<Vec<Result<(), Fault>>, Fault>;
    AutoArchiveJobs = "cluster.auto-archive-jobs", Operate, Result<AutoArchived, Fault>;
    WaitJob = "cluster.wait-job", Read, Result<JobChange, Fault>;
    CancelJob = "cluster.cancel-job", Operate, Result<Canceled, Fault>;
    ChangeJobPriority = "cluster.change-job-priority", Operate, Result<PriorityChanged, Fault>;
    JobTouched = "job.touched", Consensus, ();
    QueryCluster = "cluster.query", Read, Result<ClusterInfo, Fault>;
    SearchTags = "cluster.search-tags", Read, Result<Vec<FoundTag>, Fault>;
    QueryActors = "node.query-actors", Read, Result<Vec<ActorRow>, Fault>;
    MasterFailover = "cluster.master-failover", Operate, Result<(), Fault>;
    TokenIssue = "cluster.token-issue", Operate, Result<TokenIssued, Fault>;
    Join = "cluster.join", Join, Result<Joined, Fault>;
    Report = "cluster.report", Peer, Result<ReportAck, Fault>;
}

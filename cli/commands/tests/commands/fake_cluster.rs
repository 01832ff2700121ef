//! A cluster that answers every message from a script, through the in-process transport.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use gantry_client::{Client, InProcess};
use gantry_engine::query::{Asked, Live, Picture, table};
use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{JobAttempt, JobId, Revision};
use gantry_model::jobs::{JobRecord, JobStatus, LogKind, LogLine, OpRecord};
use gantry_model::locks::{LockLevel, LockMode, LockName, LockRow};
use gantry_model::messages::{
    ActorRow, ArchiveJobs, AutoArchiveJobs, AutoArchived, CancelJob, Canceled, ChangeJobPriority,
    ConsoleChunk, Fields, FoundTag, JobChange, MasterFailover, NewJob, PlanJob, PriorityChanged,
    QueryActors, QueryCluster, QueryFields, QueryFlight, QueryJobs, QueryLinks, QueryTable,
    ReadConsole, SearchTags, StallRow, SubmitJobs, TokenIssue, TokenIssued, WaitJob, WriteConsole,
};
use gantry_model::names::InstanceName;
use gantry_model::opcodes::{InstanceCreate, OpCode, OpRequest};
use gantry_model::plan::{JobPlan, OpPlan, PlannedChange, PlannedLock, PlannedStep};
use gantry_model::query::{Cell, FieldKind, Resource, Table};
use gantry_model::tags::check_tags;
use gantry_model::units::{Millis, Timestamp};
use gantry_wire::{AskError, Envelope, Message, NotDelivered, decode, encode};
use serde_json::{Value, json};

use crate::fake_inside::{flight, links};
use crate::fake_tables::{WEB1, cluster, instances, nodes, select};
use crate::harness::NOW;

/// The cluster.
#[derive(Clone)]
pub(crate) struct FakeCluster(Arc<Mutex<State>>);

/// What is wrong with a cluster: every message meets it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// Its daemon knows other messages.
    OtherVersion,
    /// Nobody leads.
    NoMaster,
    /// We may look, and not even that.
    Forbidden,
    /// The message arrived, and then the connection was gone.
    Lost,
}

impl Trouble {
    fn answer(self, envelope: &Envelope) -> Result<Bytes, AskError> {
        let message = envelope.message.to_string();
        match self {
            Self::OtherVersion => {
                let (path, reason) = (envelope.to.to_string(), "no such message".to_owned());
                Err(NotDelivered::NotUnderstood { path, message, reason }.into())
            }
            Self::NoMaster => {
                let text = "node2.example leads no more, and nobody else yet";
                let fault = Fault::new(FaultCode::NotMaster, text);
                Ok(encode(&Err::<(), Fault>(fault)).expect("encodes").into())
            }
            Self::Forbidden => {
                Err(NotDelivered::Forbidden { role: "reader".to_owned(), message }.into())
            }
            Self::Lost => Err(AskError::Unknown("connection lost".into())),
        }
    }
}

#[derive(Default)]
struct State {
    trouble: Option<Trouble>,
    /// What was submitted, by job.
    submitted: BTreeMap<u64, OpRequest>,
    /// What is still to be told of each job.
    changes: BTreeMap<u64, VecDeque<JobChange>>,
    /// What the console has to say: output, and after it the end or silence.
    console: VecDeque<ConsoleChunk>,
    typed: Vec<u8>,
    queue_is_full: bool,
    /// How a token was asked for.
    token: Option<TokenIssue>,
}

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).expect("valid")
}

fn search(asked: &SearchTags) -> Result<Bytes, AskError> {
    let all = [("/cluster", "env:test"), ("/instances/web1", "owner:user2")];
    let found = all.into_iter().filter(|(_, tag)| asked.pattern.is_in(tag));
    let found = found.map(|(path, tag)| FoundTag { path: path.into(), tag: tag.into() });
    reply::<SearchTags>(&Ok(found.collect()))
}

/// Encodes the reply of `M`.
pub(crate) fn reply<M: Message>(reply: &M::Reply) -> Result<Bytes, AskError> {
    Ok(encode(reply).expect("encodes").into())
}

fn change(status: JobStatus, log: &[(LogKind, &str)], first: u64) -> JobChange {
    let lines = (first..).zip(log).map(|(serial, (kind, text))| LogLine {
        serial,
        at: Timestamp(NOW.0 + serial * 1_000_000),
        kind: *kind,
        text: (*text).to_owned(),
    });
    JobChange { status, log: lines.collect(), fault: None, results: Vec::new(), waits_for: None }
}

/// A job that failed while it was checked.
fn refused(fault: Fault) -> JobChange {
    failed(Fault { prerequisite: true, ..fault })
}

fn failed(fault: Fault) -> JobChange {
    JobChange { fault: Some(fault), ..change(JobStatus::Error, &[], 1) }
}

fn success() -> JobChange {
    JobChange { results: vec![json!(null)], ..change(JobStatus::Success, &[], 1) }
}

/// What becomes of an opcode.
fn script(op: &OpRequest) -> VecDeque<JobChange> {
    let unknown = |what: &str, name: &str| {
        refused(Fault::new(FaultCode::UnknownEntity, format!("{what} '{name}' not known")))
    };
    let changes = match &op.op {
        OpCode::InstanceCreate(InstanceCreate { primary_node: Some(node), .. })
            if node.as_str() == "nodd1" =>
        {
            vec![unknown("Node", node.as_str())]
        }
        OpCode::InstanceCreate(_) => vec![
            change(JobStatus::Running, &[(LogKind::Message, "* disk 0, size 64M")], 1),
            change(
                JobStatus::Running,
                &[
                    (LogKind::Message, "* creating instance disks..."),
                    (LogKind::Info, "no acceleration: running under TCG"),
                    (LogKind::Warning, "the node is short of memory"),
                ],
                2,
            ),
            success(),
        ],
        OpCode::InstanceStartup(op) if op.instance_name == name("db1") => {
            vec![refused(Fault::new(FaultCode::WrongState, "node node2.example is offline"))]
        }
        OpCode::InstanceShutdown(op) if op.instance_name == name("db1") => {
            vec![change(JobStatus::Canceled, &[], 1)]
        }
        OpCode::TestDelay(op) if op.interruptible => vec![
            change(JobStatus::Running, &[(LogKind::DelayTest, "/tmp/gantry-delay-1/sock")], 1),
            change(JobStatus::Running, &[(LogKind::Info, "Interrupted, time spent waiting: 1")], 2),
            success(),
        ],
        OpCode::InstanceReboot(_) => {
            let fault = Fault::new(FaultCode::EnvironmentError, "no such file: /usr/bin/qemu")
                .within("start instance web1");
            vec![failed(fault)]
        }
        OpCode::TestDelay(_) if op.common.priority == 10 => {
            let waiting = JobChange {
                waits_for: Some("lock node/x, held by job 3".to_owned()),
                ..change(JobStatus::Waiting, &[], 1)
            };
            let queued = change(JobStatus::Queued, &[], 1);
            vec![
                queued.clone(),
                queued.clone(),
                queued,
                waiting.clone(),
                waiting.clone(),
                waiting,
                success(),
            ]
        }
        OpCode::TestDelay(op) if op.duration.0 == 9_000_000 => {
            // One that never ends.
            return VecDeque::new();
        }
        OpCode::NodeRemove(_) => {
            vec![refused(Fault::new(FaultCode::WrongState, "instance db1 lives on it"))]
        }
        OpCode::NodeSetParams(_) => {
            let results = vec![json!([["drained", "True"], ["vm_capable", "False"]])];
            vec![JobChange { results, ..success() }]
        }
        _ => vec![success()],
    };
    changes.into()
}

impl FakeCluster {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn client(&self) -> Client {
        let cluster = self.clone();
        let transport = InProcess::new("fake", move |envelope| {
            let answer = cluster.answer(&envelope);
            let pause = cluster.pause_before(&envelope);
            async move {
                tokio::time::sleep(pause).await;
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
            .boxed()
        });
        Client::over(Arc::new(transport))
    }

    /// What was submitted, in order.
    pub(crate) fn submitted(&self) -> Vec<OpRequest> {
        self.0.lock().expect("not poisoned").submitted.values().cloned().collect()
    }

    pub(crate) fn token(&self) -> Option<TokenIssue> {
        self.0.lock().expect("not poisoned").token.clone()
    }

    /// From now on.
    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.0.lock().expect("not poisoned").trouble = Some(trouble);
    }

    pub(crate) fn fill_queue(&self) {
        self.0.lock().expect("not poisoned").queue_is_full = true;
    }

    /// Lets the console of web1 say something; `closed` after the last ends it.
    pub(crate) fn console_says(&self, offset: u64, text: &str, closed: bool) {
        let chunk = ConsoleChunk { offset, bytes: text.as_bytes().to_vec(), closed };
        self.0.lock().expect("not poisoned").console.push_back(chunk);
    }

    /// What was typed on the console.
    pub(crate) fn typed(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").typed.clone()).expect("UTF-8")
    }

    /// How long a waiting question lasts; a delay of 2.5 seconds is the job that takes its time.
    fn pause_before(&self, envelope: &Envelope) -> Duration {
        let state = self.0.lock().expect("not poisoned");
        let is_slow = |request: &OpRequest| match &request.op {
            OpCode::TestDelay(op) => op.duration.0 == 2_500,
            _ => false,
        };
        let is_wait = envelope.message.as_str() == WaitJob::WIRE_NAME;
        match is_wait && state.submitted.values().any(is_slow) {
            true => Duration::from_millis(2_500),
            false => Duration::ZERO,
        }
    }

    /// `None` is no answer for ever.
    fn answer(&self, envelope: &Envelope) -> Option<Result<Bytes, AskError>> {
        let mut state = self.0.lock().expect("not poisoned");
        let body = &envelope.body;
        let path = envelope.to.as_str();
        if let Some(trouble) = state.trouble {
            return Some(trouble.answer(envelope));
        }
        Some(match envelope.message.as_str() {
            SubmitJobs::WIRE_NAME => state.submit(&decode(body).expect("decodes")),
            PlanJob::WIRE_NAME => plan(&decode(body).expect("decodes")),
            WaitJob::WIRE_NAME => return state.wait(&decode(body).expect("decodes")),
            CancelJob::WIRE_NAME => reply::<CancelJob>(&cancel(&decode(body).expect("decodes"))),
            ChangeJobPriority::WIRE_NAME => {
                let asked: ChangeJobPriority = decode(body).expect("decodes");
                reply::<ChangeJobPriority>(&Ok(match asked.job.0 {
                    7 => PriorityChanged::Finished,
                    8 => PriorityChanged::NothingPending,
                    _ => PriorityChanged::Done { priority: asked.priority },
                }))
            }
            ArchiveJobs::WIRE_NAME => archive(&decode(body).expect("decodes")),
            AutoArchiveJobs::WIRE_NAME => {
                let asked: AutoArchiveJobs = decode(body).expect("decodes");
                let archived = asked.age.map_or(5, |age| age.0 / 3_600_000);
                reply::<AutoArchiveJobs>(&Ok(AutoArchived { archived, left: 0 }))
            }
            QueryJobs::WIRE_NAME => state.jobs(&decode(body).expect("decodes")),
            QueryFields::WIRE_NAME => {
                let asked: QueryFields = decode(body).expect("decodes");
                let table = table_of(&QueryTable {
                    resource: asked.resource,
                    fields: asked.fields,
                    names: Vec::new(),
                    archived: false,
                    filter: None,
                });
                reply::<QueryFields>(&table.map(|table| Fields {
                    fields: table.fields,
                    unknown_fields: table.unknown_fields,
                }))
            }
            QueryTable::WIRE_NAME => state.table(&decode(body).expect("decodes")),
            QueryCluster::WIRE_NAME => reply::<QueryCluster>(&Ok(cluster())),
            MasterFailover::WIRE_NAME => reply::<MasterFailover>(&Ok(())),
            SearchTags::WIRE_NAME => search(&decode(body).expect("decodes")),
            QueryActors::WIRE_NAME => reply::<QueryActors>(&Ok(actors(path))),
            QueryFlight::WIRE_NAME => flight(&decode(body).expect("decodes")),
            QueryLinks::WIRE_NAME => reply::<QueryLinks>(&Ok(links())),
            TokenIssue::WIRE_NAME => {
                let asked: TokenIssue = decode(body).expect("decodes");
                reply::<TokenIssue>(&issue(&mut state, &asked))
            }
            ReadConsole::WIRE_NAME if path == format!("/instance/{WEB1}") => {
                return state.console.pop_front().map(|chunk| reply::<ReadConsole>(&Ok(chunk)));
            }
            WriteConsole::WIRE_NAME => {
                let asked: WriteConsole = decode(body).expect("decodes");
                state.typed.extend(asked.bytes);
                reply::<WriteConsole>(&Ok(()))
            }
            ReadConsole::WIRE_NAME => {
                let bytes = b"Power down.\r\n".to_vec();
                reply::<ReadConsole>(&Ok(ConsoleChunk { offset: 0, bytes, closed: true }))
            }
            _ => Err(NotDelivered::NoSuchActor(path.to_owned()).into()),
        })
    }
}

/// Every job would start a guest.
fn plan(asked: &PlanJob) -> Result<Bytes, AskError> {
    let lock = |name: &str, mode| PlannedLock { name: name.to_owned(), mode };
    let step = |name: &str, act: &str, node: Option<&str>, undo: Option<&str>| PlannedStep {
        name: name.to_owned(),
        act: act.to_owned(),
        node: node.map(str::to_owned),
        undo: undo.map(str::to_owned),
        may_fail: node.is_some(),
    };
    let ops = asked.job.ops.iter().map(|request| OpPlan {
        summary: request.op.summary(),
        locks: vec![
            vec![lock("cluster/BGL", LockMode::Shared), lock("instance/web1", LockMode::Exclusive)],
            vec![lock("node-res/1", LockMode::Exclusive)],
        ],
        nodes: vec!["node1.example".to_owned()],
        steps: vec![
            step("begin a new run of the instance", "configuration", None, None),
            step(
                "start instance web1",
                "instance.start",
                Some("node1.example"),
                Some("instance.stop"),
            ),
        ],
        changes: vec![PlannedChange {
            object: "instance web1".to_owned(),
            field: "admin_state".to_owned(),
            before: json!("down"),
            after: json!("up"),
        }],
    });
    reply::<PlanJob>(&Ok(JobPlan { revision: Revision(42), ops: ops.collect() }))
}

/// Job 10 runs, all others have ended.
fn archive(asked: &ArchiveJobs) -> Result<Bytes, AskError> {
    let running = Fault::new(FaultCode::WrongState, "job 10 has not ended, it is running");
    let one = |job: &JobId| if job.0 == 10 { Err(running.clone()) } else { Ok(()) };
    reply::<ArchiveJobs>(&Ok(asked.jobs.iter().map(one).collect()))
}

impl State {
    fn submit(&mut self, asked: &SubmitJobs) -> Result<Bytes, AskError> {
        if self.queue_is_full {
            let full = Fault::new(FaultCode::QueueFull, "it holds 5000 jobs");
            return reply::<SubmitJobs>(&Ok(asked
                .jobs
                .iter()
                .map(|_| Err(full.clone()))
                .collect()));
        }
        let ids = asked.jobs.iter().map(|job| self.add(job)).collect();
        reply::<SubmitJobs>(&Ok(ids))
    }

    fn add(&mut self, job: &NewJob) -> Result<JobId, Fault> {
        if let OpCode::TagsSet(op) = &job.ops[0].op {
            check_tags(&op.tags)
                .map_err(|error| Fault::new(FaultCode::InvalidTag, error.to_string()))?;
        }
        // Not from 1, so that numbers of jobs and of lines differ.
        let id = 101 + self.submitted.len() as u64;
        let op = job.ops[0].clone();
        self.changes.insert(id, script(&op));
        self.submitted.insert(id, op);
        Ok(JobId(id))
    }

    fn wait(&mut self, asked: &WaitJob) -> Option<Result<Bytes, AskError>> {
        if asked.job == JobId(7) {
            let done = change(JobStatus::Success, &[(LogKind::Message, "done long ago")], 1);
            return Some(reply::<WaitJob>(&Ok(done)));
        }
        let Some(changes) = self.changes.get_mut(&asked.job.0) else {
            let text = format!("job {} does not exist", asked.job);
            return Some(reply::<WaitJob>(&Err(Fault::new(FaultCode::UnknownEntity, text))));
        };
        changes.pop_front().map(|change| reply::<WaitJob>(&Ok(change)))
    }

    fn jobs(&self, asked: &QueryJobs) -> Result<Bytes, AskError> {
        let one = |job: &JobId| match self.submitted.get(&job.0) {
            Some(input) => Ok(record(*job, input)),
            None => Err(Fault::new(FaultCode::UnknownEntity, format!("job {job} does not exist"))),
        };
        reply::<QueryJobs>(&asked.jobs.iter().map(one).collect())
    }

    fn table(&self, asked: &QueryTable) -> Result<Bytes, AskError> {
        reply::<QueryTable>(&table_of(asked))
    }
}

fn table_of(asked: &QueryTable) -> Result<Table, Fault> {
    match asked.resource {
        Resource::Instance => select(&instances(), asked, "instance"),
        Resource::Node => select(&nodes(), asked, "node"),
        Resource::Job => {
            let value =
                |values: Vec<Value>| values.into_iter().map(Cell::Value).collect::<Vec<Cell>>();
            let fields = vec![
                (
                    "id",
                    "ID",
                    FieldKind::Number,
                    value([7, 8, 10, 12, 14].map(Value::from).to_vec()),
                ),
                (
                    "status",
                    "Status",
                    FieldKind::Text,
                    value(
                        ["success", "running", "error", "waiting", "queued"]
                            .map(Value::from)
                            .to_vec(),
                    ),
                ),
                (
                    "summary",
                    "Summary",
                    FieldKind::Other,
                    value(vec![
                        json!(["INSTANCE_CREATE(web1)"]),
                        json!(["TEST_DELAY(0.3)", "TEST_DELAY(1.0)"]),
                        json!(["INSTANCE_REMOVE(db1)"]),
                        json!(["INSTANCE_STARTUP(web1)"]),
                        json!(["INSTANCE_STARTUP(web2)"]),
                    ]),
                ),
                (
                    "received_ts",
                    "Received",
                    FieldKind::Other,
                    value((0..5).map(|us| json!([NOW.seconds(), us])).collect()),
                ),
                (
                    "archived",
                    "Archived",
                    FieldKind::Bool,
                    value([true, false, false, false, false].map(Value::from).to_vec()),
                ),
            ];
            select(&fields, asked, "job")
        }
        Resource::Lock | Resource::Cluster => {
            let QueryTable { resource, fields, names, filter, .. } = asked;
            let asked = Asked { resource: *resource, fields, names, filter: filter.as_ref() };
            let (picture, jobs, locks) = (Picture::default(), BTreeMap::new(), locks());
            let live = Live {
                picture: &picture,
                jobs: &jobs,
                archived: &[],
                locks: &locks,
                cluster: None,
            };
            table(&ClusterState::default(), live, asked)
        }
    }
}

/// For any node but the first, which is in the cluster.
fn issue(state: &mut State, asked: &TokenIssue) -> Result<TokenIssued, Fault> {
    if asked.node_name.as_str() == "node1.example" {
        let text = "node node1.example is already in the cluster";
        return Err(Fault::new(FaultCode::AlreadyExists, text));
    }
    state.token = Some(asked.clone());
    let expires = Timestamp(NOW.0 + asked.valid.0 * 1000);
    Ok(TokenIssued { token: "gantry-join-1.0123456789abcdef".to_owned(), expires })
}

/// Job 7 has ended, 8 acts, 9 is unknown, 12 waits, 13 takes its time, the others are queued.
fn cancel(asked: &CancelJob) -> Result<Canceled, Fault> {
    match asked.job.0 {
        7 => Ok(Canceled::Over),
        8 if asked.kill => Err(Fault::new(FaultCode::WrongState, "job 8 acts")),
        8 => Ok(Canceled::Acts),
        9 => Err(Fault::new(FaultCode::UnknownEntity, "job 9 does not exist")),
        12 => Ok(Canceled::Stopped),
        13 => Ok(Canceled::NotYet(JobStatus::Canceling)),
        _ => Ok(Canceled::Dequeued),
    }
}

fn record(id: JobId, input: &OpRequest) -> JobRecord {
    let at = |micros: u64| Some(Timestamp(NOW.0 + micros));
    JobRecord {
        id,
        ops: vec![OpRecord {
            input: input.clone(),
            status: JobStatus::Success,
            result: Some(json!({"nodes": ["node1.example"]})),
            fault: None,
            log: change(JobStatus::Success, &[(LogKind::Info, "waited")], 1).log,
            start: at(1_959_545),
            exec: at(2_000_000),
            end: at(3_625_796),
            plan: None,
            steps: Vec::new(),
            unwinding: None,
            priority: None,
        }],
        received: NOW,
        start: at(1_959_545),
        end: at(3_625_809),
        attempt: JobAttempt(1),
        cancel: false,
    }
}

fn locks() -> Vec<LockRow> {
    vec![
        LockRow {
            name: LockName::instance(&name("web1")),
            mode: Some(LockMode::Exclusive),
            owners: vec![JobId(8)],
            pending: vec![(LockMode::Shared, vec![JobId(9), JobId(11)])],
        },
        LockRow {
            name: LockName::set(LockLevel::Node),
            mode: None,
            owners: Vec::new(),
            pending: Vec::new(),
        },
    ]
}

/// One that was never stuck, one that was, one that is.
fn actors(path: &str) -> Vec<ActorRow> {
    let row = |path: String, last_stall: Option<StallRow>| ActorRow {
        node: "node1.example".to_owned(),
        path,
        mailbox: 2,
        handled: 1234,
        restarts: 0,
        slowest: Some(("cluster.query-table".to_owned(), 950)),
        stalls: last_stall.iter().map(|stall| 1 + u64::from(stall.is_over)).sum(),
        last_stall,
    };
    let stall = |took, is_over| StallRow {
        during: "node.call".to_owned(),
        since: Timestamp(1_795_327_674_773_264),
        took: Millis(took),
        is_over,
    };
    vec![
        row(path.to_owned(), None),
        row(format!("{path}/was"), Some(stall(740, true))),
        row(format!("{path}/is"), Some(stall(2000, false))),
    ]
}

//! A cluster of three nodes, and a log that is applied to it.
//!
//! Objects have small numbers: node 1 is `node1`, and its id ends in 1.

use std::collections::BTreeMap;

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::Fault;
use gantry_model::ids::{
    ClusterUuid, DiskUuid, GroupUuid, InstanceUuid, JobId, NodeUuid, ReignId, Revision, RunEpoch,
    Serial,
};
use gantry_model::locks::{LockMode, LockName};
use gantry_model::messages::NewJob;
use gantry_model::names::{ClusterName, GroupName, InstanceName, NodeName};
use gantry_model::objects::{
    AdminState, Cluster, Disk, DiskLocation, DiskMode, DiskTemplate, Instance, JoinTokenRecord,
    Node, NodeGroup, NodeTerms,
};
use gantry_model::opcodes::{OpRequest, TestDelay};
use gantry_model::params::{BackendOverrides, HvOverrides, HypervisorKind, PrivateParams};
use gantry_model::steps::PlanRecord;
use gantry_model::units::{MiB, Timestamp};
use gantry_wire::RequestId;
use uuid::Uuid;

use crate::state::{
    Applied, ClusterState, Command, Emitted, Entry, InitCluster, JobEntry, JobFact, STATE_LEVEL,
};

pub(crate) fn node_id(number: u8) -> NodeUuid {
    NodeUuid(Uuid::from_u128(0x10_00 + u128::from(number)))
}

pub(crate) fn instance_id(number: u8) -> InstanceUuid {
    InstanceUuid(Uuid::from_u128(0x20_00 + u128::from(number)))
}

pub(crate) fn request_id(number: u64) -> RequestId {
    RequestId(Uuid::from_u128(0x30_0000_0000 + u128::from(number)))
}

pub(crate) fn instance_name(number: u8) -> InstanceName {
    InstanceName::new(&format!("web{number}")).expect("valid")
}

fn group_id() -> GroupUuid {
    GroupUuid(Uuid::from_u128(0x40_00))
}

pub(crate) fn cluster() -> Cluster {
    Cluster {
        enabled_hypervisors: vec![HypervisorKind::Fake],
        enabled_disk_templates: vec![DiskTemplate::Fake, DiskTemplate::Diskless],
        file_storage_dir: "/srv/disks".into(),
        candidate_pool_size: 3,
        ..Cluster::new(
            ClusterUuid(Uuid::from_u128(0x50_00)),
            ClusterName::new("cluster.example").expect("valid"),
            Timestamp(1),
        )
    }
}

pub(crate) fn group() -> NodeGroup {
    NodeGroup::new(group_id(), GroupName::new("default").expect("valid"), Timestamp(1))
}

pub(crate) fn node(number: u8) -> Node {
    Node {
        master_candidate: number == 1,
        ..Node::new(
            node_id(number),
            NodeName::new(&format!("node{number}")).expect("valid"),
            format!("192.0.2.{number}:1811"),
            group_id(),
            Timestamp(1),
        )
    }
}

/// A disk of [`instance`] of the same number.
pub(crate) fn disk(instance: u8, index: u32) -> Disk {
    Disk {
        uuid: DiskUuid(Uuid::from_u128(0x60_0000 + u128::from(instance) * 256 + u128::from(index))),
        instance: instance_id(instance),
        index,
        size: MiB(1024),
        mode: DiskMode::Rw,
        name: None,
        location: DiskLocation::Fake,
    }
}

/// On node 1, stopped, with one disk.
pub(crate) fn instance(number: u8) -> Instance {
    Instance {
        uuid: instance_id(number),
        name: instance_name(number),
        primary: node_id(1),
        hvparams: HvOverrides::none(HypervisorKind::Fake),
        beparams: BackendOverrides::default(),
        os: String::new(),
        osparams: BTreeMap::new(),
        osparams_private: PrivateParams::default(),
        disk_template: DiskTemplate::Fake,
        disks: vec![disk(number, 0)],
        nics: Vec::new(),
        admin_state: AdminState::Down,
        run_epoch: RunEpoch(0),
        ctime: Timestamp(1),
        mtime: Timestamp(1),
        serial: Serial(1),
        tags: Vec::new(),
        network_port: None,
    }
}

/// For node 9, good until `expires`.
pub(crate) fn token(secret_hash: &str, expires: Timestamp) -> JoinTokenRecord {
    JoinTokenRecord {
        secret_hash: secret_hash.into(),
        node_name: node(9).name,
        node: node_id(9),
        expires,
        redeemed_by: None,
        terms: NodeTerms::default(),
        priority: 0,
        reason: Vec::new(),
    }
}

pub(crate) fn plan() -> PlanRecord {
    PlanRecord { version: 1, plan: vec![1, 2, 3], revision: Revision(1) }
}

pub(crate) fn new_job(n_ops: usize) -> NewJob {
    NewJob { ops: vec![OpRequest::from(TestDelay::default()); n_ops] }
}

/// The fact that an opcode has begun.
pub(crate) fn began(op_idx: u32) -> JobFact {
    JobFact::OpBegan { op_idx, start: Timestamp(5), exec: Timestamp(6), plan: plan() }
}

pub(crate) fn held() -> Vec<(LockName, LockMode)> {
    vec![(LockName::bgl(), LockMode::Shared), (LockName::node(node_id(1)), LockMode::Exclusive)]
}

/// A log of one replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) state: ClusterState,
    pub(crate) entries: Vec<(Revision, Entry)>,
    /// What has left the state for the history.
    pub(crate) emitted: Vec<Emitted>,
    /// Time of the next entry.
    pub(crate) now: Timestamp,
}

impl Log {
    /// Three nodes, node 1 is the master and reigns.
    pub(crate) fn new() -> Self {
        let mut log = Self { now: Timestamp(1_000), ..Self::default() };
        let init =
            InitCluster { cluster: cluster(), group: group(), node: node(1), level: STATE_LEVEL };
        assert_eq!(log.apply(Command::Init(Box::new(init))), Applied::Done);
        log.take_over();
        let nodes = [2, 3].map(|n| ConfigDelta::NodeAdd(Box::new(node(n))));
        log.config(nodes.to_vec());
        log
    }

    pub(crate) fn apply(&mut self, command: Command) -> Applied {
        let revision = self.state.revision.next();
        let entry = Entry { at: self.now, command };
        self.now.0 += 1;
        let applied = self.state.apply_into(revision, &entry, &mut self.emitted);
        self.entries.push((revision, entry));
        applied
    }

    /// Applies what must be refused; checks that nothing has changed.
    pub(crate) fn refused(&mut self, command: Command) -> Fault {
        let mut before = self.state.clone();
        let Applied::Refused(fault) = self.apply(command.clone()) else {
            panic!("not refused: {command:?}");
        };
        before.revision = self.state.revision;
        assert_eq!(self.state, before, "a refused entry changed something: {command:?}");
        fault
    }

    pub(crate) fn reign(&self) -> ReignId {
        self.state.reign
    }

    pub(crate) fn take_over(&mut self) -> ReignId {
        match self.apply(Command::TakeOver { node: node_id(1) }) {
            Applied::Reign(reign) => reign,
            other => panic!("no reign: {other:?}"),
        }
    }

    pub(crate) fn config_command(&self, deltas: Vec<ConfigDelta>) -> Command {
        Command::Config { reign: self.reign(), deltas }
    }

    /// Changes the configuration.
    pub(crate) fn config(&mut self, deltas: Vec<ConfigDelta>) {
        assert_eq!(self.apply(self.config_command(deltas)), Applied::Done);
    }

    pub(crate) fn submit_command(&self, request: u64, jobs: Vec<NewJob>) -> Command {
        Command::Submit {
            reign: self.reign(),
            request: request_id(request),
            jobs,
            secrets: BTreeMap::new(),
        }
    }

    /// Submits one job under a request of its own.
    pub(crate) fn submit(&mut self, job: NewJob) -> JobId {
        let request = self.state.revision.0 + 1_000_000;
        match self.apply(self.submit_command(request, vec![job])) {
            Applied::Jobs(ids) => ids[0],
            other => panic!("not submitted: {other:?}"),
        }
    }

    /// An entry of the present placement of a job.
    pub(crate) fn job_command(&self, job: JobId, facts: Vec<JobFact>) -> Command {
        let attempt = self.state.jobs.get(&job).expect("submitted").attempt;
        Command::Job(Box::new(JobEntry { reign: self.reign(), job, attempt, facts }))
    }

    /// Makes a job go on.
    pub(crate) fn job(&mut self, job: JobId, facts: Vec<JobFact>) {
        assert_eq!(self.apply(self.job_command(job, facts)), Applied::Done);
    }

    pub(crate) fn priority_command(&self, job: JobId, priority: i8) -> Command {
        Command::ChangePriority { reign: self.reign(), job, priority }
    }

    pub(crate) fn cancel_command(&self, job: JobId) -> Command {
        Command::Cancel { reign: self.reign(), job }
    }
}

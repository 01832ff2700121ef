//! A cluster and its nodes, for tests of logical units: a real state, and nodes that have disks,
//! guests and images. Calls mean there what they mean on a node, and are done at once.

use std::collections::{BTreeMap, BTreeSet};

use gantry_engine::jobs::{LockStage, Next};
use gantry_engine::state::{Applied, ClusterState, Command, Entry, InitCluster, STATE_LEVEL};
use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::{
    ClusterUuid, DiskUuid, GroupUuid, InstanceUuid, KeyGeneration, NodeUuid, RunEpoch, Serial,
};
use gantry_model::names::{ClusterName, GroupName, InstanceName, NodeName};
use gantry_model::node_calls::{NodeCall, node_path};
use gantry_model::objects::{
    AdminState, Cluster, Disk, DiskLocation, DiskMode, DiskTemplate, GuestSpec, Instance,
    JoinTokenRecord, Node, NodeGroup, NodeTerms,
};
use gantry_model::opcodes::OpCode;
use gantry_model::params::{BackendOverrides, HvOverrides, HypervisorKind, PrivateParams};
use gantry_model::report::{GuestReport, GuestState, NodeInfo};
use gantry_model::steps::{Act, PlanRecord, Step, StepRecord, StepResult};
use gantry_model::trust::{AuthorityRecord, SealedSecret, SecretName, TrustChange};
use gantry_model::units::{MiB, Timestamp};
use uuid::Uuid;

use crate::lu;

/// The time of every entry and of the facts.
pub(super) const NOW: Timestamp = Timestamp(5_000_000);

pub(super) fn node_id(number: u8) -> NodeUuid {
    NodeUuid(Uuid::from_u128(0x10_00 + u128::from(number)))
}

pub(super) fn node_name(number: u8) -> NodeName {
    NodeName::new(&format!("node{number}")).expect("valid")
}

pub(super) fn node(number: u8) -> Node {
    Node {
        master_candidate: number == 1,
        ..Node::new(
            node_id(number),
            node_name(number),
            format!("192.0.2.{number}:1811"),
            GroupUuid(Uuid::from_u128(0x40_00)),
            NOW,
        )
    }
}

pub(super) fn web1() -> InstanceName {
    InstanceName::new("web1").expect("valid")
}

pub(super) fn instance_id() -> InstanceUuid {
    InstanceUuid(Uuid::from_u128(0x20_01))
}

/// `web1` on node 2, stopped, with two disks.
pub(super) fn instance() -> Instance {
    let disk = |index: u32| Disk {
        uuid: DiskUuid(Uuid::from_u128(0x60_00 + u128::from(index))),
        instance: instance_id(),
        index,
        size: MiB(1024),
        mode: DiskMode::Rw,
        name: None,
        location: DiskLocation::File { path: format!("/srv/disks/web1/{index}") },
    };
    Instance {
        uuid: instance_id(),
        name: web1(),
        primary: node_id(2),
        hvparams: HvOverrides::none(HypervisorKind::Fake),
        beparams: BackendOverrides::default(),
        os: String::new(),
        osparams: BTreeMap::new(),
        osparams_private: PrivateParams::default(),
        disk_template: DiskTemplate::File,
        disks: vec![disk(0), disk(1)],
        nics: Vec::new(),
        admin_state: AdminState::Down,
        run_epoch: RunEpoch(3),
        ctime: NOW,
        mtime: NOW,
        serial: Serial(1),
        tags: Vec::new(),
        network_port: None,
    }
}

/// For node 9.
pub(super) fn token() -> JoinTokenRecord {
    JoinTokenRecord {
        secret_hash: "secret".into(),
        node_name: node_name(9),
        node: node_id(9),
        expires: Timestamp(NOW.0 + 1),
        redeemed_by: None,
        terms: NodeTerms::default(),
        priority: 0,
        reason: Vec::new(),
    }
}

pub(super) fn authority(fingerprint: &str) -> AuthorityRecord {
    AuthorityRecord {
        fingerprint: fingerprint.into(),
        certificate: format!("<{fingerprint}>"),
        cross_certificate: String::new(),
    }
}

fn sealed() -> SealedSecret {
    SealedSecret { generation: KeyGeneration(1), nonce: vec![0; 12], sealed: vec![1; 32] }
}

fn cluster() -> Cluster {
    Cluster {
        enabled_hypervisors: vec![HypervisorKind::Fake],
        enabled_disk_templates: vec![DiskTemplate::File, DiskTemplate::Diskless],
        file_storage_dir: "/srv/disks".into(),
        candidate_pool_size: 3,
        ..Cluster::new(
            ClusterUuid(Uuid::from_u128(0x50_00)),
            ClusterName::new("cluster.example").expect("valid"),
            NOW,
        )
    }
}

/// What is on the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Nodes {
    pub(super) disks: BTreeSet<DiskUuid>,
    /// Disks that an image was copied onto.
    pub(super) images: BTreeSet<DiskUuid>,
    pub(super) guests: BTreeMap<InstanceUuid, GuestReport>,
    pub(super) left: BTreeSet<NodeUuid>,
    /// Authorities that nodes believe, where they were told.
    pub(super) believed: BTreeMap<NodeUuid, String>,
    /// Parts of disks that were wiped, by where they begin.
    pub(super) wiped: BTreeSet<(DiskUuid, MiB)>,
    /// The authority of their certificates, where they were renewed.
    pub(super) certified: BTreeMap<NodeUuid, String>,
}

impl Nodes {
    pub(super) fn call(&mut self, node: NodeUuid, call: &NodeCall) -> Result<(), Fault> {
        let fail = |text: String| Err(Fault::new(FaultCode::EnvironmentError, text));
        match call {
            NodeCall::DiskCreate(call) => {
                self.disks.insert(call.disk.uuid);
            }
            NodeCall::DiskRemove(call) => {
                self.disks.remove(&call.disk.uuid);
                self.images.remove(&call.disk.uuid);
            }
            NodeCall::DiskWriteImage(call) if !self.disks.contains(&call.disk.uuid) => {
                return fail(format!("disk {} is not there", call.disk.index));
            }
            NodeCall::DiskWriteImage(call) => {
                self.images.insert(call.disk.uuid);
            }
            NodeCall::DiskWipe(call) if !self.disks.contains(&call.disk.uuid) => {
                return fail(format!("disk {} is not there", call.disk.index));
            }
            NodeCall::DiskWipe(call) => {
                self.images.remove(&call.disk.uuid);
                self.wiped.insert((call.disk.uuid, call.offset));
            }
            NodeCall::InstanceStart(call) => return self.start(&call.spec, call.paused),
            NodeCall::InstanceStop(call) => {
                self.guests.remove(&call.instance);
            }
            NodeCall::InstanceReboot(call) if !self.guests.contains_key(&call.instance) => {
                return fail("it does not run".into());
            }
            NodeCall::InstanceReboot(_) | NodeCall::NodeDelay(_) => {}
            NodeCall::NodeLeave(_) => {
                self.left.insert(node);
            }
            NodeCall::NodeTrust(call) => {
                self.believed.insert(node, call.bundle.clone());
            }
            NodeCall::NodeRenewCertificate(call) => {
                self.certified.insert(node, call.authority.clone());
            }
        }
        Ok(())
    }

    /// As the contract of hypervisors has it: an epoch that runs is left alone, another one is
    /// refused as long as anything is left of it.
    fn start(&mut self, spec: &GuestSpec, paused: bool) -> Result<(), Fault> {
        let fail = |text: String| Err(Fault::new(FaultCode::EnvironmentError, text));
        if let Some(held) = self.guests.get(&spec.instance) {
            if held.epoch == spec.epoch {
                return Ok(());
            }
            return fail(format!("epoch {} is still there", held.epoch));
        }
        if let Some(disk) = spec.disks.iter().find(|disk| !self.disks.contains(&disk.uuid)) {
            return fail(format!("disk {} is not there", disk.index));
        }
        let state = if paused { GuestState::Paused } else { GuestState::Running };
        self.guests.insert(spec.instance, guest_of(spec, state));
        Ok(())
    }
}

fn guest_of(spec: &GuestSpec, state: GuestState) -> GuestReport {
    GuestReport {
        instance: spec.instance,
        name: spec.name.clone(),
        hypervisor: spec.hvparams.kind(),
        state,
        epoch: spec.epoch,
        memory: spec.memory,
        vcpus: spec.vcpus,
        pid: None,
        accelerator: String::new(),
    }
}

/// Three nodes of which node 1 is the master, and what they say of themselves.
#[derive(Clone, Debug)]
pub(super) struct Rig {
    pub(super) state: ClusterState,
    pub(super) nodes: Nodes,
    pub(super) info: NodeInfo,
    pub(super) storage_free: MiB,
    pub(super) image_size: MiB,
    /// Given instead of every answer.
    pub(super) instead: Option<Fact>,
    /// Given to the question whether a guest can run.
    pub(super) can_run: Fact,
}

impl Rig {
    pub(super) fn new() -> Self {
        let info = NodeInfo {
            memory_total: MiB(4096),
            memory_free: MiB(2048),
            hypervisors: vec![(HypervisorKind::Fake, "fake".into())],
            ..NodeInfo::default()
        };
        let mut rig = Self {
            state: ClusterState::default(),
            nodes: Nodes::default(),
            info,
            storage_free: MiB(100_000),
            image_size: MiB(10),
            instead: None,
            can_run: Fact::CanRun { warnings: Vec::new() },
        };
        rig.init(node(1));
        let more = [2, 3].map(|number| ConfigDelta::NodeAdd(Box::new(node(number))));
        rig.config(&more).expect("new nodes");
        rig
    }

    /// The master alone.
    pub(super) fn alone() -> Self {
        let mut rig = Self::new();
        rig.state = ClusterState::default();
        rig.init(node(1));
        rig
    }

    /// With authority `old`, which every node believes.
    pub(super) fn with_authority() -> Self {
        let mut rig = Self::new();
        let old = authority("old");
        let name = SecretName::authority(&old.fingerprint);
        let expected = KeyGeneration(0);
        let rotate =
            TrustChange::KeyRotate { expected, secrets: BTreeMap::from([(name, sealed())]) };
        for change in [rotate, TrustChange::AuthorityFound(old.clone())] {
            rig.config(&[ConfigDelta::Trust(Box::new(change))]).expect("a new authority");
        }
        let believed = rig.state.nodes.keys().map(|node| (*node, old.certificate.clone()));
        rig.nodes.believed = believed.collect();
        rig
    }

    /// With `web1`, its disks there.
    pub(super) fn with_instance() -> Self {
        let mut rig = Self::new();
        rig.nodes.disks = instance().disks.iter().map(|disk| disk.uuid).collect();
        rig.config(&[ConfigDelta::InstanceAdd(Box::new(instance()))]).expect("a new instance");
        rig
    }

    /// With `web1` running.
    pub(super) fn with_running() -> Self {
        let mut rig = Self::with_instance();
        rig.mark(AdminState::Up);
        rig.hold(GuestState::Running, instance().run_epoch);
        rig
    }

    fn init(&mut self, node: Node) {
        let group = NodeGroup::new(node.group, GroupName::new("default").expect("valid"), NOW);
        let uuid = node.uuid;
        let init = InitCluster { cluster: cluster(), group, node, level: STATE_LEVEL };
        assert_eq!(self.apply(Command::Init(Box::new(init))), Applied::Done);
        assert!(matches!(self.apply(Command::TakeOver { node: uuid }), Applied::Reign(_)));
    }

    fn apply(&mut self, command: Command) -> Applied {
        self.state.apply(self.state.revision.next(), &Entry { at: NOW, command })
    }

    pub(super) fn config(&mut self, deltas: &[ConfigDelta]) -> Result<(), Fault> {
        let command = Command::Config { reign: self.state.reign, deltas: deltas.to_vec() };
        match self.apply(command) {
            Applied::Refused(fault) => Err(fault),
            _ => Ok(()),
        }
    }

    /// Another node is the master.
    pub(super) fn take_over(&mut self, number: u8) {
        let applied = self.apply(Command::TakeOver { node: node_id(number) });
        assert!(matches!(applied, Applied::Reign(_)));
    }

    /// Changes the cluster object, which no opcode does yet.
    pub(super) fn change_cluster(&mut self, change: impl FnOnce(&mut Cluster)) {
        let mut cluster = self.state.cluster.as_deref().expect("there is one").clone();
        change(&mut cluster);
        self.state.cluster = Some(cluster.into());
    }

    /// Changes a node object, which no opcode does yet.
    pub(super) fn change_node(&mut self, number: u8, change: impl FnOnce(&mut Node)) {
        let mut node = node(number);
        change(&mut node);
        self.state.nodes.insert(node.uuid, node.into());
    }

    pub(super) fn mark(&mut self, admin_state: AdminState) {
        let change = InstanceChange::AdminState(admin_state);
        let delta = ConfigDelta::InstanceChange { instance: instance_id(), expected: None, change };
        self.config(&[delta]).expect("there is an instance");
    }

    /// The hypervisor of node 2 holds a guest of `web1`.
    pub(super) fn hold(&mut self, state: GuestState, epoch: RunEpoch) {
        let cluster = self.state.cluster.as_deref().expect("there is one");
        let spec = lu::guest::spec(cluster, &instance(), epoch);
        self.nodes.guests.insert(instance_id(), guest_of(&spec, state));
    }

    pub(super) fn instance(&self) -> &Instance {
        self.state.instance_by_name(&web1()).expect("there is one")
    }

    fn answer(&self, query: &FactQuery) -> Fact {
        if let Some(fact) = &self.instead {
            return fact.clone();
        }
        match query {
            FactQuery::Node => Fact::Node(self.info.clone()),
            FactQuery::Guest { instance, .. } => {
                Fact::Guest(self.nodes.guests.get(instance).cloned())
            }
            FactQuery::CanRun(_) => self.can_run.clone(),
            FactQuery::FileStorage { .. } => Fact::FileStorage { free: self.storage_free },
            FactQuery::Image { .. } => Fact::Image { size: self.image_size },
            FactQuery::DelaySocket => Fact::DelaySocket { path: "/tmp/delay/sock".into() },
            FactQuery::NewAuthority => {
                Fact::NewAuthority { authority: authority("new"), secret: sealed() }
            }
        }
    }

    pub(super) fn facts(&self, op: &OpCode) -> Result<Facts, Fault> {
        let queries = lu::facts(op, &self.state)?;
        let answers = queries.into_iter().map(|(node, query)| {
            let fact = self.answer(&query);
            (node, query, fact)
        });
        Ok(Facts { now: NOW, seed: 7, answers: answers.collect() })
    }

    /// Asks the nodes and decides.
    pub(super) fn check(&self, op: &OpCode) -> Result<PlanRecord, Fault> {
        lu::check(op, &self.state, &self.facts(op)?)
    }

    /// The message of a refusal, by the facts or by the check.
    pub(super) fn refusal(&self, op: impl Into<OpCode>) -> (FaultCode, String) {
        let fault = self.check(&op.into()).expect_err("it is not refused");
        (fault.code, fault.message)
    }

    /// All stages, each as text: `node/a=exclusive`; nodes and instances by their names.
    pub(super) fn locks(&self, op: impl Into<OpCode>) -> Vec<Vec<String>> {
        let op = op.into();
        let stages = stages(&op, &self.state).expect("locks can be named");
        let text = |stage: LockStage| {
            let changes = stage.changes.into_iter();
            let mut lines = changes.map(|(name, change)| format!("{name} {change:?}"));
            let mut stage: Vec<String> = lines.by_ref().collect();
            for number in 1..4 {
                let uuid = node_id(number).to_string();
                stage.iter_mut().for_each(|l| *l = l.replace(&uuid, node_name(number).as_str()));
            }
            stage
        };
        stages.into_iter().map(text).collect()
    }

    /// The names of all steps, of an opcode that is not refused.
    pub(super) fn step_names(&self, op: impl Into<OpCode>) -> Vec<String> {
        let op = op.into();
        let plan = self.check(&op).expect("it is refused");
        all_steps(&op, &plan).into_iter().map(|step| step.name).collect()
    }

    /// Does an act; a wait is nothing.
    pub(super) fn act(&mut self, act: &Act) -> Result<(), Fault> {
        match act {
            Act::Call { node, call } => {
                let _path_is_valid = node_path(*node);
                self.nodes.call(*node, call)
            }
            Act::Config(deltas) => self.config(deltas),
            Act::Wait { .. } | Act::AwaitHolder { .. } => Ok(()),
        }
    }

    /// Checks and does all steps; gives the answer.
    pub(super) fn run(&mut self, op: impl Into<OpCode>) -> serde_json::Value {
        let op = op.into();
        let plan = self.check(&op).expect("it is refused");
        for step in all_steps(&op, &plan) {
            self.act(&step.act).unwrap_or_else(|fault| panic!("{}: {fault}", step.name));
        }
        answer(&op, &plan)
    }
}

/// All stages of the locks of an opcode.
pub(super) fn stages(op: &OpCode, state: &ClusterState) -> Result<Vec<LockStage>, Fault> {
    let mut stages = Vec::new();
    loop {
        let stage = lu::locks(op, u32::try_from(stages.len()).expect("few"), state)?;
        let last = stage.last;
        stages.push(stage);
        if last {
            return Ok(stages);
        }
        assert!(stages.len() < 8, "no stage is the last");
    }
}

pub(super) fn done(step: Step) -> StepRecord {
    StepRecord { step, result: Some(StepResult::Done(Default::default())), undone: None }
}

/// All steps, asked for one after the other, as a job does.
pub(super) fn journal(op: &OpCode, plan: &PlanRecord) -> (Vec<StepRecord>, serde_json::Value) {
    let mut journal = Vec::new();
    loop {
        match lu::next(op, plan, &journal).expect("the plan can be read") {
            Next::Step(step) => journal.push(done(*step)),
            Next::Finish(answer) => return (journal, answer),
        }
    }
}

pub(super) fn all_steps(op: &OpCode, plan: &PlanRecord) -> Vec<Step> {
    journal(op, plan).0.into_iter().map(|record| record.step).collect()
}

fn answer(op: &OpCode, plan: &PlanRecord) -> serde_json::Value {
    journal(op, plan).1
}

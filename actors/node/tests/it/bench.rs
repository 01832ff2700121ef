//! A node on a simulated platform, in a world that survives it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_host::NodeResources;
use gantry_hv::HypervisorRegistry;
use gantry_hv::fake::{FakeHypervisor, FakeWorld};
use gantry_model::errors::Fault;
use gantry_model::ids::{DiskUuid, InstanceUuid, JobAttempt, JobId, NodeUuid, ReignId, RunEpoch};
use gantry_model::messages::{CallNode, LogHeld, Report, ReportAck, cluster_path};
use gantry_model::names::{InstanceName, NodeName};
use gantry_model::node_calls::{
    CallOutcome, DiskCreate, DiskRemove, DiskWipe, DiskWriteImage, InstanceReboot, InstanceStart,
    InstanceStop, NodeCall, NodeDelay, NodeLeave, NodeRenewCertificate, NodeTrust,
};
use gantry_model::objects::{Disk, DiskLocation, DiskMode, DiskTemplate, GuestSpec};
use gantry_model::params::{FakeParams, HvParams, HypervisorKind};
use gantry_model::report::{GuestReport, NodeInfo, ReportEvent, UnreadableGuest};
use gantry_model::steps::{Direction, StepId};
use gantry_model::units::{MiB, Millis, Timestamp};
use gantry_node::{CrashPoints, FixedMachine, Membership, NodeConfig, NodeSide, PlatformBlocking};
use gantry_runtime::{
    Actor, Context, Handler, Platform, Protocol, Reply, SimNode, SpawnOptions, System, SystemConfig,
};
use gantry_storage::fake::{FakeStorage, FakeStore};
use gantry_storage::{DisklessStorage, FileStorage, StorageRegistry};
use gantry_wire::{AskError, BootId, Message};
use uuid::Uuid;

use crate::faulty::FaultyDisk;

pub(crate) const NODE: NodeUuid = NodeUuid(Uuid::from_u128(0xa));
pub(crate) const WEB1: InstanceUuid = InstanceUuid(Uuid::from_u128(0x1));

/// What outlives every agent.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) world: FakeWorld,
    pub(crate) store: FakeStore,
    /// How the disk of the instance is stored.
    pub(crate) template: DiskTemplate,
    pub(crate) membership: FakeMembership,
    pub(crate) leader: Leader,
    /// The disk of the journal, if it is not a file in `dir`.
    pub(crate) journal: Option<FaultyDisk>,
    pub(crate) boots: AtomicU64,
}

/// One run of the agent.
pub(crate) struct Node {
    pub(crate) system: System,
    pub(crate) side: NodeSide,
    sim: SimNode,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("image"), b"an image").expect("written");
        Self {
            dir,
            world: FakeWorld::in_memory(),
            store: FakeStore::in_memory(),
            template: DiskTemplate::File,
            membership: FakeMembership::default(),
            leader: Leader::default(),
            journal: None,
            boots: AtomicU64::new(1),
        }
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    pub(crate) fn file_dir(&self) -> PathBuf {
        self.dir.path().join("disks")
    }

    pub(crate) fn shared_dir(&self) -> PathBuf {
        self.dir.path().join("shared")
    }

    /// Where the disk of the only instance is, if it is a file.
    pub(crate) fn disk_path(&self) -> PathBuf {
        let directory = match self.template {
            DiskTemplate::SharedFile => self.shared_dir(),
            DiskTemplate::File | DiskTemplate::Fake | DiskTemplate::Diskless => self.file_dir(),
        };
        directory.join("web1/disk0")
    }

    /// Starts the agent.
    pub(crate) async fn boot(&self) -> Node {
        self.boot_with(|_| CrashPoints::none()).await
    }

    /// Starts the agent with a crash point, which gets its power switch.
    pub(crate) async fn boot_with(&self, crash: impl FnOnce(SimNode) -> CrashPoints) -> Node {
        let boot = self.boots.fetch_add(1, Ordering::Relaxed);
        let platform = Platform::simulated(boot);
        let sim = platform.sim_node().expect("simulated");
        let config = SystemConfig { node: NODE.into(), boot: BootId(Uuid::from_u128(boot.into())) };
        let system = System::new(platform.clone(), config);
        let leader = self.leader.clone();
        system
            .spawn(cluster_path(), SpawnOptions::default(), move || leader.clone())
            .expect("the leader");
        let config = self.config(&platform, crash(sim.clone()));
        let side = NodeSide::start(&system, config).await.expect("starts");
        Node { system, side, sim }
    }

    fn config(&self, platform: &Platform, crash_points: CrashPoints) -> NodeConfig {
        let blocking = Arc::new(PlatformBlocking::new(platform.clone()));
        let file = FileStorage::new(self.file_dir(), blocking.clone()).expect("absolute");
        let shared = FileStorage::shared(self.shared_dir(), blocking).expect("absolute");
        let storage = StorageRegistry::new()
            .with(Arc::new(DisklessStorage))
            .with(Arc::new(file))
            .with(Arc::new(shared))
            .with(Arc::new(FakeStorage::new(&self.store, "node1")));
        let hypervisors =
            HypervisorRegistry::new().with(Arc::new(FakeHypervisor::new(&self.world, "node1")));
        let name = NodeName::new("node1.example").expect("valid");
        let machine = NodeResources {
            memory_total_bytes: 1 << 34,
            memory_available_bytes: 1 << 33,
            cpus: 4,
            boot_time_seconds: 1_700_000_000,
            boot_id: 0xb007,
            cpu_sockets: 2,
            numa_nodes: 1,
        };
        let membership = Arc::new(self.membership.clone());
        let config = NodeConfig::new(name, self.dir.path(), hypervisors, storage, membership);
        let journal = self.journal.as_ref().map(FaultyDisk::medium);
        NodeConfig {
            machine: Arc::new(FixedMachine(machine)),
            crash_points,
            journal: journal.unwrap_or(config.journal),
            ..config
        }
    }

    /// Nothing was done twice.
    pub(crate) async fn assert_no_violation(&self) {
        let guests = self.world.violations().await.expect("readable");
        let disks = self.store.violations().await.expect("readable");
        assert_eq!((guests, disks), (Vec::new(), Vec::new()));
    }

    /// Epochs of the guests that exist.
    pub(crate) async fn running(&self) -> Vec<RunEpoch> {
        let running = self.world.running().await.expect("readable");
        running.iter().map(|guest| guest.epoch).collect()
    }
}

impl Node {
    /// Sends a call as the leader does.
    pub(crate) async fn call(
        &self,
        message: &CallNode,
    ) -> Result<Result<CallOutcome, Fault>, AskError> {
        let path = message.call.target().path(NODE);
        let asked = self.system.actor_ref::<CallNode>(path);
        asked.ask(message.clone(), message.call.timeout()).await
    }

    /// A call that must succeed.
    pub(crate) async fn done(&self, message: &CallNode) -> CallOutcome {
        self.call(message).await.expect("answered").expect("done")
    }

    /// A call that must be refused or fail.
    pub(crate) async fn failed(&self, message: &CallNode) -> Fault {
        self.call(message).await.expect("answered").expect_err("failed")
    }

    /// Asks the node or a guest something else.
    pub(crate) async fn ask<M: Message>(
        &self,
        path: gantry_wire::ActorPath,
        message: M,
    ) -> M::Reply {
        let asked = self.system.actor_ref::<M>(path);
        asked.ask(message, Duration::from_secs(60)).await.expect("answered")
    }

    /// Power off, for the agent only: its guests live on.
    pub(crate) async fn crash(self) {
        self.sim.crash();
        drop(self);
        // The task group is dropped when it is polled next.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for a condition of the world, at most an hour of simulated time.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..36_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

/// The authority of which its certificates are.
pub(crate) const AUTHORITY: &str = "authority";

/// A membership in memory.
#[derive(Clone, Default)]
pub(crate) struct FakeMembership {
    forgotten: Arc<AtomicU64>,
    renewed: Arc<AtomicU64>,
    pub(crate) believed: Arc<Mutex<String>>,
    /// The next one panics.
    pub(crate) panics: Arc<AtomicBool>,
    pub(crate) has_left: Arc<AtomicBool>,
}

impl FakeMembership {
    /// How often its certificate was renewed.
    pub(crate) fn times_renewed(&self) -> u64 {
        self.renewed.load(Ordering::Relaxed)
    }

    /// How often it was forgotten.
    pub(crate) fn times_forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }
}

impl Membership for FakeMembership {
    fn forget(&self) -> BoxFuture<'_, Result<(), Fault>> {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "on purpose");
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    }

    fn is_forgotten(&self) -> BoxFuture<'_, Result<bool, Fault>> {
        let is_forgotten = self.times_forgotten() > 0;
        async move { Ok(is_forgotten) }.boxed()
    }

    fn believe<'a>(&'a self, bundle: &'a str) -> BoxFuture<'a, Result<(), Fault>> {
        *self.believed.lock().expect("no panic inside") = bundle.to_owned();
        async { Ok(()) }.boxed()
    }

    fn renew_certificate(&self) -> BoxFuture<'_, Result<(), Fault>> {
        self.renewed.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    }

    fn is_renewed<'a>(
        &'a self,
        authority: &'a str,
        _issued_from: Timestamp,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        let is_renewed = authority == AUTHORITY && self.times_renewed() > 0;
        async move { Ok(is_renewed) }.boxed()
    }

    fn follow_master<'a>(
        &'a self,
        _master: NodeUuid,
        _address: &'a str,
        hold_log: bool,
    ) -> BoxFuture<'a, Result<LogHeld, Fault>> {
        async move { Ok(LogHeld { holds: hold_log, key: None }) }.boxed()
    }

    fn left(&self) {
        self.has_left.store(true, Ordering::Relaxed);
    }
}

/// The picture that the leader has.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    pub(crate) boot: Option<BootId>,
    pub(crate) next: u64,
    pub(crate) info: NodeInfo,
    pub(crate) guests: BTreeMap<InstanceUuid, GuestReport>,
    pub(crate) unreadable: Vec<UnreadableGuest>,
    /// Every event that was applied.
    pub(crate) applied: Vec<ReportEvent>,
}

/// `/cluster`, as far as reports go.
#[derive(Clone, Default)]
pub(crate) struct Leader(pub(crate) Arc<Mutex<Picture>>);

impl Leader {
    pub(crate) fn see<T>(&self, look: impl FnOnce(&mut Picture) -> T) -> T {
        look(&mut self.0.lock().expect("no panic inside"))
    }

    /// Epoch of a guest in the picture.
    pub(crate) fn epoch(&self, instance: InstanceUuid) -> Option<RunEpoch> {
        self.see(|picture| picture.guests.get(&instance).map(|report| report.epoch))
    }
}

impl Actor for Leader {
    const KIND: &'static str = "cluster";

    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<Report>()
    }
}

impl Handler<Report> for Leader {
    fn handle(
        &mut self,
        report: Report,
        reply: Reply<Result<ReportAck, Fault>>,
        _: &mut Context<Self>,
    ) {
        assert_eq!(report.node, NODE);
        let ack = self.see(|picture| picture.take(report));
        reply.send(Ok(ack));
    }
}

impl Picture {
    fn take(&mut self, report: Report) -> ReportAck {
        for (number, event) in (report.first..).zip(report.events) {
            let known = self.boot == Some(report.boot);
            if known && number < self.next {
                continue;
            }
            match &event {
                ReportEvent::Full { info, guests, unreadable } => {
                    self.boot = Some(report.boot);
                    self.unreadable = unreadable.clone();
                    self.info = info.clone();
                    self.guests = guests.iter().map(|g| (g.instance, g.clone())).collect();
                }
                _ if !known => return ReportAck::Full,
                _ if number > self.next => break,
                ReportEvent::Info(info) => self.info = info.clone(),
                ReportEvent::Guest(guest) => {
                    self.guests.insert(guest.instance, guest.clone());
                }
                ReportEvent::Gone(instance) => drop(self.guests.remove(instance)),
            }
            self.applied.push(event);
            self.next = number + 1;
        }
        ReportAck::Next(self.next)
    }
}

pub(crate) fn step(seq: u32) -> StepId {
    StepId { job: JobId(1), op_idx: 0, seq, direction: Direction::Act }
}

/// A call in reign 1, attempt 1.
pub(crate) fn message(seq: u32, call: impl Into<NodeCall>) -> CallNode {
    CallNode {
        step: step(seq),
        reign: ReignId(1),
        attempt: JobAttempt(1),
        settled_below: JobId(0),
        call: call.into(),
    }
}

/// The same call, sent by the next placement of the job.
pub(crate) fn sent_again(message: &CallNode) -> CallNode {
    CallNode { reign: message.reign.next(), attempt: message.attempt.next(), ..message.clone() }
}

pub(crate) fn disk(bench: &Bench) -> Disk {
    let path = bench.disk_path().to_str().expect("plain").to_owned();
    let location = match bench.template {
        DiskTemplate::File => DiskLocation::File { path },
        DiskTemplate::SharedFile => DiskLocation::SharedFile { path },
        DiskTemplate::Fake => DiskLocation::Fake,
        DiskTemplate::Diskless => panic!("no disks"),
    };
    Disk {
        uuid: DiskUuid(Uuid::from_u128(0xd)),
        instance: WEB1,
        index: 0,
        size: MiB(1),
        mode: DiskMode::Rw,
        name: None,
        location,
    }
}

pub(crate) fn spec(epoch: u64) -> GuestSpec {
    GuestSpec {
        instance: WEB1,
        name: InstanceName::new("web1").expect("valid"),
        hvparams: HvParams::Fake(FakeParams::default()),
        memory: MiB(128),
        vcpus: 1,
        disks: Vec::new(),
        nics: Vec::new(),
        epoch: RunEpoch(epoch),
        network_port: None,
        tags: Vec::new(),
        uid_pool: Vec::new(),
    }
}

pub(crate) fn start(epoch: u64) -> InstanceStart {
    InstanceStart { spec: spec(epoch), paused: false }
}

pub(crate) fn stop(timeout_ms: u64) -> InstanceStop {
    InstanceStop {
        instance: WEB1,
        hypervisor: HypervisorKind::Fake,
        timeout: Millis(timeout_ms),
        epoch: None,
        disks: Vec::new(),
    }
}

pub(crate) fn reboot() -> InstanceReboot {
    let mark = Some(uuid::Uuid::from_u128(0x7e));
    InstanceReboot { instance: WEB1, hypervisor: HypervisorKind::Fake, mark }
}

/// Every call there is, each in its own test; a new one in the table must be added here.
pub(crate) fn every_call(bench: &Bench) -> Vec<NodeCall> {
    let calls: Vec<NodeCall> = vec![
        DiskCreate { disk: disk(bench) }.into(),
        DiskRemove { disk: disk(bench) }.into(),
        DiskWriteImage { disk: disk(bench), image: bench.image().display().to_string() }.into(),
        DiskWipe { disk: disk(bench), offset: MiB(0), size: MiB(1) }.into(),
        start(1).into(),
        stop(1_000).into(),
        reboot().into(),
        NodeDelay::of(Millis(500)).into(),
        NodeLeave {}.into(),
        NodeTrust { bundle: "two authorities".into() }.into(),
        NodeRenewCertificate { authority: AUTHORITY.into(), issued_from: Timestamp(1) }.into(),
    ];
    let names: Vec<_> = calls.iter().map(NodeCall::wire_name).collect();
    assert_eq!(names, NodeCall::ALL, "every call of the table is tested");
    calls
}

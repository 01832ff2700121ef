//! A simulated machine: what outlives its daemon, and the daemon while it runs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_daemon::{Assembly, CandidateParts, DaemonError, LogParts, NodeParts};
use gantry_engine::state::STATE_LEVELS;
use gantry_host::{NodeResources, Verdict};
use gantry_hv::HypervisorRegistry;
use gantry_hv::fake::{FakeHypervisor, FakeWorld};
use gantry_link::Link;
use gantry_link::sim::SimNetwork;
use gantry_model::errors::Fault;
use gantry_model::ids::{KeyGeneration, NodeUuid};
use gantry_model::levels::Levels;
use gantry_model::messages::LogHeld;
use gantry_model::names::NodeName;
use gantry_model::units::Timestamp;
use gantry_node::journal::Medium;
use gantry_node::{CrashPoints, CrashSpec, FixedMachine, Membership, NodeConfig};
use gantry_runtime::Platform;
use gantry_storage::fake::{FakeStorage, FakeStore};
use gantry_storage::{DisklessStorage, StorageRegistry};
use gantry_store::disk::{Disk, FaultyDisk};
use gantry_store::{DiskKind, Home, Store};
use gantry_wire::{BootId, NodeId, Role};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::authority::SimAuthority;
use crate::crash::{CrashPlan, CrashSchedule};
use crate::disk::{DiskUse, SimDisk};
use crate::power::Power;
use crate::seeds::{derived_seed, derived_uuid};

/// A machine by its place, from 1 as in the names of nodes. The first holds the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachineNumber(pub usize);

/// What all machines of a cluster share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) seed: u64,
    /// How many candidates the cluster wants.
    pub(crate) pool: u32,
    pub(crate) begun: Instant,
    pub(crate) network: SimNetwork,
    pub(crate) guests: FakeWorld,
    pub(crate) disks: FakeStore,
    pub(crate) schedule: CrashSchedule,
}

/// A machine with its disks.
pub(crate) struct Machine {
    pub(crate) number: MachineNumber,
    pub(crate) node: NodeUuid,
    pub(crate) name: NodeName,
    /// The master as this machine knows it.
    master: NodeUuid,
    /// Whether it holds the log.
    pub(crate) holds_log: bool,
    /// Whether the leader wants it to, from the next start on.
    wanted: Arc<AtomicBool>,
    /// Which state levels the program knows that is installed on it.
    pub(crate) levels: Levels,
    log: SimDisk,
    journal: SimDisk,
    boots: u64,
    forgotten: Arc<AtomicBool>,
    believed: Arc<Mutex<String>>,
    /// Where the agent is to die next.
    agent_crash: Arc<Mutex<Option<CrashSpec>>>,
    pub(crate) running: Option<Running>,
}

/// One run of its daemon.
pub(crate) struct Running {
    pub(crate) assembly: Assembly,
    pub(crate) power: Power,
    pub(crate) left: watch::Receiver<bool>,
}

impl Machine {
    pub(crate) fn new(
        number: MachineNumber,
        node: NodeUuid,
        name: NodeName,
        master: NodeUuid,
        around: &Surroundings,
    ) -> Self {
        let disk = |used_for| SimDisk {
            machine: number,
            used_for,
            bytes: FaultyDisk::in_memory(),
            schedule: around.schedule.clone(),
        };
        Self {
            number,
            node,
            name,
            master,
            holds_log: node == master,
            wanted: Arc::new(AtomicBool::new(node == master)),
            levels: STATE_LEVELS,
            log: disk(DiskUse::Log),
            journal: disk(DiskUse::Journal),
            boots: 0,
            forgotten: Arc::default(),
            believed: Arc::default(),
            agent_crash: Arc::default(),
            running: None,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.node.into()
    }

    /// The log of this machine, to be opened or made.
    pub(crate) fn log_parts(&self) -> LogParts {
        LogParts {
            dir: PathBuf::from(format!("simulated-{}", self.name)),
            disk: DiskKind::Backend(Arc::new(self.log.clone())),
            home: Home::Caller,
            levels: self.levels,
        }
    }

    /// A platform for its next boot. Its wall clock goes on where the simulation is.
    pub(crate) fn platform(&mut self, around: &Surroundings) -> Platform {
        self.boots += 1;
        let seed = derived_seed(around.seed, self.name.as_str(), self.boots);
        let platform = Platform::simulated(seed);
        let so_far = i64::try_from(around.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        if let Some(sim) = platform.sim_node() {
            sim.jump_clock(so_far);
        }
        platform
    }

    /// Starts its daemon, which knows where the other `holders` of the log are. Returns when it
    /// knows who leads, or has waited for that long enough.
    pub(crate) async fn boot(
        &mut self,
        around: &Surroundings,
        plan: Option<CrashPlan>,
        holders: &[NodeId],
    ) -> Result<(), DaemonError> {
        let platform = self.platform(around);
        let boot =
            BootId(derived_uuid(around.seed, "boot", self.boots * 1000 + self.number.0 as u64));
        let power = Power {
            network: around.network.clone(),
            node: self.id(),
            sim: platform.sim_node().expect("the platform is simulated"),
            disks: [self.log.bytes.clone(), self.journal.bytes.clone()],
        };
        if let Some(plan) = plan {
            around.schedule.arm(plan, power.clone());
        }
        let (leave, left) = watch::channel(false);
        let candidate = self
            .holds_log
            .then(|| CandidateParts { log: self.log_parts(), signer: Arc::new(SimAuthority) });
        let master = watch::Sender::new(self.master);
        let parts = NodeParts {
            platform,
            node: self.node,
            boot,
            master: master.clone(),
            candidate,
            node_config: self.node_config(around, &power, leave.clone(), master),
            leave,
        };
        let assembly = Assembly::start(parts).await?;
        let role = if self.holds_log { Role::Candidate } else { Role::Node };
        let link = around.network.start(self.id(), role, boot, assembly.system().inbound());
        for other in holders.iter().filter(|other| **other != self.id()) {
            link.know(*other, vec![around.network.addr(*other)]);
        }
        let running = self.running.insert(Running { assembly, power, left });
        running.assembly.connect(Arc::new(link));
        running.assembly.settle().await;
        Ok(())
    }

    fn node_config(
        &self,
        around: &Surroundings,
        power: &Power,
        leave: watch::Sender<bool>,
        master: watch::Sender<NodeUuid>,
    ) -> NodeConfig {
        let journal = self.journal.clone();
        let open = move || journal.open_log().expect("a medium in memory does not fail");
        let hypervisor = FakeHypervisor::new(&around.guests, self.name.as_str());
        let storage = FakeStorage::new(&around.disks, self.name.as_str());
        NodeConfig {
            name: self.name.clone(),
            journal: Medium::Backend(format!("{}.journal", self.name).into(), Arc::new(open)),
            hypervisors: HypervisorRegistry::new().with(Arc::new(hypervisor)),
            storage: StorageRegistry::new().with(Arc::new(DisklessStorage)).with(Arc::new(storage)),
            machine: Arc::new(FixedMachine(NodeResources {
                memory_total_bytes: 64 << 30,
                memory_available_bytes: 48 << 30,
                cpus: 8,
                boot_time_seconds: 1_577_836_000,
                ..NodeResources::default()
            })),
            membership: Arc::new(SimMembership {
                holds_log: self.holds_log,
                wanted: self.wanted.clone(),
                master,
                forgotten: self.forgotten.clone(),
                believed: self.believed.clone(),
                leave,
            }),
            crash_points: self.crash_points(power.clone()),
        }
    }

    /// The agent dies at one point of one call, once.
    fn crash_points(&self, power: Power) -> CrashPoints {
        let wanted = self.agent_crash.clone();
        CrashPoints::new(move |at, call| {
            let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
            if *wanted != Some(CrashSpec { call, at }) {
                return Verdict::Go;
            }
            *wanted = None;
            power.cut();
            Verdict::Hang
        })
    }

    pub(crate) fn slow_flushes(&self, takes: Duration) {
        self.log.bytes.slow_syncs(takes);
    }

    pub(crate) fn crash_agent_at(&self, spec: CrashSpec) {
        *self.agent_crash.lock().unwrap_or_else(PoisonError::into_inner) = Some(spec);
    }

    /// Whether it was told to hold the log, or no more, and has to start again for it.
    pub(crate) fn must_change(&self) -> bool {
        !self.is_forgotten() && self.wanted.load(Ordering::Acquire) != self.holds_log
    }

    /// From the next start on it is as the leader wants it.
    pub(crate) fn change(&mut self) {
        self.holds_log = self.wanted.load(Ordering::Acquire);
        if !self.holds_log {
            self.log.bytes = FaultyDisk::in_memory();
        }
    }

    /// Cuts its power, if it runs, and clears away what is left of the daemon.
    pub(crate) fn crash(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.power.cut();
        if let Some(store) = running.assembly.store() {
            store.abort();
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.power.is_cut())
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        let running = self.running.as_ref().filter(|running| !running.power.is_cut())?;
        running.assembly.store()
    }

    /// The authorities that it was told to believe last.
    pub(crate) fn believed(&self) -> String {
        self.believed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }
}

/// The membership of a machine: whether its identity is still there.
struct SimMembership {
    /// Of this run.
    holds_log: bool,
    wanted: Arc<AtomicBool>,
    master: watch::Sender<NodeUuid>,
    forgotten: Arc<AtomicBool>,
    /// Authorities, as it was told.
    believed: Arc<Mutex<String>>,
    leave: watch::Sender<bool>,
}

impl Membership for SimMembership {
    fn forget(&self) -> BoxFuture<'_, Result<(), Fault>> {
        self.forgotten.store(true, Ordering::Release);
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_forgotten(&self) -> BoxFuture<'_, Result<bool, Fault>> {
        Box::pin(std::future::ready(Ok(self.forgotten.load(Ordering::Acquire))))
    }

    fn believe<'a>(&'a self, bundle: &'a str) -> BoxFuture<'a, Result<(), Fault>> {
        *self.believed.lock().unwrap_or_else(PoisonError::into_inner) = bundle.to_owned();
        Box::pin(std::future::ready(Ok(())))
    }

    /// The simulated network has no certificates; what a machine believes stands for one.
    fn renew_certificate(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_renewed<'a>(
        &'a self,
        _authority: &'a str,
        _issued_from: Timestamp,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Every holder has the key at once: the simulated authority derives it from its generation.
    fn follow_master<'a>(
        &'a self,
        master: NodeUuid,
        _address: &'a str,
        hold_log: bool,
    ) -> BoxFuture<'a, Result<LogHeld, Fault>> {
        self.master.send_replace(master);
        self.wanted.store(hold_log, Ordering::Release);
        let key = self.holds_log.then_some(KeyGeneration(u64::MAX));
        Box::pin(std::future::ready(Ok(LogHeld { holds: self.holds_log, key })))
    }

    fn left(&self) {
        self.leave.send_replace(true);
    }
}

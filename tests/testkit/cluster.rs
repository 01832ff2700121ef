//! The cluster as a whole.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gantry_daemon::DaemonError;
use gantry_engine::state::{ClusterState, STATE_LEVELS};
use gantry_hv::fake::FakeWorld;
use gantry_link::identity::JoinToken;
use gantry_link::sim::{SimConfig, SimNetwork, TraceEvent};
use gantry_model::errors::Fault;
use gantry_model::ids::{JobId, NodeUuid};
use gantry_model::levels::Levels;
use gantry_model::messages::{Join, Joined, TokenIssue, cluster_path};
use gantry_model::names::NodeName;
use gantry_model::units::{Millis, Timestamp};
use gantry_node::CrashSpec;
use gantry_runtime::System;
use gantry_storage::fake::FakeStore;
use gantry_store::{Archived, Leadership, Snapshot, Store};
use gantry_wire::{NodeId, Role};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::{Acknowledged, SimClient};
use crate::configuration::first_entry;
use crate::crash::{CrashPlan, CrashSchedule};
use crate::invariants;
use crate::machine::{Machine, MachineNumber, Surroundings};
use crate::monitor::Monitor;
use crate::ops::node_name;
use crate::seeds::{derived, derived_uuid};

/// How long anything may take that must happen, in virtual time. The longest that anybody waits in
/// the product are a client's patience and the retries of a node call, together some minutes.
const SOON: Duration = Duration::from_secs(20 * 60);

/// How often conditions are looked at, in virtual time.
const LOOK: Duration = Duration::from_millis(5);

/// How long a token for a machine of the cluster is valid.
const TOKEN_VALID: Millis = Millis(3_600_000);

/// How long an admission may take: it waits for the big lock.
const ADMISSION: Duration = Duration::from_secs(120);

/// A cluster in one process, in virtual time. The first machine holds the log.
pub struct SimCluster {
    around: Surroundings,
    machines: Vec<Machine>,
    monitor: Monitor,
    watching: Option<JoinHandle<()>>,
    acknowledged: Acknowledged,
    next_client: AtomicU64,
}

impl SimCluster {
    /// A cluster of `n_nodes` machines on a quiet network: the first makes it, the others join it
    /// with tokens, as real ones do.
    ///
    /// # Panics
    /// When that fails, or outside of [`gantry_runtime::simulate`].
    pub async fn new(seed: u64, n_nodes: usize) -> Self {
        Self::build(seed, n_nodes, SimConfig::default(), 1).await
    }

    /// The same with a pool of so many candidates, which are to hold the log: the first machines.
    /// They do after [`SimCluster::until_holders`].
    ///
    /// # Panics
    /// The same.
    pub async fn with_pool(seed: u64, n_nodes: usize, pool: u32) -> Self {
        Self::build(seed, n_nodes, SimConfig::default(), pool).await
    }

    /// The same on a network that may lose and repeat packets.
    ///
    /// # Panics
    /// The same.
    pub async fn on_network(seed: u64, n_nodes: usize, config: SimConfig) -> Self {
        Self::build(seed, n_nodes, config, 1).await
    }

    async fn build(seed: u64, n_nodes: usize, config: SimConfig, pool: u32) -> Self {
        let schedule = CrashSchedule::default();
        let (guests, disks) = (FakeWorld::in_memory(), FakeStore::in_memory());
        let at_guests = schedule.clone();
        guests.injector().set_crash_hook(Some(Arc::new(move |effect, point| {
            at_guests.at_effect(&effect, point)
        })));
        let at_disks = schedule.clone();
        disks.injector().set_crash_hook(Some(Arc::new(move |effect, point| {
            at_disks.at_effect(&effect, point)
        })));
        let network = SimNetwork::new(seed, config);
        let begun = Instant::now();
        let around = Surroundings { seed, pool, begun, network, guests, disks, schedule };
        let mut cluster = Self {
            around,
            machines: Vec::new(),
            monitor: Monitor::default(),
            watching: None,
            acknowledged: Acknowledged::default(),
            next_client: AtomicU64::new(0),
        };
        cluster.make_first().await;
        for number in 2..=n_nodes {
            cluster.add_machine(MachineNumber(number)).await;
        }
        cluster
    }

    async fn make_first(&mut self) {
        let (seed, number) = (self.around.seed, MachineNumber(1));
        let node = NodeUuid(derived_uuid(seed, "node", 1));
        let name = node_name(number);
        let mut first = Machine::new(number, node, name.clone(), node, &self.around);
        let address = self.around.network.addr(node.into()).to_string();
        let platform = first.platform(&self.around);
        let now = Timestamp(u64::try_from(platform.clock().wall_us()).unwrap_or_default());
        let mut entry = first_entry(seed, node, name, address, now);
        entry.cluster.candidate_pool_size = self.around.pool;
        first.log_parts().bootstrap(node, &platform, entry).await.expect("a new log");
        self.machines.push(first);
        self.restart(number).await;
    }

    /// Lets a machine join with a token, and starts it.
    async fn add_machine(&mut self, number: MachineNumber) {
        let name = node_name(number);
        let wanted = TokenIssue::new(name.clone(), TOKEN_VALID);
        let issued = self.client().issue_token(&wanted).await;
        let token = issued.expect("a token").token;
        let request = self.join_request(&token, number.0 as u64);
        let joined = self.join(request).await.expect("joins");
        let master = joined.master.uuid;
        self.machines.push(Machine::new(number, joined.node, name, master, &self.around));
        self.restart(number).await;
    }

    /// What the holder of a token sends: its key is number `key`. It will listen where the network
    /// puts the node that the token is for.
    ///
    /// # Panics
    /// When the text is no token.
    #[must_use]
    pub fn join_request(&self, token: &str, key: u64) -> Join {
        let token: JoinToken = token.parse().expect("a token");
        let hash = token.secret_hash();
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let node = self.state().tokens.get(&hash).map(|token| token.node);
        let node =
            node.unwrap_or_else(|| NodeUuid(derived_uuid(self.around.seed, "stranger", key)));
        Join {
            secret: token.secret().to_vec(),
            csr: derived(self.around.seed, "key", key).to_vec(),
            address: self.around.network.addr(node.into()).to_string(),
            levels: Some(STATE_LEVELS),
        }
    }

    /// Asks to be admitted, as a joiner does.
    ///
    /// # Errors
    /// When the cluster refuses.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn join(&self, request: Join) -> Result<Joined, Fault> {
        let joiner = self.client_as(Role::Joiner, MachineNumber(1));
        let answer = joiner.ask(&cluster_path(), &request, ADMISSION).await.expect("an answer");
        joiner.die();
        answer
    }

    // ---- machines -------------------------------------------------------------------------

    /// The id of a node.
    #[must_use]
    pub fn node(&self, machine: MachineNumber) -> NodeUuid {
        self.machine(machine).node
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, machine: MachineNumber) -> &NodeName {
        &self.machine(machine).name
    }

    /// The actors of a machine that runs.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn system(&self, machine: MachineNumber) -> &System {
        let running = self.machine(machine).running.as_ref().expect("it was started");
        running.assembly.system()
    }

    /// Cuts the power of a machine. Its guests live on.
    pub fn crash(&mut self, machine: MachineNumber) {
        if machine == MachineNumber(1)
            && let Some(watching) = self.watching.take()
        {
            watching.abort();
        }
        self.machine_mut(machine).crash();
    }

    /// Whether it has no power.
    #[must_use]
    pub fn is_down(&self, machine: MachineNumber) -> bool {
        self.machine(machine).is_down()
    }

    /// Whether it was told to leave the cluster, and has forgotten it.
    #[must_use]
    pub fn has_left(&self, machine: MachineNumber) -> bool {
        let machine = self.machine(machine);
        let told = machine.running.as_ref().is_some_and(|running| *running.left.borrow());
        told && machine.is_forgotten()
    }

    /// The authorities that a machine was told to believe last.
    #[must_use]
    pub fn believed(&self, machine: MachineNumber) -> String {
        self.machine(machine).believed()
    }

    /// Gives a machine power again, after cutting it if it has some. Returns when the machine knows
    /// who leads, or has waited for that long enough.
    ///
    /// # Panics
    /// When a part does not start.
    pub async fn restart(&mut self, machine: MachineNumber) {
        self.boot(machine, None).await.expect("the machine starts");
    }

    /// The same, with a crash planned for this very boot: points are counted from its first flush.
    ///
    /// # Panics
    /// When a part does not start although it has power.
    pub async fn restart_into(&mut self, plan: CrashPlan) {
        let booted = self.boot(plan.victim, Some(plan)).await;
        if !self.is_down(plan.victim) {
            booted.expect("a machine with power starts");
        }
    }

    /// The same, of a machine that may refuse to start.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn try_restart(&mut self, machine: MachineNumber) -> Result<(), DaemonError> {
        self.boot(machine, None).await
    }

    /// Installs a program that knows these state levels; it runs from the next start on.
    pub fn install(&mut self, machine: MachineNumber, levels: Levels) {
        self.machine_mut(machine).levels = levels;
    }

    /// Starts machines again that are to hold the log, or no more, until so many vote, so many hold
    /// it without a vote, and nobody has to change. A real daemon starts itself again.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn until_holders(&mut self, n_voters: usize, n_learners: usize) {
        let until = Instant::now() + SOON;
        loop {
            let running = self.machines.iter().filter(|machine| !machine.is_down());
            let changes: Vec<_> = running.filter(|m| m.must_change()).map(|m| m.number).collect();
            for number in &changes {
                self.machine_mut(*number).change();
                self.restart(*number).await;
            }
            let leader = self.leader().and_then(|leader| self.store_of(leader));
            let is_so = leader.map(Store::members).is_some_and(|members| {
                let votes: Vec<usize> = members.voters.iter().map(BTreeSet::len).collect();
                votes == [n_voters] && members.learners.len() == n_learners
            });
            if is_so && changes.is_empty() {
                return;
            }
            assert!(
                Instant::now() < until,
                "there are not {n_voters} voters and {n_learners} more"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a machine waits to be started again, because it is to hold the log, or no more.
    #[must_use]
    pub fn must_change(&self, machine: MachineNumber) -> bool {
        self.machine(machine).must_change()
    }

    async fn boot(
        &mut self,
        machine: MachineNumber,
        plan: Option<CrashPlan>,
    ) -> Result<(), DaemonError> {
        self.crash(machine);
        // The tasks of the old boot go when they are polled next.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let around = self.around.clone();
        let holders: Vec<NodeId> =
            self.machines.iter().filter(|m| m.holds_log).map(Machine::id).collect();
        self.machine_mut(machine).boot(&around, plan, &holders).await?;
        if machine == MachineNumber(1)
            && let Some(store) = self.machine(machine).store()
        {
            self.watching = Some(self.monitor.follow(store));
        }
        Ok(())
    }

    /// How long each flush of a machine's log takes from now on.
    pub fn slow_flushes(&self, machine: MachineNumber, takes: Duration) {
        self.machine(machine).slow_flushes(takes);
    }

    /// The agent of a machine dies at this point of a node call, once.
    pub fn crash_agent_at(&self, machine: MachineNumber, spec: CrashSpec) {
        self.machine(machine).crash_agent_at(spec);
    }

    /// Begins to count crash points, and to carry out a plan.
    ///
    /// # Panics
    /// When the victim has no power.
    pub fn arm(&self, plan: CrashPlan) {
        let running = self.machine(plan.victim).running.as_ref().expect("it was started");
        self.around.schedule.arm(plan, running.power.clone());
    }

    /// Counts no further: the points that were passed, and whether the crash has happened.
    pub fn disarm(&self) -> (Vec<String>, bool) {
        self.around.schedule.disarm()
    }

    fn machine(&self, machine: MachineNumber) -> &Machine {
        &self.machines[machine.0 - 1]
    }

    fn machine_mut(&mut self, machine: MachineNumber) -> &mut Machine {
        &mut self.machines[machine.0 - 1]
    }

    // ---- the network and the worlds -------------------------------------------------------

    /// Nothing gets from one of these to the other.
    pub fn partition(&self, a: MachineNumber, b: MachineNumber) {
        self.around.network.partition(self.machine(a).id(), self.machine(b).id());
    }

    /// Ends a partition.
    pub fn heal(&self, a: MachineNumber, b: MachineNumber) {
        self.around.network.heal(self.machine(a).id(), self.machine(b).id());
    }

    /// Everything that passed on the network.
    #[must_use]
    pub fn trace(&self) -> Vec<TraceEvent> {
        self.around.network.trace()
    }

    /// A digest of the same.
    #[must_use]
    pub fn trace_digest(&self) -> [u8; 32] {
        self.around.network.trace_digest()
    }

    /// Where the guests are.
    #[must_use]
    pub fn guests(&self) -> &FakeWorld {
        &self.around.guests
    }

    /// Where the disks of instances are.
    #[must_use]
    pub fn disks(&self) -> &FakeStore {
        &self.around.disks
    }

    // ---- clients --------------------------------------------------------------------------

    /// An administrator's client at the first machine.
    #[must_use]
    pub fn client(&self) -> SimClient {
        self.client_at(MachineNumber(1))
    }

    /// An administrator's client at any machine.
    #[must_use]
    pub fn client_at(&self, door: MachineNumber) -> SimClient {
        self.client_as(Role::Admin, door)
    }

    /// A client in a role, at any machine.
    #[must_use]
    pub fn client_as(&self, role: Role, door: MachineNumber) -> SimClient {
        let number = self.next_client.fetch_add(1, Ordering::Relaxed);
        let (around, door) = (&self.around, self.machine(door).id());
        let acknowledged = self.acknowledged.clone();
        SimClient::enter(&around.network, (around.seed, number), role, door, acknowledged)
    }

    // ---- looking --------------------------------------------------------------------------

    /// Which machine leads the log, if one that has power does.
    #[must_use]
    pub fn leader(&self) -> Option<MachineNumber> {
        let leads = |store: &Store| *store.leadership().borrow() == Leadership::Leader;
        let machine = self.machines.iter().find(|machine| machine.store().is_some_and(leads))?;
        Some(machine.number)
    }

    /// The log of a machine that holds it and has power.
    #[must_use]
    pub fn store_of(&self, machine: MachineNumber) -> Option<&Store> {
        self.machine(machine).store()
    }

    /// The log of the machine that leads; of the first one where none does.
    ///
    /// # Panics
    /// When it has no power.
    #[must_use]
    pub fn store(&self) -> &Store {
        let leader = self.leader().unwrap_or(MachineNumber(1));
        self.machine(leader).store().expect("the leader has power")
    }

    /// The state as the leader has it.
    ///
    /// # Panics
    /// When it has no power.
    #[must_use]
    pub fn state(&self) -> Snapshot {
        self.store().snapshot()
    }

    /// Ids of all jobs that clients of the testkit were told.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeSet<JobId> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a condition.
    ///
    /// # Panics
    /// When it does not come true within twenty minutes of virtual time.
    pub async fn wait_until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + SOON;
        while !holds(self) {
            assert!(Instant::now() < until, "never: {what}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a condition of the leader's state.
    ///
    /// # Panics
    /// The same.
    pub async fn wait_for_state(&self, what: &str, mut holds: impl FnMut(&ClusterState) -> bool) {
        self.wait_until(what, |cluster| holds(&cluster.state())).await;
    }

    /// Waits until no job is left to do, and nobody is left who does one.
    ///
    /// # Panics
    /// The same.
    pub async fn wait_until_idle(&self) {
        self.wait_until("all jobs have ended", |cluster| {
            let leader = cluster.leader().unwrap_or(MachineNumber(1));
            let mut actors = cluster.system(leader).actors().into_iter();
            cluster.state().unfinished.is_empty() && !actors.any(|actor| actor.kind == "job")
        })
        .await;
    }

    /// Acknowledged jobs that are not in the history, as ended.
    async fn not_archived(&self, state: &ClusterState) -> BTreeSet<JobId> {
        let mut current = self.acknowledged();
        for id in self.acknowledged().into_iter().filter(|id| !state.jobs.contains_key(id)) {
            match self.store().archived_job(id).await.expect("the history can be read") {
                Archived::Found(job) if job.status().is_final() && job.end.is_some() => {
                    current.remove(&id);
                }
                Archived::Found(_) | Archived::BeingFetched | Archived::Unknown => {}
            }
        }
        current
    }

    /// Waits until no job is left to do, then checks everything that must hold at such a time, and
    /// what must have held until now.
    ///
    /// # Panics
    /// When something does not hold.
    pub async fn assert_all_well(&self) {
        self.wait_until_idle().await;
        let state = self.state();
        let rows = self.client().locks().await.expect("the lock actor answers");
        let guests = self.guests();
        let running = guests.running().await.expect("a world in memory");
        let disks = self.disks().disks().await.expect("a world in memory");
        let (mut wrong, n_states) = self.monitor.report();
        assert!(n_states > 0, "nobody watched the log");
        wrong.extend(guests.violations().await.expect("a world in memory"));
        wrong.extend(self.disks().violations().await.expect("a world in memory"));
        wrong.extend(invariants::exclusive_owners::in_rows(&rows));
        wrong.extend(invariants::released_locks::in_rows(&state, &rows));
        wrong.extend(invariants::guest_once::check(&running));
        wrong.extend(invariants::guests_as_wanted::check(&state, &running));
        let current = self.not_archived(&state).await;
        wrong.extend(invariants::jobs_end_once::all_ended(&state, &current));
        wrong.extend(invariants::disks_in_place::check(&state, &disks));
        wrong.extend(invariants::nothing_left::check(&state, &disks, &running));
        assert!(wrong.is_empty(), "seed {}:\n{}", self.around.seed, wrong.join("\n"));
    }
}

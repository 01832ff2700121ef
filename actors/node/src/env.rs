//! What the actors of one node share. No decisions; the actors own all state but what is here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gantry_hv::HypervisorRegistry;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, NodeUuid};
use gantry_model::names::NodeName;
use gantry_model::node_calls::node_path;
use gantry_runtime::{BlockingClass, BlockingError, LocalRef, Platform, System};
use gantry_storage::StorageRegistry;
use tokio::sync::{Notify, watch};

use crate::actors::{InstanceActor, NodeActor};
use crate::config::{Machine, Membership, NodeConfig};
use crate::crash::CrashPoints;
use crate::delays::DelaySockets;
use crate::journal::{Journal, JournalError};

/// How long a node call waits for a place on the disk pool. A flush takes milliseconds and several
/// share one, so this is passed only by a disk that hangs. Lower fails jobs when a disk hiccups;
/// higher makes them wait longer for one that is broken.
const JOURNAL_WAIT: Duration = Duration::from_secs(30);

/// How long a look at the machine waits for a place on its pool. Such looks take microseconds;
/// lower would lose measurements on a busy node, higher only delays what is stale anyway.
const QUICK_WAIT: Duration = Duration::from_secs(10);

/// Shared by the actors of one node. Holds no `System`: that holds the activator, which holds this.
pub(crate) struct NodeEnv {
    pub(crate) node: NodeUuid,
    pub(crate) name: NodeName,
    pub(crate) hypervisors: HypervisorRegistry,
    pub(crate) storage: StorageRegistry,
    pub(crate) machine: Arc<dyn Machine>,
    pub(crate) membership: Arc<dyn Membership>,
    pub(crate) crash_points: CrashPoints,
    /// Number of the next event of the feed; outlives the actor that owns the feed.
    pub(crate) feed_next: AtomicU64,
    /// Whether the leader has taken a report of this run.
    pub(crate) reported: watch::Sender<bool>,
    /// Told when an effect has changed what the node has left.
    pub(crate) resources_changed: Notify,
    /// Sockets at which delays wait.
    pub(crate) delays: DelaySockets,
    journal: Arc<Journal>,
    platform: Platform,
    /// The instance actors that live, for events of their guests.
    instances: Mutex<BTreeMap<InstanceUuid, LocalRef<InstanceActor>>>,
    /// The node's actor, for changes of guests that its hypervisor does not push.
    pub(crate) node_actor: OnceLock<LocalRef<NodeActor>>,
    /// Calls at work.
    calls: watch::Sender<usize>,
    closing: AtomicBool,
}

impl NodeEnv {
    pub(crate) fn new(system: &System, config: NodeConfig, journal: Arc<Journal>) -> Arc<Self> {
        let NodeConfig { name, hypervisors, storage, machine, membership, crash_points, .. } =
            config;
        Arc::new(Self {
            node: system.node().into(),
            name,
            hypervisors,
            storage,
            machine,
            membership,
            crash_points,
            feed_next: AtomicU64::new(0),
            reported: watch::Sender::new(false),
            resources_changed: Notify::new(),
            delays: DelaySockets::default(),
            journal,
            platform: system.platform().clone(),
            instances: Mutex::default(),
            node_actor: OnceLock::new(),
            calls: watch::Sender::new(0),
            closing: AtomicBool::new(false),
        })
    }

    /// Uses the journal on the disk pool.
    pub(crate) async fn journal<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalUse> {
        let journal = Arc::clone(&self.journal);
        let work = move || work(&journal);
        match self.blocking(BlockingClass::Disk, name, JOURNAL_WAIT, work).await {
            Ok(outcome) => outcome.map_err(JournalUse::Journal),
            Err(error) => Err(JournalUse::Pool(error)),
        }
    }

    pub(crate) fn random_uuid(&self) -> uuid::Uuid {
        self.platform.random_uuid()
    }

    /// The journal, for what it knows from memory.
    pub(crate) fn journal_memory(&self) -> &Journal {
        &self.journal
    }

    /// A short look at the machine or a file.
    pub(crate) async fn quick<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        self.blocking(BlockingClass::Quick, name, QUICK_WAIT, work).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        class: BlockingClass,
        name: &'static str,
        wait: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let who = node_path(self.node);
        let until = self.platform.clock().now() + wait;
        self.platform.blocking(class, name, who.as_str(), until, work).await
    }

    pub(crate) fn instance(&self, instance: InstanceUuid) -> Option<LocalRef<InstanceActor>> {
        self.with_instances(|instances| instances.get(&instance).cloned())
    }

    pub(crate) fn instance_lives(&self, instance: InstanceUuid, actor: LocalRef<InstanceActor>) {
        self.with_instances(|instances| {
            instances.insert(instance, actor);
        });
    }

    pub(crate) fn instance_ended(&self, instance: InstanceUuid) {
        self.with_instances(|instances| {
            instances.remove(&instance);
        });
    }

    fn with_instances<T>(
        &self,
        f: impl FnOnce(&mut BTreeMap<InstanceUuid, LocalRef<InstanceActor>>) -> T,
    ) -> T {
        f(&mut self.instances.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts one call as long as the guard lives.
    pub(crate) fn call_at_work(self: &Arc<Self>) -> AtWork {
        self.calls.send_modify(|n_calls| *n_calls += 1);
        AtWork(Arc::clone(self))
    }

    /// No call is begun from now on.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits until no call is at work.
    pub(crate) async fn calls_over(&self) {
        let mut calls = self.calls.subscribe();
        // Fails only when the sender is gone, which is ours.
        let _over = calls.wait_for(|n_calls| *n_calls == 0).await;
    }
}

/// One call at work.
pub(crate) struct AtWork(Arc<NodeEnv>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.calls.send_modify(|n_calls| *n_calls -= 1);
    }
}

/// Why the journal could not be used.
#[derive(Debug)]
pub(crate) enum JournalUse {
    Journal(JournalError),
    Pool(BlockingError),
}

impl JournalUse {
    pub(crate) fn fault(&self, attempted: &str) -> Fault {
        match self {
            Self::Journal(error) => error.fault(attempted),
            Self::Pool(error) => pool_fault(error, attempted),
        }
    }
}

/// The fault of blocking work that was not done.
pub(crate) fn pool_fault(error: &BlockingError, attempted: &str) -> Fault {
    let code = match error {
        BlockingError::Busy { .. } => FaultCode::TempInsufficientResources,
        BlockingError::NotStarted { .. } => FaultCode::NotStarted,
        BlockingError::Panicked { .. } => FaultCode::InternalError,
        BlockingError::Ended { .. } => FaultCode::OutcomeUnknown,
    };
    Fault::from_error(code, attempted, error)
}

//! What the node side is given: everything that differs between a real, a simulated and a tested
//! node.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_host::{NodeResources, ResourceError};
use gantry_hv::HypervisorRegistry;
use gantry_model::errors::Fault;
use gantry_model::ids::NodeUuid;
use gantry_model::messages::LogHeld;
use gantry_model::names::NodeName;
use gantry_model::units::Timestamp;
use gantry_storage::StorageRegistry;

use crate::crash::CrashPoints;
use crate::journal::Medium;

/// Name of the journal in the state directory.
pub const JOURNAL_FILE: &str = "agent.redb";

/// What the node side works with.
#[derive(Clone)]
pub struct NodeConfig {
    /// The node's name, for people.
    pub name: NodeName,
    /// Where the intent journal is.
    pub journal: Medium,
    /// The hypervisors that are set up here.
    pub hypervisors: HypervisorRegistry,
    /// The storages that are set up here.
    pub storage: StorageRegistry,
    /// The machine's resources.
    pub machine: Arc<dyn Machine>,
    /// The node's membership in the cluster.
    pub membership: Arc<dyn Membership>,
    /// Where to die, for tests.
    pub crash_points: CrashPoints,
}

impl NodeConfig {
    /// A node on this machine, with its journal in `state_dir`.
    #[must_use]
    pub fn new(
        name: NodeName,
        state_dir: &Path,
        hypervisors: HypervisorRegistry,
        storage: StorageRegistry,
        membership: Arc<dyn Membership>,
    ) -> Self {
        Self {
            name,
            journal: Medium::File(state_dir.join(JOURNAL_FILE)),
            hypervisors,
            storage,
            machine: Arc::new(ThisMachine),
            membership,
            crash_points: CrashPoints::none(),
        }
    }
}

impl std::fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConfig")
            .field("name", &self.name)
            .field("journal", &self.journal)
            .field("crash_points", &self.crash_points)
            .finish_non_exhaustive()
    }
}

/// Measures a machine. Called on a blocking thread.
pub trait Machine: Send + Sync + 'static {
    /// Its resources now.
    ///
    /// # Errors
    /// When the machine does not say.
    fn measure(&self) -> Result<NodeResources, ResourceError>;
}

/// The machine that this runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn measure(&self) -> Result<NodeResources, ResourceError> {
        NodeResources::measure()
    }
}

/// A machine of fixed size, for simulations.
#[derive(Clone, Copy, Debug)]
pub struct FixedMachine(pub NodeResources);

impl Machine for FixedMachine {
    fn measure(&self) -> Result<NodeResources, ResourceError> {
        Ok(self.0)
    }
}

/// The node's membership in the cluster: its keys and certificates, and its daemon. Implemented by
/// the daemon.
pub trait Membership: Send + Sync + 'static {
    /// Forgets the node's identity, durably. Done again, it changes nothing.
    fn forget(&self) -> BoxFuture<'_, Result<(), Fault>>;

    /// Whether the identity is forgotten, asked of the disk.
    fn is_forgotten(&self) -> BoxFuture<'_, Result<bool, Fault>>;

    /// Believes exactly these authorities (PEM) from now on, durably. Done again, it changes
    /// nothing.
    fn believe<'a>(&'a self, bundle: &'a str) -> BoxFuture<'a, Result<(), Fault>>;

    /// Has new keys certified by the cluster, stores them and uses them from now on: the node's
    /// own, and those of operator and reader where they are kept here.
    fn renew_certificate(&self) -> BoxFuture<'_, Result<(), Fault>>;

    /// Whether the stored certificates were signed by that authority, not before that time; asked
    /// of the disk.
    fn is_renewed<'a>(
        &'a self,
        authority: &'a str,
        issued_from: Timestamp,
    ) -> BoxFuture<'a, Result<bool, Fault>>;

    /// Knows this master from now on, durably, and holds the log or does not: with the certificate
    /// that goes with it, and by starting the daemon's actors anew. Done again, it changes nothing,
    /// and says how far it has come.
    fn follow_master<'a>(
        &'a self,
        master: NodeUuid,
        address: &'a str,
        hold_log: bool,
    ) -> BoxFuture<'a, Result<LogHeld, Fault>>;

    /// The node has left, and whoever asked for it has been answered: the daemon is to stop.
    fn left(&self);
}

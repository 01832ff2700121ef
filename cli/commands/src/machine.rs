//! What commands need done on this machine, by whoever can: the daemon's wiring, given by the
//! binary.
//!
//! Commands are only clients. What makes or changes a state directory, runs a daemon or starts a
//! whole demo stands behind [`Machine`], so that this crate imports nothing that acts.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use gantry_model::ids::ClusterUuid;
use gantry_model::names::{ClusterName, NodeName};
use gantry_model::objects::{ClusterSettings, DiskTemplate, InstancePolicy, NicParams};
use gantry_model::params::{BackendParams, HypervisorDefaults, HypervisorKind};

/// Port where daemons listen unless told otherwise: the one of Ganeti's node daemon, with UDP.
pub const DEFAULT_PORT: u16 = 1811;

/// `gantry daemon`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonArgs {
    /// Its state.
    pub state_dir: PathBuf,
    /// Where to listen; `None` is the address of the node in its state directory.
    pub listen: Option<SocketAddr>,
    /// Where metrics are answered, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The group whose members may do everything through the daemon's socket.
    pub admin_group: String,
    /// The group whose members may look.
    pub reader_group: String,
    /// How much more is logged than usual.
    pub debug: u8,
    /// Log lines as JSON.
    pub log_json: bool,
    /// The lowest level that is logged, where that was said.
    pub log_level: Option<&'static str>,
}

/// `gantry cluster init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitArgs {
    /// Where the state of the first node is made; must not hold any.
    pub state_dir: PathBuf,
    /// Name of the cluster.
    pub cluster_name: ClusterName,
    /// Name of the first node; `None` is the host's name.
    pub node_name: Option<NodeName>,
    /// Where the first node listens and is reached, `host:port`; `None` is the address of the
    /// host's name, with [`DEFAULT_PORT`].
    pub address: Option<String>,
    /// Hypervisors in use; the first is the default.
    pub enabled_hypervisors: Vec<HypervisorKind>,
    /// Disk templates in use.
    pub enabled_disk_templates: Vec<DiskTemplate>,
    /// Directory of `file` disks; `None` is one in the state directory.
    pub file_storage_dir: Option<PathBuf>,
    /// Directory of `sharedfile` disks, the same on every node.
    pub shared_file_storage_dir: PathBuf,
    /// Parameters of interfaces that have none of their own.
    pub nicparams: NicParams,
    /// First three bytes of generated MAC addresses.
    pub mac_prefix: String,
    /// How many nodes should hold the log.
    pub candidate_pool_size: u32,
    /// Defaults of hypervisor parameters.
    pub hvparams: HypervisorDefaults,
    /// Defaults of backend parameters.
    pub beparams: BackendParams,
    /// What else an operator sets.
    pub settings: ClusterSettings,
    /// What instances may be like.
    pub policy: InstancePolicy,
    /// Address of the first node to replicate disks over, where it is another one.
    pub secondary_ip: Option<IpAddr>,
}

/// What `gantry cluster init` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// Id of the cluster.
    pub cluster: ClusterUuid,
    /// Name of the first node.
    pub node_name: NodeName,
    /// Where its daemon will listen.
    pub address: String,
}

/// `gantry join`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinArgs {
    /// Where the state of this node is made; must not hold any.
    pub state_dir: PathBuf,
    /// Where this node will listen and be reached, `host:port`; `None` is the address of the name
    /// in the token's answer, with [`DEFAULT_PORT`].
    pub address: Option<String>,
    /// The token, as `gantry node add` printed it.
    pub token: String,
}

/// What `gantry join` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Id of the cluster.
    pub cluster: ClusterUuid,
    /// Name of this node.
    pub node_name: NodeName,
    /// Where its daemon will listen.
    pub address: String,
}

/// `gantry demo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoArgs {
    /// Where to put it; `None` is a temporary directory.
    pub directory: Option<PathBuf>,
    /// Leave it running at the end.
    pub keep: bool,
}

/// Which exit code a [`MachineError`] deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineErrorKind {
    /// It failed.
    Failed,
    /// What was given cannot be right.
    WrongInput,
    /// There is no cluster in the state directory.
    NotACluster,
    /// The state on disk is damaged.
    CorruptConfiguration,
    /// This machine cannot become a node as it is.
    NodeSetup,
}

/// Why something could not be done on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct MachineError {
    /// Its kind.
    pub kind: MachineErrorKind,
    /// What was attempted, on what.
    pub message: String,
    /// Why it failed.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What to do next; may be none.
    pub hints: Vec<String>,
}

/// How a check of this machine came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Something will not work, or not well.
    Warning,
    /// The daemon cannot do its work.
    Failed,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What one check of this machine has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What there is.
    pub found: String,
    /// What to do, unless all is well.
    pub advice: Option<String>,
}

/// Does things on this machine.
pub trait Machine: Send + Sync {
    /// Runs a node's daemon until it is told to stop.
    fn run_daemon(&self, args: DaemonArgs) -> BoxFuture<'_, Result<(), MachineError>>;

    /// Makes the state of the first node of a new cluster.
    fn init_cluster(&self, args: InitArgs) -> BoxFuture<'_, Result<Initialised, MachineError>>;

    /// Makes the state of a node that joins with a token.
    fn join(&self, args: JoinArgs) -> BoxFuture<'_, Result<Joined, MachineError>>;

    /// Looks at this machine as the place of a node, and tells what it finds, check by check.
    fn doctor<'a>(
        &'a self,
        state_dir: PathBuf,
        say: &'a mut (dyn FnMut(Finding) + Send),
    ) -> BoxFuture<'a, Result<(), MachineError>>;

    /// The name of the node whose state this is; nothing where there is none, or it cannot be read
    /// by this user.
    fn node_name(&self, state_dir: &Path) -> Option<NodeName>;

    /// Appends a line to the log of commands of a state directory (C223); `false` where there is no
    /// cluster in it.
    ///
    /// # Errors
    /// When this user may not write there, or the disk does not take it.
    fn log_command(&self, state_dir: &Path, line: &str) -> io::Result<bool>;

    /// Runs a cluster of three daemons through what an operator would do with it. It tells what
    /// happens through `say`, line by line.
    fn demo<'a>(
        &'a self,
        args: DemoArgs,
        say: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<(), MachineError>>;
}

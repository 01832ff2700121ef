//! What commands need done on this machine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_commands::machine::{
    DEFAULT_PORT, DaemonArgs, DemoArgs, Finding, InitArgs, Initialised, JoinArgs, Joined, Machine,
    MachineError, MachineErrorKind,
};
use gantry_link::identity::JoinToken;
use gantry_model::names::NodeName;

use crate::demo::{DemoOptions, demo};
use crate::doctor::{Patient, examine};
use crate::error::DaemonError;
use crate::init::{InitOptions, init};
use crate::join::join;
use crate::local_access::LocalGroups;
use crate::running::{Ending, NodeOptions, RunningNode};
use crate::service;
use crate::state_dir::{StateDir, StateDirError};

/// Environment variable that makes a daemon kill itself at a point of a node call or of a commit,
/// for tests ([`crate::crash`]).
const CRASH_AT_VARIABLE: &str = "GANTRY_CRASH_AT";

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalMachine;

impl Machine for LocalMachine {
    fn run_daemon(&self, args: DaemonArgs) -> BoxFuture<'_, Result<(), MachineError>> {
        Box::pin(async move {
            crate::logging::init(args.log_json, args.log_level, args.debug);
            run(args).await.map_err(refused("run the daemon"))
        })
    }

    fn init_cluster(&self, args: InitArgs) -> BoxFuture<'_, Result<Initialised, MachineError>> {
        Box::pin(async move { initialise(args).await.map_err(refused("make the cluster")) })
    }

    fn join(&self, args: JoinArgs) -> BoxFuture<'_, Result<Joined, MachineError>> {
        Box::pin(async move { join_cluster(args).await.map_err(refused("join the cluster")) })
    }

    fn doctor<'a>(
        &'a self,
        state_dir: PathBuf,
        say: &'a mut (dyn FnMut(Finding) + Send),
    ) -> BoxFuture<'a, Result<(), MachineError>> {
        Box::pin(async move {
            let state_dir = absolute(state_dir).map_err(refused("examine this machine"))?;
            let patient = Patient::here(StateDir::new(state_dir), wall_clock);
            examine(&patient, say).await;
            Ok(())
        })
    }

    fn node_name(&self, state_dir: &Path) -> Option<NodeName> {
        StateDir::new(state_dir).load_node().ok().flatten().map(|node| node.name)
    }

    fn log_command(&self, state_dir: &Path, line: &str) -> io::Result<bool> {
        crate::command_log::append(&StateDir::new(state_dir), line)
    }

    fn demo<'a>(
        &'a self,
        args: DemoArgs,
        say: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<(), MachineError>> {
        let options = DemoOptions { directory: args.directory, keep: args.keep };
        Box::pin(async move { demo(options, say).await.map_err(refused("show the demo")) })
    }
}

async fn run(args: DaemonArgs) -> Result<(), DaemonError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate =
        signal(SignalKind::terminate()).map_err(DaemonError::part("listen for SIGTERM"))?;
    let options = NodeOptions {
        state_dir: StateDir::new(args.state_dir),
        listen: args.listen,
        metrics: args.metrics,
        groups: LocalGroups { admin: args.admin_group, reader: args.reader_group },
        crash_at: std::env::var(CRASH_AT_VARIABLE).ok(),
    };
    loop {
        let node = RunningNode::start(options.clone()).await?;
        let file = node.file();
        service::ready(&format!("node {} of cluster {}", file.name, file.cluster_name));
        service::keep_alive(node.system());
        let stop = async {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            service::stopping();
        };
        if node.run(stop).await? != Ending::Changed {
            return Ok(());
        }
    }
}

async fn initialise(args: InitArgs) -> Result<Initialised, DaemonError> {
    let state_dir = StateDir::new(absolute(args.state_dir)?);
    let node_name = match args.node_name {
        Some(name) => name,
        None => host_name()?,
    };
    let address = match args.address {
        Some(address) => address,
        None => format!("{node_name}:{DEFAULT_PORT}"),
    };
    let file_storage_dir =
        args.file_storage_dir.unwrap_or_else(|| state_dir.path().join("file-storage"));
    let options = InitOptions {
        cluster_name: args.cluster_name,
        node_name,
        address,
        enabled_hypervisors: args.enabled_hypervisors,
        enabled_disk_templates: args.enabled_disk_templates,
        file_storage_dir: file_storage_dir.display().to_string(),
        shared_file_storage_dir: args.shared_file_storage_dir.display().to_string(),
        nicparams: args.nicparams,
        mac_prefix: args.mac_prefix,
        beparams: args.beparams,
        hvparams: args.hvparams,
        candidate_pool_size: args.candidate_pool_size,
        settings: args.settings,
        policy: Some(args.policy),
        secondary_ip: args.secondary_ip,
    };
    let file = init(&state_dir, options).await?;
    Ok(Initialised { cluster: file.cluster, node_name: file.name, address: file.address })
}

async fn join_cluster(args: JoinArgs) -> Result<Joined, DaemonError> {
    let token: JoinToken = args.token.parse().map_err(DaemonError::part("read the token"))?;
    let state_dir = StateDir::new(absolute(args.state_dir)?);
    let address = match args.address {
        Some(address) => address,
        None => format!("{}:{DEFAULT_PORT}", host_name()?),
    };
    let file = join(&state_dir, &token, address).await?;
    Ok(Joined { cluster: file.cluster, node_name: file.name, address: file.address })
}

/// Certificates are compared with the real time, whatever clock a node has.
#[expect(clippy::disallowed_methods, reason = "a check of this machine, no part of a node")]
fn wall_clock() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// Guests are found again by paths, which must not depend on where a daemon is started.
fn absolute(path: PathBuf) -> Result<PathBuf, DaemonError> {
    std::path::absolute(path).map_err(DaemonError::part("find the state directory"))
}

fn host_name() -> Result<NodeName, DaemonError> {
    let name = nix::unistd::gethostname().map_err(DaemonError::part("ask for the host's name"))?;
    NodeName::new(&name.to_string_lossy())
        .map_err(DaemonError::part("use the host's name as the node's; give another"))
}

/// The kind decides the exit code, the hint what to do next.
fn refused(attempted: &'static str) -> impl FnOnce(DaemonError) -> MachineError {
    move |error| {
        let mut hints = Vec::new();
        let kind = match &error {
            DaemonError::StateDir(StateDirError::Damaged { .. } | StateDirError::TooNew { .. }) => {
                MachineErrorKind::CorruptConfiguration
            }
            DaemonError::StateDir(StateDirError::InUse { .. }) => {
                hints.push("stop the daemon there first, or use another --state-dir".to_owned());
                MachineErrorKind::Failed
            }
            DaemonError::NotANode { .. } => {
                hints.push("make a cluster with 'gantry cluster init'".to_owned());
                hints.push("or join one with 'gantry join'".to_owned());
                MachineErrorKind::NotACluster
            }
            DaemonError::Input(_) | DaemonError::StateDir(StateDirError::NotShared { .. }) => {
                MachineErrorKind::WrongInput
            }
            DaemonError::StateDir(_) | DaemonError::Refused { .. } | DaemonError::Part { .. } => {
                MachineErrorKind::Failed
            }
        };
        MachineError {
            kind,
            message: format!("cannot {attempted}"),
            source: Some(Box::new(error)),
            hints,
        }
    }
}

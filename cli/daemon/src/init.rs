//! Making a cluster of one node (row C6): the authority, the identities, the first entry of the
//! log.
//!
//! Works on a state directory that no daemon uses yet. Its last act is `node.json`; a directory
//! without that file is not a node, so an initialisation that was interrupted can be done again.

use std::net::{IpAddr, UdpSocket};

use gantry_engine::state::{InitCluster, STATE_LEVEL};
use gantry_link::identity::{CertificateAuthority, ClusterUuid as LinkCluster};
use gantry_model::ids::{ClusterUuid, GroupUuid, NodeUuid};
use gantry_model::names::{ClusterName, GroupName, NodeName};
use gantry_model::objects::{
    Cluster, ClusterSettings, DiskTemplate, InstancePolicy, NicParams, Node, NodeGroup,
};
use gantry_model::params::{BackendParams, HypervisorDefaults, HypervisorKind, is_plain_path};
use gantry_model::units::Timestamp;
use gantry_runtime::Platform;
use gantry_wire::Role;

use crate::error::DaemonError;
use crate::log_parts::LogParts;
use crate::state_dir::{NodeFile, StateDir};

/// What a cluster begins with.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Its name.
    pub cluster_name: ClusterName,
    /// Name of this node.
    pub node_name: NodeName,
    /// Where this node's daemon will listen, `host:port`.
    pub address: String,
    /// Hypervisors in use; the first is the default.
    pub enabled_hypervisors: Vec<HypervisorKind>,
    /// Disk templates in use.
    pub enabled_disk_templates: Vec<DiskTemplate>,
    /// Directory of `file` disks; absolute.
    pub file_storage_dir: String,
    /// Directory of `sharedfile` disks, the same on every node; absolute.
    pub shared_file_storage_dir: String,
    /// Parameters of interfaces that have none of their own.
    pub nicparams: NicParams,
    /// First three bytes of generated MAC addresses.
    pub mac_prefix: String,
    /// Defaults of backend parameters.
    pub beparams: BackendParams,
    /// Defaults of hypervisor parameters.
    pub hvparams: HypervisorDefaults,
    /// How many nodes should hold the log.
    pub candidate_pool_size: u32,
    /// What else an operator sets.
    pub settings: ClusterSettings,
    /// What instances may be like; nothing takes any.
    pub policy: Option<InstancePolicy>,
    /// Address of this node to replicate disks over, where it is another one.
    pub secondary_ip: Option<IpAddr>,
}

/// Makes the cluster.
///
/// # Errors
/// When the directory belongs to a cluster already, is in use, or cannot be written.
pub async fn init(state_dir: &StateDir, options: InitOptions) -> Result<NodeFile, DaemonError> {
    for (what, directory) in [
        ("file storage directory", &options.file_storage_dir),
        ("shared file storage directory", &options.shared_file_storage_dir),
    ] {
        if !is_plain_path(directory) {
            let text = format!("{what} {directory:?} is not an absolute path without . and ..");
            return Err(DaemonError::Input(text));
        }
    }
    check_secondary(options.secondary_ip)?;
    if options.enabled_hypervisors.is_empty() {
        return Err(DaemonError::Input("no hypervisor is enabled".into()));
    }
    state_dir.check_outside(&options.shared_file_storage_dir)?;
    state_dir.create()?;
    if let Some(node) = state_dir.load_node()? {
        let text = format!(
            "{} belongs to cluster {} already (node {})",
            state_dir.path().display(),
            node.cluster_name,
            node.name
        );
        return Err(DaemonError::Input(text));
    }
    let _lock = state_dir.lock()?;
    let platform = Platform::real(gantry_runtime::RealConfig::default())
        .map_err(DaemonError::part("start the threads"))?;
    let now = Timestamp(u64::try_from(platform.clock().wall_us()).unwrap_or_default());
    let cluster = ClusterUuid(platform.random_uuid());
    let node = NodeUuid(platform.random_uuid());
    let authority = make_identities(state_dir, cluster, node, now)?.trust().to_pem();
    let first = first_entry(&options, cluster, node, authority, now, &platform);
    bootstrap(state_dir, node, first, &platform).await?;
    let file = NodeFile {
        version: NodeFile::VERSION,
        cluster,
        cluster_name: options.cluster_name,
        node,
        name: options.node_name,
        address: options.address.clone(),
        file_storage_dir: options.file_storage_dir,
        shared_file_storage_dir: options.shared_file_storage_dir,
        storage_paths_written: true,
        holds_log: true,
        master: node,
        master_address: options.address,
    };
    state_dir.write_storage_paths(&file)?;
    state_dir.save_node(&file)?;
    Ok(file)
}

/// The address must be one of this machine.
fn check_secondary(address: Option<IpAddr>) -> Result<(), DaemonError> {
    let Some(address) = address else { return Ok(()) };
    match UdpSocket::bind((address, 0)) {
        Ok(_) => Ok(()),
        Err(_) => Err(DaemonError::Input(format!(
            "You gave {address} as secondary IP, but it does not belong to this host."
        ))),
    }
}

fn make_identities(
    state_dir: &StateDir,
    cluster: ClusterUuid,
    node: NodeUuid,
    now: Timestamp,
) -> Result<CertificateAuthority, DaemonError> {
    let dir = state_dir.identity()?;
    let failed = |source| DaemonError::from(state_dir.identity_error(source));
    let authority =
        CertificateAuthority::create(LinkCluster(cluster.0), now.seconds()).map_err(failed)?;
    for (role, id) in [(Role::Candidate, node.0), (Role::Admin, node.0), (Role::Reader, node.0)] {
        let credentials = authority.issue_new(role, id, now.seconds()).map_err(failed)?;
        dir.save_credentials(&credentials).map_err(failed)?;
    }
    dir.save_trust(&authority.trust()).map_err(failed)?;
    dir.save_authority(&authority).map_err(failed)?;
    dir.endpoint_keys().map_err(failed)?;
    Ok(authority)
}

pub(crate) fn first_entry(
    options: &InitOptions,
    cluster: ClusterUuid,
    node: NodeUuid,
    ca_certificate: String,
    now: Timestamp,
    platform: &Platform,
) -> InitCluster {
    let group = NodeGroup::new(
        GroupUuid(platform.random_uuid()),
        GroupName::new("default").expect("a valid name"),
        now,
    );
    InitCluster {
        cluster: Cluster {
            enabled_hypervisors: options.enabled_hypervisors.clone(),
            enabled_disk_templates: options.enabled_disk_templates.clone(),
            file_storage_dir: options.file_storage_dir.clone(),
            shared_file_storage_dir: options.shared_file_storage_dir.clone(),
            nicparams: options.nicparams.clone(),
            mac_prefix: options.mac_prefix.clone(),
            candidate_pool_size: options.candidate_pool_size,
            hvparams: options.hvparams.clone(),
            beparams: options.beparams.clone(),
            settings: options.settings.clone(),
            policy: options.policy.clone(),
            ca_certificate,
            ..Cluster::new(cluster, options.cluster_name.clone(), now)
        },
        node: Node {
            master_candidate: true,
            secondary_ip: options.secondary_ip,
            ..Node::new(node, options.node_name.clone(), options.address.clone(), group.uuid, now)
        },
        group,
        level: STATE_LEVEL,
    }
}

async fn bootstrap(
    state_dir: &StateDir,
    node: NodeUuid,
    first: InitCluster,
    platform: &Platform,
) -> Result<(), DaemonError> {
    // What an interrupted attempt left was never a cluster.
    let log = state_dir.log();
    if log.exists() {
        std::fs::remove_dir_all(&log).map_err(DaemonError::part("remove an unfinished log"))?;
    }
    LogParts::real(log).bootstrap(node, platform, first).await
}

/// The options of a small cluster, for tests of what works on its first entry.
#[cfg(test)]
pub(crate) fn tests_options() -> InitOptions {
    InitOptions {
        cluster_name: ClusterName::new("cluster.t").expect("valid"),
        node_name: NodeName::new("node1.t").expect("valid"),
        address: "127.0.0.1:1".into(),
        enabled_hypervisors: vec![HypervisorKind::Fake],
        enabled_disk_templates: vec![DiskTemplate::Diskless],
        file_storage_dir: "/srv/disks".into(),
        shared_file_storage_dir: "/srv/shared".into(),
        nicparams: NicParams::default(),
        mac_prefix: "aa:00:00".into(),
        beparams: BackendParams::default(),
        hvparams: HypervisorDefaults::default(),
        candidate_pool_size: 1,
        settings: ClusterSettings::default(),
        policy: None,
        secondary_ip: None,
    }
}

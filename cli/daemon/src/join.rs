//! Joining a cluster with a one-time token (row C106).
//!
//! The token says which authority to trust, so the cluster is verified before the secret is shown.
//! Its last act is `node.json`, as with initialisation.

use std::sync::Arc;
use std::time::Duration;

use gantry_engine::state::STATE_LEVELS;
use gantry_link::Link;
use gantry_link::identity::{ClusterUuid as LinkCluster, Credentials, JoinToken, NodeKey, Trust};
use gantry_link::quic::{LinkIdentity, QuicLink, RefuseInbound};
use gantry_model::errors::Fault;
use gantry_model::ids::NodeUuid;
use gantry_model::messages::{Join, Joined, cluster_path};
use gantry_wire::{BootId, Envelope, Message};

use crate::error::DaemonError;
use crate::state_dir::{NodeFile, StateDir};

/// How long the cluster may take to admit a node: it waits for the big lock, that is for every job
/// that runs now.
const ADMISSION: Duration = Duration::from_secs(120);

/// How long the first hello may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// Joins.
///
/// # Errors
/// When the directory belongs to a cluster already, the cluster cannot be reached or is not the one
/// of the token, or the token is refused.
pub async fn join(
    state_dir: &StateDir,
    token: &JoinToken,
    address: String,
) -> Result<NodeFile, DaemonError> {
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
    let dir = state_dir.identity()?;
    let failed = |source| DaemonError::from(state_dir.identity_error(source));
    let key = NodeKey::generate().map_err(failed)?;
    let csr = key.request().map_err(failed)?;
    let request = Join {
        secret: token.secret().to_vec(),
        csr,
        address: address.clone(),
        levels: Some(STATE_LEVELS),
    };
    let joined = present(token, &request).await?;
    let Joined { cluster, node, node_name, chain, master, hold_log } = joined;
    state_dir.check_outside(&cluster.shared_file_storage_dir)?;
    let credentials = key.certified(chain).map_err(failed)?;
    check_node(&credentials, node)?;
    // All that the cluster believes: while its authority is replaced, that is more than the one
    // which has signed.
    let trust = Trust::from_pem(LinkCluster(cluster.uuid.0), &cluster.ca_certificate);
    dir.save_trust(&trust.map_err(failed)?).map_err(failed)?;
    dir.save_credentials(&credentials).map_err(failed)?;
    dir.endpoint_keys().map_err(failed)?;
    let file = NodeFile {
        version: NodeFile::VERSION,
        cluster: cluster.uuid,
        cluster_name: cluster.name,
        node,
        name: node_name,
        address,
        file_storage_dir: cluster.file_storage_dir,
        shared_file_storage_dir: cluster.shared_file_storage_dir,
        storage_paths_written: true,
        holds_log: hold_log,
        master: master.uuid,
        master_address: master.address,
    };
    state_dir.write_storage_paths(&file)?;
    state_dir.save_node(&file)?;
    Ok(file)
}

/// Shows the token to whichever of its addresses answers with the authority that it names.
async fn present(token: &JoinToken, request: &Join) -> Result<Joined, DaemonError> {
    let boot = BootId(uuid::Uuid::new_v4());
    let link = QuicLink::client(LinkIdentity::joiner(token), boot, Arc::new(RefuseInbound))
        .map_err(DaemonError::part("open the network"))?;
    let peer = tokio::time::timeout(CONNECT, link.connect(token.addrs.clone()))
        .await
        .map_err(DaemonError::part("reach the cluster of the token"))?
        .map_err(DaemonError::part("reach the cluster of the token"))?;
    let body = gantry_wire::encode(request).map_err(DaemonError::part("encode the request"))?;
    let deadline_ms = u32::try_from(ADMISSION.as_millis()).unwrap_or(u32::MAX);
    let message = Join::WIRE_NAME.into();
    let envelope = Envelope::new(cluster_path(), message, body.into(), deadline_ms);
    let answer = link.ask(peer.node, envelope).await;
    link.close(GOODBYE).await;
    let answer = answer.map_err(DaemonError::part("present the join token"))?;
    let joined: Result<Joined, Fault> =
        gantry_wire::decode(&answer).map_err(DaemonError::part("read the cluster's answer"))?;
    joined.map_err(|fault| DaemonError::Refused { attempted: "join the cluster", fault })
}

fn check_node(credentials: &Credentials, node: NodeUuid) -> Result<(), DaemonError> {
    if credentials.name().id == node.0 {
        return Ok(());
    }
    let text = format!("the cluster sent a certificate for {}", credentials.name());
    Err(DaemonError::Input(text))
}

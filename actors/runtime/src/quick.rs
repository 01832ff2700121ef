//! A node in one call, for trying things out: real threads, a QUIC link, an identity made on the
//! spot.
//!
//! All nodes started from one directory are one cluster: whoever can read it can be any node. A
//! real cluster gives each node its own key and certificate over a join token instead, and keeps
//! the authority's key sealed; nothing of that is here.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gantry_link::Inbound;
use gantry_link::identity::{CertificateAuthority, ClusterUuid, IdentityDir, IdentityError};
use gantry_link::quic::{LinkIdentity, QuicConfig, QuicLink, StartError};
use gantry_wire::{BootId, NodeId, Role};
use uuid::Uuid;

use crate::platform::{Platform, PlatformError, RealConfig};
use crate::system::{System, SystemConfig};

/// The one cluster of every quick start; the directory is what keeps two of them apart.
const CLUSTER: ClusterUuid = ClusterUuid(Uuid::from_u128(0x67616e74_7279_4000_8000_717569636b00));

/// A running node.
#[derive(Debug)]
pub struct QuickNode {
    /// Its actors.
    pub system: System,
    /// Where it listens.
    pub addr: SocketAddr,
}

/// Why a quick start failed.
#[derive(Debug, thiserror::Error)]
pub enum QuickError {
    /// No threads.
    #[error("cannot start the platform")]
    Platform(#[source] PlatformError),
    /// No identity in the directory, and none can be made.
    #[error("cannot make an identity in {dir}")]
    Identity {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        #[source]
        source: IdentityError,
    },
    /// No link.
    #[error("cannot start the link")]
    Link(#[source] StartError),
}

impl QuickNode {
    /// Starts node number `n` of the cluster in `dir`, on a free port of the loopback address. The
    /// first start makes the cluster. Another start of the same node is the same node again, in a
    /// new boot.
    ///
    /// # Errors
    /// When threads, files or sockets are refused.
    pub fn start(dir: &Path, n: u64) -> Result<Self, QuickError> {
        let platform = Platform::real(RealConfig::default()).map_err(QuickError::Platform)?;
        let (node, boot) = (Self::node_id(n), BootId(platform.random_uuid()));
        let system = System::new(platform.clone(), SystemConfig { node, boot });
        let now_unix_s = platform.clock().wall().as_secs();
        let failed = |source| QuickError::Identity { dir: dir.to_owned(), source };
        let (identity, keys) = identity(dir, n, now_unix_s).map_err(failed)?;
        let link = QuicLink::start(QuicConfig {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            identity,
            boot,
            keys,
            control_kinds: Vec::new(),
            inbound: system.inbound() as Arc<dyn Inbound>,
            runtime: platform.network(),
        })
        .map_err(QuickError::Link)?;
        let addr = link.local_addr();
        system.attach(Arc::new(link));
        Ok(Self { system, addr })
    }

    /// The id of node number `n`.
    #[must_use]
    pub fn node_id(n: u64) -> NodeId {
        NodeId(Uuid::from_u128(u128::from(n)))
    }

    /// Makes another node known: where it listens.
    pub fn know(&self, n: u64, addr: SocketAddr) {
        if let Some(link) = self.system.link() {
            link.know(Self::node_id(n), vec![addr]);
        }
    }
}

fn identity(
    dir: &Path,
    n: u64,
    now_unix_s: u64,
) -> Result<(LinkIdentity, gantry_link::identity::EndpointKeys), IdentityError> {
    let cluster = IdentityDir::open(dir)?;
    let authority = match cluster.load_authority(CLUSTER)? {
        Some(authority) => authority,
        None => {
            let authority = CertificateAuthority::create(CLUSTER, now_unix_s)?;
            cluster.save_authority(&authority)?;
            authority
        }
    };
    let own = IdentityDir::open(dir.join(format!("node-{n}")))?;
    let id = QuickNode::node_id(n).0;
    let credentials = authority.issue_new(Role::Candidate, id, now_unix_s)?;
    Ok((LinkIdentity::certified(credentials), own.endpoint_keys()?))
}

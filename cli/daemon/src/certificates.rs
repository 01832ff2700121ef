//! The certificates of a running node: stored, renewed, and put into the link.
//!
//! It owns the files `node.pem`, `admin.pem`, `reader.pem` and `trust.pem` while the daemon runs,
//! and the link's identity. Used by the node calls (through `Membership`), by the renewal
//! (`renewal`), and on a holder of the log by what follows its state. A replacement is on disk
//! before it is used, authorities before the certificate that needs them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_link::Link;
use gantry_link::identity::{
    ClusterUuid as LinkCluster, Credentials, Fingerprint, IdentityDir, IdentityError, NodeKey,
    Trust,
};
use gantry_link::quic::{LinkIdentity, QuicLink};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{KeyGeneration, NodeUuid};
use gantry_model::messages::{
    CertificateKind, CertificateRenew, ClusterKeyFetch, QueryTrust, cluster_path,
};
use gantry_model::trust::ClusterTrust;
use gantry_model::units::Timestamp;
use gantry_runtime::{BlockingClass, Platform, System};
use gantry_wire::{NodeId, Role};
use uuid::Uuid;

use crate::renewal::{Due, Looked, Renewer};
use crate::signer::Keyring;

/// How long the master may take to answer. It signs in a millisecond; this is for one that is just
/// taking over. Lower fails renewals in a change of leader, higher makes a node call wait for a
/// master that is gone.
const ANSWER: Duration = Duration::from_secs(20);

/// How long work on the files waits for a place on the disk pool.
const DISK_WAIT: Duration = Duration::from_secs(30);

/// The node's own certificate first: what is asked for with it comes after.
const KINDS: [CertificateKind; 3] =
    [CertificateKind::Own, CertificateKind::Admin, CertificateKind::Reader];

/// Keeps the certificates of one node.
pub(crate) struct Certificates {
    dir: IdentityDir,
    cluster: LinkCluster,
    node: Uuid,
    /// Of the node's own certificate.
    role: Role,
    platform: Platform,
    /// When the node's own certificate ends; of the one loaded last.
    own_ends_unix_s: AtomicU64,
    ends: OnceLock<Ends>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    /// Known on holders of the log only.
    retiring: Mutex<Option<(String, BTreeSet<NodeId>)>>,
}

struct Ends {
    system: System,
    link: Arc<QuicLink>,
}

/// What is on disk.
struct Stored {
    kind: CertificateKind,
    credentials: Credentials,
}

impl Stored {
    fn authority(&self) -> String {
        let authority = self.credentials.chain().last();
        authority.map(|der| Fingerprint::of(der).to_string()).unwrap_or_default()
    }
}

impl Certificates {
    pub(crate) fn new(
        dir: IdentityDir,
        cluster: LinkCluster,
        node: Uuid,
        role: Role,
        platform: Platform,
    ) -> Arc<Self> {
        Arc::new(Self {
            dir,
            cluster,
            node,
            role,
            platform,
            own_ends_unix_s: AtomicU64::new(0),
            ends: OnceLock::new(),
            changing: tokio::sync::Mutex::default(),
            retiring: Mutex::default(),
        })
    }

    /// The node is connected from now on.
    pub(crate) fn connect(&self, system: System, link: Arc<QuicLink>) {
        if self.ends.set(Ends { system, link }).is_err() {
            tracing::error!("certificates were connected twice");
        }
    }

    /// Who this node is, from the disk.
    ///
    /// # Errors
    /// When a file cannot be read, or the node's own certificate is missing.
    pub(crate) fn load_identity(&self) -> Result<LinkIdentity, IdentityError> {
        let credentials = self.dir.load_credentials(self.role)?.ok_or_else(|| {
            IdentityError::Certificate { reason: format!("there is none of a {}", self.role) }
        })?;
        self.own_ends_unix_s.store(credentials.lifetime().not_after_unix_s, Ordering::Relaxed);
        let trust = match self.dir.load_trust(self.cluster)? {
            Some(trust) => trust,
            None => Trust::of(&credentials),
        };
        let retiring = self.retiring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trust = match retiring {
            Some((authority, nodes)) => trust.with_retiring(&authority, nodes)?,
            None => trust,
        };
        Ok(LinkIdentity::Certified { credentials, trust })
    }

    /// Follows the log: the authorities that it says, and of whom an old one is still believed.
    pub(crate) async fn follow(self: &Arc<Self>, trust: &ClusterTrust) -> Result<(), Fault> {
        let retiring = trust.retiring.as_ref().map(|retiring| {
            let nodes = retiring.pending.iter().map(|node| NodeId::from(*node)).collect();
            (retiring.authority.certificate.clone(), nodes)
        });
        let bundle = trust.bundle();
        if bundle.is_empty() {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        *self.retiring.lock().unwrap_or_else(PoisonError::into_inner) = retiring;
        self.store_trust(bundle).await?;
        self.put_into_link().await
    }

    /// Believes exactly these authorities.
    pub(crate) async fn believe(self: &Arc<Self>, bundle: &str) -> Result<(), Fault> {
        let _changing = self.changing.lock().await;
        if self.store_trust(bundle.to_owned()).await? {
            self.put_into_link().await?;
        }
        Ok(())
    }

    /// Has every certificate that is kept here made anew.
    pub(crate) async fn renew(self: &Arc<Self>) -> Result<(), Fault> {
        for stored in self.stored().await? {
            self.renew_one(stored.kind).await?;
        }
        Ok(())
    }

    /// Whether every certificate that is kept here is of that authority and that new.
    pub(crate) async fn is_renewed(
        self: &Arc<Self>,
        authority: &str,
        issued_from: Timestamp,
    ) -> Result<bool, Fault> {
        let stored = self.stored().await?;
        Ok(stored.iter().all(|stored| {
            let issued = stored.credentials.lifetime().issued_unix_s();
            stored.authority() == authority && issued >= issued_from.seconds()
        }))
    }

    async fn look_once(self: &Arc<Self>) -> Result<Looked, Fault> {
        let view = self.ask(QueryTrust {}, "ask whom the cluster believes").await?;
        let mut looked = Looked::Well;
        {
            let _changing = self.changing.lock().await;
            if self.store_trust(view.bundle).await? {
                self.put_into_link().await?;
                looked = Looked::Changed;
            }
        }
        let now = self.platform.clock().wall().as_secs();
        for stored in self.stored().await? {
            let is_of_signing = stored.authority() == view.signing;
            let due = Due::of(stored.credentials.lifetime(), is_of_signing, now);
            if due != Due::No {
                tracing::info!(kind = ?stored.kind, ?due, "a certificate is renewed");
                self.renew_one(stored.kind).await?;
                // The next is asked for over a connection that was made with this one.
                return Ok(Looked::Changed);
            }
        }
        Ok(looked)
    }

    /// Has the node's own certificate made for another role, for the next start of the daemon.
    pub(crate) async fn certify_as(self: &Arc<Self>, role: Role) -> Result<(), Fault> {
        self.certify(CertificateKind::Own, &[role]).await
    }

    async fn renew_one(self: &Arc<Self>, kind: CertificateKind) -> Result<(), Fault> {
        match kind {
            // What it is to be is told by the leader, soon; either certificate serves until then.
            CertificateKind::Own => {
                self.certify(kind, &[Role::Candidate, Role::Node]).await?;
                self.put_into_link().await
            }
            CertificateKind::Admin | CertificateKind::Reader => {
                self.certify(kind, &[self.role_of(kind)]).await
            }
        }
    }

    async fn certify(self: &Arc<Self>, kind: CertificateKind, roles: &[Role]) -> Result<(), Fault> {
        let attempted = "have a certificate made";
        let failed = |error: IdentityError| identity_fault(attempted, &error);
        let key = NodeKey::generate().map_err(failed)?;
        let csr = key.request().map_err(failed)?;
        let issued = self.ask(CertificateRenew { kind, csr }, attempted).await?;
        let credentials = key.certified(issued.chain).map_err(failed)?;
        let name = credentials.name();
        if name.cluster != self.cluster || name.id != self.node || !roles.contains(&name.role) {
            let text = format!("the cluster sent a certificate for {name}");
            return Err(Fault::new(FaultCode::InternalError, text));
        }
        let _changing = self.changing.lock().await;
        self.store_trust(issued.trust.bundle).await?;
        let dir = self.dir.clone();
        self.on_disk("store a certificate", move || dir.save_credentials(&credentials)).await
    }

    /// The link finds that node there from now on.
    pub(crate) async fn know(&self, node: NodeUuid, address: &str) {
        let Some(ends) = self.ends.get().filter(|_| node.0 != self.node) else { return };
        match tokio::net::lookup_host(address).await {
            Ok(addrs) => ends.link.know(node.into(), addrs.collect()),
            Err(error) => {
                tracing::warn!(%node, address, %error, "address of the master not found");
            }
        }
    }

    /// Has the cluster key of that generation handed over, if it is not here.
    pub(crate) async fn fetch_key(
        &self,
        keyring: &Keyring,
        present: KeyGeneration,
    ) -> Result<(), Fault> {
        if keyring.newest() >= Some(present) {
            return Ok(());
        }
        let handed = self.ask(ClusterKeyFetch {}, "ask for the cluster key").await?;
        let generation = handed.generation;
        keyring.accept_key(&handed).map_err(|error| {
            Fault::from_error(FaultCode::EnvironmentError, "keep the cluster key", &error)
        })?;
        tracing::info!(%generation, "the cluster key is here");
        Ok(())
    }

    /// Whether that was another bundle than the one stored.
    async fn store_trust(&self, bundle: String) -> Result<bool, Fault> {
        let (dir, cluster) = (self.dir.clone(), self.cluster);
        self.on_disk("store the cluster's authorities", move || {
            let trust = Trust::from_pem(cluster, &bundle)?;
            if dir.load_trust(cluster)?.as_ref() == Some(&trust) {
                return Ok(false);
            }
            dir.save_trust(&trust)?;
            Ok(true)
        })
        .await
    }

    /// The link uses what is on disk from now on.
    async fn put_into_link(self: &Arc<Self>) -> Result<(), Fault> {
        let Some(ends) = self.ends.get() else { return Ok(()) };
        let attempted = "use another certificate";
        let this = Arc::clone(self);
        let identity = self.on_disk(attempted, move || this.load_identity()).await?;
        let now = self.platform.clock().wall().as_secs();
        ends.link
            .renew(&identity, now)
            .map_err(|error| Fault::from_error(FaultCode::EnvironmentError, attempted, &error))
    }

    async fn stored(self: &Arc<Self>) -> Result<Vec<Stored>, Fault> {
        let this = Arc::clone(self);
        let read = move || {
            let mut stored = Vec::new();
            for kind in KINDS {
                if let Some(credentials) = this.dir.load_credentials(this.role_of(kind))? {
                    stored.push(Stored { kind, credentials });
                }
            }
            Ok(stored)
        };
        self.on_disk("read the certificates", read).await
    }

    fn role_of(&self, kind: CertificateKind) -> Role {
        match kind {
            CertificateKind::Own => self.role,
            CertificateKind::Admin => Role::Admin,
            CertificateKind::Reader => Role::Reader,
        }
    }

    async fn ask<M, T>(&self, message: M, attempted: &str) -> Result<T, Fault>
    where
        M: gantry_wire::Message<Reply = Result<T, Fault>>,
        T: Send + 'static,
    {
        let Some(ends) = self.ends.get() else {
            return Err(Fault::new(FaultCode::WrongState, "the node is not connected yet"));
        };
        let asked = ends.system.actor_ref::<M>(cluster_path()).ask(message, ANSWER).await;
        match asked {
            Ok(answer) => answer.map_err(|fault| fault.within(attempted)),
            Err(error) => Err(Fault::from_ask(&error).within(attempted)),
        }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        attempted: &'static str,
        work: impl FnOnce() -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, Fault> {
        let until = self.platform.clock().now() + DISK_WAIT;
        let path = gantry_model::node_calls::node_path(gantry_model::ids::NodeUuid(self.node));
        let done = self
            .platform
            .blocking(BlockingClass::Disk, attempted, path.as_str(), until, work)
            .await;
        match done {
            Ok(outcome) => outcome.map_err(|error| identity_fault(attempted, &error)),
            Err(error) => Err(Fault::from_error(FaultCode::InternalError, attempted, &error)),
        }
    }
}

fn identity_fault(attempted: &str, error: &IdentityError) -> Fault {
    Fault::from_error(FaultCode::EnvironmentError, attempted, error)
}

/// The renewer of a node that runs.
pub(crate) struct NodeRenewer(pub(crate) Arc<Certificates>);

impl Renewer for NodeRenewer {
    fn look(&self) -> BoxFuture<'_, Result<Looked, Fault>> {
        self.0.look_once().boxed()
    }

    fn remaining(&self) -> Duration {
        let certificates = &self.0;
        let now = certificates.platform.clock().wall().as_secs();
        let own_ends = certificates.own_ends_unix_s.load(Ordering::Relaxed);
        Duration::from_secs(own_ends.saturating_sub(now))
    }
}

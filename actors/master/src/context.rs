//! What every actor of a leader has: the log, the clock, the reign.

use std::sync::Arc;
use std::time::Duration;

use gantry_engine::state::{Applied, ClusterState, Command};
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{NodeUuid, ReignId};
use gantry_model::messages::{ClusterKeyHanded, cluster_path};
use gantry_model::trust::{AuthorityRecord, SealedSecret, SecretName, TrustChange};
use gantry_model::units::Timestamp;
use gantry_runtime::{BlockingClass, System};
use gantry_store::{ProposeError, Snapshot, Store};
use gantry_wire::Role;
use uuid::Uuid;

use crate::lock_waits::LockWaits;
use crate::wishes::Wishes;

/// How long a commit may take before its outcome counts as unknown. A commit is one flush of a
/// disk; a disk that needs longer than this is broken or buried under other work, and a job that
/// waits longer tells nobody why.
pub(crate) const COMMIT_DEADLINE: Duration = Duration::from_secs(30);

/// How long work with keys waits for a place on the disk pool. A signature takes a millisecond and
/// a flush some more; lower would fail jobs when a disk hiccups, higher makes nodes wait for one
/// that is broken.
const KEYS_WAIT: Duration = Duration::from_secs(30);

/// Why a key could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SignError {
    /// What is wrong with the request, the authority or the cluster key.
    pub reason: String,
}

/// The cluster's keys, as the leader needs them. All but the cluster key itself is in the state,
/// sealed; what is sealed and when is decided here, how is the implementer's. Every method may
/// flush a file; callers use a blocking pool.
pub trait CertificateSigner: Send + Sync + 'static {
    /// What the log lacks of what this node has in files: the first authority's key, sealed. Empty
    /// once that is in the log.
    ///
    /// # Errors
    /// When there is no authority at all, or its files cannot be read.
    fn found(&self, state: &ClusterState) -> Result<Vec<TrustChange>, SignError>;

    /// The log has what was found or sealed anew: files and older cluster keys are removed.
    ///
    /// # Errors
    /// When the log's secrets cannot be opened (nothing is removed then), or the disk refuses.
    fn settled(&self, state: &ClusterState) -> Result<(), SignError>;

    /// Makes a certificate by the authority that signs: the chain in DER form, its own first.
    ///
    /// # Errors
    /// When the request cannot be read or the authority's key cannot be used.
    fn sign(
        &self,
        state: &ClusterState,
        role: Role,
        id: Uuid,
        csr_der: &[u8],
    ) -> Result<Vec<Vec<u8>>, SignError>;

    /// Makes an authority to take the place of the one that signs. Nobody believes it yet.
    ///
    /// # Errors
    /// When the present authority's key cannot be used.
    fn new_authority(
        &self,
        state: &ClusterState,
    ) -> Result<(AuthorityRecord, SealedSecret), SignError>;

    /// The present cluster key, for another full candidate.
    ///
    /// # Errors
    /// When this node does not have it.
    fn cluster_key(&self, state: &ClusterState) -> Result<ClusterKeyHanded, SignError>;

    /// Seals a secret under the present cluster key.
    ///
    /// # Errors
    /// When this node does not have it.
    fn seal(
        &self,
        state: &ClusterState,
        name: &SecretName,
        secret: &[u8],
    ) -> Result<SealedSecret, SignError>;

    /// Makes the cluster key that follows, durably, and seals every secret with it. Asked again
    /// before the change is in the log, it takes the same key.
    ///
    /// # Errors
    /// When a secret cannot be opened, or the disk refuses.
    fn next_cluster_key(&self, state: &ClusterState) -> Result<TrustChange, SignError>;
}

/// What a leader is started with.
#[derive(Clone)]
pub struct MasterConfig {
    /// This node.
    pub node: NodeUuid,
    /// The cluster's certificate authority.
    pub signer: Arc<dyn CertificateSigner>,
    /// Where waits for locks are counted; the same over all reigns of the process.
    pub lock_waits: Arc<LockWaits>,
    /// Version of the program, for `gnt-cluster version` and `info`.
    pub software_version: String,
    /// What version control calls its sources; may be empty.
    pub vcs_version: String,
}

/// What every actor of one reign shares.
#[derive(Clone)]
pub(crate) struct MasterContext {
    pub(crate) system: System,
    pub(crate) store: Store,
    pub(crate) reign: ReignId,
    pub(crate) config: MasterConfig,
    pub(crate) wishes: Wishes,
}

impl MasterContext {
    /// Time for entries and log lines.
    pub(crate) fn now(&self) -> Timestamp {
        now(&self.system)
    }

    /// The state as of now.
    pub(crate) fn state(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// The same, to answer somebody from.
    ///
    /// # Errors
    /// When it was found to be wrong: this node leads no more, another one will answer.
    pub(crate) fn believed_state(&self) -> Result<Snapshot, Fault> {
        let state = self.state();
        match state.divergence() {
            None => Ok(state),
            Some(reason) => {
                let text = format!("this node is not the master any more: {reason}; ask again");
                Err(Fault::new(FaultCode::NotMaster, text))
            }
        }
    }

    /// Uses the keys, on the disk pool.
    pub(crate) async fn keys<T: Send + 'static>(
        &self,
        attempted: &'static str,
        work: impl FnOnce(&dyn CertificateSigner, &ClusterState) -> Result<T, SignError>
        + Send
        + 'static,
    ) -> Result<T, Fault> {
        let (signer, state) = (Arc::clone(&self.config.signer), self.state());
        let until = self.system.platform().clock().now() + KEYS_WAIT;
        let work = move || work(signer.as_ref(), &state);
        let path = cluster_path();
        let done = self
            .system
            .platform()
            .blocking(BlockingClass::Disk, attempted, path.as_str(), until, work)
            .await;
        match done {
            Ok(outcome) => outcome
                .map_err(|error| Fault::from_error(FaultCode::EnvironmentError, attempted, &error)),
            Err(error) => Err(Fault::from_error(FaultCode::InternalError, attempted, &error)),
        }
    }

    /// Changes secrets or authorities outside of any job.
    pub(crate) async fn change_trust(&self, changes: Vec<TrustChange>) -> Result<(), Fault> {
        let deltas = changes.into_iter().map(|change| ConfigDelta::Trust(Box::new(change)));
        let command = Command::Config { reign: self.reign, deltas: deltas.collect() };
        self.commit(command).await.map(|_| ())
    }

    /// Proposes a command and waits until it is applied. A refusal by the state is the fault that
    /// it gives; one by the log is [`FaultCode::StaleToken`]: this leader cannot know what became
    /// of the command, and whoever proposed it must look again.
    pub(crate) async fn commit(&self, command: Command) -> Result<Applied, Fault> {
        self.commit_or(FaultCode::StaleToken, command).await
    }

    /// The same for somebody who asks from outside: where another node leads now the outcome is
    /// unknown here and known there, and who may ask again asks that one. A disk that failed is
    /// told at once: nobody may be left who could lead.
    pub(crate) async fn commit_asked(&self, command: Command) -> Result<Applied, Fault> {
        self.commit_or(FaultCode::OutcomeUnknown, command).await
    }

    async fn commit_or(&self, superseded: FaultCode, command: Command) -> Result<Applied, Fault> {
        let failed =
            |code, error: ProposeError| Err(Fault::from_error(code, "write to the log", &error));
        match self.store.propose(command, COMMIT_DEADLINE).await {
            Ok(committed) => match committed.applied {
                Applied::Refused(fault) if fault.code == FaultCode::StaleToken => {
                    Err(Fault { code: superseded, ..fault })
                }
                Applied::Refused(fault) => Err(fault),
                applied => Ok(applied),
            },
            // In the words of the state, which would have refused it too.
            Err(ProposeError::NotPermitted(why)) => Err(why.into()),
            Err(error @ (ProposeError::TooLarge { .. } | ProposeError::NotEncodable { .. })) => {
                failed(FaultCode::WrongInput, error)
            }
            Err(error @ (ProposeError::NotLeader { .. } | ProposeError::LeaderChanged { .. })) => {
                failed(superseded, error)
            }
            Err(error) => failed(FaultCode::StaleToken, error),
        }
    }
}

/// The wall clock of the platform.
pub(crate) fn now(system: &System) -> Timestamp {
    Timestamp(u64::try_from(system.platform().clock().wall_us()).unwrap_or_default())
}

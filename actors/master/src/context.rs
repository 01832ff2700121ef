//! What every actor of a leader has: the log, the clock, the reign.

use std::sync::Arc;
use std::time::Duration;

use gantry_engine::state::{Applied, Command};
use gantry_link::identity::Fingerprint;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{NodeUuid, ReignId};
use gantry_model::units::Timestamp;
use gantry_runtime::System;
use gantry_store::{ProposeError, Snapshot, Store};

/// How long a commit may take before its outcome counts as unknown. A commit is one flush of a
/// disk; a disk that needs longer than this is broken or buried under other work, and a job that
/// waits longer tells nobody why.
pub(crate) const COMMIT_DEADLINE: Duration = Duration::from_secs(30);

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SignError {
    /// What is wrong with the request, or with the authority.
    pub reason: String,
}

/// The cluster's certificate authority, as the leader needs it.
pub trait CertificateSigner: Send + Sync + 'static {
    /// Makes a node's certificate: the chain in DER form, its own first.
    ///
    /// # Errors
    /// When the request cannot be read or the authority's key cannot be used.
    fn sign_node(&self, node: NodeUuid, csr_der: &[u8]) -> Result<Vec<Vec<u8>>, SignError>;

    /// SHA-256 of the authority's certificate: what a join token pins.
    fn fingerprint(&self) -> Fingerprint;
}

/// What a leader is started with.
#[derive(Clone)]
pub struct MasterConfig {
    /// This node.
    pub node: NodeUuid,
    /// The cluster's certificate authority.
    pub signer: Arc<dyn CertificateSigner>,
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

    /// Proposes a command and waits until it is applied. A refusal by the state is the fault that
    /// it gives; one by the log is [`FaultCode::StaleToken`]: this leader cannot know what became
    /// of the command, and whoever proposed it must look again.
    pub(crate) async fn commit(&self, command: Command) -> Result<Applied, Fault> {
        match self.store.propose(command, COMMIT_DEADLINE).await {
            Ok(committed) => match committed.applied {
                Applied::Refused(fault) => Err(fault),
                applied => Ok(applied),
            },
            Err(error @ (ProposeError::TooLarge { .. } | ProposeError::NotEncodable { .. })) => {
                Err(Fault::from_error(FaultCode::WrongInput, "write to the log", &error))
            }
            Err(error) => Err(Fault::from_error(FaultCode::StaleToken, "write to the log", &error)),
        }
    }
}

/// The wall clock of the platform.
pub(crate) fn now(system: &System) -> Timestamp {
    Timestamp(u64::try_from(system.platform().clock().wall_us()).unwrap_or_default())
}

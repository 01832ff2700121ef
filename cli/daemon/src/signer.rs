//! The cluster's authority, as the leader uses it.
//!
//! With one holder of the log its key lies in that node's state directory, mode 0600.

use gantry_link::identity::{CertificateAuthority, Fingerprint, IdentityError};
use gantry_master::{CertificateSigner, SignError};
use gantry_model::ids::NodeUuid;
use gantry_runtime::Clock;
use gantry_wire::Role;

/// Signs with the authority's key.
pub(crate) struct AuthoritySigner {
    authority: CertificateAuthority,
    clock: Clock,
}

impl AuthoritySigner {
    pub(crate) fn new(authority: CertificateAuthority, clock: Clock) -> Self {
        Self { authority, clock }
    }

    fn refused(error: &IdentityError) -> SignError {
        SignError { reason: gantry_wire::ErrorChain(error).to_string() }
    }
}

impl CertificateSigner for AuthoritySigner {
    fn sign_node(&self, node: NodeUuid, csr_der: &[u8]) -> Result<Vec<Vec<u8>>, SignError> {
        let now = self.clock.wall().as_secs();
        self.authority
            .issue(csr_der, Role::Node, node.0, now)
            .map_err(|error| Self::refused(&error))
    }

    fn fingerprint(&self) -> Fingerprint {
        self.authority.fingerprint()
    }
}

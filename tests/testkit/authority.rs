//! The certificate authority of a simulated cluster.

use gantry_link::identity::Fingerprint;
use gantry_master::{CertificateSigner, SignError};
use gantry_model::ids::NodeUuid;
use sha2::{Digest, Sha256};

/// "Certificates" that follow from the request. The simulated network believes roles without them,
/// and real signatures differ in length from run to run, which one seed must not.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimAuthority;

impl CertificateSigner for SimAuthority {
    fn sign_node(&self, node: NodeUuid, csr_der: &[u8]) -> Result<Vec<Vec<u8>>, SignError> {
        if csr_der.is_empty() {
            return Err(SignError { reason: "the certificate request is empty".into() });
        }
        let mut hasher = Sha256::new();
        hasher.update(node.0.as_bytes());
        hasher.update(csr_der);
        Ok(vec![hasher.finalize().to_vec()])
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(b"the authority of a simulated cluster")
    }
}

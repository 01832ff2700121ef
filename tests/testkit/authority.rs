//! The certificate authority of a simulated cluster.

use std::collections::BTreeMap;

use gantry_engine::state::ClusterState;
use gantry_link::identity::Fingerprint;
use gantry_master::{CertificateSigner, SignError};
use gantry_model::ids::KeyGeneration;
use gantry_model::messages::ClusterKeyHanded;
use gantry_model::trust::{AuthorityRecord, SealedSecret, SecretName, TrustChange};
use gantry_wire::Role;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// "Certificates" that follow from the request, and "keys" that follow from their generation. The
/// simulated network believes roles without them, and real signatures differ in length from run to
/// run, which one seed must not.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimAuthority;

fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().to_vec()
}

fn record(number: usize, cross_certificate: String) -> AuthorityRecord {
    let certificate = format!("authority {number}\n");
    let fingerprint = Fingerprint::of(certificate.as_bytes()).to_string();
    AuthorityRecord { fingerprint, certificate, cross_certificate }
}

fn seal(generation: KeyGeneration, name: &SecretName) -> SealedSecret {
    let sealed = digest(&[&generation.0.to_be_bytes(), name.0.as_bytes()]);
    SealedSecret { generation, nonce: vec![0; 12], sealed }
}

impl CertificateSigner for SimAuthority {
    fn found(&self, state: &ClusterState) -> Result<Vec<TrustChange>, SignError> {
        if state.trust.signing.is_some() {
            return Ok(Vec::new());
        }
        let authority = record(1, String::new());
        let name = SecretName::authority(&authority.fingerprint);
        let expected = state.trust.key_generation;
        let secrets = BTreeMap::from([(name.clone(), seal(expected.next(), &name))]);
        let sealing = TrustChange::KeyRotate { expected, secrets };
        Ok(vec![sealing, TrustChange::AuthorityFound(authority)])
    }

    fn settled(&self, _state: &ClusterState) -> Result<(), SignError> {
        Ok(())
    }

    fn sign(
        &self,
        state: &ClusterState,
        role: Role,
        id: Uuid,
        csr_der: &[u8],
    ) -> Result<Vec<Vec<u8>>, SignError> {
        if csr_der.is_empty() {
            return Err(SignError { reason: "the certificate request is empty".into() });
        }
        let Some(signing) = &state.trust.signing else {
            return Err(SignError { reason: "the cluster has no authority".into() });
        };
        let (by, role) = (signing.fingerprint.as_bytes(), role.as_str().as_bytes());
        Ok(vec![digest(&[by, role, id.as_bytes(), csr_der])])
    }

    fn new_authority(
        &self,
        state: &ClusterState,
    ) -> Result<(AuthorityRecord, SealedSecret), SignError> {
        let present = state.trust.signing.as_ref().map(|signing| signing.certificate.clone());
        let cross = present.ok_or_else(|| SignError { reason: "there is no authority".into() })?;
        let number = 1 + state.revision.0 as usize;
        let authority = record(number, cross);
        let name = SecretName::authority(&authority.fingerprint);
        Ok((authority, seal(state.trust.key_generation, &name)))
    }

    fn cluster_key(&self, state: &ClusterState) -> Result<ClusterKeyHanded, SignError> {
        let generation = state.trust.key_generation;
        let key = digest(&[b"key", &generation.0.to_be_bytes()]);
        Ok(ClusterKeyHanded { generation, key })
    }

    fn seal(
        &self,
        state: &ClusterState,
        name: &SecretName,
        _secret: &[u8],
    ) -> Result<SealedSecret, SignError> {
        Ok(seal(state.trust.key_generation, name))
    }

    fn next_cluster_key(&self, state: &ClusterState) -> Result<TrustChange, SignError> {
        let expected = state.trust.key_generation;
        let seal = |name: &SecretName| (name.clone(), seal(expected.next(), name));
        Ok(TrustChange::KeyRotate { expected, secrets: state.secrets.keys().map(seal).collect() })
    }
}

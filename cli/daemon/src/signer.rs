//! The cluster's keys, on a full candidate.
//!
//! It owns the cluster key (a file of the state directory, mode 0600) and uses it to open what the
//! replicated log carries sealed: the key of the authority. Called by the master while it leads.
//! Deliberately absent: when anything is sealed, signed or handed over, which the master decides.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use gantry_engine::state::ClusterState;
use gantry_link::identity::{
    CertificateAuthority, ClusterKey, ClusterUuid as LinkCluster, Fingerprint, IdentityDir,
    NONCE_BYTES, Trust,
};
use gantry_master::{CertificateSigner, SignError};
use gantry_model::ids::KeyGeneration;
use gantry_model::messages::ClusterKeyHanded;
use gantry_model::trust::{AuthorityRecord, SealedSecret, SecretName, TrustChange};
use gantry_runtime::Platform;
use gantry_wire::Role;
use uuid::Uuid;

/// The keys of one candidate.
pub struct Keyring {
    cluster: LinkCluster,
    dir: IdentityDir,
    platform: Platform,
    /// By generation: the present one, and the next while it is not in the log yet.
    keys: Mutex<BTreeMap<u64, ClusterKey>>,
}

impl Keyring {
    /// The keys in a directory of identities.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn open(
        cluster: LinkCluster,
        dir: IdentityDir,
        platform: Platform,
    ) -> Result<Self, gantry_link::identity::IdentityError> {
        let keys = Mutex::new(dir.load_cluster_keys()?);
        Ok(Self { cluster, dir, platform, keys })
    }

    /// The newest cluster key that is here.
    #[must_use]
    pub fn newest(&self) -> Option<KeyGeneration> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.keys().next_back().copied().map(KeyGeneration)
    }

    /// Keeps a cluster key that the leader has handed over, durably, in the place of older ones: it
    /// is the one that the log is sealed with.
    ///
    /// # Errors
    /// When it is no key, or the disk refuses.
    pub fn accept_key(&self, handed: &ClusterKeyHanded) -> Result<(), SignError> {
        let key = ClusterKey::from_bytes(&handed.key).map_err(|error| refused(&error))?;
        self.keep(|keys| {
            keys.insert(handed.generation.0, key);
            keys.retain(|generation, _| *generation >= handed.generation.0);
        })
    }

    fn keep(&self, change: impl FnOnce(&mut BTreeMap<u64, ClusterKey>)) -> Result<(), SignError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = keys.clone();
        change(&mut changed);
        if *keys != changed {
            self.dir.save_cluster_keys(&changed).map_err(|error| refused(&error))?;
            *keys = changed;
        }
        Ok(())
    }

    fn key(&self, generation: KeyGeneration) -> Result<ClusterKey, SignError> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(&generation.0).cloned().ok_or_else(|| SignError {
            reason: format!("this node does not have the cluster key of generation {generation}"),
        })
    }

    /// The key of a generation that nobody has used yet; made and stored if there is none. It must
    /// be the same however often it is asked for, because an entry that seals with it may still be
    /// on its way into the log.
    fn key_to_come(&self, generation: KeyGeneration) -> Result<ClusterKey, SignError> {
        let mut bytes = [0; gantry_link::identity::CLUSTER_KEY_BYTES];
        self.platform.fill_random(&mut bytes);
        self.keep(|keys| {
            keys.entry(generation.0).or_insert_with(|| ClusterKey::new(bytes));
        })?;
        self.key(generation)
    }

    fn seal_as(
        &self,
        generation: KeyGeneration,
        name: &SecretName,
        secret: &[u8],
    ) -> Result<SealedSecret, SignError> {
        let mut nonce = [0; NONCE_BYTES];
        self.platform.fill_random(&mut nonce);
        let place = self.place(generation, name);
        let sealed = self.key(generation)?.seal(nonce, &place, secret);
        let sealed = sealed.map_err(|error| refused(&error))?;
        Ok(SealedSecret { generation, nonce: nonce.to_vec(), sealed })
    }

    fn open_secret(&self, state: &ClusterState, name: &SecretName) -> Result<Vec<u8>, SignError> {
        let secret = state
            .secrets
            .get(name)
            .ok_or_else(|| SignError { reason: format!("there is no secret {name} in the log") })?;
        let place = self.place(secret.generation, name);
        self.key(secret.generation)?
            .open(&secret.nonce, &place, &secret.sealed)
            .map_err(|error| SignError { reason: format!("secret {name}: {error}") })
    }

    /// Binds a sealed secret to its cluster, its name and its key.
    fn place(&self, generation: KeyGeneration, name: &SecretName) -> Vec<u8> {
        format!("gantry/{}/{generation}/{name}", self.cluster).into_bytes()
    }

    fn signing(
        &self,
        state: &ClusterState,
    ) -> Result<(CertificateAuthority, AuthorityRecord), SignError> {
        let record = state.trust.signing.clone().ok_or_else(|| SignError {
            reason: "the cluster has no authority in its log".to_owned(),
        })?;
        let pem = self.open_secret(state, &SecretName::authority(&record.fingerprint))?;
        let pem = String::from_utf8(pem).map_err(|error| refused(&error))?;
        let authority = CertificateAuthority::from_pem(self.cluster, &pem);
        Ok((authority.map_err(|error| refused(&error))?, record))
    }

    fn now_unix_s(&self) -> u64 {
        self.platform.clock().wall().as_secs()
    }
}

impl CertificateSigner for Keyring {
    fn found(&self, state: &ClusterState) -> Result<Vec<TrustChange>, SignError> {
        if state.trust.signing.is_some() {
            return Ok(Vec::new());
        }
        let stored = self.dir.load_authority(self.cluster).map_err(|error| refused(&error))?;
        let authority = stored.ok_or_else(|| SignError {
            reason: format!(
                "neither the log nor {} holds the cluster's authority",
                self.dir.path().display()
            ),
        })?;
        let record = record_of(&authority, String::new());
        let name = SecretName::authority(&record.fingerprint);
        let pem = authority.to_pem();
        let present = state.trust.key_generation;
        let sealing = if present == KeyGeneration::default() {
            let next = present.next();
            self.key_to_come(next)?;
            let secrets =
                BTreeMap::from([(name.clone(), self.seal_as(next, &name, pem.as_bytes())?)]);
            TrustChange::KeyRotate { expected: present, secrets }
        } else {
            let secret = self.seal_as(present, &name, pem.as_bytes())?;
            TrustChange::SecretSet { name, secret }
        };
        Ok(vec![sealing, TrustChange::AuthorityFound(record)])
    }

    fn settled(&self, state: &ClusterState) -> Result<(), SignError> {
        // What cannot be opened again must not be the only copy.
        for name in state.secrets.keys() {
            self.open_secret(state, name)?;
        }
        self.signing(state)?;
        self.dir.remove_authority().map_err(|error| refused(&error))?;
        let present = state.trust.key_generation;
        self.keep(|keys| keys.retain(|generation, _| *generation >= present.0))
    }

    fn sign(
        &self,
        state: &ClusterState,
        role: Role,
        id: Uuid,
        csr_der: &[u8],
    ) -> Result<Vec<Vec<u8>>, SignError> {
        let (authority, record) = self.signing(state)?;
        let issued = authority.issue(csr_der, role, id, self.now_unix_s());
        let mut chain = issued.map_err(|error| refused(&error))?;
        let replaces_another = state.trust.other.is_some() || state.trust.retiring.is_some();
        if replaces_another && !record.cross_certificate.is_empty() {
            let cross = Trust::from_pem(self.cluster, &record.cross_certificate);
            let cross = cross.map_err(|error| refused(&error))?.authorities;
            // Before the authority's own, which is the last by convention.
            let at = chain.len().saturating_sub(1);
            chain.splice(at..at, cross.iter().map(|der| der.to_vec()));
        }
        Ok(chain)
    }

    fn new_authority(
        &self,
        state: &ClusterState,
    ) -> Result<(AuthorityRecord, SealedSecret), SignError> {
        let (present, _) = self.signing(state)?;
        let now = self.now_unix_s();
        let successor =
            CertificateAuthority::create(self.cluster, now).map_err(|error| refused(&error))?;
        let cross = present.cross_certify(&successor, now).map_err(|error| refused(&error))?;
        let cross = Trust { cluster: self.cluster, authorities: vec![cross], retiring: None };
        let record = record_of(&successor, cross.to_pem());
        let name = SecretName::authority(&record.fingerprint);
        let pem = successor.to_pem();
        let secret = self.seal_as(state.trust.key_generation, &name, pem.as_bytes())?;
        Ok((record, secret))
    }

    fn cluster_key(&self, state: &ClusterState) -> Result<ClusterKeyHanded, SignError> {
        let generation = state.trust.key_generation;
        let key = self.key(generation)?.bytes().to_vec();
        Ok(ClusterKeyHanded { generation, key })
    }

    fn seal(
        &self,
        state: &ClusterState,
        name: &SecretName,
        secret: &[u8],
    ) -> Result<SealedSecret, SignError> {
        self.seal_as(state.trust.key_generation, name, secret)
    }

    fn next_cluster_key(&self, state: &ClusterState) -> Result<TrustChange, SignError> {
        let expected = state.trust.key_generation;
        let next = expected.next();
        self.key_to_come(next)?;
        let mut secrets = BTreeMap::new();
        for name in state.secrets.keys() {
            let secret = self.open_secret(state, name)?;
            secrets.insert(name.clone(), self.seal_as(next, name, &secret)?);
        }
        Ok(TrustChange::KeyRotate { expected, secrets })
    }
}

fn record_of(authority: &CertificateAuthority, cross_certificate: String) -> AuthorityRecord {
    AuthorityRecord {
        fingerprint: Fingerprint::of(authority.certificate()).to_string(),
        certificate: authority.trust().to_pem(),
        cross_certificate,
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> SignError {
    SignError { reason: gantry_wire::ErrorChain(error).to_string() }
}

#[cfg(test)]
mod tests;

//! A process's own side of an identity: its key, its certificate, and whom it trusts.

use std::collections::BTreeSet;

use gantry_wire::{NodeId, Role};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::check_authority;
use super::pem_text::PemText;
use super::{CertificateLifetime, ClusterUuid, Fingerprint, IdentityError, PeerName, peer_name_of};

/// A fresh key without a certificate: what a joining node has before it is admitted.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// Makes an ECDSA P-256 key from the operating system's randomness.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(Self)
            .map_err(|source| IdentityError::Create { what: "a key", source })
    }

    /// The certificate request (DER, PKCS#10). It carries the public key and proof of having the
    /// private one; who the holder will be is decided by the issuer alone.
    ///
    /// # Errors
    /// When signing fails.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        CertificateParams::default()
            .serialize_request(&self.0)
            .map(|request| request.der().to_vec())
            .map_err(|source| IdentityError::Create { what: "a certificate request", source })
    }

    /// Joins the key with the chain that the authority issued for it.
    ///
    /// # Errors
    /// When the chain is empty, names nobody, or is for another key.
    pub fn certified(&self, chain: Vec<Vec<u8>>) -> Result<Credentials, IdentityError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Credentials::new(chain, self.0.serialize_der().into())
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(private)")
    }
}

/// A key with its certificate chain, the authority's certificate last.
pub struct Credentials {
    name: PeerName,
    lifetime: CertificateLifetime,
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Credentials {
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let refuse = |reason: &str| IdentityError::Certificate { reason: reason.to_owned() };
        let leaf = chain.first().ok_or_else(|| refuse("the chain is empty"))?;
        let name = peer_name_of(leaf)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| refuse("cannot be read"))?;
        let lifetime = CertificateLifetime::of(&parsed);
        let pair = KeyPair::try_from(&key)
            .map_err(|source| IdentityError::Create { what: "the public key", source })?;
        if parsed.public_key().subject_public_key.data != pair.der_bytes() {
            return Err(IdentityError::KeyMismatch);
        }
        Ok(Self { name, lifetime, chain, key })
    }

    /// Who they say the holder is.
    #[must_use]
    pub fn name(&self) -> PeerName {
        self.name
    }

    /// From when to when they are valid, and when to renew them.
    #[must_use]
    pub fn lifetime(&self) -> CertificateLifetime {
        self.lifetime
    }

    /// The chain in DER form, own certificate first, the authority's last.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(crate) fn key(&self) -> PrivatePkcs8KeyDer<'static> {
        self.key.clone_key()
    }

    /// Certificates and key as one text, so that they are always replaced together.
    #[must_use]
    pub fn to_pem(&self) -> String {
        PemText { certificates: self.chain.clone(), key: Some(self.key()) }.to_text()
    }

    /// Reads what [`Credentials::to_pem`] wrote.
    ///
    /// # Errors
    /// When the text lacks a part, or the parts do not belong together.
    pub fn from_pem(text: &str) -> Result<Self, IdentityError> {
        let refuse = |reason| IdentityError::Certificate { reason };
        let parsed = PemText::parse(text).map_err(refuse)?;
        let key = parsed.key.ok_or_else(|| refuse("no private key".to_owned()))?;
        Self::new(parsed.certificates, key)
    }
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            lifetime: self.lifetime,
            chain: self.chain.clone(),
            key: self.key(),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.name)
    }
}

/// The cluster's authorities. More than one while they are being rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The cluster that they speak for.
    pub cluster: ClusterUuid,
    /// Their certificates.
    pub authorities: Vec<CertificateDer<'static>>,
    /// An authority that is believed of some nodes, and only to renew. Not kept on disk: it is
    /// known to whoever holds the log.
    pub retiring: Option<Retiring>,
}

/// An authority that was replaced while nodes were off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retiring {
    /// Its certificate.
    pub authority: CertificateDer<'static>,
    /// The nodes whose certificates are still of it.
    pub nodes: BTreeSet<NodeId>,
}

impl Trust {
    /// The same, and of these nodes also the authority with that certificate (PEM).
    ///
    /// # Errors
    /// When it is not one authority of the cluster.
    pub fn with_retiring(
        self,
        authority_pem: &str,
        nodes: BTreeSet<NodeId>,
    ) -> Result<Self, IdentityError> {
        let mut old = Self::from_pem(self.cluster, authority_pem)?.authorities.into_iter();
        let retiring = old.next().map(|authority| Retiring { authority, nodes });
        Ok(Self { retiring, ..self })
    }

    /// Fingerprints of the authorities, in order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.authorities.iter().map(|der| Fingerprint::of(der)).collect()
    }

    /// Trust in the authority that `credentials` carry.
    #[must_use]
    pub fn of(credentials: &Credentials) -> Self {
        let authorities = credentials.chain.last().cloned().into_iter().collect();
        Self { cluster: credentials.name.cluster, authorities, retiring: None }
    }

    /// The certificates as text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        PemText { certificates: self.authorities.clone(), key: None }.to_text()
    }

    /// Reads what [`Trust::to_pem`] wrote.
    ///
    /// # Errors
    /// When there is no certificate, or one is not an authority of `cluster`.
    pub fn from_pem(cluster: ClusterUuid, text: &str) -> Result<Self, IdentityError> {
        let refuse = |reason: String| IdentityError::Certificate { reason };
        let parsed = PemText::parse(text).map_err(refuse)?;
        if parsed.certificates.is_empty() || parsed.key.is_some() {
            return Err(refuse("not a list of authorities".to_owned()));
        }
        for der in &parsed.certificates {
            check_authority(cluster, der)?;
        }
        Ok(Self { cluster, authorities: parsed.certificates, retiring: None })
    }
}

/// Roles that a certificate may carry.
pub(super) fn is_certified(role: Role) -> bool {
    Role::from_certificate(role.as_str()).is_some()
}

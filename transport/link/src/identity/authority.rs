//! The cluster's certificate authority.
//!
//! One self-signed ECDSA P-256 certificate signs every other directly; there are no intermediates.
//! The leader holds the key (sealed in the replicated log); this type only uses it.

use std::time::Duration;

use gantry_wire::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::credentials::is_certified;
use super::pem_text::PemText;
use super::{ClusterUuid, Credentials, Fingerprint, IdentityError, NodeKey, PeerName, Trust};

/// How long an authority is valid. Rotation is an opcode that somebody has to run; ten years is
/// longer than most clusters live. Shorter would stop clusters whose operator forgot, longer would
/// keep a leaked key useful.
pub const AUTHORITY_LIFETIME_DAYS: u64 = 3650;

/// How long any other certificate is valid. They renew themselves after two thirds, so this bounds
/// how long a node may be switched off and still come back by itself (four months at least).
/// Shorter would force such nodes to join again, longer keeps a stolen key useful.
pub const LEAF_LIFETIME_DAYS: u64 = 365;

/// How far back validity begins. Nodes compare with their own clock, which may be behind the
/// leader's until time synchronisation has run. Less would refuse such nodes, more gains nothing.
pub const NOT_BEFORE_BACKDATE_HOURS: u64 = 24;

const SERIAL_BYTES: usize = 16;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateLifetime {
    /// First second.
    pub not_before_unix_s: u64,
    /// Last second.
    pub not_after_unix_s: u64,
}

impl CertificateLifetime {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        let seconds = |timestamp: i64| u64::try_from(timestamp).unwrap_or(0);
        Self {
            not_before_unix_s: seconds(validity.not_before.timestamp()),
            not_after_unix_s: seconds(validity.not_after.timestamp()),
        }
    }

    fn starting(now_unix_s: u64, days: u64) -> Self {
        Self {
            not_before_unix_s: now_unix_s.saturating_sub(NOT_BEFORE_BACKDATE_HOURS * 3600),
            not_after_unix_s: now_unix_s.saturating_add(days * DAY.as_secs()),
        }
    }

    /// When it was made: validity begins a little earlier.
    #[must_use]
    pub fn issued_unix_s(&self) -> u64 {
        self.not_before_unix_s.saturating_add(NOT_BEFORE_BACKDATE_HOURS * 3600)
    }

    /// Whether two thirds of it are over.
    #[must_use]
    pub fn is_renewal_due(&self, now_unix_s: u64) -> bool {
        let whole = self.not_after_unix_s.saturating_sub(self.not_before_unix_s);
        now_unix_s >= self.not_before_unix_s.saturating_add(whole / 3 * 2)
    }
}

/// Signs certificates of one cluster.
pub struct CertificateAuthority {
    cluster: ClusterUuid,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl CertificateAuthority {
    /// Makes a new authority, at the creation of a cluster or to rotate.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn create(cluster: ClusterUuid, now_unix_s: u64) -> Result<Self, IdentityError> {
        let create = |source| IdentityError::Create { what: "the cluster's authority", source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(create)?;
        let lifetime = CertificateLifetime::starting(now_unix_s, AUTHORITY_LIFETIME_DAYS);
        let params = authority_parameters(&authority_subject(cluster), lifetime, &key, now_unix_s);
        let certificate = params.self_signed(&key).map_err(create)?;
        Ok(Self { cluster, certificate: certificate.der().clone(), key })
    }

    /// The cluster it speaks for.
    #[must_use]
    pub fn cluster(&self) -> ClusterUuid {
        self.cluster
    }

    /// Its certificate in DER form.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The fingerprint that join tokens carry.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Trust in this authority alone.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust { cluster: self.cluster, authorities: vec![self.certificate.clone()], retiring: None }
    }

    /// Certifies the key of a request as `role` and `id` of this cluster. Nothing but the key is
    /// taken from the request. Returns the chain, own certificate first.
    ///
    /// # Errors
    /// When the request is malformed, not signed by its key, for another kind of key, or the role
    /// is none that certificates carry.
    pub fn issue(
        &self,
        request_der: &[u8],
        role: Role,
        id: Uuid,
        now_unix_s: u64,
    ) -> Result<Vec<Vec<u8>>, IdentityError> {
        if !is_certified(role) {
            return Err(IdentityError::Role { role });
        }
        let request = CertificateSigningRequestParams::from_der(
            &CertificateSigningRequestDer::from(request_der),
        )
        .map_err(IdentityError::Request)?;
        if *request.public_key.algorithm() != PKCS_ECDSA_P256_SHA256 {
            return Err(IdentityError::RequestKey);
        }
        let create = |source| IdentityError::Create { what: "a certificate", source };
        let name = PeerName { cluster: self.cluster, role, id };
        let lifetime = CertificateLifetime::starting(now_unix_s, LEAF_LIFETIME_DAYS);
        let subject = format!("gantry {role} {id}");
        let mut params = parameters(&subject, lifetime, &request.public_key, now_unix_s);
        let uri = name.to_string().try_into().expect("the name is ASCII");
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if name.is_node() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key).map_err(create)?;
        let leaf = params.signed_by(&request.public_key, &issuer).map_err(create)?;
        Ok(vec![leaf.der().to_vec(), self.certificate.to_vec()])
    }

    /// Certifies the key of another authority of the cluster, its successor. Who believes this one
    /// believes the other's certificates through it.
    ///
    /// # Errors
    /// When signing fails.
    pub fn cross_certify(
        &self,
        successor: &Self,
        now_unix_s: u64,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let create = |source| IdentityError::Create { what: "a cross certificate", source };
        let lifetime = CertificateLifetime::starting(now_unix_s, AUTHORITY_LIFETIME_DAYS);
        let subject = authority_subject(self.cluster);
        let params = authority_parameters(&subject, lifetime, &successor.key, now_unix_s);
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key).map_err(create)?;
        let cross = params.signed_by(&successor.key, &issuer).map_err(create)?;
        Ok(cross.der().clone())
    }

    /// Makes a key and certifies it at once: the first node, admins, readers.
    ///
    /// # Errors
    /// As [`NodeKey::generate`] and [`CertificateAuthority::issue`].
    pub fn issue_new(
        &self,
        role: Role,
        id: Uuid,
        now_unix_s: u64,
    ) -> Result<Credentials, IdentityError> {
        let key = NodeKey::generate()?;
        key.certified(self.issue(&key.request()?, role, id, now_unix_s)?)
    }

    /// Certificate and key as text. It is the cluster's greatest secret.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        PemText { certificates: vec![self.certificate.clone()], key: Some(key) }.to_text()
    }

    /// Reads what [`CertificateAuthority::to_pem`] wrote.
    ///
    /// # Errors
    /// When the text lacks a part or is no authority of `cluster`.
    pub fn from_pem(cluster: ClusterUuid, text: &str) -> Result<Self, IdentityError> {
        let refuse = |reason: String| IdentityError::Certificate { reason };
        let parsed = PemText::parse(text).map_err(refuse)?;
        let [certificate] = parsed.certificates.as_slice() else {
            return Err(refuse("not exactly one certificate".to_owned()));
        };
        let key = parsed.key.ok_or_else(|| refuse("no private key".to_owned()))?;
        let key = KeyPair::try_from(&key)
            .map_err(|source| IdentityError::Create { what: "the authority's key", source })?;
        let read = check_authority(cluster, certificate)?;
        if read.public_key().subject_public_key.data != key.der_bytes() {
            return Err(IdentityError::KeyMismatch);
        }
        Ok(Self { cluster, certificate: certificate.clone(), key })
    }
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CertificateAuthority({}, {})", self.cluster, self.fingerprint())
    }
}

/// Reads a certificate and checks that it says it is the authority of `cluster`.
pub(super) fn check_authority(
    cluster: ClusterUuid,
    certificate_der: &[u8],
) -> Result<X509Certificate<'_>, IdentityError> {
    let refuse = |reason: String| IdentityError::Certificate { reason };
    let (_, read) = X509Certificate::from_der(certificate_der)
        .map_err(|_| refuse("cannot be read".to_owned()))?;
    let subject = read.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
    if subject != Some(authority_subject(cluster).as_str()) || !read.is_ca() {
        return Err(refuse(format!("not the authority of cluster {cluster}")));
    }
    Ok(read)
}

fn authority_subject(cluster: ClusterUuid) -> String {
    format!("gantry cluster {cluster}")
}

fn authority_parameters(
    subject: &str,
    lifetime: CertificateLifetime,
    key: &impl PublicKeyData,
    now_unix_s: u64,
) -> CertificateParams {
    let mut params = parameters(subject, lifetime, key, now_unix_s);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn parameters(
    subject: &str,
    lifetime: CertificateLifetime,
    key: &impl PublicKeyData,
    now_unix_s: u64,
) -> CertificateParams {
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.not_before = epoch + Duration::from_secs(lifetime.not_before_unix_s);
    params.not_after = epoch + Duration::from_secs(lifetime.not_after_unix_s);
    // From key and time, so that a renewed certificate of the same key has another number.
    let mut hash = Sha256::new();
    hash.update(key.der_bytes());
    hash.update(now_unix_s.to_be_bytes());
    let mut serial = hash.finalize()[..SERIAL_BYTES].to_vec();
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

//! What is said to `/cluster` about certificates, authorities and the cluster key.
//!
//! Who asks is known from the connection, never from the message, so none of these but
//! [`CertificateIssue`] may be passed on by another node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::ids::KeyGeneration;

/// Which of the certificates that a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateKind {
    /// Its own.
    Own,
    /// That of the operator at its command line; only for a full candidate.
    Admin,
    /// That of a reader there; only for a full candidate.
    Reader,
}

/// Asks for a certificate in place of one that a node has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateRenew {
    /// Which.
    pub kind: CertificateKind,
    /// Certificate request, DER: carries the public key and nothing else that counts.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub csr: Vec<u8>,
}

/// Asks for a certificate of an operator on another machine. Only operators may, and candidates for
/// them; unlike the other messages here it may be passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateIssue {
    /// [`CertificateKind::Admin`] or [`CertificateKind::Reader`].
    pub kind: CertificateKind,
    /// For whom, for the log of the master.
    pub holder: String,
    /// Certificate request, DER.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub csr: Vec<u8>,
}

/// A certificate of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperatorCertificate {
    /// It.
    pub certificate: CertificateIssued,
    /// Where the master listens, `host:port`.
    pub endpoint: String,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateIssued {
    /// The chain, DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// Whom the cluster believes now.
    pub trust: TrustView,
}

/// Asks whom the cluster believes. A node that asks over a connection made with a certificate of
/// the signing authority proves by it that it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryTrust {}

/// Whom the cluster believes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustView {
    /// Certificates of the authorities, PEM.
    pub bundle: String,
    /// Fingerprint of the one that signs; a certificate of another should be renewed.
    pub signing: String,
}

/// Asks for the cluster key, by which the secrets in the log can be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterKeyFetch {}

/// The cluster key. The only message that carries it; it prints without.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterKeyHanded {
    /// Which.
    pub generation: KeyGeneration,
    /// Its bytes.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub key: Vec<u8>,
}

impl std::fmt::Debug for ClusterKeyHanded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterKeyHanded(generation {})", self.generation)
    }
}

super::messages! {
    CertificateRenew = "cluster.certificate-renew", Renew, Result<CertificateIssued, Fault>;
    CertificateIssue = "cluster.certificate-issue", Operate, Result<OperatorCertificate, Fault>;
    QueryTrust = "cluster.query-trust", Renew, Result<TrustView, Fault>;
    ClusterKeyFetch = "cluster.key-fetch", Consensus, Result<ClusterKeyHanded, Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_on_its_way_is_not_printed() {
        let handed = ClusterKeyHanded { generation: KeyGeneration(4), key: vec![173; 32] };
        assert!(!format!("{handed:?}").contains("173"));
    }
}

//! What a cluster keeps secret, and which authorities it believes.
//!
//! Secrets are in the log only *sealed*: encrypted under the cluster key, which full candidates
//! hold in a file of their own and which is never in the log. This module owns their form and the
//! changes; sealing and opening are the daemon's. Nothing here can be printed: `Debug` shows no
//! byte of a sealed secret, and [`TrustChange::redacted`] is what views get.
//!
//! A rotation of the authority, as values: [`TrustChange::AuthorityAdd`] (both are believed),
//! [`TrustChange::AuthoritySwitch`] (the new one signs), [`TrustChange::AuthorityRetire`] (the old
//! one is believed only of nodes that have not renewed, and only to renew),
//! [`TrustChange::NodeRenewed`] for each of these; with the last of them the old one is gone.

use std::collections::{BTreeMap, BTreeSet};

use gantry_wire::RequestId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{KeyGeneration, NodeUuid};

/// What a secret is called: `authority/<fingerprint>` for the key of an authority,
/// `submission/<request id>/<job>/<opcode>` for the secret parameters of an opcode, by places in
/// the submission. It is bound into the sealed form, so that one secret cannot be passed off as
/// another.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SecretName(pub String);

impl SecretName {
    /// Of the key of an authority, by the fingerprint of its certificate.
    #[must_use]
    pub fn authority(fingerprint: &str) -> Self {
        Self(format!("authority/{fingerprint}"))
    }

    /// Of the secret parameters of an opcode. The submission gets its jobs' numbers too late.
    #[must_use]
    pub fn parameters(submission: RequestId, job: usize, op: usize) -> Self {
        Self(format!("submission/{submission}/{job}/{op}"))
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// A secret under the cluster key. Its bytes are for whoever holds that key; nobody prints them.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SealedSecret {
    /// Which cluster key opens it.
    pub generation: KeyGeneration,
    /// Never used twice with one key.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub nonce: Vec<u8>,
    /// What is sealed, with its tag.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub sealed: Vec<u8>,
}

impl SealedSecret {
    /// Without its bytes, for views.
    #[must_use]
    pub fn redacted(&self) -> Self {
        Self { generation: self.generation, nonce: Vec::new(), sealed: Vec::new() }
    }
}

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedSecret(generation {})", self.generation)
    }
}

/// An authority as everybody may see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct AuthorityRecord {
    /// SHA-256 of its certificate, hexadecimal. Join tokens carry it.
    pub fingerprint: String,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its key certified by the authority before it, PEM; empty for a first one. A node that slept
    /// through a rotation still believes the old one, and by this it believes the new one.
    #[serde(default)]
    pub cross_certificate: String,
}

/// An authority that signs nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RetiringAuthority {
    /// Which.
    pub authority: AuthorityRecord,
    /// The nodes of which it is still believed, and only to renew.
    pub pending: BTreeSet<NodeUuid>,
}

/// Whom the cluster believes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterTrust {
    /// The key that every secret is sealed with.
    pub key_generation: KeyGeneration,
    /// The authority that signs; `None` until the first leader has sealed its key.
    pub signing: Option<AuthorityRecord>,
    /// The other one that is believed in full, while one replaces the other.
    pub other: Option<AuthorityRecord>,
    /// The one that was replaced, while nodes have certificates of it.
    pub retiring: Option<RetiringAuthority>,
}

impl ClusterTrust {
    /// The certificates that everybody is to believe, PEM, the signing authority's first.
    #[must_use]
    pub fn bundle(&self) -> String {
        let believed = self.signing.iter().chain(&self.other);
        believed.map(|authority| authority.certificate.as_str()).collect()
    }

    /// The authority of that fingerprint, if it is believed in full.
    #[must_use]
    pub fn authority(&self, fingerprint: &str) -> Option<&AuthorityRecord> {
        let mut believed = self.signing.iter().chain(&self.other);
        believed.find(|authority| authority.fingerprint == fingerprint)
    }
}

/// A change of secrets or authorities.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustChange {
    /// A secret is stored, or replaced. Refused unless it is sealed with the present key.
    SecretSet {
        /// Which.
        name: SecretName,
        /// What.
        secret: SealedSecret,
    },
    /// A secret is erased. Fine if there is none.
    SecretRemove {
        /// Which.
        name: SecretName,
    },
    /// Another cluster key from now on: every secret there is, sealed anew.
    KeyRotate {
        /// The present generation.
        expected: KeyGeneration,
        /// All secrets, under the generation after it.
        secrets: BTreeMap<SecretName, SealedSecret>,
    },
    /// The first authority becomes known; its key is among the secrets.
    AuthorityFound(AuthorityRecord),
    /// A second authority is believed. Refused while another rotation is under way.
    AuthorityAdd {
        /// Which.
        authority: AuthorityRecord,
        /// Its key.
        secret: SealedSecret,
    },
    /// The authority that does not sign is believed no more. Fine if it is not.
    AuthorityDrop {
        /// Which.
        fingerprint: String,
    },
    /// This authority signs from now on; the other one is still believed.
    AuthoritySwitch {
        /// Which.
        fingerprint: String,
    },
    /// The authority that does not sign is believed only of these nodes, and only to renew. Its key
    /// is erased, and so are join tokens, which name it.
    AuthorityRetire {
        /// Which.
        fingerprint: String,
        /// Nodes that have no certificate of the signing authority.
        pending: BTreeSet<NodeUuid>,
    },
    /// A node has shown a certificate of the signing authority. Fine if that was known.
    NodeRenewed {
        /// Which.
        node: NodeUuid,
    },
}

impl TrustChange {
    /// Without the bytes of secrets, for views.
    #[must_use]
    pub fn redacted(&self) -> Self {
        match self {
            Self::SecretSet { name, secret } => {
                Self::SecretSet { name: name.clone(), secret: secret.redacted() }
            }
            Self::KeyRotate { expected, secrets } => {
                let bare = |(name, secret): (&SecretName, &SealedSecret)| {
                    (name.clone(), secret.redacted())
                };
                Self::KeyRotate { expected: *expected, secrets: secrets.iter().map(bare).collect() }
            }
            Self::AuthorityAdd { authority, secret } => {
                Self::AuthorityAdd { authority: authority.clone(), secret: secret.redacted() }
            }
            other @ (Self::SecretRemove { .. }
            | Self::AuthorityFound(_)
            | Self::AuthorityDrop { .. }
            | Self::AuthoritySwitch { .. }
            | Self::AuthorityRetire { .. }
            | Self::NodeRenewed { .. }) => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SealedSecret {
        SealedSecret { generation: KeyGeneration(3), nonce: vec![171; 12], sealed: vec![205; 40] }
    }

    #[test]
    fn nothing_prints_the_bytes_of_a_secret() {
        let name = SecretName::authority("00");
        let changes = [
            TrustChange::SecretSet { name: name.clone(), secret: secret() },
            TrustChange::KeyRotate {
                expected: KeyGeneration(2),
                secrets: BTreeMap::from([(name, secret())]),
            },
        ];
        for change in changes {
            let shown = format!("{change:?}");
            let view = serde_json::to_string(&change.redacted()).expect("encodes");
            for text in [shown, view] {
                assert!(!text.contains("171") && !text.contains("205"), "{text}");
            }
        }
    }
}

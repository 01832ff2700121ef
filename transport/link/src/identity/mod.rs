//! Identities: who a process is, proven by a certificate of its cluster's authority.
//!
//! It owns the authority ([`CertificateAuthority`]), names in certificates ([`PeerName`]), a
//! process's own keys ([`NodeKey`], [`Credentials`]), join tokens and their place on disk
//! ([`IdentityDir`]). The link proves identities with it, the daemon creates and renews them.
//! Deliberately absent: who may join and how long a token lives (the master decides), any clock
//! (the caller passes the time), and revocation (a removed node is refused by the configuration).

mod authority;
mod credentials;
mod dir;
mod name;
mod pem_text;
mod sealing;
mod token;

pub use authority::{
    AUTHORITY_LIFETIME_DAYS, CertificateAuthority, CertificateLifetime, LEAF_LIFETIME_DAYS,
    NOT_BEFORE_BACKDATE_HOURS,
};
pub use credentials::{Credentials, NodeKey, Retiring, Trust};
pub use dir::{EndpointKeys, IdentityDir};
pub use name::{ClusterUuid, PeerName, peer_name_of};
pub use sealing::{CLUSTER_KEY_BYTES, ClusterKey, NONCE_BYTES, SealError};
pub use token::{JoinToken, JoinTokenError};

use std::path::PathBuf;

/// The SHA-256 of a certificate in DER form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate_der: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(certificate_der).into())
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = IdentityError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bytes = token::from_hex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| IdentityError::Certificate {
            reason: "not the fingerprint of a certificate".to_owned(),
        })
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What went wrong with a key, a certificate or its file.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Keys or certificates could not be made.
    #[error("cannot create {what}")]
    Create {
        /// What was being made.
        what: &'static str,
        /// What the library said.
        #[source]
        source: rcgen::Error,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Randomness,
    /// A certificate request is malformed or not signed by its own key.
    #[error("certificate request is not valid")]
    Request(#[source] rcgen::Error),
    /// A certificate request for another kind of key.
    #[error("certificate request is not for an ECDSA P-256 key")]
    RequestKey,
    /// Certificates are not issued for that.
    #[error("no certificate can be issued for role {role}")]
    Role {
        /// The role asked for.
        role: gantry_wire::Role,
    },
    /// A certificate that is not one of ours.
    #[error("certificate is not valid: {reason}")]
    Certificate {
        /// Which rule it breaks.
        reason: String,
    },
    /// A certificate that does not belong to the key.
    #[error("certificate is for another key")]
    KeyMismatch,
    /// A name that is not `gantry://<cluster>/<role>/<id>`.
    #[error("not a gantry name: {name:?}")]
    Name {
        /// The text, cut.
        name: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file or directory of keys that others can read.
    #[error(
        "{} has mode {mode:04o}, which lets others read keys; it must be {wanted:04o}",
        path.display()
    )]
    OpenToOthers {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        wanted: u32,
    },
    /// A file does not contain what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
}

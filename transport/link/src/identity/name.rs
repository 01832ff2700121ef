//! Names in certificates: `gantry://<cluster-uuid>/<role>/<id>`, the only subject alternative name.

use std::str::FromStr;

use gantry_wire::{NodeId, Role};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::IdentityError;

/// Longest piece of a bad name that is repeated in an error.
const SHOWN_CHARS_MAX: usize = 120;

/// A cluster, for its whole life, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterUuid(pub Uuid);

impl std::fmt::Display for ClusterUuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Who a certificate says its holder is. `Display` and `FromStr` are the URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName {
    /// The cluster that issued it.
    pub cluster: ClusterUuid,
    /// What the holder may do. Never [`Role::Joiner`] or [`Role::Lapsed`].
    pub role: Role,
    /// The node's id; for admins and readers, the id of the certificate's owner.
    pub id: Uuid,
}

impl PeerName {
    /// Whether the holder is a node and may accept connections.
    #[must_use]
    pub fn is_node(&self) -> bool {
        matches!(self.role, Role::Node | Role::Candidate)
    }

    /// The id as the transport names nodes.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.id)
    }
}

impl std::fmt::Display for PeerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "gantry://{}/{}/{}", self.cluster, self.role, self.id)
    }
}

impl FromStr for PeerName {
    type Err = IdentityError;

    fn from_str(name: &str) -> Result<Self, IdentityError> {
        parse(name).ok_or_else(|| IdentityError::Name {
            name: name.chars().take(SHOWN_CHARS_MAX).collect(),
        })
    }
}

fn parse(name: &str) -> Option<PeerName> {
    let mut parts = name.strip_prefix("gantry://")?.split('/');
    let cluster = ClusterUuid(parts.next()?.parse().ok()?);
    let role = Role::from_certificate(parts.next()?)?;
    let id = parts.next()?.parse().ok()?;
    let parsed = PeerName { cluster, role, id };
    // One spelling only: two texts for one name would be two identities to whoever compares text.
    (parts.next().is_none() && parsed.to_string() == name).then_some(parsed)
}

/// The name in a certificate. Says nothing about whether the certificate is genuine.
///
/// # Errors
/// When the certificate cannot be read, or its only alternative name is not one of ours.
pub fn peer_name_of(certificate_der: &[u8]) -> Result<PeerName, IdentityError> {
    let refuse = |reason: &str| IdentityError::Certificate { reason: reason.to_owned() };
    let (_, certificate) =
        X509Certificate::from_der(certificate_der).map_err(|_| refuse("cannot be read"))?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| refuse("unreadable alternative names"))?
        .ok_or_else(|| refuse("no alternative name"))?;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(name)] => name.parse(),
        _ => Err(refuse("its alternative name is not exactly one URI")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::credentials::is_certified;

    fn name(role: Role) -> PeerName {
        PeerName { cluster: ClusterUuid(Uuid::from_u128(7)), role, id: Uuid::from_u128(9) }
    }

    #[test]
    fn a_name_comes_back_from_its_text() {
        for role in Role::ALL.into_iter().filter(|role| is_certified(*role)) {
            let text = name(role).to_string();
            assert_eq!(text.parse::<PeerName>().expect("parses"), name(role));
        }
    }

    #[test]
    fn other_texts_are_not_names() {
        let good = name(Role::Node).to_string();
        for bad in [
            String::new(),
            format!("{good}/"),
            format!("{good}/x"),
            good.replace("gantry", "spiffe"),
            good.replace("node", "joiner"),
            good.replace("node", "lapsed"),
            good.replace("node", "root"),
            good.replace("00000000-0000-0000-0000-000000000009", "9"),
            good.replace(
                "00000000-0000-0000-0000-000000000009",
                "00000000000000000000000000000009",
            ),
        ] {
            assert!(bad.parse::<PeerName>().is_err(), "{bad}");
        }
    }
}

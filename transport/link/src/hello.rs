//! The hello: what two peers tell each other before they count as connected.
//!
//! Who dialed sends [`Hello`]; who accepted checks it against the certificate and answers with
//! [`HelloReply`], or closes the connection with a reason. Which versions exist is said here and
//! nowhere else.

use bytes::Bytes;
use gantry_wire::{BootId, NodeId, WireName};
use serde::{Deserialize, Serialize};

use crate::bulk::BulkRefusal;
use crate::contract::Features;
use crate::identity::ClusterUuid;

/// The versions of the protocol that this build speaks, oldest first. A version goes when no
/// supported release needs it any more. Version 1 had every frame in the codec's named form; no
/// release has spoken it.
pub(crate) const PROTOCOL_VERSIONS: &[u16] = &[2];

/// The newest of them, for people.
#[must_use]
pub fn protocol_version() -> u16 {
    PROTOCOL_VERSIONS.iter().copied().max().unwrap_or_default()
}

/// What this build can do beyond its protocol version. A name is sent only after the other side
/// has named it too.
pub(crate) const FEATURES: &[&str] = &[crate::bulk::BULK_FEATURE];

/// What the dialing side says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Protocol versions offered; the newest that both have is taken.
    pub(crate) versions: Vec<u16>,
    /// The cluster it belongs to; a joiner does not know yet.
    pub(crate) cluster: Option<ClusterUuid>,
    /// Its node id. Must be the one in the certificate where that is a node's.
    pub(crate) node: NodeId,
    /// Which run of it.
    pub(crate) boot: BootId,
    /// See [`FEATURES`].
    pub(crate) features: Vec<String>,
    /// Counts the connections that this boot has dialed to this peer.
    pub(crate) dial: u64,
    /// The newest connection dialed by the other side that this one has accepted.
    pub(crate) accepted: Option<AcceptedDial>,
}

/// Names one accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AcceptedDial {
    /// Which run of the side that dialed.
    pub(crate) boot: BootId,
    /// Its count, [`Hello::dial`].
    pub(crate) dial: u64,
}

/// What the accepting side answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HelloReply {
    /// The version that both will speak.
    pub(crate) version: u16,
    /// Its cluster.
    pub(crate) cluster: ClusterUuid,
    /// Its node id.
    pub(crate) node: NodeId,
    /// Which run of it.
    pub(crate) boot: BootId,
    /// The features that both have.
    pub(crate) features: Vec<String>,
}

/// What the accepting side answers on a local connection, where no close carries a reason, to whom
/// it does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HelloRefused {
    /// For people: why, and how that is changed.
    pub(crate) reason: String,
}

/// What whoever opens a bulk transfer says, instead of a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkHello {
    /// As in [`Hello::versions`].
    pub(crate) versions: Vec<u16>,
    /// Its cluster.
    pub(crate) cluster: Option<ClusterUuid>,
    /// As in [`Hello::node`].
    pub(crate) node: NodeId,
    /// Which run of it.
    pub(crate) boot: BootId,
    /// See [`FEATURES`].
    pub(crate) features: Vec<String>,
    /// What kind of data it is.
    pub(crate) kind: WireName,
    /// For the acceptor of that kind.
    pub(crate) header: Bytes,
}

/// The answer to a bulk hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkReply {
    /// The version that both will speak.
    pub(crate) version: u16,
    /// Why the transfer is not taken; it is, without.
    pub(crate) refusal: Option<BulkRefusal>,
}

/// The features of ours that the other side has named too.
pub(crate) fn common_features(theirs: &[String]) -> Features {
    FEATURES
        .iter()
        .filter(|ours| theirs.iter().any(|f| f == *ours))
        .map(ToString::to_string)
        .collect()
}

/// The newest version in both lists.
pub(crate) fn newest_common(ours: &[u16], theirs: &[u16]) -> Option<u16> {
    ours.iter().copied().filter(|version| theirs.contains(version)).max()
}

/// The node id of a peer that is not a node: made from its certificate and its boot by both sides
/// alike. A command cannot choose it, so it cannot pose as a node, and two commands that use one
/// certificate at the same time do not meet.
pub(crate) fn derived_node_id(certificate_der: Option<&[u8]>, boot: BootId) -> NodeId {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(b"gantry client id 1");
    hash.update(certificate_der.unwrap_or_default());
    hash.update(boot.0.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let half: [u8; 16] = *digest.first_chunk().expect("16 of 32 bytes");
    NodeId(uuid::Builder::from_custom_bytes(half).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_newest_common_version_wins() {
        assert_eq!(newest_common(&[1, 2, 3], &[4, 2, 1]), Some(2));
        assert_eq!(newest_common(&[1], &[2]), None);
        assert_eq!(newest_common(&[1], &[]), None);
    }

    #[test]
    fn commands_of_one_certificate_get_different_ids() {
        let (one, two) = (BootId(Uuid::from_u128(1)), BootId(Uuid::from_u128(2)));
        assert_ne!(derived_node_id(Some(b"cert"), one), derived_node_id(Some(b"cert"), two));
        assert_eq!(derived_node_id(None, one), derived_node_id(None, one));
        assert_ne!(derived_node_id(None, one), derived_node_id(Some(b"cert"), one));
    }
}

//! The types that the Raft library is instantiated with.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use gantry_engine::state::{Applied, Entry};
use gantry_model::ids::NodeUuid;
use openraft::EmptyNode;
use openraft::impls::leader_id_std;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::runtime::NodeRuntime;

openraft::declare_raft_types!(
    /// Standard Raft: one leader per term.
    pub(crate) Config:
        D = Proposal,
        R = Answer,
        NodeId = NodeUuid,
        Node = EmptyNode,
        LeaderId = leader_id_std::LeaderId<u64, NodeUuid>,
        AsyncRuntime = NodeRuntime,
);

pub(crate) type Raft = openraft::Raft<Config, Machine>;
pub(crate) type LogId = openraft::alias::LogIdOf<Config>;
pub(crate) type Vote = openraft::alias::VoteOf<Config>;
pub(crate) type LogEntry = openraft::alias::EntryOf<Config>;
pub(crate) type Membership = openraft::Membership<NodeUuid, EmptyNode>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Config>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Config>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<Config, Bytes>;

/// An entry with its encoded form: it is encoded once, where it is proposed, and decoded once per
/// node. A clone shares both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) entry: Arc<Entry>,
    pub(crate) encoded: Bytes,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.encoded.len())
    }
}

/// What applying an entry answers; nothing for entries that are Raft's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer(pub(crate) Option<Applied>);

// The library asks for these of everything it could store. We store our own forms, so this is the
// encoded entry and is never called.
impl Serialize for Proposal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encoded.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let encoded = Bytes::deserialize(deserializer)?;
        let entry = gantry_wire::decode(&encoded).map_err(serde::de::Error::custom)?;
        Ok(Self { entry: Arc::new(entry), encoded })
    }
}

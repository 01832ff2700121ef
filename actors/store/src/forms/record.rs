//! What stands in the log.

use std::collections::BTreeSet;

use bytes::Bytes;
use gantry_model::ids::NodeUuid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an entry stands in the log. One leader per term, so that the term names it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct LogIdForm {
    /// Term of the leader that proposed it.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// A vote: for whom, in which term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoteForm {
    /// The term.
    pub term: u64,
    /// The candidate.
    pub node: NodeUuid,
    /// Whether a quorum granted it: the candidate leads.
    pub committed: bool,
}

/// Who holds the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MembershipForm {
    /// The voters; two sets while they change from one to the other.
    pub voters: Vec<BTreeSet<NodeUuid>>,
    /// Those that get the log and do not vote.
    pub learners: BTreeSet<NodeUuid>,
}

/// What an entry of the log carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadForm {
    /// Nothing: a new leader's first entry.
    Blank,
    /// An encoded [`gantry_engine::state::Entry`].
    Entry(#[schemars(with = "Vec<u8>")] Bytes),
    /// A change of the members.
    Membership(MembershipForm),
}

/// An entry of the log, on disk and between peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordForm {
    /// Where it stands.
    pub id: LogIdForm,
    /// What it carries.
    pub payload: PayloadForm,
}

impl RecordForm {
    /// Bytes that it is charged in queues and caches.
    #[must_use]
    pub fn cost_bytes(&self) -> usize {
        let payload = match &self.payload {
            PayloadForm::Blank => 0,
            PayloadForm::Entry(bytes) => bytes.len(),
            PayloadForm::Membership(members) => {
                let n_voters: usize = members.voters.iter().map(BTreeSet::len).sum();
                (n_voters + members.learners.len()) * size_of::<NodeUuid>()
            }
        };
        size_of::<Self>() + payload
    }
}

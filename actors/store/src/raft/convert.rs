//! Between the library's types and our forms, by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_model::ids::NodeUuid;
use gantry_model::levels::Levels;
use openraft::vote::RaftLeaderId;
use openraft::{EmptyNode, EntryPayload};

use super::types::{LogEntry, LogId, Membership, Proposal, StoredMembership, Vote};
use crate::disk::DiskError;
use crate::forms::{LogIdForm, MembershipAt, MembershipForm, PayloadForm, RecordForm, VoteForm};
use crate::level::known_entry;

type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, NodeUuid>;

pub(crate) fn log_id_form(id: &LogId) -> LogIdForm {
    LogIdForm { term: id.committed_leader_id().term, index: id.index }
}

pub(crate) fn log_id(form: LogIdForm) -> LogId {
    // In this mode the leader's id in a log id is its term alone; the node does not matter.
    let any_node = NodeUuid(uuid::Uuid::nil());
    LogId::new(LeaderId::new(form.term, any_node).to_committed(), form.index)
}

pub(crate) fn vote_form(vote: &Vote) -> VoteForm {
    VoteForm {
        term: vote.leader_id.term,
        node: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub(crate) fn vote(form: VoteForm) -> Vote {
    Vote { leader_id: LeaderId::new(form.term, form.node), committed: form.committed }
}

pub(crate) fn membership_form(membership: &Membership) -> MembershipForm {
    MembershipForm {
        voters: membership.get_joint_config().clone(),
        learners: membership.learner_ids().collect(),
    }
}

/// # Errors
/// When a set of voters is empty: no quorum could ever be found.
pub(crate) fn membership(form: MembershipForm) -> Result<Membership, DiskError> {
    let ids: BTreeSet<NodeUuid> = form.voters.iter().flatten().copied().collect();
    let nodes: BTreeMap<NodeUuid, EmptyNode> =
        ids.union(&form.learners).map(|id| (*id, EmptyNode {})).collect();
    Membership::new(form.voters, nodes)
        .map_err(|e| DiskError::corrupt("a list of members", e.to_string()))
}

pub(crate) fn membership_at_form(stored: &StoredMembership) -> MembershipAt {
    MembershipAt {
        at: stored.log_id().as_ref().map(log_id_form),
        members: membership_form(stored.membership()),
    }
}

pub(crate) fn membership_at(form: MembershipAt) -> Result<StoredMembership, DiskError> {
    Ok(StoredMembership::new(form.at.map(log_id), membership(form.members)?))
}

pub(crate) fn record_form(entry: &LogEntry) -> RecordForm {
    let payload = match &entry.payload {
        EntryPayload::Blank => PayloadForm::Blank,
        EntryPayload::Normal(proposal) => PayloadForm::Entry(proposal.encoded.clone()),
        EntryPayload::Membership(members) => PayloadForm::Membership(membership_form(members)),
    };
    RecordForm { id: log_id_form(&entry.log_id), payload }
}

/// # Errors
/// When the entry in it is not one that a program with these levels knows.
pub(crate) fn log_entry(record: RecordForm, levels: Levels) -> Result<LogEntry, DiskError> {
    let payload = match record.payload {
        PayloadForm::Blank => EntryPayload::Blank,
        PayloadForm::Entry(encoded) => {
            let entry = known_entry(record.id.index, &encoded, levels)?;
            EntryPayload::Normal(Proposal { entry: Arc::new(entry), encoded })
        }
        PayloadForm::Membership(form) => EntryPayload::Membership(membership(form)?),
    };
    Ok(LogEntry { log_id: log_id(record.id), payload })
}

//! Who is to hold the log, and the next thing to do about it (rows P30–P33, Q20; design.md 6).
//!
//! The configuration says which nodes are candidates; the log's own membership says who holds it
//! and who votes. The leader compares the two every second and does one thing at a time, so that
//! every state in between is one that a crash may leave behind. Deliberately absent: asking nodes
//! and changing the membership, which the master does.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::ids::NodeUuid;
use gantry_model::messages::LogHeld;
use gantry_model::objects::NodeRole;

use super::ClusterState;

/// Most voters. Five survive the loss of two at once, and each one more makes every commit wait for
/// a larger majority; candidates beyond them hold the log without a vote and take the place of a
/// voter that is taken out.
pub const VOTERS_MAX: usize = 5;

/// The log's membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Whose votes count.
    pub voters: BTreeSet<NodeUuid>,
    /// Who holds it besides.
    pub learners: BTreeSet<NodeUuid>,
    /// Two sets of voters count, because a change was begun and not ended: `voters` has both.
    pub is_joint: bool,
}

impl Membership {
    /// Whether a node gets the log, with a vote or without.
    #[must_use]
    pub fn has(&self, node: &NodeUuid) -> bool {
        self.voters.contains(node) || self.learners.contains(node)
    }
}

/// What is wanted of the holders for the moment, whatever the flags of nodes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HolderWishes {
    /// These are about to leave the cluster.
    pub leaving: BTreeSet<NodeUuid>,
    /// This candidate is to lead.
    pub next: Option<NodeUuid>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HolderStep {
    /// The log is sent to a node that waits for it.
    Add(NodeUuid),
    /// These vote from now on; others that did hold the log without a vote.
    Vote(BTreeSet<NodeUuid>),
    /// The log is sent to a node no more; it is then told to put it away, and the cluster key
    /// changes.
    Remove(NodeUuid),
    /// A voter leads from now on. It is the last thing that this leader does.
    HandOver(NodeUuid),
}

impl ClusterState {
    /// Whether a node is to hold the log: a candidate that is in use and does not leave.
    #[must_use]
    pub fn is_to_hold(&self, node: NodeUuid, wishes: &HolderWishes) -> bool {
        let known = self.nodes.get(&node);
        known.is_some_and(|node| node.role() == NodeRole::Candidate)
            && !wishes.leaving.contains(&node)
    }

    /// Which nodes are to hold the log: those of [`Self::is_to_hold`], and whoever leads.
    #[must_use]
    pub fn wanted_holders(&self, leader: NodeUuid, wishes: &HolderWishes) -> BTreeSet<NodeUuid> {
        let candidates = self.nodes.keys().copied().filter(|node| self.is_to_hold(*node, wishes));
        candidates.chain([leader]).collect()
    }

    /// The next step towards that; `None` when nothing can be done at present.
    ///
    /// `said` has what nodes have said of themselves lately; one that is not in it cannot be asked.
    #[must_use]
    pub fn next_holder_step(
        &self,
        leader: NodeUuid,
        wishes: &HolderWishes,
        membership: &Membership,
        said: &BTreeMap<NodeUuid, LogHeld>,
    ) -> Option<HolderStep> {
        let wanted = self.wanted_holders(leader, wishes);
        let voters = self.wanted_voters((leader, wishes.next), &wanted, membership, said);
        if membership.is_joint || voters != membership.voters {
            return Some(HolderStep::Vote(voters));
        }
        if let Some(node) = membership.learners.difference(&wanted).next() {
            return Some(HolderStep::Remove(*node));
        }
        let waits = |node: &NodeUuid| said.get(node).is_some_and(|said| said.holds);
        if let Some(node) = wanted.iter().find(|node| !membership.has(node) && waits(node)) {
            return Some(HolderStep::Add(*node));
        }
        self.heir(leader, wishes, &voters, said).map(HolderStep::HandOver)
    }

    /// Which voter is to lead in place of the present leader, if another is: the one that is
    /// wished for, or, where the leader has ceased to be a candidate, the first that answers.
    fn heir(
        &self,
        leader: NodeUuid,
        wishes: &HolderWishes,
        voters: &BTreeSet<NodeUuid>,
        said: &BTreeMap<NodeUuid, LogHeld>,
    ) -> Option<NodeUuid> {
        let fits = |node: &NodeUuid| *node != leader && self.is_to_hold(*node, wishes);
        if wishes.next.is_some() {
            return wishes.next.filter(|next| fits(next) && voters.contains(next));
        }
        let stays = self.is_to_hold(leader, wishes) || !self.nodes.contains_key(&leader);
        let answers = |node: &&NodeUuid| said.get(node).is_some_and(|said| said.holds);
        voters.iter().filter(answers).find(|node| !stays && fits(node)).copied()
    }

    /// An odd number: with an even one a further loss is not survived, and every commit waits for
    /// one more. The leader stays, then who votes already, so that votes do not wander. Who is to
    /// lead next votes, for that moment also as one too many.
    fn wanted_voters(
        &self,
        (leader, next): (NodeUuid, Option<NodeUuid>),
        wanted: &BTreeSet<NodeUuid>,
        membership: &Membership,
        said: &BTreeMap<NodeUuid, LogHeld>,
    ) -> BTreeSet<NodeUuid> {
        let present = self.trust.key_generation;
        let votes = |node: &NodeUuid| membership.voters.contains(node) && wanted.contains(node);
        // A leader without the cluster key could certify nobody.
        let may_vote = |node: &NodeUuid| {
            let has_key = said.get(node).is_some_and(|said| said.key >= Some(present));
            membership.learners.contains(node) && wanted.contains(node) && has_key
        };
        let mut ranked = vec![leader];
        ranked.extend(membership.voters.iter().filter(|node| **node != leader && votes(node)));
        ranked.extend(wanted.iter().filter(|node| **node != leader && may_vote(node)));
        let n_voters = ranked.len().min(VOTERS_MAX);
        ranked.truncate(if n_voters % 2 == 0 { n_voters - 1 } else { n_voters });
        let heir = next.filter(|next| votes(next) || may_vote(next));
        ranked.into_iter().chain(heir).collect()
    }
}

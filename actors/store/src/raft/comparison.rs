//! Comparing the state with that of the other holders of the log.
//!
//! Whenever the index of an applied entry is a multiple of the snapshot interval, every holder
//! takes a clone of its state, hashes it off the apply path, and asks all others for the hash that
//! theirs had at the same entry. Who holds the log is asked of the membership that was in effect
//! at that entry, so that all of them decide alike; a lone holder has nobody to compare with, and
//! neither clones nor hashes. What more than half of the holders have is right, whoever leads;
//! a holder that has something else stops: it applies, votes, serves and proposes nothing any
//! more, leaves a mark on its disk, and is not opened again until its log has been cleared. A
//! wrong state is thereby found wherever it is, the leader's included.
//!
//! The state machine feeds it, `inbound` answers the others from it. Deliberately absent: what is
//! in a state, and finding out where two differ.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use gantry_engine::state::ClusterState;
use gantry_model::ids::NodeUuid;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::brake::{Brake, Halt};
use super::context::NodeContext;
use super::types::Raft;
use crate::config::{
    COMPARE_DEADLINE, COMPARE_RETRY, COMPARE_TIMEOUT, POINTS_KEPT, POINTS_WAITING_MAX,
    RaftTransport,
};
use crate::disk::checksum::hex;
use crate::forms::{RaftAnswer, RaftCall, RaftRequest, StateHashCall};

/// A state to be compared, as it was after the entry of this index.
#[derive(Debug)]
pub(crate) struct Point {
    index: u64,
    state: ClusterState,
}

/// Where the state machine hands over its states, and the others find their hashes.
#[derive(Debug)]
pub(crate) struct Points {
    every: u64,
    queue: mpsc::Sender<Point>,
    hashes: Mutex<BTreeMap<u64, String>>,
}

impl Points {
    pub(crate) fn new(every: u64) -> (Arc<Self>, mpsc::Receiver<Point>) {
        let (queue, waiting) = mpsc::channel(POINTS_WAITING_MAX);
        let points = Self { every: every.max(1), queue, hashes: Mutex::new(BTreeMap::new()) };
        (Arc::new(points), waiting)
    }

    /// The state after the entry of this index, and how many held the log then; a clone is taken
    /// where it is to be compared.
    pub(crate) fn applied(&self, index: u64, n_holders: usize, state: &ClusterState) {
        if !self.is_point(index, n_holders) {
            return;
        }
        // What is applied again after a restart comes faster than it is hashed.
        if self.queue.try_send(Point { index, state: state.clone() }).is_err() {
            tracing::debug!(index, "this state is not compared: earlier ones still are");
        }
    }

    fn is_point(&self, index: u64, n_holders: usize) -> bool {
        index != 0 && index.is_multiple_of(self.every) && n_holders > 1
    }

    /// The hash of this node's state after that entry, if it was compared and is not forgotten.
    pub(crate) fn hash_at(&self, index: u64) -> Option<String> {
        self.hashes().get(&index).cloned()
    }

    fn keep(&self, index: u64, hash: String) {
        let mut hashes = self.hashes();
        hashes.insert(index, hash);
        while hashes.len() > POINTS_KEPT {
            hashes.pop_first();
        }
    }

    fn hashes(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the hashes of all holders say of this node's.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// More than half have what this node has; these have something else.
    Right { differ: Vec<NodeUuid> },
    /// This node has something else than these.
    Wrong { others: Vec<NodeUuid> },
    /// Too few have answered.
    Open { differ: Vec<NodeUuid> },
}

/// `answers` are those of the others, `n_holders` counts this node too.
fn judge(
    own: &str,
    answers: &BTreeMap<NodeUuid, String>,
    n_holders: usize,
    leader: Option<NodeUuid>,
) -> Verdict {
    let mut by_hash: BTreeMap<&str, Vec<NodeUuid>> = BTreeMap::new();
    for (node, hash) in answers {
        by_hash.entry(hash).or_default().push(*node);
    }
    let n_same = 1 + by_hash.remove(own).unwrap_or_default().len();
    let differ: Vec<NodeUuid> = by_hash.values().flatten().copied().collect();
    if n_same * 2 > n_holders {
        return Verdict::Right { differ };
    }
    if let Some(others) = by_hash.into_values().find(|nodes| nodes.len() * 2 > n_holders) {
        return Verdict::Wrong { others };
    }
    // All have answered and no more than half agree: the leader's word counts.
    let leads_otherwise = leader.is_some_and(|leader| differ.contains(&leader));
    if answers.len() + 1 >= n_holders && leads_otherwise {
        return Verdict::Wrong { others: leader.into_iter().collect() };
    }
    Verdict::Open { differ }
}

/// What the comparison needs of its node.
pub(crate) struct Comparison {
    pub(crate) this: NodeUuid,
    pub(crate) points: Arc<Points>,
    pub(crate) raft: Raft,
    pub(crate) transport: Arc<dyn RaftTransport>,
    pub(crate) node: Arc<NodeContext>,
    pub(crate) brake: Arc<Brake>,
}

/// A comparison that is not decided yet.
struct Undecided {
    index: u64,
    hash: String,
    until: Instant,
    answers: BTreeMap<NodeUuid, String>,
}

impl Comparison {
    /// Compares whatever comes, until this node ends or is found to differ.
    pub(crate) async fn run(self, mut waiting: mpsc::Receiver<Point>) {
        let mut open: Option<Undecided> = None;
        loop {
            let next = match &open {
                None => waiting.recv().await.map(Some),
                Some(_) => match tokio::time::timeout(COMPARE_RETRY, waiting.recv()).await {
                    Ok(point) => point.map(Some),
                    Err(_) => Some(None),
                },
            };
            let Some(next) = next else { return };
            if let Some(point) = next {
                // A newer one replaces one that could not be decided: it says the same and more.
                open = self.hash(point).await.or(open);
            }
            let Some(mut current) = open.take() else { continue };
            self.ask(&mut current).await;
            match self.judge(&current) {
                Verdict::Right { differ } => self.tell(&current, &differ),
                Verdict::Wrong { others } => return self.stop(&current, &others).await,
                Verdict::Open { .. } if Instant::now() < current.until => open = Some(current),
                Verdict::Open { differ } => self.tell(&current, &differ),
            }
        }
    }

    async fn hash(&self, point: Point) -> Option<Undecided> {
        let Point { index, state } = point;
        let since = Instant::now();
        let hash = match self.node.blocking(move || state.hash()).await {
            Ok(Ok(hash)) => hex(&hash),
            Ok(Err(error)) => {
                tracing::error!(index, %error, "the state has no hash");
                return None;
            }
            // This node ends.
            Err(_) => return None,
        };
        tracing::debug!(index, took = ?since.elapsed(), "the state is compared");
        self.points.keep(index, hash.clone());
        let until = Instant::now() + COMPARE_DEADLINE;
        Some(Undecided { index, hash, until, answers: BTreeMap::new() })
    }

    fn holders(&self) -> Vec<NodeUuid> {
        let metrics = self.raft.server_metrics();
        let members = metrics.borrow_watched().membership_config.clone();
        members.membership().nodes().map(|(node, _)| *node).collect()
    }

    async fn ask(&self, current: &mut Undecided) {
        let missing = self
            .holders()
            .into_iter()
            .filter(|holder| *holder != self.this && !current.answers.contains_key(holder));
        let index = current.index;
        let asked = missing.map(|to| async move {
            let call = RaftCall::StateHash(StateHashCall { index });
            let request = RaftRequest::new(self.this, to, call);
            let reply = self.transport.send(to, request, COMPARE_TIMEOUT).await;
            match reply.map(|reply| reply.answer) {
                Ok(RaftAnswer::StateHash(answer)) => answer.hash.map(|hash| (to, hash)),
                Ok(_) | Err(_) => None,
            }
        });
        current.answers.extend(join_all(asked).await.into_iter().flatten());
    }

    fn judge(&self, current: &Undecided) -> Verdict {
        let holders = self.holders();
        // One that was removed meanwhile has no say.
        let answers: BTreeMap<NodeUuid, String> = current
            .answers
            .iter()
            .filter(|(node, _)| holders.contains(node))
            .map(|(node, hash)| (*node, hash.clone()))
            .collect();
        let leader = self.raft.server_metrics().borrow_watched().current_leader;
        judge(&current.hash, &answers, holders.len(), leader)
    }

    fn tell(&self, current: &Undecided, differ: &[NodeUuid]) {
        for node in differ {
            tracing::error!(
                %node,
                index = current.index,
                "another holder of the log has another state"
            );
        }
    }

    /// This node takes no part any more.
    async fn stop(&self, current: &Undecided, others: &[NodeUuid]) {
        let named: Vec<String> = others.iter().map(ToString::to_string).collect();
        let reason = format!(
            "after entry {} the state of node {} is not that of {}",
            current.index,
            self.this,
            named.join(", ")
        );
        self.brake.stop(Halt::Diverged(reason.into())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u128) -> NodeUuid {
        NodeUuid(uuid::Uuid::from_u128(number))
    }

    fn judged(own: &str, answers: &[(u128, &str)], n_holders: usize, leader: u128) -> Verdict {
        let answers = answers.iter().map(|(n, hash)| (node(*n), (*hash).to_owned())).collect();
        judge(own, &answers, n_holders, Some(node(leader)))
    }

    #[test]
    fn what_more_than_half_have_is_right_whoever_leads() {
        let none = Vec::new();
        assert_eq!(judged("a", &[(2, "a")], 3, 2), Verdict::Right { differ: none.clone() });
        let named = Verdict::Right { differ: vec![node(3)] };
        assert_eq!(judged("a", &[(2, "a"), (3, "b")], 3, 3), named);
        let wrong = Verdict::Wrong { others: vec![node(2), node(3)] };
        assert_eq!(judged("a", &[(2, "b"), (3, "b")], 3, 1), wrong);
        assert_eq!(judged("a", &[], 1, 1), Verdict::Right { differ: none });
    }

    #[test]
    fn without_a_majority_nobody_is_wrong_until_all_have_answered() {
        let open = Verdict::Open { differ: vec![node(2)] };
        assert_eq!(judged("a", &[(2, "b")], 3, 2), open);
        assert_eq!(judged("a", &[(2, "b")], 4, 2), open);
    }

    #[test]
    fn of_two_that_differ_the_leader_counts() {
        assert_eq!(judged("a", &[(2, "b")], 2, 2), Verdict::Wrong { others: vec![node(2)] });
        assert_eq!(judged("a", &[(2, "b")], 2, 1), Verdict::Open { differ: vec![node(2)] });
    }

    fn taken(waiting: &mut mpsc::Receiver<Point>) -> Vec<u64> {
        std::iter::from_fn(|| waiting.try_recv().ok()).map(|point| point.index).collect()
    }

    #[test]
    fn a_lone_holder_clones_nothing_until_there_is_a_second_one() {
        let (points, mut waiting) = Points::new(10);
        for (index, n_holders) in [(10, 1), (20, 1), (30, 2), (40, 3), (50, 1), (60, 0)] {
            points.applied(index, n_holders, &ClusterState::default());
        }
        assert_eq!(taken(&mut waiting), [30, 40]);
    }

    #[test]
    fn a_state_is_compared_at_every_multiple_of_the_interval_and_remembered_for_a_while() {
        let (points, mut waiting) = Points::new(10);
        for index in 0..=35 {
            points.applied(index, 2, &ClusterState::default());
        }
        assert_eq!(taken(&mut waiting), [10, 20, 30]);
        for index in 0..=POINTS_KEPT as u64 {
            points.keep(index, index.to_string());
        }
        assert_eq!(points.hash_at(0), None);
        assert_eq!(points.hash_at(1).as_deref(), Some("1"));
    }
}

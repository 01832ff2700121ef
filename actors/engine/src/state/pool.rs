//! The candidate pool: how many nodes should hold the log, and which are promoted (rows P31, P32).
//!
//! Pure. Who may call it: logical units that change nodes. What becomes of the flags is in
//! [`super::holders`].

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_model::ids::NodeUuid;
use gantry_model::objects::{Node, NodeRole};

use super::ClusterState;

/// How full the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStanding {
    /// How many candidates there are.
    pub now: usize,
    /// How many there should be: so many as the cluster wants, or as can be candidates.
    pub wanted: usize,
}

impl ClusterState {
    /// How full the pool is without some nodes.
    #[must_use]
    pub fn pool_without(&self, except: &BTreeSet<NodeUuid>) -> PoolStanding {
        let others = || self.nodes.values().filter(|node| !except.contains(&node.uuid));
        let able = others().filter(|node| node.may_be_candidate()).count();
        let now = others().filter(|node| node.role() == NodeRole::Candidate).count();
        PoolStanding { now, wanted: able.min(self.pool_size()) }
    }

    /// Whether a node that can be a candidate is one more that is needed.
    #[must_use]
    pub fn pool_has_room(&self) -> bool {
        self.pool_without(&BTreeSet::new()).now < self.pool_size()
    }

    /// Who becomes a candidate when some are none any more, in the order of their names, and when
    /// the pool is to have this size. Nobody ceases to be one.
    #[must_use]
    pub fn promotions(&self, size: u32, except: &BTreeSet<NodeUuid>) -> Vec<Arc<Node>> {
        let stay = self.pool_without(except).now;
        let by_name = self.node_names.values().filter_map(|node| self.nodes.get(node));
        let able = |node: &&Arc<Node>| {
            node.may_be_candidate() && !node.master_candidate && !except.contains(&node.uuid)
        };
        let missing = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(stay);
        by_name.filter(able).take(missing).cloned().collect()
    }

    /// How many candidates the cluster wants.
    fn pool_size(&self) -> usize {
        let size = self.cluster.as_ref().map_or(0, |cluster| cluster.candidate_pool_size);
        usize::try_from(size).unwrap_or(usize::MAX)
    }
}

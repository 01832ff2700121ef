//! Nodes that become candidates because another is none any more, or because the pool is larger
//! (row P32). Units on nodes and on the cluster use it; who is chosen is decided in the engine.

use std::collections::BTreeSet;

use gantry_engine::state::ClusterState;
use gantry_model::deltas::ConfigDelta;
use gantry_model::ids::NodeUuid;
use gantry_model::names::NodeName;
use gantry_model::objects::{NodeChange, NodeRole};
use gantry_model::steps::{Act, Step};
use serde::{Deserialize, Serialize};

/// Which nodes. Part of plans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promoted(Vec<(NodeUuid, NodeName)>);

impl Promoted {
    /// So that the pool is full without some nodes.
    pub(crate) fn without(state: &ClusterState, except: &BTreeSet<NodeUuid>) -> Self {
        let size = state.cluster.as_ref().map_or(0, |cluster| cluster.candidate_pool_size);
        Self::to_size(state, size, except)
    }

    /// So that the pool has this size.
    pub(crate) fn to_size(state: &ClusterState, size: u32, except: &BTreeSet<NodeUuid>) -> Self {
        let promoted = state.promotions(size, except);
        Self(promoted.iter().map(|node| (node.uuid, node.name.clone())).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For the job's log.
    pub(crate) fn line(&self) -> Option<String> {
        let names: Vec<&str> = self.0.iter().map(|(_, name)| name.as_str()).collect();
        let text =
            || format!(" - INFO: Promoted nodes to master candidate role: {}", names.join(", "));
        (!names.is_empty()).then(text)
    }

    /// The changes of their flags.
    pub(crate) fn deltas(&self) -> impl Iterator<Item = ConfigDelta> + '_ {
        self.0.iter().map(|(node, _)| ConfigDelta::NodeChange {
            node: *node,
            expected: None,
            change: Box::new(NodeChange::role(NodeRole::Candidate)),
        })
    }

    /// Waiting until they hold the log.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.0.iter().map(|(node, name)| await_holder(*node, name.as_str(), true))
    }
}

/// Waits until a node holds the log, or does not. Where that takes too long the opcode ends with a
/// warning: nothing is lost by it, the leader goes on.
pub(crate) fn await_holder(node: NodeUuid, name: &str, holds: bool) -> Step {
    let name = match holds {
        true => format!("give the log to node {name}"),
        false => format!("take the log from node {name}"),
    };
    Step::new(name, Act::AwaitHolder { node }).may_fail()
}

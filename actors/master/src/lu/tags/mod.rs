//! Units on tags, and what both share: whose tags are meant, under which lock (rows O64, O65).

mod del;
mod set;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::{ClusterState, not_known};
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::locks::{LockMode, LockName};
use gantry_model::objects::NodeGroup;
use gantry_model::steps::{Act, Step};
use gantry_model::tags::{TagError, TagObject, Tagged, check_tags};
use serde::{Deserialize, Serialize};

use super::{guest, one_stage};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// Whose tags.
    object: Tagged,
}

fn invalid(error: &TagError) -> Fault {
    Fault::new(FaultCode::InvalidTag, error.to_string())
}

fn check_arguments(tags: &[String]) -> Result<(), Fault> {
    if tags.is_empty() {
        return Err(Fault::new(FaultCode::WrongInput, "no tags are given"));
    }
    check_tags(tags).map_err(|error| invalid(&error))
}

/// The object alone; changes of the cluster's tags exclude each other in the log, nothing else.
fn locks(object: &TagObject, state: &ClusterState) -> Result<LockStage, Fault> {
    let lock = match resolve(object, state)? {
        Tagged::Cluster => None,
        Tagged::Node(uuid) => Some(LockName::node(uuid)),
        Tagged::Nodegroup(uuid) => Some(LockName::nodegroup(uuid)),
        Tagged::Instance(uuid) => {
            state.instances.get(&uuid).map(|instance| LockName::instance(&instance.name))
        }
    };
    Ok(one_stage(lock.map(|lock| (lock, LockMode::Exclusive))))
}

fn resolve(object: &TagObject, state: &ClusterState) -> Result<Tagged, Fault> {
    match object {
        TagObject::Cluster => guest::cluster(state).map(|_| Tagged::Cluster),
        TagObject::Node(name) => {
            let found = state.node_by_name(name).map(|node| Tagged::Node(node.uuid));
            found.ok_or_else(|| not_known("Node", name.as_str()))
        }
        TagObject::Nodegroup(name) => {
            let mut groups = state.groups.values();
            let found = groups.find(|group: &&std::sync::Arc<NodeGroup>| group.name == *name);
            let found = found.map(|group| Tagged::Nodegroup(group.uuid));
            found.ok_or_else(|| not_known("Node group", name.as_str()))
        }
        TagObject::Instance(name) => {
            let found = state.instance_by_name(name);
            let found = found.map(|instance| Tagged::Instance(instance.uuid));
            found.ok_or_else(|| not_known("Instance", name.as_str()))
        }
    }
}

fn tags_of(object: Tagged, state: &ClusterState) -> &[String] {
    let tags = match object {
        Tagged::Cluster => state.cluster.as_ref().map(|cluster| &cluster.tags),
        Tagged::Node(uuid) => state.nodes.get(&uuid).map(|node| &node.tags),
        Tagged::Nodegroup(uuid) => state.groups.get(&uuid).map(|group| &group.tags),
        Tagged::Instance(uuid) => state.instances.get(&uuid).map(|instance| &instance.tags),
    };
    tags.map_or(&[], Vec::as_slice)
}

fn change(name: String, object: Tagged, add: &[String], remove: &[String]) -> Vec<Step> {
    let (add, remove) = (add.to_vec(), remove.to_vec());
    vec![Step::new(name, Act::change(ConfigDelta::Tags { object, add, remove }))]
}

//! Looking for tags in everything that has some (row C23).

use gantry_model::messages::FoundTag;
use gantry_model::query::Pattern;

use crate::state::ClusterState;

/// Every tag in which the pattern is found, with Ganeti's path of its object, sorted by both.
#[must_use]
pub fn search_tags(state: &ClusterState, pattern: &Pattern) -> Vec<FoundTag> {
    let mut found = Vec::new();
    let mut look = |path: String, tags: &[String]| {
        let tags = tags.iter().filter(|tag| pattern.is_in(tag));
        found.extend(tags.map(|tag| FoundTag { path: path.clone(), tag: tag.clone() }));
    };
    if let Some(cluster) = &state.cluster {
        look("/cluster".into(), &cluster.tags);
    }
    for instance in state.instances.values() {
        look(format!("/instances/{}", instance.name), &instance.tags);
    }
    for node in state.nodes.values() {
        look(format!("/nodes/{}", node.name), &node.tags);
    }
    for group in state.groups.values() {
        look(format!("/nodegroup/{}", group.name), &group.tags);
    }
    found.sort();
    found
}

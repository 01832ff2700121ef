//! Disks exist where the configuration says, whole and of their size. Holds once no job is left to
//! do.

use gantry_engine::state::ClusterState;
use gantry_model::ids::NodeUuid;
use gantry_model::objects::DiskTemplate;
use gantry_storage::fake::FakeDisk;

/// Once no job is left to do.
#[must_use]
pub fn check(state: &ClusterState, disks: &[FakeDisk]) -> Vec<String> {
    let mut wrong = Vec::new();
    let fakes =
        state.instances.values().filter(|instance| instance.disk_template == DiskTemplate::Fake);
    for instance in fakes {
        let node = world_name(state, instance.primary);
        for disk in &instance.disks {
            let found = disks.iter().find(|found| found.disk == disk.uuid && found.node == node);
            let name = format!("disk {} of {}", disk.index, instance.name);
            match found {
                Some(found) if found.whole && found.size == disk.size => {}
                Some(found) => wrong.push(format!("{name} is not as it should be: {found:?}")),
                None => wrong.push(format!("{name} is not on {node}")),
            }
        }
    }
    wrong
}

/// What a node is called in the worlds of the fakes.
pub(super) fn world_name(state: &ClusterState, node: NodeUuid) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name = state.nodes.get(&node).map(|node| node.name.to_string());
    name.unwrap_or_default().chars().map(plain).collect()
}

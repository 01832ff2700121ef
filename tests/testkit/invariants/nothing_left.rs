//! Nothing is left of what was taken back or removed: no disk and no guest that the configuration
//! does not have. Holds once no job is left to do.

use gantry_engine::state::ClusterState;
use gantry_hv::fake::FakeRunning;
use gantry_storage::fake::FakeDisk;

use super::disks_in_place::world_name;

/// Once no job is left to do.
#[must_use]
pub fn check(state: &ClusterState, disks: &[FakeDisk], running: &[FakeRunning]) -> Vec<String> {
    let mut wrong = Vec::new();
    for found in disks {
        let belongs = state.instances.values().any(|instance| {
            instance.disks.iter().any(|disk| disk.uuid == found.disk)
                && world_name(state, instance.primary) == found.node
        });
        if !belongs {
            wrong.push(format!("a disk is left: {found:?}"));
        }
    }
    for guest in running {
        if !state.instances.contains_key(&guest.instance) {
            wrong.push(format!("a guest is left: {guest:?}"));
        }
    }
    wrong
}

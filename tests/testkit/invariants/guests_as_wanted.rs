//! What is to run runs, in the run that was begun last and where it belongs, and nothing else does.
//! Holds once no job is left to do, unless guests end by themselves.

use gantry_engine::state::ClusterState;
use gantry_hv::fake::FakeRunning;
use gantry_model::objects::AdminState;

use super::disks_in_place::world_name;

/// Once no job is left to do.
#[must_use]
pub fn check(state: &ClusterState, running: &[FakeRunning]) -> Vec<String> {
    let mut wrong = Vec::new();
    for instance in state.instances.values() {
        let found: Vec<_> =
            running.iter().filter(|guest| guest.instance == instance.uuid).collect();
        let node = world_name(state, instance.primary);
        let name = &instance.name;
        match (instance.admin_state, found.as_slice()) {
            (AdminState::Up, [guest]) if guest.node == node => {
                if guest.epoch != instance.run_epoch {
                    let (runs, last) = (guest.epoch, instance.run_epoch);
                    wrong.push(format!("{name} runs under epoch {runs}, the last is {last}"));
                }
            }
            (AdminState::Up, found) => {
                wrong.push(format!("{name} is to run on {node} and runs at {found:?}"));
            }
            (AdminState::Down | AdminState::Offline, []) => {}
            (AdminState::Down | AdminState::Offline, found) => {
                wrong.push(format!("{name} is not to run and does: {found:?}"));
            }
        }
    }
    wrong
}

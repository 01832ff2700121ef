//! The power switch of one boot of a machine.

use gantry_link::sim::SimNetwork;
use gantry_runtime::SimNode;
use gantry_store::disk::FaultyDisk;
use gantry_wire::NodeId;

/// Cuts everything of a machine at once: network, tasks, what its disks have not flushed. It may be
/// used from inside of what it cuts. Its guests live on, as they do when only the agent dies.
#[derive(Clone)]
pub(crate) struct Power {
    pub(crate) network: SimNetwork,
    pub(crate) node: NodeId,
    pub(crate) sim: SimNode,
    pub(crate) disks: [FaultyDisk; 2],
}

impl Power {
    /// Cuts it. Done again, it changes nothing.
    pub(crate) fn cut(&self) {
        if self.sim.is_crashed() {
            return;
        }
        tracing::info!(node = %self.node, "power cut");
        self.network.crash(self.node);
        self.sim.crash();
        for disk in &self.disks {
            disk.lose_power(None).expect("a medium in memory does not fail");
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.sim.is_crashed()
    }
}

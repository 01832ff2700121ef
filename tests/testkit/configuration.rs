//! What a simulated cluster begins with.

use gantry_engine::state::{InitCluster, STATE_LEVEL};
use gantry_model::ids::{ClusterUuid, GroupUuid, NodeUuid};
use gantry_model::names::{ClusterName, GroupName, NodeName};
use gantry_model::objects::{Cluster, DiskTemplate, Node, NodeGroup};
use gantry_model::params::HypervisorKind;
use gantry_model::units::Timestamp;

use crate::seeds::derived_uuid;

/// The first entry of the log: one group, one node, fake hypervisor and storage.
pub(crate) fn first_entry(
    seed: u64,
    node: NodeUuid,
    name: NodeName,
    address: String,
    now: Timestamp,
) -> InitCluster {
    let group = NodeGroup::new(
        GroupUuid(derived_uuid(seed, "group", 1)),
        GroupName::new("default").expect("a valid name"),
        now,
    );
    let node = Node { master_candidate: true, ..Node::new(node, name, address, group.uuid, now) };
    InitCluster { cluster: cluster(seed, now), group, node, level: STATE_LEVEL }
}

fn cluster(seed: u64, now: Timestamp) -> Cluster {
    Cluster {
        enabled_hypervisors: vec![HypervisorKind::Fake],
        enabled_disk_templates: vec![DiskTemplate::Fake, DiskTemplate::Diskless],
        file_storage_dir: "/srv/gantry".into(),
        ..Cluster::new(
            ClusterUuid(derived_uuid(seed, "cluster", 1)),
            ClusterName::new("simulated.example").expect("a valid name"),
            now,
        )
    }
}

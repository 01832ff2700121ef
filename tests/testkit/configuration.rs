//! What a simulated cluster begins with.

use gantry_engine::state::{InitCluster, STATE_LEVEL};
use gantry_model::ids::{ClusterUuid, GroupUuid, NodeUuid, Serial};
use gantry_model::names::{ClusterName, GroupName, NodeName};
use gantry_model::objects::{Cluster, DiskTemplate, Node, NodeGroup};
use gantry_model::params::{BackendParams, HypervisorDefaults, HypervisorKind};
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
    let group = NodeGroup {
        uuid: GroupUuid(derived_uuid(seed, "group", 1)),
        name: GroupName::new("default").expect("a valid name"),
        ctime: now,
        mtime: now,
        serial: Serial(1),
        tags: Vec::new(),
    };
    let node = Node {
        uuid: node,
        name,
        address,
        group: group.uuid,
        master_candidate: true,
        offline: false,
        drained: false,
        master_capable: true,
        vm_capable: true,
        ctime: now,
        mtime: now,
        serial: Serial(1),
        tags: Vec::new(),
    };
    InitCluster { cluster: cluster(seed, now), group, node, level: STATE_LEVEL }
}

fn cluster(seed: u64, now: Timestamp) -> Cluster {
    Cluster {
        uuid: ClusterUuid(derived_uuid(seed, "cluster", 1)),
        name: ClusterName::new("simulated.example").expect("a valid name"),
        ctime: now,
        mtime: now,
        serial: Serial(1),
        enabled_hypervisors: vec![HypervisorKind::Fake],
        enabled_disk_templates: vec![DiskTemplate::Fake, DiskTemplate::Diskless],
        file_storage_dir: "/srv/gantry".into(),
        mac_prefix: "aa:00:00".into(),
        candidate_pool_size: 10,
        max_running_jobs: 20,
        max_tracked_jobs: 25,
        hvparams: HypervisorDefaults::default(),
        beparams: BackendParams::default(),
        tags: Vec::new(),
        ca_certificate: String::new(),
    }
}

//! Prints how long the hash of a large state takes, and a clone of it: 20,000 instances and 5,000
//! jobs. `cargo run -p gantry-engine --example state_hash`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::collections::BTreeMap;
use std::time::Instant;

use gantry_engine::state::{ClusterState, Command, Entry, InitCluster, STATE_LEVEL};
use gantry_model::deltas::ConfigDelta;
use gantry_model::ids::{
    ClusterUuid, DiskUuid, GroupUuid, InstanceUuid, NodeUuid, RunEpoch, Serial,
};
use gantry_model::messages::NewJob;
use gantry_model::names::{ClusterName, GroupName, InstanceName, NodeName};
use gantry_model::objects::{
    AdminState, Cluster, Disk, DiskLocation, DiskMode, DiskTemplate, Instance, Node, NodeGroup,
};
use gantry_model::opcodes::{OpRequest, TestDelay};
use gantry_model::params::{BackendOverrides, HvOverrides, HypervisorKind, PrivateParams};
use gantry_model::units::{MiB, Timestamp};
use gantry_wire::RequestId;
use uuid::Uuid;

const N_INSTANCES: u128 = 20_000;
const N_JOBS: usize = 5_000;
const N_ROUNDS: usize = 5;
const AT: Timestamp = Timestamp(1_700_000_000_000_000);
const THIS: NodeUuid = NodeUuid(Uuid::from_u128(1));

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut state = ClusterState::default();
    let mut apply = |command| {
        let entry = Entry { at: AT, command };
        state.apply(state.revision.next(), &entry);
        state.reign
    };
    apply(Command::Init(Box::new(init()?)));
    let reign = apply(Command::TakeOver { node: THIS });
    for number in 0..N_INSTANCES {
        let deltas = vec![ConfigDelta::InstanceAdd(Box::new(instance(number)?))];
        apply(Command::Config { reign, deltas });
    }
    let jobs = vec![NewJob { ops: vec![OpRequest::from(TestDelay::default())] }; N_JOBS];
    apply(Command::Submit {
        reign,
        request: RequestId(Uuid::from_u128(7)),
        jobs,
        secrets: BTreeMap::new(),
    });

    for _ in 0..N_ROUNDS {
        let since = Instant::now();
        let clone = state.clone();
        let cloned = since.elapsed();
        let since = Instant::now();
        let hash = clone.hash()?;
        println!(
            "clone {cloned:?}, hash {:?} ({:02x}{:02x}...)",
            since.elapsed(),
            hash[0],
            hash[1]
        );
    }
    Ok(())
}

fn init() -> Result<InitCluster, Box<dyn std::error::Error>> {
    let group = GroupUuid(Uuid::from_u128(2));
    let cluster = Cluster {
        enabled_hypervisors: vec![HypervisorKind::Fake],
        enabled_disk_templates: vec![DiskTemplate::Fake],
        file_storage_dir: "/srv/disks".into(),
        ..Cluster::new(ClusterUuid(Uuid::from_u128(3)), ClusterName::new("cluster.example")?, AT)
    };
    let node = Node {
        master_candidate: true,
        ..Node::new(THIS, NodeName::new("node1")?, "192.0.2.1:1811".into(), group, AT)
    };
    let (name, serial, tags) = (GroupName::new("default")?, Serial(1), Vec::new());
    let group = NodeGroup { uuid: group, name, ctime: AT, mtime: AT, serial, tags };
    Ok(InitCluster { cluster, group, node, level: STATE_LEVEL })
}

fn instance(number: u128) -> Result<Instance, Box<dyn std::error::Error>> {
    let uuid = InstanceUuid(Uuid::from_u128(0x1_0000_0000 + number));
    let disk = Disk {
        uuid: DiskUuid(Uuid::from_u128(0x2_0000_0000 + number)),
        instance: uuid,
        index: 0,
        size: MiB(1024),
        mode: DiskMode::Rw,
        name: None,
        location: DiskLocation::Fake,
    };
    Ok(Instance {
        uuid,
        name: InstanceName::new(&format!("web{number}.example"))?,
        primary: THIS,
        hvparams: HvOverrides::none(HypervisorKind::Fake),
        beparams: BackendOverrides::default(),
        os: "debian".into(),
        osparams: BTreeMap::new(),
        osparams_private: PrivateParams::default(),
        disk_template: DiskTemplate::Fake,
        disks: vec![disk],
        nics: Vec::new(),
        admin_state: AdminState::Up,
        run_epoch: RunEpoch(1),
        ctime: AT,
        mtime: AT,
        serial: Serial(1),
        tags: Vec::new(),
        network_port: None,
    })
}

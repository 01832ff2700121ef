//! One round on this machine: real threads, real QEMU, a real guest. Says aloud when there is no
//! QEMU.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gantry_host::ProcessIdentity;
use gantry_hv::HypervisorRegistry;
use gantry_hv::guest::{TINY_GUEST_IMAGE, TINY_GUEST_UP};
use gantry_hv::kvm::{Accelerator, AcceleratorChoice, KvmConfig, KvmHypervisor};
use gantry_model::messages::{CallNode, ReadConsole, WriteConsole};
use gantry_model::names::NodeName;
use gantry_model::node_calls::{
    CallOutcome, DiskCreate, DiskRemove, DiskWriteImage, InstanceReboot, InstanceStart,
    InstanceStop, NodeCall, instance_path,
};
use gantry_model::objects::{Disk, DiskLocation, GuestSpec};
use gantry_model::params::{HypervisorKind, KvmParams};
use gantry_model::units::{MiB, Millis};
use gantry_node::{NodeConfig, NodeSide, PlatformBlocking};
use gantry_runtime::{Platform, RealConfig, SpawnOptions, System, SystemConfig};
use gantry_storage::{FileStorage, StorageRegistry};
use gantry_wire::{BootId, Message};

use crate::bench::{Bench, FakeMembership, Leader, NODE, WEB1, disk, message, spec};

/// How long anything may take here: a boot under emulation takes under a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A state directory; whatever runs in it ends with the test.
struct StateDir(tempfile::TempDir);

impl Drop for StateDir {
    fn drop(&mut self) {
        let pid_file = pid_file(self.0.path());
        let wanted = ["-pidfile", &pid_file.to_string_lossy()];
        for process in gantry_host::find_by_arguments(&wanted).unwrap_or_default() {
            let _gone = process.kill();
        }
    }
}

fn pid_file(dir: &Path) -> PathBuf {
    dir.join(format!("run/kvm/{WEB1}/pid"))
}

struct Agent {
    platform: Platform,
    system: System,
    side: NodeSide,
}

impl Agent {
    async fn start(dir: &Path, boot: u128, leader: &Leader) -> Self {
        let platform = Platform::real(RealConfig::default()).expect("threads");
        let config = SystemConfig { node: NODE.into(), boot: BootId(uuid::Uuid::from_u128(boot)) };
        let system = System::new(platform.clone(), config);
        let leader = leader.clone();
        let cluster = gantry_model::messages::cluster_path();
        system.spawn(cluster, SpawnOptions::default(), move || leader.clone()).expect("leader");
        let accelerator = AcceleratorChoice::Fixed(Accelerator::Tcg);
        let kvm = KvmHypervisor::new(KvmConfig { accelerator, ..KvmConfig::new(dir) });
        let blocking = Arc::new(PlatformBlocking::new(platform.clone()));
        let file = FileStorage::new(dir.join("disks"), blocking).expect("absolute");
        let config = NodeConfig::new(
            NodeName::new("node1").expect("valid"),
            dir,
            HypervisorRegistry::new().with(Arc::new(kvm)),
            StorageRegistry::new().with(Arc::new(file)),
            Arc::new(FakeMembership::default()),
        );
        let side = NodeSide::start(&system, config).await.expect("starts");
        Self { platform, system, side }
    }

    async fn stop(self) {
        self.side.shutdown(PATIENCE).await;
        assert!(self.system.shutdown(PATIENCE).await);
        self.platform.stop();
    }

    async fn ask<M: Message>(&self, message: M) -> M::Reply {
        let asked = self.system.actor_ref::<M>(instance_path(WEB1));
        asked.ask(message, PATIENCE).await.expect("answered")
    }

    async fn done(&self, seq: u32, call: impl Into<NodeCall>) -> CallOutcome {
        let message = message(seq, call);
        let path = message.call.target().path(NODE);
        let asked = self.system.actor_ref::<CallNode>(path);
        asked.ask(message, PATIENCE).await.expect("answered").expect("done")
    }

    async fn read_until(&self, offset: &mut u64, text: &str) {
        let mut seen = String::new();
        while !seen.contains(text) {
            let read = ReadConsole { offset: *offset, wait: Millis(20_000) };
            let chunk = self.ask(read).await.expect("readable");
            assert!(!chunk.bytes.is_empty(), "no {text:?} in {seen:?}");
            *offset = chunk.offset + chunk.bytes.len() as u64;
            seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
        }
    }
}

fn guest(disk: Disk) -> GuestSpec {
    GuestSpec {
        hvparams: KvmParams::default().into(),
        memory: MiB(16),
        disks: vec![disk],
        ..spec(1)
    }
}

fn pid(leader: &Leader) -> Option<u32> {
    leader.see(|picture| picture.guests.get(&WEB1).and_then(|guest| guest.pid))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// covers: H130 H131 H132
#[tokio::test(flavor = "multi_thread")]
async fn a_real_guest_outlives_its_agent() {
    let program = KvmParams::default().kvm_path;
    if !Path::new(&program).exists() {
        eprintln!("SKIPPED: {program} is not installed (package qemu-system-x86)");
        return;
    }
    let dir = tempfile::Builder::new().prefix("gn").tempdir_in("/tmp").expect("a directory");
    let dir = StateDir(dir);
    let path = dir.0.path();
    let image = path.join("tiny.img");
    std::fs::write(&image, TINY_GUEST_IMAGE).expect("written");
    let location =
        DiskLocation::File { path: path.join("disks/web1").to_string_lossy().into_owned() };
    let disk = Disk { location, ..disk(&Bench::new()) };
    let leader = Leader::default();

    let agent = Agent::start(path, 1, &leader).await;
    agent.done(1, DiskCreate { disk: disk.clone() }).await;
    let image = image.to_string_lossy().into_owned();
    agent.done(2, DiskWriteImage { disk: disk.clone(), image }).await;
    agent.done(3, InstanceStart { spec: guest(disk.clone()), paused: false }).await;
    let mut offset = 0;
    agent.read_until(&mut offset, &format!("{TINY_GUEST_UP}1")).await;
    until("it is reported", || pid(&leader).is_some()).await;
    let before = pid(&leader);
    agent.stop().await;

    leader.see(|picture| *picture = Default::default());
    let agent = Agent::start(path, 2, &leader).await;
    until("it is adopted", || pid(&leader) == before).await;
    // The start is on record; sent again it starts nothing.
    agent.done(3, InstanceStart { spec: guest(disk.clone()), paused: false }).await;
    assert_eq!(pid(&leader), before);
    let mut offset = 0;
    agent.ask(WriteConsole { bytes: b"r".to_vec() }).await.expect("written");
    agent.read_until(&mut offset, &format!("{TINY_GUEST_UP}2")).await;
    let kvm = HypervisorKind::Kvm;
    agent.done(4, InstanceReboot { instance: WEB1, hypervisor: kvm, mark: None }).await;
    agent.read_until(&mut offset, &format!("{TINY_GUEST_UP}3")).await;
    let stop = InstanceStop {
        instance: WEB1,
        hypervisor: kvm,
        timeout: Millis(30_000),
        epoch: None,
        disks: Vec::new(),
    };
    let stopped = agent.done(5, stop).await;
    assert!(stopped.notes.is_empty(), "it obeyed: {stopped:?}");
    until("its end is reported", || pid(&leader).is_none()).await;
    let process = ProcessIdentity::of(before.expect("it ran")).expect("proc");
    assert!(process.is_none(), "{process:?}");
    agent.done(6, DiskRemove { disk }).await;
    agent.stop().await;
}

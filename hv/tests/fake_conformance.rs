//! The conformance suite over the fake hypervisor, its world in memory and in a directory.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_host::Pool;
use gantry_hv::conformance::Bench;
use gantry_hv::fake::{FakeHypervisor, FakeWorld};
use gantry_hv::{DiskSource, Hypervisor};
use gantry_model::ids::{DiskUuid, InstanceUuid, RunEpoch};
use gantry_model::names::InstanceName;
use gantry_model::objects::{Disk, DiskLocation, DiskMode, GuestSpec};
use gantry_model::params::{FakeParams, HvParams};
use gantry_model::report::GuestReport;
use gantry_model::units::MiB;
use uuid::Uuid;

struct FakeBench {
    world: Box<dyn Fn() -> FakeWorld + Send>,
    now: FakeWorld,
    hypervisor: Option<Arc<dyn Hypervisor>>,
    n_guests: u32,
}

impl FakeBench {
    fn new(world: Box<dyn Fn() -> FakeWorld + Send>) -> Self {
        let now = world();
        let mut bench = Self { world, now, hypervisor: None, n_guests: 0 };
        bench.restart();
        bench
    }
}

impl Bench for FakeBench {
    fn hypervisor(&self) -> Arc<dyn Hypervisor> {
        Arc::clone(self.hypervisor.as_ref().expect("not crashed"))
    }

    fn guest(&mut self) -> (GuestSpec, Vec<DiskSource>) {
        self.n_guests += 1;
        let n = u128::from(self.n_guests);
        let instance = InstanceUuid(Uuid::from_u128(0xfa00_0000 + n));
        let disk = Disk {
            uuid: DiskUuid(Uuid::from_u128(0xd150_0000 + n)),
            instance,
            index: 0,
            size: MiB(1),
            mode: DiskMode::Rw,
            name: None,
            location: DiskLocation::Fake,
        };
        let spec = GuestSpec {
            instance,
            name: InstanceName::new(&format!("guest{n}")).expect("a name"),
            hvparams: HvParams::Fake(FakeParams::default()),
            memory: MiB(16),
            vcpus: 1,
            disks: vec![disk],
            nics: Vec::new(),
            epoch: RunEpoch(5),
            network_port: None,
            tags: Vec::new(),
            uid_pool: Vec::new(),
        };
        (spec, vec![DiskSource::Record])
    }

    fn crash(&mut self) {
        let hypervisor = self.hypervisor.take().expect("not crashed twice");
        assert_eq!(Arc::strong_count(&hypervisor), 1, "somebody still uses it");
    }

    fn restart(&mut self) {
        self.now = (self.world)();
        self.hypervisor = Some(Arc::new(FakeHypervisor::new(&self.now, "node1")));
    }

    fn kill_behind(&mut self, report: &GuestReport) -> BoxFuture<'_, ()> {
        let instance = report.instance;
        Box::pin(async move { self.now.die(instance).await.expect("dies") })
    }
}

mod in_memory {
    use super::*;

    fn bench() -> Option<FakeBench> {
        let world = FakeWorld::in_memory();
        Some(FakeBench::new(Box::new(move || world.clone())))
    }

    gantry_hv::conformance_tests!(bench);
}

mod in_a_directory {
    use super::*;

    /// Each restart opens the world anew, as another process would.
    fn bench() -> Option<FakeBench> {
        let dir = tempfile::tempdir().expect("tempdir");
        Some(FakeBench::new(Box::new(move || {
            FakeWorld::in_directory(dir.path(), Arc::new(Pool)).expect("made")
        })))
    }

    gantry_hv::conformance_tests!(bench);
}

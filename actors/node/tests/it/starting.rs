//! Starting the node side, and refusing to.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_host::NodeResources;
use gantry_hv::fake::{FakeHypervisor, FakeWorld};
use gantry_hv::{
    Capabilities, ConsoleStream, DiskSource, GuestIntent, HvError, HvEvent, HvFacts, Hypervisor,
    HypervisorRegistry, Listing, Started, StoppedBy,
};
use gantry_model::ids::InstanceUuid;
use gantry_model::names::NodeName;
use gantry_model::node_calls::{Recovery, node_path};
use gantry_model::objects::GuestSpec;
use gantry_model::params::HypervisorKind;
use gantry_model::report::GuestReport;
use gantry_node::{FixedMachine, NodeConfig, NodeSide, StartError};
use gantry_runtime::{Platform, System, SystemConfig, simulate};
use gantry_storage::StorageRegistry;
use gantry_wire::BootId;
use tokio::sync::broadcast;

use crate::bench::{Bench, FakeMembership, NODE};

fn system() -> System {
    let config = SystemConfig { node: NODE.into(), boot: BootId(uuid::Uuid::from_u128(1)) };
    System::new(Platform::simulated(1), config)
}

fn config(dir: &std::path::Path, hypervisors: HypervisorRegistry) -> NodeConfig {
    let name = NodeName::new("node1").expect("valid");
    let membership = Arc::new(FakeMembership::default());
    let storage = StorageRegistry::new();
    NodeConfig {
        machine: Arc::new(FixedMachine(NodeResources::default())),
        ..NodeConfig::new(name, dir, hypervisors, storage, membership)
    }
}

#[test]
fn a_damaged_journal_keeps_the_node_from_starting() {
    simulate(async {
        let bench = Bench::new();
        std::fs::write(bench.dir.path().join("agent.redb"), b"garbage").expect("written");
        let system = system();
        let started = NodeSide::start(&system, config(bench.dir.path(), Default::default())).await;
        assert!(matches!(started, Err(StartError::Journal(_))), "{started:?}");
    });
}

#[test]
fn two_agents_cannot_use_one_journal() {
    simulate(async {
        let bench = Bench::new();
        let _first = bench.boot().await;
        let second = NodeSide::start(&system(), config(bench.dir.path(), Default::default())).await;
        assert!(matches!(second, Err(StartError::Journal(_))), "{second:?}");
    });
}

/// A hypervisor that cannot list its guests.
struct Blind(FakeHypervisor);

impl Hypervisor for Blind {
    fn kind(&self) -> HypervisorKind {
        self.0.kind()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn node_facts(&self) -> BoxFuture<'_, HvFacts> {
        self.0.node_facts()
    }
    fn validate<'a>(&'a self, spec: &'a GuestSpec) -> BoxFuture<'a, Result<Vec<String>, HvError>> {
        self.0.validate(spec)
    }
    fn start<'a>(
        &'a self,
        spec: &'a GuestSpec,
        disks: &'a [DiskSource],
        paused: bool,
    ) -> BoxFuture<'a, Result<Started, HvError>> {
        self.0.start(spec, disks, paused)
    }
    fn stop(
        &self,
        instance: InstanceUuid,
        timeout: std::time::Duration,
    ) -> BoxFuture<'_, Result<StoppedBy, HvError>> {
        self.0.stop(instance, timeout)
    }
    fn reboot(
        &self,
        instance: InstanceUuid,
        mark: Option<uuid::Uuid>,
    ) -> BoxFuture<'_, Result<(), HvError>> {
        self.0.reboot(instance, mark)
    }
    fn query(&self, instance: InstanceUuid) -> BoxFuture<'_, Result<Option<GuestReport>, HvError>> {
        self.0.query(instance)
    }
    fn list(&self) -> BoxFuture<'_, Result<Listing, HvError>> {
        Box::pin(async { Err(HvError::NotRegistered(HypervisorKind::Fake)) })
    }
    fn events(&self) -> broadcast::Receiver<HvEvent> {
        self.0.events()
    }
    fn console(
        &self,
        instance: InstanceUuid,
    ) -> BoxFuture<'_, Result<Box<dyn ConsoleStream>, HvError>> {
        self.0.console(instance)
    }
    fn recover<'a>(&'a self, intent: GuestIntent<'a>) -> BoxFuture<'a, Recovery> {
        self.0.recover(intent)
    }
}

#[test]
fn a_node_that_cannot_see_its_guests_does_not_say_it_is_ready() {
    simulate(async {
        let bench = Bench::new();
        let world = FakeWorld::in_memory();
        let blind = Blind(FakeHypervisor::new(&world, "node1"));
        let hypervisors = HypervisorRegistry::new().with(Arc::new(blind));
        let system = system();
        let started = NodeSide::start(&system, config(bench.dir.path(), hypervisors)).await;
        assert!(matches!(started, Err(StartError::Adopt(_))), "{started:?}");
        assert!(!system.is_live(&node_path(NODE)));
    });
}

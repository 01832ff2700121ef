//! What the world of the fake guests notices, and what can be made to go wrong in it.

use std::sync::Arc;
use std::time::Duration;

use gantry_host::{CrashPoint, Verdict};
use gantry_hv::fake::{FakeEffect, FakeHypervisor, FakeWorld};
use gantry_hv::{GuestChange, GuestIntent, HvError, Hypervisor, StoppedBy};
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::names::InstanceName;
use gantry_model::node_calls::{InstanceStart, Recovery};
use gantry_model::objects::GuestSpec;
use gantry_model::params::{FakeParams, HvParams, KvmParams};
use gantry_model::report::GuestState;
use gantry_model::units::MiB;
use uuid::Uuid;

fn guest(epoch: u64) -> GuestSpec {
    GuestSpec {
        instance: InstanceUuid(Uuid::from_u128(1)),
        name: InstanceName::new("guest1").expect("a name"),
        hvparams: HvParams::Fake(FakeParams::default()),
        memory: MiB(16),
        vcpus: 1,
        disks: Vec::new(),
        nics: Vec::new(),
        epoch: RunEpoch(epoch),
        network_port: None,
        tags: Vec::new(),
        uid_pool: Vec::new(),
    }
}

async fn start(hv: &FakeHypervisor, epoch: u64) -> Result<(), HvError> {
    hv.start(&guest(epoch), &[], false).await.map(|_| ())
}

async fn violations(world: &FakeWorld) -> Vec<String> {
    world.violations().await.expect("reads")
}

fn die_at(world: &FakeWorld, effect: FakeEffect, point: CrashPoint) {
    world.injector().set_crash_hook(Some(Arc::new(move |here, at| {
        if (here, at) == (effect, point) { Verdict::Hang } else { Verdict::Go }
    })));
}

/// The agent dies in the middle of a start; the next one asks what became of it.
async fn recovered_after_death(effect: FakeEffect, point: CrashPoint) -> (Recovery, FakeWorld) {
    let world = FakeWorld::in_memory();
    die_at(&world, effect, point);
    let hv = FakeHypervisor::new(&world, "node1");
    let dying = tokio::time::timeout(Duration::from_secs(60), start(&hv, 1)).await;
    assert!(dying.is_err(), "it does not come back");
    drop(hv);
    world.injector().set_crash_hook(None);
    let hv = FakeHypervisor::new(&world, "node1");
    let intent = InstanceStart { spec: guest(1), paused: false };
    let recovered = hv.recover(GuestIntent::Start(&intent)).await;
    (recovered, world)
}

#[tokio::test(start_paused = true)]
async fn the_same_guest_on_two_nodes_is_a_violation() {
    let world = FakeWorld::in_memory();
    let (one, two) = (FakeHypervisor::new(&world, "node1"), FakeHypervisor::new(&world, "node2"));
    start(&one, 1).await.expect("starts");
    start(&one, 1).await.expect("runs already");
    assert_eq!(violations(&world).await, Vec::<String>::new());
    start(&two, 2).await.expect("the world lets it happen");
    let found = violations(&world).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with("made on node2 while it exists on node1"), "{found:?}");
    assert_eq!(world.running().await.expect("reads").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_executes_twice_or_too_late_is_a_violation() {
    let world = FakeWorld::in_memory();
    for (node, epoch) in [("node1", 5), ("node2", 5), ("node3", 4)] {
        let hv = FakeHypervisor::new(&world, node);
        start(&hv, epoch).await.expect("this node cannot know");
        hv.kill(guest(epoch).instance).await.expect("killed");
    }
    let found = violations(&world).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("began epoch 5 on node2 after epoch 5 on node1"), "{found:?}");
    assert!(found[1].ends_with("began epoch 4 on node3 after epoch 5 on node1"), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_proper_move_is_no_violation() {
    let world = FakeWorld::in_memory();
    let (one, two) = (FakeHypervisor::new(&world, "node1"), FakeHypervisor::new(&world, "node2"));
    start(&one, 1).await.expect("starts");
    one.stop(guest(1).instance, Duration::from_secs(1)).await.expect("stops");
    start(&two, 2).await.expect("starts");
    assert_eq!(violations(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn death_before_any_effect_leaves_nothing() {
    let (recovered, world) =
        recovered_after_death(FakeEffect::Create, CrashPoint::BeforeEffect).await;
    assert_eq!(recovered, Recovery::NotStarted);
    assert_eq!(world.running().await.expect("reads"), []);
}

#[tokio::test(start_paused = true)]
async fn death_between_making_and_beginning_is_taken_back() {
    for (effect, point) in [
        (FakeEffect::Create, CrashPoint::AfterEffect),
        (FakeEffect::Begin, CrashPoint::BeforeEffect),
    ] {
        let (recovered, world) = recovered_after_death(effect, point).await;
        assert_eq!(recovered, Recovery::NotStarted);
        assert_eq!(world.running().await.expect("reads"), []);
    }
}

#[tokio::test(start_paused = true)]
async fn death_after_the_effect_and_before_the_reply_is_done() {
    let (recovered, world) =
        recovered_after_death(FakeEffect::Begin, CrashPoint::AfterEffect).await;
    assert!(matches!(recovered, Recovery::Done(_)), "{recovered:?}");
    assert_eq!(world.running().await.expect("reads").len(), 1);
    assert_eq!(violations(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn injected_failures_of_a_start_leave_nothing() {
    let world = FakeWorld::in_memory();
    let hv = FakeHypervisor::new(&world, "node1");
    for effect in [FakeEffect::Create, FakeEffect::Begin] {
        world.injector().fail_next(effect, 1);
        let error = start(&hv, 1).await.expect_err("told to fail");
        assert!(matches!(error, HvError::Injected { .. }), "{error}");
        assert_eq!(world.running().await.expect("reads"), []);
    }
    start(&hv, 1).await.expect("only once each");
}

#[tokio::test(start_paused = true)]
async fn a_deaf_guest_takes_the_whole_time_of_a_stop() {
    let world = FakeWorld::in_memory();
    let hv = FakeHypervisor::new(&world, "node1");
    start(&hv, 1).await.expect("starts");
    world.set_deaf(guest(1).instance, true).await.expect("changed");
    let begin = tokio::time::Instant::now();
    let stopped = hv.stop(guest(1).instance, Duration::from_secs(120)).await.expect("stops");
    assert_eq!(stopped, StoppedBy::KilledAfterTimeout);
    assert_eq!(begin.elapsed(), Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_takes_only_the_guests_of_its_node() {
    let world = FakeWorld::in_memory();
    let (one, two) = (FakeHypervisor::new(&world, "node1"), FakeHypervisor::new(&world, "node2"));
    let other = GuestSpec { instance: InstanceUuid(Uuid::from_u128(2)), ..guest(1) };
    start(&one, 1).await.expect("starts");
    two.start(&other, &[], false).await.expect("starts");
    let mut events = one.events();
    world.power_cut("node1").await.expect("cut");
    assert!(events.try_recv().is_err(), "nobody there is told");
    let left = world.running().await.expect("reads");
    assert_eq!(left.iter().map(|guest| guest.instance).collect::<Vec<_>>(), [other.instance]);
    let again = FakeHypervisor::new(&world, "node1");
    let mut events = again.events();
    assert_eq!(again.list().await.expect("lists").guests, []);
    let told = events.try_recv().expect("told at the first look");
    assert!(matches!(told.change, GuestChange::Exited { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_users_shutdown_is_pushed_while_somebody_watches() {
    let world = FakeWorld::in_memory();
    let hv = FakeHypervisor::new(&world, "node1");
    let mut events = hv.events();
    start(&hv, 1).await.expect("starts");
    world.user_shutdown(guest(1).instance).await.expect("shut down");
    let mut changes = Vec::new();
    while let Ok(event) = events.try_recv() {
        changes.push(event.change);
    }
    let shutdown = GuestChange::Shutdown { guest: true, requested: false };
    let exited = GuestChange::Exited { detail: String::new() };
    assert_eq!(changes, [GuestChange::Started, shutdown, exited]);
}

#[tokio::test(start_paused = true)]
async fn latency_is_waited_for_and_a_dropped_start_has_no_effect_then() {
    let world = FakeWorld::in_memory();
    let hv = FakeHypervisor::new(&world, "node1");
    world.injector().set_latency(Duration::from_secs(10));
    let given_up = tokio::time::timeout(Duration::from_secs(5), start(&hv, 1)).await;
    assert!(given_up.is_err());
    assert_eq!(world.running().await.expect("reads"), []);
    start(&hv, 1).await.expect("starts");
    let report = hv.query(guest(1).instance).await.expect("asks").expect("runs");
    assert_eq!(report.state, GuestState::Running);
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_understand_is_refused_by_name() {
    let hv = FakeHypervisor::new(&FakeWorld::in_memory(), "node1");
    let kvm = GuestSpec { hvparams: KvmParams::default().into(), ..guest(1) };
    let error = hv.validate(&kvm).await.expect_err("not ours");
    assert_eq!(error.to_string(), "hypervisor \"kvm\" is not accepted: fake");
    let params = FakeParams { migration_mode: "slow".into() };
    let slow = GuestSpec { hvparams: HvParams::Fake(params), ..guest(1) };
    let error = hv.validate(&slow).await.expect_err("unknown mode");
    assert_eq!(error.to_string(), "migration_mode \"slow\" is not accepted: live, non-live");
}

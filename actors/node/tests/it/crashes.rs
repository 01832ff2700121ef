//! Every call, with the agent dying at every point of it: right in the end, and nothing doubled.

use std::sync::Arc;
use std::time::Duration;

use gantry_host::{CrashHook, CrashPoint, Verdict};
use gantry_hv::fake::FakeEffect;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::RunEpoch;
use gantry_model::messages::{CallNode, InstallReign};
use gantry_model::node_calls::{
    CallOutcome, DiskCreate, DiskRemove, DiskWriteImage, NodeCall, node_path,
};
use gantry_model::objects::DiskTemplate;
use gantry_model::steps::StepResult;
use gantry_node::{CrashAt, CrashPoints, CrashSpec};
use gantry_runtime::simulate;
use gantry_storage::fake::FakeStoreEffect;
use gantry_wire::AskError;

use crate::bench::{Bench, NODE, Node, disk, every_call, message, sent_again, start, step};

/// Makes the world such that the call has something to do.
async fn prepare(bench: &Bench, call: &NodeCall) {
    let node = bench.boot().await;
    match call {
        NodeCall::DiskRemove(_) | NodeCall::DiskWriteImage(_) => {
            node.done(&message(0, DiskCreate { disk: disk(bench) })).await;
        }
        // With something to wipe.
        NodeCall::DiskWipe(_) => {
            node.done(&message(0, DiskCreate { disk: disk(bench) })).await;
            let image = bench.image().display().to_string();
            let mut write = message(0, DiskWriteImage { disk: disk(bench), image });
            write.step.op_idx = 1;
            node.done(&write).await;
        }
        NodeCall::InstanceStop(_) | NodeCall::InstanceReboot(_) => {
            node.done(&message(0, start(1))).await;
        }
        NodeCall::DiskCreate(_)
        | NodeCall::InstanceStart(_)
        | NodeCall::NodeDelay(_)
        | NodeCall::NodeLeave(_)
        | NodeCall::NodeTrust(_)
        | NodeCall::NodeRenewCertificate(_) => {}
    }
    node.crash().await;
}

/// The effect of the call is in the world, once.
async fn assert_effect(bench: &Bench, call: &NodeCall) {
    match call {
        NodeCall::DiskCreate(_)
        | NodeCall::DiskRemove(_)
        | NodeCall::DiskWriteImage(_)
        | NodeCall::DiskWipe(_) => assert_disk(bench, call).await,
        NodeCall::InstanceStart(_) | NodeCall::InstanceReboot(_) => {
            assert_eq!(bench.running().await, [RunEpoch(1)]);
        }
        NodeCall::InstanceStop(_) => assert_eq!(bench.running().await, []),
        NodeCall::NodeDelay(_) => {}
        NodeCall::NodeLeave(_) => assert_eq!(bench.membership.times_forgotten(), 1),
        NodeCall::NodeTrust(call) => {
            assert_eq!(*bench.membership.believed.lock().expect("no panic inside"), call.bundle);
        }
        NodeCall::NodeRenewCertificate(_) => assert_eq!(bench.membership.times_renewed(), 1),
    }
    bench.assert_no_violation().await;
}

async fn assert_disk(bench: &Bench, call: &NodeCall) {
    let gone = matches!(call, NodeCall::DiskRemove(_));
    let imaged = matches!(call, NodeCall::DiskWriteImage(_));
    if bench.template == DiskTemplate::Fake {
        let disks = bench.store.disks().await.expect("readable");
        let found: Vec<_> = disks.iter().map(|d| (d.whole, d.image.is_some())).collect();
        return assert_eq!(found, if gone { vec![] } else { vec![(true, imaged)] });
    }
    let path = bench.disk_path();
    if gone {
        return assert!(!path.exists());
    }
    let bytes = std::fs::read(path).expect("it exists");
    assert_eq!(bytes.len() as u64, disk(bench).size.bytes());
    assert_eq!(bytes.starts_with(b"an image"), imaged);
}

async fn crash_and_send_again(call: usize, at: CrashAt, template: DiskTemplate) {
    let bench = Bench { template, ..Bench::new() };
    let call = every_call(&bench).swap_remove(call);
    prepare(&bench, &call).await;
    let first = message(1, call.clone());
    let spec = CrashSpec { call: call.wire_name(), at };

    let node = bench.boot_with(|sim| CrashPoints::at(spec, move || sim.crash())).await;
    let lost = node.call(&first).await.expect_err("the agent died");
    assert!(matches!(lost, AskError::Unknown(_)), "{lost:?}");
    node.crash().await;

    let node = bench.boot().await;
    let again = sent_again(&first);
    let answer = node.call(&again).await.expect("answered");
    answer.clone().expect("done");
    assert_effect(&bench, &call).await;
    // A third sending gets the recorded answer.
    assert_eq!(node.call(&again).await.expect("answered"), answer);
    bench.assert_no_violation().await;
    assert_result_is_known(&node, &again, &answer).await;
}

async fn assert_result_is_known(
    node: &Node,
    message: &CallNode,
    answer: &Result<CallOutcome, Fault>,
) {
    let install = InstallReign { reign: message.reign.next(), steps: vec![message.step] };
    let installed = node.ask(node_path(NODE), install).await.expect("installed");
    let expected = match answer.clone() {
        Ok(outcome) => StepResult::Done(outcome),
        Err(fault) => StepResult::Failed(fault),
    };
    assert_eq!(installed.results, [(message.step, Some(expected))]);
}

/// One test for each call, so that a failure names it.
macro_rules! crash_tests {
    ($($name:ident = $call:literal;)*) => {
        $(#[test]
        fn $name() {
            for at in CrashAt::ALL {
                let call = NodeCall::ALL.iter().position(|name| *name == $call);
                let call = call.expect("in the table");
                for template in [DiskTemplate::File, DiskTemplate::SharedFile, DiskTemplate::Fake] {
                    simulate(crash_and_send_again(call, at, template));
                }
            }
        })*

        #[test]
        fn every_call_has_a_crash_test() {
            assert_eq!([$($call),*], NodeCall::ALL);
        }
    };
}

crash_tests! {
    disk_create = "disk.create";
    disk_remove = "disk.remove";
    disk_write_image = "disk.write-image";
    disk_wipe = "disk.wipe";
    instance_start = "instance.start";
    instance_stop = "instance.stop";
    instance_reboot = "instance.reboot";
    node_delay = "node.delay";
    node_leave = "node.leave";
    node_trust = "node.trust";
    node_renew_certificate = "node.renew-certificate";
}

/// Hangs at this point of this effect, as an agent that is about to die does.
fn hang_at<E: PartialEq + Copy + Send + Sync + 'static>(
    effect: E,
    point: CrashPoint,
) -> CrashHook<E> {
    Arc::new(move |e, p| if (e, p) == (effect, point) { Verdict::Hang } else { Verdict::Go })
}

#[test]
fn a_start_that_died_inside_the_hypervisor_is_found_out() {
    for effect in [FakeEffect::Create, FakeEffect::Begin] {
        for point in [CrashPoint::BeforeEffect, CrashPoint::AfterEffect] {
            simulate(async move {
                let bench = Bench::new();
                let node = bench.boot().await;
                let call = message(1, start(1));
                bench.world.injector().set_crash_hook(Some(hang_at(effect, point)));
                let asked = node.call(&call);
                let hangs = tokio::time::timeout(Duration::from_secs(5), asked).await;
                hangs.expect_err("it hangs");
                bench.world.injector().set_crash_hook(None);
                node.crash().await;
                let node = bench.boot().await;
                node.done(&sent_again(&call)).await;
                assert_eq!(bench.running().await, [RunEpoch(1)], "{effect:?} {point:?}");
                bench.assert_no_violation().await;
            });
        }
    }
}

#[test]
fn a_disk_call_that_died_inside_the_storage_is_found_out() {
    let effects = [
        FakeStoreEffect::Create,
        FakeStoreEffect::Remove,
        FakeStoreEffect::WriteImage,
        FakeStoreEffect::Wipe,
    ];
    for (call_idx, effect) in effects.into_iter().enumerate() {
        for point in [CrashPoint::BeforeEffect, CrashPoint::AfterEffect] {
            simulate(async move {
                let bench = Bench { template: DiskTemplate::Fake, ..Bench::new() };
                let call = every_call(&bench).swap_remove(call_idx);
                prepare(&bench, &call).await;
                let node = bench.boot().await;
                let first = message(1, call.clone());
                bench.store.injector().set_crash_hook(Some(hang_at(effect, point)));
                let asked = node.call(&first);
                let hangs = tokio::time::timeout(Duration::from_secs(5), asked).await;
                hangs.expect_err("it hangs");
                bench.store.injector().set_crash_hook(None);
                node.crash().await;
                let node = bench.boot().await;
                node.done(&sent_again(&first)).await;
                assert_effect(&bench, &call).await;
            });
        }
    }
}

#[test]
fn an_effect_that_was_undone_is_not_done_again() {
    simulate(async {
        let bench = Bench::new();
        let spec = CrashSpec { call: "disk.create", at: CrashAt::AfterEffect };
        let node = bench.boot_with(|sim| CrashPoints::at(spec, move || sim.crash())).await;
        let create = message(1, DiskCreate { disk: disk(&bench) });
        node.call(&create).await.expect_err("the agent died");
        node.crash().await;

        // The job unwinds under a new reign without asking for the first step again.
        let node = bench.boot().await;
        let mut undo = sent_again(&message(1, DiskRemove { disk: disk(&bench) }));
        undo.step.direction = gantry_model::steps::Direction::Undo;
        node.done(&undo).await;
        assert_eq!(node.failed(&create).await.code, FaultCode::StaleToken);
        assert!(!bench.file_dir().join("web1/disk0").exists());
        let known = InstallReign { reign: undo.reign, steps: vec![step(1), undo.step] };
        let known = node.ask(node_path(NODE), known).await.expect("installed");
        assert_eq!(known.results[0].1, None);
        assert!(known.results[1].1.is_some());
    });
}

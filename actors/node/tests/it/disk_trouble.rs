//! The disk of the journal fails while the rest of the node works.

use gantry_model::errors::FaultCode;
use gantry_model::ids::RunEpoch;
use gantry_model::node_calls::NodeDelay;
use gantry_model::units::Millis;
use gantry_node::{CrashAt, CrashPoints};
use gantry_runtime::simulate;
use gantry_wire::AskError;

use crate::bench::{Bench, message, start, stop};
use crate::faulty::FaultyDisk;

fn bench() -> (Bench, FaultyDisk) {
    let disk = FaultyDisk::default();
    (Bench { journal: Some(disk.clone()), ..Bench::new() }, disk)
}

#[test]
fn a_call_that_cannot_be_recorded_is_refused_before_any_effect() {
    simulate(async {
        let (bench, disk) = bench();
        let node = bench.boot().await;
        disk.fail_sync(true);
        let fault = node.failed(&message(1, start(1))).await;
        assert_eq!(fault.code, FaultCode::EnvironmentError);
        assert!(fault.retryable, "{fault:?}");
        assert_eq!(bench.running().await, []);
        disk.fail_sync(false);
        node.done(&message(1, start(1))).await;
        bench.assert_no_violation().await;
    });
}

#[test]
fn an_effect_whose_result_cannot_be_recorded_is_never_called_failed() {
    simulate(async {
        let (bench, disk) = bench();
        let full = disk.clone();
        let break_disk = move |_| {
            CrashPoints::new(move |at, call| {
                if (at, call) == (CrashAt::AfterEffect, "instance.start") {
                    full.fail_sync(true);
                }
                gantry_host::Verdict::Go
            })
        };
        let node = bench.boot_with(break_disk).await;
        let call = message(1, start(1));
        let lost = node.call(&call).await.expect_err("not recorded");
        assert!(matches!(lost, AskError::Unknown(_)), "{lost:?}");
        assert_eq!(bench.running().await, [RunEpoch(1)]);
        // Sent again while the disk is still broken, it is still unknown.
        let lost = node.call(&call).await.expect_err("not readable");
        assert!(matches!(lost, AskError::Unknown(_)), "{lost:?}");
        disk.fail_sync(false);
        node.crash().await;
        disk.cut_power();

        let node = bench.boot().await;
        node.done(&call).await;
        assert_eq!(bench.running().await, [RunEpoch(1)]);
        bench.assert_no_violation().await;
    });
}

#[test]
fn tokens_survive_a_power_cut() {
    simulate(async {
        let (bench, disk) = bench();
        let node = bench.boot().await;
        node.done(&message(1, start(2))).await;
        node.done(&message(2, stop(0))).await;
        node.crash().await;
        disk.cut_power();
        let node = bench.boot().await;
        assert_eq!(node.failed(&message(3, start(1))).await.code, FaultCode::StaleToken);
        node.done(&message(4, NodeDelay::of(Millis(1)))).await;
    });
}

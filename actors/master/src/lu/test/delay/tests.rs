//! Tests of OP_TEST_DELAY.

use gantry_model::errors::FaultCode;
use gantry_model::opcodes::{DELAY_MAX, TestDelay};
use gantry_model::steps::Act;
use gantry_model::units::Millis;

use crate::lu;
use crate::lu::rig::{Rig, all_steps, node_name};
use crate::lu::samples::delay;

fn refused(op: TestDelay) -> String {
    let fault = lu::arguments(&op.into()).expect_err("accepted");
    assert_eq!(fault.code, FaultCode::WrongInput);
    fault.message
}

// covers: O66
#[test]
fn locks_are_the_nodes_that_wait_unless_none_are_wanted() {
    let rig = Rig::new();
    assert_eq!(
        rig.locks(delay()),
        [[
            "cluster/BGL Hold(Shared)",
            "node/node1 Hold(Exclusive)",
            "node/node2 Hold(Exclusive)",
            "node/node3 Hold(Exclusive)",
        ]]
    );
    let twice = TestDelay { on_nodes: vec![node_name(2); 2], on_master: false, ..delay() };
    assert_eq!(rig.locks(twice), [["cluster/BGL Hold(Shared)", "node/node2 Hold(Exclusive)"]]);
    let free = TestDelay { no_locks: true, ..delay() };
    assert_eq!(rig.locks(free), [["cluster/BGL Hold(Shared)"]]);
}

// covers: O66
#[test]
fn wrong_arguments_are_refused() {
    let zero = TestDelay { duration: Millis(0), ..delay() };
    assert_eq!(refused(zero), "the duration must be greater than zero");
    let long = TestDelay { duration: Millis(DELAY_MAX.0 + 1), ..delay() };
    assert_eq!(refused(long), "the duration exceeds 86400 seconds");
    let nobody = TestDelay { on_master: false, on_nodes: Vec::new(), ..delay() };
    assert_eq!(refused(nobody), "neither the master nor a node is to wait");
    let often = TestDelay { repeat: 334, ..delay() };
    assert_eq!(refused(often), "more than 1000 waits in one opcode");
    let most = TestDelay { repeat: 333, ..delay() };
    assert_eq!(lu::arguments(&most.into()), Ok(()));
}

#[test]
fn an_unknown_node_is_refused() {
    let rig = Rig::new();
    let op = TestDelay { on_nodes: vec![node_name(8)], ..delay() };
    assert_eq!(
        rig.refusal(op.clone()),
        (FaultCode::UnknownEntity, "Node 'node8' not known".into())
    );
    assert!(lu::locks(&op.into(), 0, &rig.state).is_err());
}

// covers: O66
#[test]
fn every_round_waits_on_the_master_and_then_on_each_node() {
    let op = delay().into();
    let steps = all_steps(&op, &Rig::new().check(&op).expect("not refused"));
    assert_eq!(steps.len(), 9);
    let kinds: Vec<bool> = steps.iter().map(|step| matches!(step.act, Act::Wait { .. })).collect();
    assert_eq!(kinds[..3], [true, false, false]);
    let said: Vec<&str> = steps.iter().filter_map(|step| step.says.as_deref()).collect();
    let round = |n| format!("Test delay iteration {n}/2");
    assert_eq!(said, [round(0), round(1), round(2)]);
    assert_eq!(steps[0].name, "wait on the master, round 0");
}

// covers: O66
#[test]
fn once_is_not_numbered() {
    let op = TestDelay { repeat: 0, ..delay() }.into();
    let steps = all_steps(&op, &Rig::new().check(&op).expect("not refused"));
    assert_eq!(steps.len(), 3);
    assert!(steps.iter().all(|step| step.says.is_none()));
    let op = TestDelay { on_master: false, ..delay() }.into();
    let steps = all_steps(&op, &Rig::new().check(&op).expect("not refused"));
    assert_eq!(steps.len(), 6);
    assert!(steps[0].says.is_some(), "the first node says it");
}

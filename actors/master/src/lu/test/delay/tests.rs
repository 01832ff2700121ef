//! Tests of OP_TEST_DELAY.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::node_calls::NodeCall;
use gantry_model::opcodes::{DELAY_MAX, OpCode, TestDelay};
use gantry_model::steps::{Act, StepResult};
use gantry_model::units::Millis;

use crate::lu;
use crate::lu::rig::{Rig, all_steps, journal, node_id, node_name};
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

/// The rig with a master, and a delay that can be cut short.
fn interruptible() -> (Rig, OpCode) {
    let mut rig = Rig::new();
    rig.state.master = Some(node_id(1));
    (rig, TestDelay { interruptible: true, ..delay() }.into())
}

// covers: C33 O66 Q38
#[test]
fn one_that_can_be_cut_short_waits_on_the_master_at_a_socket_that_is_said_once() {
    let (rig, op) = interruptible();
    let steps = all_steps(&op, &rig.check(&op).expect("not refused"));
    let at: Vec<Option<&str>> = steps.iter().map(|step| step.waits_at.as_deref()).collect();
    assert_eq!(at, [Some("/tmp/delay/sock"), None, None]);
    let keeps: Vec<bool> = steps
        .iter()
        .map(|step| match &step.act {
            Act::Call { node, call } if *node == node_id(1) => match call.as_ref() {
                NodeCall::NodeDelay(call) => call.socket.as_ref().expect("a socket").keep,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keeps, [true, true, false]);
    assert!(op.level() == 6 && steps.iter().all(|step| step.level() == 6));
    assert_eq!(OpCode::from(delay()).level(), 1);
}

// covers: C33
#[test]
fn nothing_follows_a_wait_that_was_cut_short() {
    let (rig, op) = interruptible();
    let plan = rig.check(&op).expect("not refused");
    let (mut steps, answer) = journal(&op, &plan);
    steps.truncate(2);
    let Some(StepResult::Done(outcome)) = &mut steps[1].result else { panic!("it is done") };
    outcome.interrupted = true;
    match lu::next(&op, &plan, &steps).expect("the plan can be read") {
        gantry_engine::jobs::Next::Finish(end) => assert_eq!(end, answer),
        gantry_engine::jobs::Next::Step(step) => panic!("{step:?}"),
    }
    assert_eq!(lu::replay(&op, &plan, &steps), Ok(()));
}

// covers: C33
#[test]
fn a_master_that_makes_no_socket_says_why() {
    let (mut rig, op) = interruptible();
    rig.instead = Some(gantry_model::facts::Fact::No { reason: "no space left".into() });
    let fault: Fault = rig.check(&op).expect_err("there is no socket");
    assert_eq!(fault.code, FaultCode::EnvironmentError);
    assert_eq!(fault.message, "node node1: no space left");
}

//! Tests of OP_INSTANCE_REMOVE.

use gantry_model::errors::FaultCode;
use gantry_model::objects::AdminState;
use gantry_model::opcodes::InstanceRemove;
use gantry_model::units::Millis;

use crate::lu;
use crate::lu::guest::SHUTDOWN_TIMEOUT_MAX;
use crate::lu::rig::{Rig, all_steps, node_id};
use crate::lu::samples::remove;

// covers: O34 L28
#[test]
fn locks_are_the_instance_and_then_its_node() {
    let rig = Rig::with_instance();
    assert_eq!(
        rig.locks(remove()),
        [
            ["cluster/BGL Hold(Shared)", "instance/web1 Hold(Exclusive)"],
            ["node/node2 Hold(Exclusive)", "node-res/node2 Hold(Exclusive)"],
        ]
    );
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    let fault = lu::locks(&remove().into(), 0, &Rig::new().state).expect_err("no instance");
    assert_eq!(fault.message, "Instance 'web1' not known");
    let (code, text) = Rig::new().refusal(remove());
    assert_eq!(code, FaultCode::UnknownEntity);
    assert_eq!(text, "Instance 'web1' not known");
}

#[test]
fn a_time_that_would_hold_locks_for_days_is_refused() {
    let too_long = Millis(SHUTDOWN_TIMEOUT_MAX.0 + 1000);
    let op = InstanceRemove { shutdown_timeout: too_long, ..remove() };
    let fault = lu::arguments(&op.into()).expect_err("too long");
    assert_eq!(fault.message, "shutdown timeout of 86401 s exceeds the limit of 86400 s");
    let op = InstanceRemove { shutdown_timeout: SHUTDOWN_TIMEOUT_MAX, ..remove() };
    assert_eq!(lu::arguments(&op.into()), Ok(()));
}

// covers: I10
#[test]
fn an_offline_node_refuses_unless_failures_are_ignored() {
    let mut rig = Rig::with_instance();
    rig.change_node(2, |node| node.offline = true);
    assert_eq!(
        rig.refusal(remove()),
        (FaultCode::WrongState, "node node2 of instance web1 is offline".into())
    );
    assert!(rig.check(&InstanceRemove { ignore_failures: true, ..remove() }.into()).is_ok());
}

// covers: O34 I10
#[test]
fn guest_then_disks_then_configuration() {
    let steps = ["stop instance web1", "remove disk 0", "remove disk 1", "remove instance web1"];
    assert_eq!(Rig::with_instance().step_names(remove()), steps);
    let running = Rig::with_running().step_names(remove());
    assert_eq!(running[0], "mark instance as down");
    assert_eq!(running[1..], steps);
}

// covers: I10
#[test]
fn failures_are_ignored_only_if_asked_and_never_those_of_the_configuration() {
    let rig = Rig::with_running();
    for ignore_failures in [false, true] {
        let op = InstanceRemove { ignore_failures, ..remove() }.into();
        let plan = rig.check(&op).expect("not refused");
        let may_fail: Vec<bool> =
            all_steps(&op, &plan).into_iter().map(|step| step.may_fail).collect();
        let calls = ignore_failures;
        assert_eq!(may_fail, [false, calls, calls, calls, false]);
    }
}

// covers: C215 C70
#[test]
fn as_long_as_all_goes_well_nothing_is_said() {
    let rig = Rig::with_running();
    let plan = rig.check(&remove().into()).expect("not refused");
    assert!(all_steps(&remove().into(), &plan).iter().all(|step| step.says.is_none()));
}

#[test]
fn nothing_is_left() {
    let mut rig = Rig::with_running();
    assert_eq!(rig.run(remove()), serde_json::Value::Null);
    assert_eq!(rig.nodes, Default::default());
    assert!(rig.state.instances.is_empty());
}

#[test]
fn a_removal_that_stopped_half_way_can_be_repeated() {
    let mut rig = Rig::with_running();
    let op = remove().into();
    let plan = rig.check(&op).expect("not refused");
    for step in &all_steps(&op, &plan)[..3] {
        rig.act(&step.act).expect("it can be done");
    }
    assert_eq!(rig.instance().admin_state, AdminState::Down);
    assert_eq!(rig.instance().primary, node_id(2));
    rig.run(remove());
    assert_eq!(rig.nodes, Default::default());
}

//! Tests of OP_INSTANCE_SHUTDOWN.

use gantry_model::errors::FaultCode;
use gantry_model::objects::AdminState;
use gantry_model::opcodes::InstanceShutdown;
use gantry_model::units::Millis;

use crate::lu;
use crate::lu::rig::Rig;
use crate::lu::samples::{shutdown, with_offline_node};

// covers: O37
#[test]
fn the_lock_is_the_instance() {
    assert_eq!(
        Rig::with_running().locks(shutdown()),
        [["cluster/BGL Hold(Shared)", "instance/web1 Hold(Exclusive)"]]
    );
}

// covers: I6
#[test]
fn what_is_marked_offline_is_refused_unless_forced() {
    let mut rig = Rig::with_running();
    rig.mark(AdminState::Offline);
    assert_eq!(
        rig.refusal(shutdown()),
        (FaultCode::WrongState, "instance web1 is marked offline".into())
    );
    let forced = InstanceShutdown { force: true, ..shutdown() };
    assert_eq!(rig.step_names(forced.clone()), ["stop instance web1"]);
    rig.run(forced);
    assert_eq!(rig.instance().admin_state, AdminState::Offline);
    assert!(rig.nodes.guests.is_empty());
}

// covers: I6
#[test]
fn an_offline_node_or_an_unknown_instance_is_refused() {
    assert_eq!(Rig::new().refusal(shutdown()).1, "Instance 'web1' not known");
    let mut rig = Rig::with_running();
    rig.change_node(2, |node| node.offline = true);
    assert_eq!(rig.refusal(shutdown()).1, "node node2 of instance web1 is offline");
    let op = InstanceShutdown { shutdown_timeout: Millis(u64::MAX), ..shutdown() };
    assert!(lu::arguments(&op.into()).is_err());
}

// covers: O37 I6
#[test]
fn it_is_marked_down_and_stopped() {
    let mut rig = Rig::with_running();
    assert_eq!(rig.step_names(shutdown()), ["mark instance as down", "stop instance web1"]);
    rig.run(shutdown());
    assert_eq!(rig.instance().admin_state, AdminState::Down);
    assert!(rig.nodes.guests.is_empty());
    assert_eq!(rig.step_names(shutdown()), ["stop instance web1"], "again");
}

// covers: O37
#[test]
fn the_wanted_state_is_left_alone_if_asked() {
    let mut rig = Rig::with_running();
    rig.run(InstanceShutdown { no_remember: true, ..shutdown() });
    assert_eq!(rig.instance().admin_state, AdminState::Up);
    assert!(rig.nodes.guests.is_empty());
}

// covers: O37
#[test]
fn on_a_node_that_is_offline_only_the_wanted_state_is_set() {
    let mut rig = with_offline_node();
    rig.mark(AdminState::Up);
    assert_eq!(rig.refusal(shutdown()).1, "node node2 of instance web1 is offline");
    let op = InstanceShutdown { ignore_offline_nodes: true, ..shutdown() };
    assert_eq!(rig.step_names(op.clone()), ["mark instance as down"]);
    rig.run(op);
    assert_eq!(rig.instance().admin_state, AdminState::Down);
}

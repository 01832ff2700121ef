//! Tests of OP_INSTANCE_REBOOT.

use gantry_model::errors::FaultCode;
use gantry_model::facts::Fact;
use gantry_model::objects::AdminState;
use gantry_model::opcodes::{InstanceReboot, RebootType};
use gantry_model::report::GuestState;
use gantry_model::units::Millis;

use crate::lu;
use crate::lu::rig::{Rig, instance, instance_id};
use crate::lu::samples::{reboot, with_user_down};

// covers: O38
#[test]
fn the_lock_is_the_instance() {
    assert_eq!(
        Rig::with_running().locks(reboot(RebootType::Soft)),
        [["cluster/BGL Hold(Shared)", "instance/web1 Hold(Exclusive)"]]
    );
}

// covers: I7
#[test]
fn what_cannot_be_restarted_is_refused() {
    let op = || reboot(RebootType::Hard);
    assert_eq!(Rig::new().refusal(op()).1, "Instance 'web1' not known");
    let mut rig = Rig::with_running();
    rig.change_node(2, |node| node.offline = true);
    assert_eq!(rig.refusal(op()).1, "node node2 of instance web1 is offline");
    let mut rig = Rig::with_running();
    rig.mark(AdminState::Offline);
    assert_eq!(
        rig.refusal(op()),
        (FaultCode::WrongState, "instance web1 is marked offline".into())
    );
    let mut rig = Rig::with_running();
    rig.instead = Some(Fact::Unreachable { reason: "not connected".into() });
    assert_eq!(rig.refusal(op()).1, "node node2 does not answer: not connected");
    let op = InstanceReboot { shutdown_timeout: Millis(u64::MAX), ..op() };
    assert!(lu::arguments(&op.into()).is_err());
}

// covers: O38 I7
#[test]
fn a_running_guest_is_reset_in_place() {
    for reboot_type in [RebootType::Soft, RebootType::Hard] {
        let mut rig = Rig::with_running();
        assert_eq!(rig.step_names(reboot(reboot_type)), ["reboot instance web1"]);
        let before = rig.state.instances.clone();
        rig.run(reboot(reboot_type));
        assert_eq!(rig.state.instances, before);
        assert_eq!(rig.nodes.guests[&instance_id()].epoch, instance().run_epoch);
    }
}

// covers: O38 I7
#[test]
fn a_full_reboot_is_a_stop_and_a_new_run() {
    let mut rig = Rig::with_running();
    assert_eq!(
        rig.step_names(reboot(RebootType::Full)),
        ["stop instance web1", "begin a new run of the instance", "start instance web1"]
    );
    rig.run(reboot(RebootType::Full));
    assert_eq!(rig.nodes.guests[&instance_id()].epoch, instance().run_epoch.next());
}

// covers: I7
#[test]
fn what_does_not_run_is_started_and_marked_up() {
    for reboot_type in RebootType::ALL {
        let mut rig = Rig::with_instance();
        assert_eq!(
            rig.step_names(reboot(reboot_type)),
            ["begin a new run of the instance", "start instance web1"]
        );
        rig.run(reboot(reboot_type));
        assert_eq!(rig.instance().admin_state, AdminState::Up);
        assert_eq!(rig.nodes.guests[&instance_id()].state, GuestState::Running);
    }
}

// covers: I7
#[test]
fn what_is_left_of_a_guest_that_shut_itself_down_goes_first() {
    for reboot_type in RebootType::ALL {
        let mut rig = with_user_down();
        assert_eq!(rig.step_names(reboot(reboot_type))[0], "clean up after instance web1");
        rig.run(reboot(reboot_type));
        assert_eq!(rig.nodes.guests[&instance_id()].state, GuestState::Running);
    }
}

//! Tests of OP_INSTANCE_STARTUP.

use gantry_model::errors::FaultCode;
use gantry_model::facts::Fact;
use gantry_model::ids::RunEpoch;
use gantry_model::objects::AdminState;
use gantry_model::opcodes::InstanceStartup;
use gantry_model::params::{BackendOverrides, HvOverrides, HypervisorKind};
use gantry_model::report::GuestState;
use gantry_model::units::MiB;

use crate::lu;
use crate::lu::rig::{Rig, instance, instance_id};
use crate::lu::samples::{startup, with_offline_node, with_user_down};

// covers: O36 L28
#[test]
fn locks_are_the_instance_and_then_the_resources_of_its_node() {
    let locks = Rig::with_instance().locks(startup());
    assert_eq!(locks[0], ["cluster/BGL Hold(Shared)", "instance/web1 Hold(Exclusive)"]);
    assert_eq!(locks[1..], [["node-res/node2 Hold(Exclusive)"]]);
}

// covers: I5
#[test]
fn what_must_not_or_cannot_be_started_is_refused() {
    assert_eq!(
        Rig::new().refusal(startup()),
        (FaultCode::UnknownEntity, "Instance 'web1' not known".into())
    );
    let mut rig = Rig::with_instance();
    rig.mark(AdminState::Offline);
    assert_eq!(
        rig.refusal(startup()),
        (FaultCode::WrongState, "instance web1 is marked offline".into())
    );
    let mut rig = Rig::with_instance();
    rig.change_node(2, |node| node.offline = true);
    assert_eq!(rig.refusal(startup()).1, "node node2 of instance web1 is offline");
}

// covers: I5
#[test]
fn memory_is_needed_unless_it_runs_already() {
    let text = "not enough memory on node node2 for instance web1: needed 128 MiB, free 127 MiB";
    let mut rig = Rig::with_instance();
    rig.info.memory_free = MiB(127);
    assert_eq!(rig.refusal(startup()), (FaultCode::InsufficientResources, text.into()));
    let mut rig = Rig::with_running();
    rig.info.memory_free = MiB(0);
    assert!(rig.check(&startup().into()).is_ok());
}

#[test]
fn a_node_that_cannot_run_it_says_why() {
    let mut rig = Rig::with_instance();
    rig.can_run = Fact::No { reason: "disk 1 is not there".into() };
    assert_eq!(
        rig.refusal(startup()),
        (FaultCode::EnvironmentError, "node node2: disk 1 is not there".into())
    );
    rig.instead = Some(Fact::Unreachable { reason: "not connected".into() });
    assert_eq!(rig.refusal(startup()).1, "node node2 does not answer: not connected");
    rig.instead = Some(Fact::FileStorage { free: MiB(1) });
    assert_eq!(rig.refusal(startup()).0, FaultCode::InternalError);
}

#[test]
fn a_guest_of_another_start_is_not_joined_by_a_second_one() {
    for state in [GuestState::Running, GuestState::Paused] {
        let mut rig = Rig::with_instance();
        rig.hold(state, RunEpoch(2));
        assert_eq!(
            rig.refusal(startup()),
            (
                FaultCode::WrongState,
                "node node2 runs a guest of instance web1 from another start (epoch 2, the last \
                 one is 3); stop it first"
                    .into()
            )
        );
    }
}

// covers: O36 I5
#[test]
fn a_start_is_a_new_run() {
    let mut rig = Rig::with_instance();
    assert_eq!(
        rig.step_names(startup()),
        ["begin a new run of the instance", "start instance web1"]
    );
    rig.run(startup());
    assert_eq!(rig.instance().run_epoch, instance().run_epoch.next());
    assert_eq!(rig.instance().admin_state, AdminState::Up);
    assert_eq!(rig.nodes.guests[&instance_id()].state, GuestState::Running);
}

// covers: I5
#[test]
fn what_is_left_of_a_guest_that_shut_itself_down_goes_first() {
    let mut rig = with_user_down();
    assert_eq!(
        rig.step_names(startup()),
        ["clean up after instance web1", "begin a new run of the instance", "start instance web1",]
    );
    rig.run(startup());
    let guest = &rig.nodes.guests[&instance_id()];
    assert_eq!((guest.state, guest.epoch), (GuestState::Running, instance().run_epoch.next()));
}

// covers: O36
#[test]
fn what_runs_is_only_marked_up_and_only_if_it_was_not() {
    let mut rig = Rig::with_running();
    assert_eq!(rig.step_names(startup()), [""; 0]);
    rig.mark(AdminState::Down);
    assert_eq!(rig.step_names(startup()), ["mark instance as up"]);
    let forgetful = InstanceStartup { no_remember: true, ..startup() };
    assert_eq!(rig.step_names(forgetful), [""; 0]);
    let before = rig.nodes.clone();
    rig.run(startup());
    assert_eq!(rig.instance().admin_state, AdminState::Up);
    assert_eq!(rig.nodes, before);
}

// covers: O36
#[test]
fn the_wanted_state_is_left_alone_if_asked() {
    let mut rig = Rig::with_instance();
    rig.run(InstanceStartup { no_remember: true, ..startup() });
    assert_eq!(rig.instance().admin_state, AdminState::Down);
    assert!(rig.nodes.guests.contains_key(&instance_id()));
}

// covers: O36
#[test]
fn a_guest_can_be_left_before_its_first_instruction() {
    let mut rig = Rig::with_instance();
    rig.run(InstanceStartup { startup_paused: true, ..startup() });
    assert_eq!(rig.nodes.guests[&instance_id()].state, GuestState::Paused);
}

// covers: O36 C75
#[test]
fn parameters_for_one_run_are_those_of_the_guest_and_not_of_the_instance() {
    let mut rig = Rig::with_instance();
    let mut be = BackendOverrides::default();
    be.set("maxmem", "300").expect("valid");
    be.set("minmem", "300").expect("valid");
    be.set("vcpus", "3").expect("valid");
    rig.run(InstanceStartup { beparams: Some(be), ..startup() });
    let guest = rig.nodes.guests.get(&instance().uuid).expect("runs");
    assert_eq!((guest.memory, guest.vcpus), (MiB(300), 3));
    assert_eq!(rig.instance().beparams, instance().beparams);
}

// covers: O36
#[test]
fn parameters_that_cannot_be_are_refused() {
    let rig = Rig::with_instance();
    let with = |name: &str, text: &str| {
        let mut be = BackendOverrides::default();
        be.set(name, text).expect("a number");
        InstanceStartup { beparams: Some(be), ..startup() }
    };
    assert_eq!(rig.refusal(with("minmem", "999999")).0, FaultCode::WrongInput);
    assert!(lu::arguments(&with("vcpus", "0").into()).is_err());
    let kvm = Some(HvOverrides::none(HypervisorKind::Kvm));
    let other = InstanceStartup { hvparams: kvm, ..startup() };
    let text = "parameters of hypervisor kvm are not for instance web1, which has fake";
    assert_eq!(rig.refusal(other), (FaultCode::WrongInput, text.into()));
}

// covers: O36
#[test]
fn on_a_node_that_is_offline_only_the_wanted_state_is_set() {
    let mut rig = with_offline_node();
    assert_eq!(rig.refusal(startup()).1, "node node2 of instance web1 is offline");
    rig.run(InstanceStartup { ignore_offline_nodes: true, ..startup() });
    assert_eq!(rig.instance().admin_state, AdminState::Up);
    assert!(rig.nodes.guests.is_empty());
    let forgetful = InstanceStartup { ignore_offline_nodes: true, no_remember: true, ..startup() };
    assert_eq!(rig.step_names(forgetful), Vec::<String>::new());
}

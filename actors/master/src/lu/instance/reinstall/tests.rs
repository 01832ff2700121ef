//! Tests of OP_INSTANCE_REINSTALL.

use std::collections::BTreeMap;

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::objects::{AdminState, Instance};
use gantry_model::opcodes::InstanceReinstall;
use gantry_model::params::PrivateParams;
use gantry_model::report::GuestState;
use gantry_model::units::MiB;

use crate::lu;
use crate::lu::rig::{Rig, all_steps, instance};
use crate::lu::samples::reinstall;

fn refused(rig: &Rig) -> (FaultCode, String) {
    rig.refusal(reinstall())
}

// covers: O33 L2
#[test]
fn the_lock_is_that_of_the_instance() {
    let locks = Rig::with_instance().locks(reinstall());
    assert_eq!(locks, [["cluster/BGL Hold(Shared)", "instance/web1 Hold(Exclusive)"]]);
}

// covers: O33 I8
#[test]
fn the_image_is_on_the_first_disk_and_the_configuration_says_so() {
    let mut rig = Rig::with_instance();
    rig.run(reinstall());
    assert_eq!(rig.nodes.images, [instance().disks[0].uuid].into());
    assert_eq!((rig.instance().os.as_str(), rig.instance().serial.0), ("debian", 2));
    let image = rig.instance().osparams.get("os-image").map(String::as_str);
    assert_eq!(image, Some("/images/new.raw"));
}

// covers: O33
#[test]
fn what_is_not_given_stays_and_is_used_again() {
    let mut rig = Rig::with_instance();
    rig.run(reinstall());
    let again = InstanceReinstall { os_type: None, osparams: BTreeMap::new(), ..reinstall() };
    assert_eq!(rig.step_names(again.clone()), ["copy an image onto disk 0"]);
    assert_eq!(said(&rig, again.clone()), [IMAGING]);
    rig.run(again);
    assert_eq!(rig.instance().os, "debian");
}

const IMAGING: &str = " - INFO: Imaging disk '0' for instance 'web1' on node 'node2'";

fn said(rig: &Rig, op: InstanceReinstall) -> Vec<String> {
    let op = op.into();
    let plan = rig.check(&op).expect("not refused");
    let texts = all_steps(&op, &plan).into_iter().filter_map(|step| step.says);
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

// covers: C215 C69
#[test]
fn the_log_has_the_lines_of_ganeti() {
    let using = "Using OS image '/images/new.raw'";
    let changing = "Changing OS scripts to 'debian'...";
    assert_eq!(said(&Rig::with_instance(), reinstall()), [using, IMAGING, changing]);
}

// covers: I8
#[test]
fn an_instance_that_should_run_or_does_is_refused() {
    let mut up = Rig::with_instance();
    up.mark(AdminState::Up);
    let text = "Instance 'web1' is marked to be up, cannot reinstall";
    assert_eq!(refused(&up), (FaultCode::WrongState, text.into()));
    let mut runs = Rig::with_instance();
    runs.hold(GuestState::Running, instance().run_epoch);
    let text = "Instance web1 is running, cannot reinstall";
    assert_eq!(refused(&runs), (FaultCode::WrongState, text.into()));
    let mut offline = Rig::with_instance();
    offline.change_node(2, |node| node.offline = true);
    assert_eq!(refused(&offline).1, "node node2 of instance web1 is offline");
}

// covers: I8
#[test]
fn there_must_be_an_image_and_a_disk_that_holds_it() {
    let rig = Rig::with_instance();
    let nothing = InstanceReinstall { osparams: BTreeMap::new(), ..reinstall() };
    assert_eq!(rig.refusal(nothing).0, FaultCode::WrongInput);
    let mut small = Rig::with_instance();
    small.image_size = MiB(1_000_000);
    assert_eq!(refused(&small).0, FaultCode::WrongInput);
    let mut diskless = Rig::new();
    let without = Instance { disks: Vec::new(), ..instance() };
    diskless.config(&[ConfigDelta::InstanceAdd(Box::new(without))]).expect("a new instance");
    assert_eq!(refused(&diskless).1, "Instance 'web1' has no disks");
}

#[test]
fn wrong_parameters_are_refused_before_there_is_a_job() {
    let with = |name: &str, value: &str| {
        let osparams = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        lu::arguments(&InstanceReinstall { osparams, ..reinstall() }.into())
    };
    assert!(with("os-image", "relative.raw").is_err());
    assert_eq!(with("os-image", "/a"), Ok(()));
}

fn private(name: &str, value: &str) -> PrivateParams {
    [(name.to_owned(), value.to_owned())].into_iter().collect()
}

// covers: O33 C69 P14
#[test]
fn private_parameters_join_those_that_the_instance_has() {
    let mut rig = Rig::with_instance();
    for (name, value) in [("key", "hunter1"), ("token", "x"), ("key", "hunter2")] {
        rig.run(InstanceReinstall { osparams_private: private(name, value), ..reinstall() });
    }
    let kept = &rig.instance().osparams_private;
    assert_eq!((kept.reveal("key"), kept.reveal("token")), (Some("hunter2"), Some("x")));
    let osparams = BTreeMap::from([("key".to_owned(), "public".to_owned())]);
    let (code, text) = rig.refusal(InstanceReinstall { osparams, ..reinstall() });
    assert_eq!(code, FaultCode::WrongInput);
    assert!(text.starts_with("Cannot assign multiple values"), "{text}");
}

//! Tests of OP_INSTANCE_CREATE.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::errors::FaultCode;
use gantry_model::facts::Fact;
use gantry_model::node_calls::NodeCall;
use gantry_model::objects::{AdminState, DiskLocation, DiskTemplate};
use gantry_model::opcodes::{InstanceCreate, NicRequest};
use gantry_model::params::{HvOverrides, HypervisorKind, PrivateParams};
use gantry_model::report::GuestState;
use gantry_model::steps::Act;
use gantry_model::units::MiB;
use serde_json::json;

use super::{DISK_SIZE_MAX, DISKS_MAX, MEMORY_MAX, VCPUS_MAX};
use crate::lu;
use crate::lu::rig::{Rig, all_steps, node_id, node_name};
use crate::lu::samples::create;

fn refused_arguments(change: impl FnOnce(&mut InstanceCreate)) -> String {
    let mut op = create();
    change(&mut op);
    let fault = lu::arguments(&op.into()).expect_err("accepted");
    assert_eq!(fault.code, FaultCode::WrongInput);
    fault.message
}

fn no_image(op: &mut InstanceCreate) {
    op.osparams = BTreeMap::new();
    op.no_install = true;
}

// covers: O31
#[test]
fn locks_are_the_new_name_and_the_node_with_its_resources() {
    assert_eq!(
        Rig::new().locks(create()),
        [[
            "cluster/BGL Hold(Shared)",
            "instance/web1 Hold(Exclusive)",
            "node/node2 Hold(Exclusive)",
            "node-res/node2 Hold(Exclusive)",
        ]]
    );
}

#[test]
fn arguments_that_are_wrong_whatever_the_state() {
    assert_eq!(
        refused_arguments(|op| op.disk_template = DiskTemplate::Diskless),
        "a diskless instance takes no disks"
    );
    assert_eq!(refused_arguments(|op| op.disks.clear()), "template file needs a disk");
    assert_eq!(
        refused_arguments(|op| op.disks = vec![op.disks[0].clone(); DISKS_MAX + 1]),
        "17 disks, at most 16"
    );
    for size in [0, DISK_SIZE_MAX.0 + 1] {
        let text = refused_arguments(|op| op.disks[1].size = MiB(size));
        assert_eq!(text, format!("disk 1: size {size} MiB is not 1 to 67108864 MiB"));
    }
    for name in ["", "a\nb", &"a".repeat(256)] {
        let text = refused_arguments(|op| op.disks[1].name = Some(name.into()));
        assert_eq!(text, "disk 1: its name is not a name of at most 255 bytes, or none");
        let nic = NicRequest { name: Some(name.into()), ..NicRequest::default() };
        let text = refused_arguments(|op| op.nics = vec![nic]);
        assert_eq!(text, "interface 0: its name is not a name of at most 255 bytes, or none");
    }
    for memory in [0, MEMORY_MAX + 1] {
        let text = refused_arguments(|op| op.beparams.maxmem = Some(memory));
        assert_eq!(text, format!("memory of {memory} MiB is not 1 to 16777216 MiB"));
    }
    let text = refused_arguments(|op| op.beparams.minmem = Some(0));
    assert_eq!(text, "memory of 0 MiB is not 1 to 16777216 MiB");
    for vcpus in [0, VCPUS_MAX + 1] {
        let text = refused_arguments(|op| op.beparams.vcpus = Some(vcpus));
        assert_eq!(text, format!("{vcpus} virtual CPUs are not 1 to 1024"));
    }
}

#[test]
fn arguments_about_the_os() {
    let set = |op: &mut InstanceCreate, name: &str, value: &str| {
        op.osparams.insert(name.into(), value.into());
    };
    let nameless = refused_arguments(|op| {
        op.os.clear();
        set(op, "dhcp", "yes");
    });
    assert!(nameless.starts_with("unknown OS parameter \"dhcp\""), "{nameless}");
    assert_eq!(
        refused_arguments(|op| set(op, "os-image", "debian.raw")),
        "os-image \"debian.raw\" is not an absolute path"
    );
    assert_eq!(
        refused_arguments(|op| op.no_install = true),
        "os-image and no-install exclude each other"
    );
    assert_eq!(
        refused_arguments(|op| {
            op.disks.clear();
            op.disk_template = DiskTemplate::Diskless;
        }),
        "os-image needs a disk to copy it to"
    );
    assert_eq!(
        refused_arguments(|op| op.osparams.clear()),
        "OS 'debian' has no scripts here that could be run: give -O os-image=PATH, or --no-install"
    );
}

fn private(name: &str, value: &str) -> PrivateParams {
    [(name.to_owned(), value.to_owned())].into_iter().collect()
}

// covers: O31 C60 P14
#[test]
fn parameters_of_an_os_are_kept_for_it_private_ones_too() {
    let mut rig = Rig::new();
    let mut op = InstanceCreate { osparams_private: private("key", "hunter2"), ..create() };
    op.osparams.insert("dhcp".into(), "yes".into());
    lu::arguments(&op.clone().into()).expect("accepted");
    rig.run(op);
    let added = rig.instance();
    assert_eq!(added.osparams_private.reveal("key"), Some("hunter2"));
    assert_eq!(added.osparams.get("dhcp").map(String::as_str), Some("yes"));
    assert_eq!(added.level(), 6);
}

// covers: P14
#[test]
fn a_parameter_is_public_or_private_and_the_image_is_public() {
    let twice = refused_arguments(|op| {
        op.osparams.insert("key".into(), "x".into());
        op.osparams_private = private("key", "hunter2");
    });
    assert!(
        twice.starts_with("Cannot assign multiple values to OS parameters: \"key\""),
        "{twice}"
    );
    let image = refused_arguments(|op| {
        op.osparams.clear();
        op.osparams_private = private("os-image", "/a");
    });
    assert!(image.contains("os-image cannot be private"), "{image}");
    assert!(!twice.contains("hunter2"));
}

// covers: O31 C60
#[test]
fn an_os_or_an_image_must_be_named_also_where_nothing_is_installed() {
    for no_install in [false, true] {
        let text = refused_arguments(|op| {
            op.os.clear();
            op.osparams.clear();
            op.no_install = no_install;
        });
        assert_eq!(text, "No guest OS or OS image specified");
    }
    let only_image = InstanceCreate { os: String::new(), ..create() };
    assert!(lu::arguments(&only_image.into()).is_ok());
}

#[test]
fn any_os_is_on_disks_without_content() {
    let mut op = create();
    op.osparams.clear();
    op.disk_template = DiskTemplate::Fake;
    assert!(lu::arguments(&op.into()).is_ok());
}

#[test]
fn arguments_are_checked_again_with_the_state() {
    let op = InstanceCreate { no_install: true, ..create() };
    let (code, text) = Rig::new().refusal(op);
    assert_eq!(code, FaultCode::WrongInput);
    assert_eq!(text, "os-image and no-install exclude each other");
}

// covers: I1
#[test]
fn a_name_that_is_taken_is_refused() {
    let (code, text) = Rig::with_instance().refusal(create());
    assert_eq!(code, FaultCode::AlreadyExists);
    assert_eq!(text, "Instance 'web1' is already in the cluster");
}

// covers: I1
#[test]
fn a_node_is_needed_that_is_there_and_able() {
    let rig = Rig::new();
    let on = |primary_node| InstanceCreate { primary_node, ..create() };
    assert_eq!(
        rig.refusal(on(None)),
        (FaultCode::WrongInput, "no node given: name the primary node with -n".into())
    );
    assert_eq!(
        rig.refusal(on(Some(node_name(8)))),
        (FaultCode::UnknownEntity, "Node 'node8' not known".into())
    );
    for (change, text) in [
        ((|n| n.offline = true) as fn(&mut gantry_model::objects::Node), "offline"),
        (|n| n.drained = true, "drained"),
        (|n| n.vm_capable = false, "non-vm_capable"),
    ] {
        let mut rig = Rig::new();
        rig.change_node(2, change);
        let text = format!("Cannot use {text} primary node 'node2'");
        assert_eq!(rig.refusal(create()), (FaultCode::WrongState, text));
    }
}

// covers: I1
#[test]
fn hypervisor_and_template_must_be_enabled() {
    let kvm = Some(HvOverrides::none(HypervisorKind::Kvm));
    assert_eq!(
        Rig::new().refusal(InstanceCreate { hvparams: kvm, ..create() }),
        (
            FaultCode::WrongState,
            "Selected hypervisor (kvm) not enabled in the cluster (fake)".into()
        )
    );
    let fake = InstanceCreate { disk_template: DiskTemplate::Fake, ..create() };
    assert_eq!(
        Rig::new().refusal(fake),
        (
            FaultCode::WrongState,
            "Disk template 'fake' is not enabled in cluster. Enabled disk templates are: \
             file,diskless"
                .into()
        )
    );
    let mut rig = Rig::new();
    rig.change_cluster(|cluster| cluster.enabled_hypervisors.clear());
    assert_eq!(rig.refusal(create()).1, "no hypervisor is enabled");
}

// covers: I1
#[test]
fn disks_must_fit() {
    let mut rig = Rig::new();
    rig.storage_free = MiB(1535);
    assert_eq!(
        rig.refusal(create()),
        (
            FaultCode::InsufficientResources,
            "not enough space in /srv/disks on node node2: needed 1536 MiB, free 1535 MiB".into()
        )
    );
    rig.storage_free = MiB(1536);
    assert!(rig.check(&create().into()).is_ok());
}

#[test]
fn an_image_must_fit_onto_the_first_disk() {
    let mut rig = Rig::new();
    rig.image_size = MiB(1025);
    let (code, text) = rig.refusal(create());
    assert_eq!(code, FaultCode::WrongInput);
    assert_eq!(text, "image /images/debian.raw has 1025 MiB, more than disk 0 with 1024 MiB");
    rig.image_size = MiB(1024);
    assert!(rig.check(&create().into()).is_ok());
}

// covers: I1
#[test]
fn memory_matters_only_to_one_that_is_started_and_the_hypervisor_always() {
    let mut rig = Rig::new();
    rig.info.memory_free = MiB(127);
    assert_eq!(
        rig.refusal(create()),
        (
            FaultCode::InsufficientResources,
            "not enough memory on node node2 for instance web1: needed 128 MiB, free 127 MiB"
                .into()
        )
    );
    let stopped = || InstanceCreate { start: false, ..create() };
    assert!(rig.check(&stopped().into()).is_ok());
    rig.info.hypervisors.clear();
    for op in [create(), stopped()] {
        let text = "node node2 has no usable hypervisor fake".into();
        assert_eq!(rig.refusal(op), (FaultCode::EnvironmentError, text));
    }
}

// covers: I1
#[test]
fn the_least_memory_must_not_exceed_the_most() {
    let rig = Rig::new();
    let mut op = create();
    op.beparams.minmem = Some(513);
    op.beparams.maxmem = Some(512);
    assert_eq!(
        rig.refusal(op.clone()),
        (FaultCode::WrongInput, "beparams: minmem of 513 MiB exceeds maxmem of 512 MiB".into())
    );
    op.beparams.minmem = Some(512);
    assert!(rig.check(&op.clone().into()).is_ok());
    // One of them may be the cluster's.
    op.beparams.maxmem = None;
    let default = rig.state.cluster.as_ref().expect("there is one").beparams.maxmem;
    op.beparams.minmem = Some(default + 1);
    assert_eq!(rig.refusal(op).0, FaultCode::WrongInput);
}

#[test]
fn a_node_that_cannot_or_does_not_answer_refuses() {
    let mut rig = Rig::new();
    rig.instead = Some(Fact::No { reason: "no such directory".into() });
    assert_eq!(
        rig.refusal(create()),
        (FaultCode::EnvironmentError, "node node2: no such directory".into())
    );
    rig.instead = Some(Fact::Unreachable { reason: "not connected".into() });
    let fault = rig.check(&create().into()).expect_err("silent");
    assert_eq!(fault.message, "node node2 does not answer: not connected");
    assert!(fault.retryable);
    rig.instead = Some(Fact::Guest(None));
    assert_eq!(rig.refusal(create()).0, FaultCode::InternalError);
}

// covers: O31 I1
#[test]
fn disks_then_image_then_configuration_then_start() {
    let rig = Rig::new();
    assert_eq!(
        rig.step_names(create()),
        [
            "create disk 0",
            "create disk 1",
            "copy an image onto disk 0",
            "add instance web1",
            "begin the first run of the instance",
            "start instance web1",
        ]
    );
    let mut stopped = InstanceCreate { start: false, ..create() };
    no_image(&mut stopped);
    assert_eq!(rig.step_names(stopped), ["create disk 0", "create disk 1", "add instance web1"]);
}

// covers: O31
#[test]
fn the_instance_is_as_it_was_asked_for() {
    let mut rig = Rig::new();
    let mut op = create();
    op.beparams.maxmem = Some(512);
    assert_eq!(rig.run(op), json!(["node2"]));
    let instance = rig.instance().clone();
    assert_eq!(instance.primary, node_id(2));
    assert_eq!(instance.admin_state, AdminState::Up);
    assert_eq!(instance.hypervisor(), HypervisorKind::Fake);
    assert_eq!(instance.disks.iter().map(|d| d.size.0).collect::<Vec<_>>(), [1024, 512]);
    assert_eq!(rig.nodes.images, [instance.disks[0].uuid].into());
    let guest = &rig.nodes.guests[&instance.uuid];
    assert_eq!((guest.state, guest.memory), (GuestState::Running, MiB(512)));
    assert_eq!(guest.epoch, instance.run_epoch);
}

#[test]
fn one_that_is_not_started_is_down() {
    let mut rig = Rig::new();
    rig.run(InstanceCreate { start: false, ..create() });
    assert_eq!(rig.instance().admin_state, AdminState::Down);
    assert!(rig.nodes.guests.is_empty());
}

// covers: O31 C60
#[test]
fn one_on_which_nothing_is_installed_is_not_started_whatever_was_asked_for() {
    let mut rig = Rig::new();
    // There is not enough memory, which does not matter to one that is not started.
    rig.info.memory_free = MiB(1);
    let mut op = create();
    no_image(&mut op);
    assert!(op.start);
    rig.run(op);
    assert_eq!(rig.instance().admin_state, AdminState::Down);
    assert!(rig.nodes.guests.is_empty());
}

fn said(rig: &Rig, op: InstanceCreate) -> Vec<String> {
    let op = op.into();
    let plan = rig.check(&op).expect("not refused");
    let steps = all_steps(&op, &plan).into_iter();
    let texts = steps.filter_map(|step| step.says);
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

// covers: C215
#[test]
fn the_log_has_the_lines_of_ganeti() {
    let rig = Rig::new();
    let expected = [
        "* disk 0, size 1024M",
        "* disk 1, size 512M",
        "* creating instance disks...",
        "* imaging instance disks...",
        " - INFO: Imaging disk '0' for instance 'web1' on node 'node2'",
        "adding instance web1 to cluster config",
        "adding disks to cluster config",
        "* starting instance...",
    ];
    assert_eq!(said(&rig, create()), expected);
    let mut op = create();
    no_image(&mut op);
    (op.disk_template, op.disks) = (DiskTemplate::Diskless, Vec::new());
    let expected = [
        " - INFO: No-installation mode selected, disabling startup",
        "* creating instance disks...",
        "adding instance web1 to cluster config",
        "adding disks to cluster config",
    ];
    assert_eq!(said(&rig, op.clone()), expected);
    op.start = false;
    assert_eq!(said(&rig, op), expected[1..]);
}

#[test]
fn files_of_disks_are_never_shared() {
    let rig = Rig::new();
    let paths = |op: InstanceCreate| {
        let op = op.into();
        let plan = rig.check(&op).expect("not refused");
        let steps = all_steps(&op, &plan).into_iter();
        let calls = steps.filter_map(|step| match step.act {
            Act::Call { call, .. } => Some(*call),
            _ => None,
        });
        let paths = calls.filter_map(|call| match call {
            NodeCall::DiskCreate(call) => Some(format!("{:?}", call.disk.location)),
            _ => None,
        });
        paths.collect::<Vec<_>>()
    };
    let paths = paths(create());
    assert_eq!(paths.len(), 2);
    assert_ne!(paths[0], paths[1]);
    assert!(paths.iter().all(|path| path.contains("/srv/disks/web1/")), "{paths:?}");
}

// covers: D5 S26
#[test]
fn files_that_nodes_share_are_in_the_directory_of_such_files() {
    let mut rig = Rig::new();
    let op = InstanceCreate { disk_template: DiskTemplate::SharedFile, ..create() };
    let (code, text) = rig.refusal(op.clone());
    assert_eq!(code, FaultCode::WrongState);
    assert!(text.starts_with("Disk template 'sharedfile' is not enabled in cluster."), "{text}");
    let cluster = Arc::make_mut(rig.state.cluster.as_mut().expect("there is one"));
    cluster.enabled_disk_templates.push(DiskTemplate::SharedFile);
    let text = "the cluster has no directory for template sharedfile".to_owned();
    assert_eq!(rig.refusal(op.clone()), (FaultCode::WrongState, text));
    let cluster = Arc::make_mut(rig.state.cluster.as_mut().expect("there is one"));
    cluster.shared_file_storage_dir = "/srv/shared".into();
    let op = op.into();
    assert_eq!(gantry_model::opcodes::OpCode::level(&op), 6);
    let steps = all_steps(&op, &rig.check(&op).expect("not refused"));
    let create = steps.into_iter().find_map(|step| match step.act {
        Act::Call { call, .. } => match *call {
            NodeCall::DiskCreate(call) => Some(call),
            _ => None,
        },
        _ => None,
    });
    let call = NodeCall::from(create.expect("a disk is made"));
    assert_eq!(call.level(), 6);
    let NodeCall::DiskCreate(call) = call else { panic!("it is that") };
    let DiskLocation::SharedFile { path } = &call.disk.location else { panic!("{call:?}") };
    assert!(path.starts_with("/srv/shared/web1/"), "{path}");
}

// covers: L40 L41 L42
#[test]
fn locks_of_the_node_are_given_up_as_soon_as_they_are_not_needed() {
    let rig = Rig::new();
    let kept = |op: InstanceCreate| {
        let op = op.into();
        let plan = rig.check(&op).expect("not refused");
        let steps = all_steps(&op, &plan).into_iter();
        let kept = steps.filter_map(|step| {
            let keeps = step.keeps?.into_iter().map(|(name, _)| name.level.as_str());
            Some((step.name, keeps.collect::<Vec<_>>().join(" ")))
        });
        kept.collect::<Vec<_>>()
    };
    let added = ("add instance web1".to_owned(), "cluster instance".to_owned());
    let image = ("copy an image onto disk 0".to_owned(), "cluster instance node-res".to_owned());
    assert_eq!(kept(create()), [image, added.clone()]);
    let mut empty = create();
    no_image(&mut empty);
    assert_eq!(kept(empty), [added]);
}

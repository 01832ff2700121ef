//! At least one case of every opcode, each with a cluster in which it is not refused.

use std::collections::BTreeMap;

use gantry_model::deltas::ConfigDelta;
use gantry_model::ids::RunEpoch;
use gantry_model::objects::{AdminState, DiskMode, DiskTemplate, NodeTerms};
use gantry_model::opcodes::{
    ClusterDestroy, ClusterRenewCrypto, ClusterSetParams, DiskRequest, InstanceCreate,
    InstanceReboot, InstanceReinstall, InstanceRemove, InstanceShutdown, InstanceStartup, NodeAdd,
    NodeRemove, NodeSetParams, OpCode, RebootType, TagsDel, TagsSet, TestDelay,
};
use gantry_model::params::{BackendOverrides, PrivateParams, SecretParams};
use gantry_model::report::GuestState;
use gantry_model::tags::TagObject;
use gantry_model::units::{MiB, Millis};

use super::rig::{Rig, instance, node_id, node_name, token, web1};

/// One case.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) op: OpCode,
    pub(super) rig: Rig,
}

/// Two disks, an image, started.
pub(super) fn create() -> InstanceCreate {
    let disk = |size| DiskRequest { size: MiB(size), mode: DiskMode::Rw, name: None };
    InstanceCreate {
        instance_name: web1(),
        primary_node: Some(node_name(2)),
        disk_template: DiskTemplate::File,
        disks: vec![disk(1024), disk(512)],
        hvparams: None,
        beparams: BackendOverrides::default(),
        os: "debian".into(),
        osparams: BTreeMap::from([("os-image".into(), "/images/debian.raw".into())]),
        osparams_private: PrivateParams::default(),
        osparams_secret: SecretParams::default(),
        no_install: false,
        start: true,
        tags: Vec::new(),
        nics: Vec::new(),
        no_conflicts_check: false,
        file_storage_dir: None,
        ignore_ipolicy: false,
    }
}

pub(super) fn remove() -> InstanceRemove {
    let (shutdown_timeout, ignore_failures) = (Millis(120_000), false);
    InstanceRemove { instance_name: web1(), shutdown_timeout, ignore_failures }
}

pub(super) fn startup() -> InstanceStartup {
    InstanceStartup::new(web1())
}

pub(super) fn shutdown() -> InstanceShutdown {
    InstanceShutdown {
        instance_name: web1(),
        shutdown_timeout: Millis(120_000),
        no_remember: false,
        force: false,
        ignore_offline_nodes: false,
    }
}

pub(super) fn reboot(reboot_type: RebootType) -> InstanceReboot {
    let (shutdown_timeout, ignore_secondaries) = (Millis(120_000), false);
    InstanceReboot { instance_name: web1(), reboot_type, shutdown_timeout, ignore_secondaries }
}

/// Another OS, from another image.
pub(super) fn reinstall() -> InstanceReinstall {
    InstanceReinstall {
        instance_name: web1(),
        os_type: Some("debian".into()),
        force_variant: false,
        osparams: BTreeMap::from([("os-image".into(), "/images/new.raw".into())]),
        osparams_private: PrivateParams::default(),
        osparams_secret: SecretParams::default(),
    }
}

/// The node of `web1` is offline.
pub(super) fn with_offline_node() -> Rig {
    let mut rig = Rig::with_instance();
    rig.change_node(2, |node| node.offline = true);
    rig
}

pub(super) fn add_node() -> NodeAdd {
    NodeAdd {
        node_name: node_name(9),
        node_uuid: node_id(9),
        address: "192.0.2.9:1811".into(),
        secret_hash: token().secret_hash,
        key_hash: "key".into(),
        terms: NodeTerms::default(),
    }
}

pub(super) fn remove_node(number: u8) -> NodeRemove {
    NodeRemove { node_name: node_name(number) }
}

/// Changes nothing yet.
pub(super) fn modify_node(number: u8) -> NodeSetParams {
    NodeSetParams::new(node_name(number))
}

/// Another size of the candidate pool.
pub(super) fn pool_of(size: u32) -> ClusterSetParams {
    ClusterSetParams { candidate_pool_size: Some(size) }
}

/// On the master and on two nodes, three times.
pub(super) fn delay() -> TestDelay {
    TestDelay {
        duration: Millis(10),
        on_master: true,
        on_nodes: vec![node_name(3), node_name(2)],
        repeat: 3,
        no_locks: false,
        interruptible: false,
    }
}

pub(super) fn set_tags() -> TagsSet {
    TagsSet { object: TagObject::Instance(web1()), tags: vec!["web".into(), "blue".into()] }
}

pub(super) fn del_tags() -> TagsDel {
    TagsDel { object: TagObject::Instance(web1()), tags: vec!["web".into()] }
}

/// `web1` with those of [`set_tags`].
pub(super) fn with_tags() -> Rig {
    let mut rig = Rig::with_instance();
    rig.run(set_tags());
    rig
}

pub(super) fn renew_authority() -> ClusterRenewCrypto {
    ClusterRenewCrypto { cluster_certificate: true, ..ClusterRenewCrypto::default() }
}

pub(super) fn renew_nodes() -> ClusterRenewCrypto {
    ClusterRenewCrypto { node_certificates: true, ..ClusterRenewCrypto::default() }
}

pub(super) fn with_token() -> Rig {
    let mut rig = Rig::new();
    rig.config(&[ConfigDelta::TokenIssue(token())]).expect("a new token");
    rig
}

/// `web1` should run and has shut itself down.
pub(super) fn with_user_down() -> Rig {
    let mut rig = Rig::with_instance();
    rig.mark(AdminState::Up);
    rig.hold(GuestState::Shutdown, instance().run_epoch);
    rig
}

pub(super) fn all() -> Vec<Sample> {
    let sample = |name, op: OpCode, rig| Sample { name, op, rig };
    let diskless = InstanceCreate {
        disk_template: DiskTemplate::Diskless,
        disks: Vec::new(),
        osparams: BTreeMap::new(),
        start: false,
        ..create()
    };
    let no_install = InstanceCreate { osparams: BTreeMap::new(), no_install: true, ..create() };
    let mark_up = InstanceStartup { ignore_offline_nodes: true, ..startup() };
    let mark_down = InstanceShutdown { ignore_offline_nodes: true, ..shutdown() };
    let tags_of_cluster = TagsSet { object: TagObject::Cluster, ..set_tags() };
    let mut two = Rig::new();
    two.run(pool_of(2));
    let demote = NodeSetParams { drained: Some(true), auto_promote: true, ..modify_node(2) };
    let mut lost = Rig::with_running();
    lost.hold(GuestState::Running, RunEpoch(2));
    let mut down = Rig::with_running();
    down.mark(AdminState::Down);
    vec![
        sample("renew the authority", renew_authority().into(), Rig::with_authority()),
        sample("renew certificates", renew_nodes().into(), Rig::with_authority()),
        sample("destroy", ClusterDestroy {}.into(), Rig::alone()),
        sample("add a node", add_node().into(), with_token()),
        sample("remove a node", remove_node(3).into(), Rig::new()),
        sample("modify a node", demote.into(), two),
        sample("modify the cluster", pool_of(3).into(), Rig::new()),
        sample("create", create().into(), Rig::new()),
        sample("create without disks", diskless.into(), Rig::new()),
        sample("create without image", no_install.into(), Rig::new()),
        sample("remove", remove().into(), Rig::with_running()),
        sample("remove what is down", remove().into(), Rig::with_instance()),
        sample(
            "remove at any price",
            InstanceRemove { ignore_failures: true, ..remove() }.into(),
            lost,
        ),
        sample("start", startup().into(), Rig::with_instance()),
        sample("start after a shutdown by the user", startup().into(), with_user_down()),
        sample("start what runs", startup().into(), down),
        sample("stop", shutdown().into(), Rig::with_running()),
        sample("stop what is down", shutdown().into(), Rig::with_instance()),
        sample("reset", reboot(RebootType::Hard).into(), Rig::with_running()),
        sample("stop and start", reboot(RebootType::Full).into(), Rig::with_running()),
        sample("reboot what is down", reboot(RebootType::Soft).into(), Rig::with_instance()),
        sample(
            "reboot after a shutdown by the user",
            reboot(RebootType::Soft).into(),
            with_user_down(),
        ),
        sample("reinstall", reinstall().into(), Rig::with_instance()),
        sample("start on a node that is offline", mark_up.into(), with_offline_node()),
        sample("stop on a node that is offline", mark_down.into(), with_offline_node()),
        sample("add tags", set_tags().into(), Rig::with_instance()),
        sample("add tags to the cluster", tags_of_cluster.into(), Rig::new()),
        sample("remove tags", del_tags().into(), with_tags()),
        sample("wait", delay().into(), Rig::new()),
    ]
}

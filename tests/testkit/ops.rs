//! Opcodes as tests use them.

use std::collections::BTreeMap;
use std::path::Path;

use gantry_model::names::{InstanceName, NodeName};
use gantry_model::objects::{DiskMode, DiskTemplate};
use gantry_model::opcodes::{
    ClusterSetParams, DiskRequest, InstanceCreate, InstanceReboot, InstanceRemove,
    InstanceShutdown, InstanceStartup, NodeRemove, NodeSetParams, RebootType, TestDelay,
};
use gantry_model::params::{BackendOverrides, PrivateParams, SecretParams};
use gantry_model::units::{MiB, Millis};

use crate::machine::MachineNumber;

/// How long guests have to shut down.
const SHUTDOWN_TIMEOUT: Millis = Millis(120_000);

/// The name of a node.
#[must_use]
pub fn node_name(machine: MachineNumber) -> NodeName {
    NodeName::new(&format!("node{}.example", machine.0)).expect("a valid name")
}

/// The name of an instance.
///
/// # Panics
/// When it is no name.
#[must_use]
pub fn instance_name(name: &str) -> InstanceName {
    InstanceName::new(name).expect("a valid name")
}

/// Makes an instance with one empty disk of the fake storage, and starts it.
#[must_use]
pub fn create(name: &str, on: MachineNumber) -> InstanceCreate {
    InstanceCreate {
        instance_name: instance_name(name),
        primary_node: Some(node_name(on)),
        disk_template: DiskTemplate::Fake,
        disks: vec![DiskRequest { size: MiB(64), mode: DiskMode::Rw, name: None }],
        hvparams: None,
        beparams: BackendOverrides::default(),
        os: "noop".to_owned(),
        osparams: BTreeMap::new(),
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

/// The same with an image on its disk.
#[must_use]
pub fn create_from_image(name: &str, on: MachineNumber, image: &Path) -> InstanceCreate {
    let image = image.display().to_string();
    let osparams = BTreeMap::from([("os-image".to_owned(), image)]);
    InstanceCreate { osparams, ..create(name, on) }
}

/// Starts an instance.
#[must_use]
pub fn startup(name: &str) -> InstanceStartup {
    InstanceStartup::new(instance_name(name))
}

/// Shuts an instance down.
#[must_use]
pub fn shutdown(name: &str) -> InstanceShutdown {
    InstanceShutdown {
        instance_name: instance_name(name),
        shutdown_timeout: SHUTDOWN_TIMEOUT,
        no_remember: false,
        force: false,
        ignore_offline_nodes: false,
    }
}

/// Restarts an instance.
#[must_use]
pub fn reboot(name: &str, reboot_type: RebootType) -> InstanceReboot {
    let instance_name = instance_name(name);
    let (shutdown_timeout, ignore_secondaries) = (SHUTDOWN_TIMEOUT, false);
    InstanceReboot { instance_name, reboot_type, shutdown_timeout, ignore_secondaries }
}

/// Removes an instance.
#[must_use]
pub fn remove(name: &str) -> InstanceRemove {
    InstanceRemove {
        instance_name: instance_name(name),
        shutdown_timeout: SHUTDOWN_TIMEOUT,
        ignore_failures: false,
    }
}

/// Removes a node.
#[must_use]
pub fn remove_node(machine: MachineNumber) -> NodeRemove {
    NodeRemove { node_name: node_name(machine) }
}

/// Changes nothing of a node yet.
#[must_use]
pub fn modify_node(machine: MachineNumber) -> NodeSetParams {
    NodeSetParams::new(node_name(machine))
}

/// Changes the size of the candidate pool.
#[must_use]
pub fn pool_of(size: u32) -> ClusterSetParams {
    ClusterSetParams { candidate_pool_size: Some(size) }
}

/// Waits on the master, without locks.
#[must_use]
pub fn delay(duration_ms: u64) -> TestDelay {
    TestDelay { duration: Millis(duration_ms), ..TestDelay::default() }
}

/// Waits on a node, under its lock.
#[must_use]
pub fn delay_on(machine: MachineNumber, duration_ms: u64) -> TestDelay {
    TestDelay {
        duration: Millis(duration_ms),
        on_master: false,
        on_nodes: vec![node_name(machine)],
        no_locks: false,
        ..TestDelay::default()
    }
}

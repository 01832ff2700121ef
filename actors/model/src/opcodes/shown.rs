//! The fields of opcodes as Ganeti shows them (rows C90, X58, O31 to O38, O66): its names, its
//! units, and the values that its opcodes have where nothing is said.
//!
//! Used where a job is shown, never where one is stored or sent. Fields that this program does not
//! have stand there with the value that describes what it does: an instance is made without looking
//! its name up, so `name_check` is false. Deliberately absent: ids of instances and nodes, which
//! Ganeti writes into an opcode while it runs; here they are in the plan.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::instance::{
    DiskRequest, InstanceCreate, InstanceReboot, InstanceReinstall, InstanceRemove,
    InstanceShutdown, InstanceStartup, NicRequest,
};
use super::node::NodeAdd;
use super::test::TestDelay;
use crate::objects::{DiskMode, NodeTerms, host_of};
use crate::params::{BackendOverrides, HvOverrides};
use crate::units::Millis;

/// Fields by name.
pub(super) type Fields = Map<String, Value>;

/// How long a helper guest may take to start and to shut down, where Ganeti installs in one.
pub(super) const HELPER_STARTUP: u32 = 300;
pub(super) const HELPER_SHUTDOWN: u32 = 7_200;
/// How long the guest that is copied from another cluster may take to shut down.
pub(super) const SOURCE_SHUTDOWN: u32 = 120;
/// What a start would wait for the shutdown of another guest.
pub(super) const STARTUP_SHUTDOWN: u32 = 120;

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// What is said of something, without what is not.
fn said(value: &impl Serialize) -> Fields {
    let value = serde_json::to_value(value).expect("parameters are plain values");
    fields(value).into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// Whole seconds as such, others with their fraction.
fn seconds(time: Millis) -> Value {
    match time.0 % 1000 {
        0 => json!(time.0 / 1000),
        _ => fraction(time),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a day has 27 bits of milliseconds")]
fn fraction(time: Millis) -> Value {
    json!(time.0 as f64 / 1000.0)
}

fn backend(over: Option<&BackendOverrides>) -> Value {
    Value::Object(over.map(said).unwrap_or_default())
}

/// Without the hypervisor they are for, which is a field of its own.
fn hypervisor(over: Option<&HvOverrides>) -> Value {
    let by_kind = over.map(said).unwrap_or_default();
    let inner = by_kind.into_iter().next().map(|(_, inner)| said(&inner));
    Value::Object(inner.unwrap_or_default())
}

fn disk(disk: &DiskRequest) -> Value {
    let mut fields = Fields::new();
    fields.insert("size".to_owned(), json!(disk.size.0));
    if disk.mode != DiskMode::Rw {
        fields.insert("mode".to_owned(), json!(disk.mode));
    }
    if let Some(name) = &disk.name {
        fields.insert("name".to_owned(), json!(name));
    }
    Value::Object(fields)
}

fn nic(nic: &NicRequest) -> Value {
    let mut fields = said(nic);
    if let Some(Value::Object(params)) = fields.remove("nicparams") {
        fields.extend(params);
    }
    Value::Object(fields)
}

impl InstanceCreate {
    pub(super) fn in_ganeti(&self) -> Fields {
        let mut shown = fields(json!({
            "beparams": backend(Some(&self.beparams)),
            "commit": false,
            "compress": "none",
            "conflicts_check": !self.no_conflicts_check,
            "disk_template": self.disk_template,
            "disks": self.disks.iter().map(disk).collect::<Vec<_>>(),
            "force_variant": false,
            "forthcoming": false,
            "helper_shutdown_timeout": HELPER_SHUTDOWN,
            "helper_startup_timeout": HELPER_STARTUP,
            "hvparams": hypervisor(self.hvparams.as_ref()),
            "identify_defaults": false,
            "ignore_ipolicy": self.ignore_ipolicy,
            "instance_communication": false,
            "instance_name": self.instance_name,
            "ip_check": false,
            "mode": "create",
            "name_check": false,
            "nics": self.nics.iter().map(nic).collect::<Vec<_>>(),
            "no_install": self.no_install,
            "opportunistic_locking": false,
            "osparams": self.osparams,
            "osparams_private": self.osparams_private.redacted(),
            "osparams_secret": self.osparams_secret.redacted(),
            "source_shutdown_timeout": SOURCE_SHUTDOWN,
            "start": self.start && !self.no_install,
            "tags": self.tags,
            "wait_for_sync": true,
        }));
        let os = (!self.os.is_empty()).then(|| json!(self.os));
        let file_driver = self.disk_template.is_files().then(|| json!("loop"));
        let optional = [
            ("file_driver", file_driver),
            ("file_storage_dir", self.file_storage_dir.as_ref().map(|dir| json!(dir))),
            ("hypervisor", self.hvparams.as_ref().map(|over| json!(over.kind().as_str()))),
            ("os_type", os),
            ("pnode", self.primary_node.as_ref().map(|node| json!(node))),
        ];
        for (name, value) in optional {
            shown.extend(value.map(|value| (name.to_owned(), value)));
        }
        shown
    }
}

impl InstanceRemove {
    pub(super) fn in_ganeti(&self) -> Fields {
        fields(json!({
            "ignore_failures": self.ignore_failures,
            "instance_name": self.instance_name,
            "shutdown_timeout": seconds(self.shutdown_timeout),
        }))
    }
}

impl InstanceReinstall {
    pub(super) fn in_ganeti(&self) -> Fields {
        let mut shown = fields(json!({
            "force_variant": self.force_variant,
            "instance_name": self.instance_name,
            "osparams": self.osparams,
            "osparams_private": self.osparams_private.redacted(),
            "osparams_secret": self.osparams_secret.redacted(),
        }));
        shown.extend(self.os_type.as_ref().map(|os| ("os_type".to_owned(), json!(os))));
        shown
    }
}

impl InstanceStartup {
    pub(super) fn in_ganeti(&self) -> Fields {
        fields(json!({
            "beparams": backend(self.beparams.as_ref()),
            "force": self.force,
            "hvparams": hypervisor(self.hvparams.as_ref()),
            "ignore_offline_nodes": self.ignore_offline_nodes,
            "instance_name": self.instance_name,
            "no_remember": self.no_remember,
            "shutdown_timeout": STARTUP_SHUTDOWN,
            "startup_paused": self.startup_paused,
        }))
    }
}

impl InstanceShutdown {
    pub(super) fn in_ganeti(&self) -> Fields {
        fields(json!({
            "admin_state_source": "admin",
            "force": self.force,
            "ignore_offline_nodes": self.ignore_offline_nodes,
            "instance_name": self.instance_name,
            "no_remember": self.no_remember,
            "timeout": seconds(self.shutdown_timeout),
        }))
    }
}

impl InstanceReboot {
    pub(super) fn in_ganeti(&self) -> Fields {
        fields(json!({
            "ignore_secondaries": self.ignore_secondaries,
            "instance_name": self.instance_name,
            "reboot_type": self.reboot_type.as_str(),
            "shutdown_timeout": seconds(self.shutdown_timeout),
        }))
    }
}

impl NodeAdd {
    /// Beside Ganeti's fields those of the token: Ganeti sets the node up before there is a job,
    /// here the node comes with them.
    pub(super) fn in_ganeti(&self) -> Fields {
        let NodeTerms {
            group,
            master_capable,
            vm_capable,
            secondary_ip,
            ndparams,
            hv_state,
            disk_state,
        } = &self.terms;
        let mut shown = fields(json!({
            "address": self.address,
            "disk_state": disk_state,
            "hv_state": hv_state,
            "key_hash": self.key_hash,
            "master_capable": master_capable,
            "ndparams": ndparams,
            "node_name": self.node_name,
            "node_setup": false,
            "node_uuid": self.node_uuid,
            "primary_ip": host_of(&self.address),
            "readd": false,
            "secret_hash": self.secret_hash,
            "vm_capable": vm_capable,
        }));
        let optional = [
            ("group", group.map(|group| json!(group))),
            ("secondary_ip", secondary_ip.map(|address| json!(address))),
        ];
        for (name, value) in optional {
            shown.extend(value.map(|value| (name.to_owned(), value)));
        }
        shown
    }
}

impl TestDelay {
    pub(super) fn in_ganeti(&self) -> Fields {
        fields(json!({
            "duration": fraction(self.duration),
            "interruptible": self.interruptible,
            "no_locks": self.no_locks,
            "on_master": self.on_master,
            "on_nodes": self.on_nodes,
            "repeat": self.repeat,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{InstanceName, NodeName};
    use crate::objects::DiskTemplate;
    use crate::opcodes::{OpRequest, RebootType};
    use crate::params::{HypervisorKind, PrivateParams, SecretParams};
    use crate::units::MiB;

    fn names(op: OpRequest) -> Vec<String> {
        fields(op.input_fields()).into_iter().map(|(name, _)| name).collect()
    }

    fn with_common(own: &[&str]) -> Vec<String> {
        let common =
            ["OP_ID", "comment", "debug_level", "depends", "dry_run", "priority", "reason"];
        let mut all: Vec<String> = common.iter().chain(own).map(|&name| name.to_owned()).collect();
        all.sort();
        all
    }

    fn web1() -> InstanceName {
        InstanceName::new("web1").expect("valid")
    }

    // covers: C90 O36 O37 O38
    #[test]
    fn opcodes_on_an_instance_have_the_fields_of_ganeti() {
        let timeout = Millis(120_000);
        let startup = ["beparams", "force", "hvparams", "ignore_offline_nodes", "instance_name"];
        let startup =
            [&startup[..], &["no_remember", "shutdown_timeout", "startup_paused"]].concat();
        assert_eq!(names(InstanceStartup::new(web1()).into()), with_common(&startup));
        let shutdown = InstanceShutdown {
            instance_name: web1(),
            shutdown_timeout: timeout,
            no_remember: false,
            force: false,
            ignore_offline_nodes: false,
        };
        assert_eq!(OpRequest::from(shutdown.clone()).input_fields()["timeout"], json!(120));
        let own = ["admin_state_source", "force", "ignore_offline_nodes", "instance_name"];
        let own = [&own[..], &["no_remember", "timeout"]].concat();
        assert_eq!(names(shutdown.into()), with_common(&own));
        let reboot = InstanceReboot {
            instance_name: web1(),
            reboot_type: RebootType::Hard,
            shutdown_timeout: timeout,
            ignore_secondaries: false,
        };
        let own = ["ignore_secondaries", "instance_name", "reboot_type", "shutdown_timeout"];
        assert_eq!(names(reboot.into()), with_common(&own));
    }

    // covers: C90 O66
    #[test]
    fn a_delay_is_in_seconds() {
        let delay = |millis| TestDelay { duration: Millis(millis), ..TestDelay::default() };
        let shown = |millis| OpRequest::from(delay(millis)).input_fields()["duration"].to_string();
        assert_eq!([shown(200), shown(1_500), shown(10_000)], ["0.2", "1.5", "10.0"]);
        let own = ["duration", "interruptible", "no_locks", "on_master", "on_nodes", "repeat"];
        assert_eq!(names(delay(1).into()), with_common(&own));
    }

    // covers: C90 O31
    #[test]
    fn what_makes_an_instance_is_shown_as_it_was_said() {
        let mut hvparams = HvOverrides::none(HypervisorKind::Kvm);
        hvparams.set("acpi", "false").expect("accepted");
        let one = |mode, name| DiskRequest { size: MiB(12), mode, name };
        let op = InstanceCreate {
            instance_name: web1(),
            primary_node: Some(NodeName::new("node1").expect("valid")),
            disk_template: DiskTemplate::File,
            disks: vec![one(DiskMode::Ro, Some("root".to_owned())), one(DiskMode::Rw, None)],
            hvparams: Some(hvparams),
            beparams: BackendOverrides { maxmem: Some(128), ..BackendOverrides::default() },
            os: "noop".to_owned(),
            osparams: std::collections::BTreeMap::new(),
            osparams_private: PrivateParams::default(),
            osparams_secret: SecretParams::default(),
            no_install: true,
            start: true,
            tags: Vec::new(),
            nics: vec![NicRequest { mac: Some("auto".to_owned()), ..NicRequest::default() }],
            no_conflicts_check: false,
            file_storage_dir: None,
            ignore_ipolicy: false,
        };
        let shown = OpRequest::from(op).input_fields();
        for (name, value) in [
            ("beparams", json!({"maxmem": 128})),
            ("hvparams", json!({"acpi": false})),
            ("hypervisor", json!("kvm")),
            ("disks", json!([{"mode": "ro", "name": "root", "size": 12}, {"size": 12}])),
            ("nics", json!([{"mac": "auto"}])),
            ("os_type", json!("noop")),
            ("pnode", json!("node1")),
            ("file_driver", json!("loop")),
            ("conflicts_check", json!(true)),
            // Nothing is installed, so nothing is started.
            ("start", json!(false)),
            ("file_storage_dir", Value::Null),
        ] {
            assert_eq!(shown[name], value, "{name}");
        }
    }
}

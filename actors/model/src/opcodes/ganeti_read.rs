//! The fields of each opcode as Ganeti writes them: the inverse of [`super::shown`].
//!
//! Used by [`super::ganeti_json`] and nothing else. An opcode whose fields change is changed here
//! and there; the test that goes over all opcodes finds what was forgotten.

use serde_json::json;

use super::ganeti_json::{GanetiFields, OpJsonError};
use super::shown::{HELPER_SHUTDOWN, HELPER_STARTUP, SOURCE_SHUTDOWN, STARTUP_SHUTDOWN};
use super::{
    ClusterDestroy, ClusterRenewCrypto, ClusterSetParams, DiskRequest, InstanceCreate,
    InstanceReboot, InstanceReinstall, InstanceRemove, InstanceShutdown, InstanceStartup,
    NicRequest, NodeAdd, NodeRemove, NodeSetParams, TagsDel, TagsSet, TestDelay,
};
use crate::objects::{DiskMode, NicMode, NodeTerms, host_of};
use crate::params::{BackendOverrides, HvOverrides, HypervisorKind, PrivateParams, REDACTED};
use crate::tags::TagObject;
use crate::units::Millis;

type Read<T> = Result<T, OpJsonError>;

/// How long a guest may take to shut down where nothing is said.
const SHUTDOWN: Millis = Millis(120_000);

fn backend(fields: &mut GanetiFields) -> Read<BackendOverrides> {
    let mut over = BackendOverrides::default();
    fields.parameters("beparams", |name, text| match name {
        // As it was called before there were two.
        "memory" => over.set("minmem", text).and_then(|()| over.set("maxmem", text)),
        _ => over.set(name, text),
    })?;
    Ok(over)
}

fn hypervisor(
    fields: &mut GanetiFields,
    kind: Option<HypervisorKind>,
) -> Read<Option<HvOverrides>> {
    let mut over = kind.map(HvOverrides::none);
    let of_unnamed = "name the hypervisor in field \"hypervisor\"";
    fields.parameters("hvparams", |name, text| match &mut over {
        Some(over) => over.set(name, text).map_err(|error| error.to_string()),
        None => Err(of_unnamed.to_owned()),
    })?;
    Ok(over)
}

/// What is shown of an opcode has no values in it, so it cannot be submitted again as it is.
fn hidden(fields: &mut GanetiFields, name: &'static str) -> Read<PrivateParams> {
    let expected = "an object of texts, none of which was taken out";
    let read: PrivateParams = fields.optional(name, expected)?.unwrap_or_default();
    match read.is_redacted() {
        true => fields.object(name, json!(REDACTED), expected),
        false => Ok(read),
    }
}

fn disk(fields: &mut GanetiFields) -> Read<DiskRequest> {
    Ok(DiskRequest {
        size: fields.required("size", "a number of MiB")?,
        mode: fields.optional("mode", "rw or ro")?.unwrap_or(DiskMode::Rw),
        name: fields.text("name")?,
    })
}

fn nic(fields: &mut GanetiFields) -> Read<NicRequest> {
    let mut nic = NicRequest {
        mac: fields.text("mac")?.filter(|mac| !["auto", "generate"].contains(&mac.as_str())),
        name: fields.text("name")?,
        ..NicRequest::default()
    };
    nic.ip = fields.optional("ip", "an IP address")?;
    nic.nicparams.mode = fields.optional::<NicMode>("mode", "bridged, routed or openvswitch")?;
    nic.nicparams.link = fields.text("link")?;
    nic.nicparams.vlan = fields.text("vlan")?;
    fields.never("network")?;
    Ok(nic)
}

impl ClusterDestroy {
    pub(super) fn from_fields(_: &mut GanetiFields) -> Read<Self> {
        Ok(Self {})
    }
}

impl ClusterRenewCrypto {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        Ok(Self {
            node_certificates: fields.flag("node_certificates", false)?,
            cluster_certificate: fields.flag("cluster_certificate", false)?,
            renew_ssh_keys: fields.flag("renew_ssh_keys", false)?,
            ssh_key_type: fields.text("ssh_key_type")?,
            ssh_key_bits: fields.optional("ssh_key_bits", "a number of bits")?,
            verbose: fields.flag("verbose", false)?,
            debug: fields.flag("debug", false)?,
        })
    }
}

impl ClusterSetParams {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        let candidate_pool_size = fields.optional("candidate_pool_size", "a number of nodes")?;
        Ok(Self { candidate_pool_size })
    }
}

impl NodeAdd {
    /// Never from outside: it is submitted by the master, for whoever holds a join token.
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        fields.only_all(&[("node_setup", json!(false)), ("readd", json!(false))])?;
        let address: String = fields.required("address", "the host:port of a daemon")?;
        fields.only("primary_ip", &json!(host_of(&address)))?;
        let states = "an object of objects of numbers";
        let terms = NodeTerms {
            group: fields.optional("group", "the id of a node group")?,
            master_capable: fields.flag("master_capable", true)?,
            vm_capable: fields.flag("vm_capable", true)?,
            secondary_ip: fields.optional("secondary_ip", "an IP address")?,
            ndparams: fields.optional("ndparams", "an object of texts")?.unwrap_or_default(),
            hv_state: fields.optional("hv_state", states)?.unwrap_or_default(),
            disk_state: fields.optional("disk_state", states)?.unwrap_or_default(),
        };
        Ok(Self {
            node_name: fields.required("node_name", "the name of a node")?,
            node_uuid: fields.required("node_uuid", "the id of a node")?,
            address,
            secret_hash: fields.required("secret_hash", "what a join token brings")?,
            key_hash: fields.required("key_hash", "what a join token brings")?,
            terms,
        })
    }
}

impl NodeRemove {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        let node_name = fields.existing_node("node_name", "node_uuid")?;
        Ok(Self { node_name: fields.needed("node_name", node_name)? })
    }
}

impl NodeSetParams {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        let node_name = fields.existing_node("node_name", "node_uuid")?;
        let flag = "true or false";
        let states = "an object of objects of numbers";
        Ok(Self {
            node_name: fields.needed("node_name", node_name)?,
            force: fields.flag("force", false)?,
            master_candidate: fields.optional("master_candidate", flag)?,
            offline: fields.optional("offline", flag)?,
            drained: fields.optional("drained", flag)?,
            auto_promote: fields.flag("auto_promote", false)?,
            master_capable: fields.optional("master_capable", flag)?,
            vm_capable: fields.optional("vm_capable", flag)?,
            secondary_ip: fields.optional("secondary_ip", "an IP address")?,
            ndparams: fields.changed_parameters("ndparams")?,
            powered: fields.optional("powered", flag)?,
            hv_state: fields.optional("hv_state", states)?,
            disk_state: fields.optional("disk_state", states)?,
        })
    }
}

impl InstanceCreate {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        refuse_later_fields(fields)?;
        let kind = fields.optional("hypervisor", "the name of a hypervisor")?;
        Ok(Self {
            instance_name: fields.required("instance_name", "the name of an instance")?,
            primary_node: fields.existing_node("pnode", "pnode_uuid")?,
            disk_template: fields.required("disk_template", "the name of a disk template")?,
            disks: fields.objects("disks", "a disk of OP_INSTANCE_CREATE", disk)?,
            hvparams: hypervisor(fields, kind)?,
            beparams: backend(fields)?,
            os: fields.text("os_type")?.unwrap_or_default(),
            osparams: fields.optional("osparams", "an object of texts")?.unwrap_or_default(),
            osparams_private: hidden(fields, "osparams_private")?,
            osparams_secret: hidden(fields, "osparams_secret")?.into(),
            no_install: fields.flag("no_install", false)?,
            start: fields.flag("start", true)?,
            tags: fields.texts("tags")?,
            nics: fields.objects("nics", "an interface of OP_INSTANCE_CREATE", nic)?,
            no_conflicts_check: !fields.flag("conflicts_check", true)?,
            file_storage_dir: fields.text("file_storage_dir")?,
            ignore_ipolicy: fields.flag("ignore_ipolicy", false)?,
        })
    }
}

/// What comes with later work. Each may say that it is not wanted.
fn refuse_later_fields(fields: &mut GanetiFields) -> Read<()> {
    fields.only_all(&[
        ("mode", json!("create")),
        ("file_driver", json!("loop")),
        ("compress", json!("none")),
        ("commit", json!(false)),
        ("forthcoming", json!(false)),
        ("identify_defaults", json!(false)),
        ("instance_communication", json!(false)),
        ("ip_check", json!(false)),
        ("name_check", json!(false)),
        ("helper_startup_timeout", json!(HELPER_STARTUP)),
        ("helper_shutdown_timeout", json!(HELPER_SHUTDOWN)),
        ("source_shutdown_timeout", json!(SOURCE_SHUTDOWN)),
    ])?;
    for field in [
        "group_name",
        "iallocator",
        "snode",
        "snode_uuid",
        "source_handshake",
        "source_instance_name",
        "source_x509_ca",
        "src_node",
        "src_node_uuid",
        "src_path",
    ] {
        fields.never(field)?;
    }
    // Without effect either way: nothing has variants, mirrors, or locks that could be left out.
    for field in ["force_variant", "wait_for_sync", "opportunistic_locking"] {
        fields.flag(field, false)?;
    }
    Ok(())
}

impl InstanceRemove {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        Ok(Self {
            instance_name: fields.existing_instance()?,
            shutdown_timeout: fields.seconds("shutdown_timeout")?.unwrap_or(SHUTDOWN),
            ignore_failures: fields.flag("ignore_failures", false)?,
        })
    }
}

impl InstanceReinstall {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        Ok(Self {
            instance_name: fields.existing_instance()?,
            os_type: fields.text("os_type")?,
            force_variant: fields.flag("force_variant", false)?,
            osparams: fields.optional("osparams", "an object of texts")?.unwrap_or_default(),
            osparams_private: hidden(fields, "osparams_private")?,
            osparams_secret: hidden(fields, "osparams_secret")?.into(),
        })
    }
}

impl InstanceStartup {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        fields.only("shutdown_timeout", &json!(STARTUP_SHUTDOWN))?;
        // Which hypervisor the instance has is not said. The fake one has no parameter that an
        // instance could have of its own, so whatever is set is of the other.
        let hvparams = hypervisor(fields, Some(HypervisorKind::Kvm))?;
        let beparams = backend(fields)?;
        Ok(Self {
            instance_name: fields.existing_instance()?,
            no_remember: fields.flag("no_remember", false)?,
            startup_paused: fields.flag("startup_paused", false)?,
            force: fields.flag("force", false)?,
            ignore_offline_nodes: fields.flag("ignore_offline_nodes", false)?,
            hvparams: hvparams.filter(|over| !over.values().is_empty()),
            beparams: (beparams != BackendOverrides::default()).then_some(beparams),
        })
    }
}

impl InstanceShutdown {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        fields.only("admin_state_source", &json!("admin"))?;
        // It has had both names.
        let newer = fields.seconds("shutdown_timeout")?;
        Ok(Self {
            instance_name: fields.existing_instance()?,
            shutdown_timeout: fields.seconds("timeout")?.or(newer).unwrap_or(SHUTDOWN),
            no_remember: fields.flag("no_remember", false)?,
            force: fields.flag("force", false)?,
            ignore_offline_nodes: fields.flag("ignore_offline_nodes", false)?,
        })
    }
}

impl InstanceReboot {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        Ok(Self {
            instance_name: fields.existing_instance()?,
            reboot_type: fields.required("reboot_type", "soft, hard or full")?,
            shutdown_timeout: fields.seconds("shutdown_timeout")?.unwrap_or(SHUTDOWN),
            ignore_secondaries: fields.flag("ignore_secondaries", false)?,
        })
    }
}

/// Whose tags they are, and which.
fn tags(fields: &mut GanetiFields) -> Read<(TagObject, Vec<String>)> {
    let kind: String = fields.required("kind", "cluster, node, nodegroup or instance")?;
    let name = fields.text("name")?;
    let expected = "the kind of something that has tags, with its name in field \"name\"";
    let object = fields.object("kind", json!({ "kind": kind, "name": name }), expected)?;
    let tags = fields.optional("tags", "a list of texts")?;
    Ok((object, fields.needed("tags", tags)?))
}

impl TagsSet {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        let (object, tags) = tags(fields)?;
        Ok(Self { object, tags })
    }
}

impl TagsDel {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        let (object, tags) = tags(fields)?;
        Ok(Self { object, tags })
    }
}

impl TestDelay {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        let duration = fields.seconds("duration")?;
        Ok(Self {
            duration: fields.needed("duration", duration)?,
            on_master: fields.flag("on_master", true)?,
            on_nodes: fields.existing_nodes("on_nodes", "on_node_uuids")?,
            repeat: fields.optional("repeat", "a number from 0 on")?.unwrap_or_default(),
            no_locks: fields.flag("no_locks", true)?,
            interruptible: fields.flag("interruptible", false)?,
        })
    }
}

#[cfg(feature = "next-version")]
impl super::TestNext {
    pub(super) fn from_fields(fields: &mut GanetiFields) -> Read<Self> {
        Ok(Self { note: fields.text("note")?.unwrap_or_default() })
    }
}

//! Columns of nodes (X52).
//!
//! Beyond Ganeti's there is `address`, which has the port that Ganeti's addresses lack.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::objects::{ClusterSettings, Node, custom_node_parameters};
use gantry_model::query::{Cell, FieldKind};
use gantry_model::report::NodeInfo;
use serde_json::{Value, json};

use super::nice_sort::nice_key;
use super::picture::NodePicture;
use super::table::{Column, Columns, Live, Names, column, count, flag, list, number, text};
use crate::state::{ClusterState, not_found};

pub(super) fn rows<'a>(state: &'a ClusterState, names: Names<'_>) -> Result<Vec<&'a Node>, Fault> {
    if names.is_empty() {
        let mut all: Vec<&Node> = state.nodes.values().map(Arc::as_ref).collect();
        all.sort_by_cached_key(|node| nice_key(node.name.as_str()));
        return Ok(all);
    }
    let find = |name: &String| match state.find_node(name) {
        Ok(node) => Ok(node.as_ref()),
        Err(fault) if fault.code == FaultCode::UnknownEntity => Err(not_found("Node", name)),
        Err(fault) => Err(fault),
    };
    names.iter().map(find).collect()
}

fn of_picture(live: Live<'_>, node: &Node, value: impl Fn(&NodePicture) -> Cell) -> Cell {
    if node.offline {
        return Cell::Offline;
    }
    match live.picture.node(node.uuid) {
        Some(picture) if picture.connected => value(picture),
        _ => Cell::NoData,
    }
}

fn info(live: Live<'_>, node: &Node, value: fn(&NodeInfo) -> Cell) -> Cell {
    of_picture(live, node, |picture| value(&picture.info))
}

fn primaries<'a>(state: &'a ClusterState, node: &Node) -> Vec<&'a str> {
    let mut names: Vec<&str> = state
        .instances
        .values()
        .filter(|instance| instance.primary == node.uuid)
        .map(|instance| instance.name.as_str())
        .collect();
    names.sort_by_cached_key(|name| nice_key(name));
    names
}

/// Ganeti's letters: master, candidate, regular, drained, offline.
fn role(state: &ClusterState, node: &Node) -> &'static str {
    if state.master == Some(node.uuid) {
        "M"
    } else if node.master_candidate {
        "C"
    } else if node.drained {
        "D"
    } else if node.offline {
        "O"
    } else {
        "R"
    }
}

/// A number of which 0 means that the node does not say it.
fn said(value: u32) -> Cell {
    if value == 0 { Cell::NoData } else { number(value) }
}

/// What the node has, and the cluster where it has nothing of its own.
fn parameters(state: &ClusterState, node: &Node) -> Value {
    match &state.cluster {
        Some(cluster) => cluster.settings.node_parameters(&node.ndparams),
        None => ClusterSettings::default().node_parameters(&node.ndparams),
    }
}

fn parameter(state: &ClusterState, node: &Node, name: &str) -> Cell {
    parameters(state, node).get(name).map_or(Cell::Unavailable, |value| Cell::Value(value.clone()))
}

fn state_of(states: &BTreeMap<String, BTreeMap<String, u64>>) -> Cell {
    if states.is_empty() { Cell::Unavailable } else { Cell::Value(json!(states)) }
}

pub(super) const COLUMNS: Columns<Node> =
    Columns { tables: &[CONFIGURED, LIVE, PARAMETERS, COMMON], aliases: &[] };

/// What is configured.
const CONFIGURED: &[Column<Node>] = &[
    column!(Name: "name", "Node", Text, "Node name", |_, _, n| text(n.name.as_str())),
    column!("role", "Role", Text, ROLE_DOC, |s, _, n| text(role(s, n))),
    column!("master", "IsMaster", Bool, "Whether node is master", |s, _, n| {
        flag(s.master == Some(n.uuid))
    }),
    column!(
        "master_candidate",
        "MasterC",
        Bool,
        "Whether node is a master candidate",
        |_, _, n| flag(n.master_candidate)
    ),
    column!(
        "master_capable",
        "MasterCapable",
        Bool,
        "Whether node can become a master candidate",
        |_, _, n| flag(n.master_capable)
    ),
    column!("offline", "Offline", Bool, "Whether node is marked offline", |_, _, n| {
        flag(n.offline)
    }),
    column!("drained", "Drained", Bool, "Whether node is drained", |_, _, n| flag(n.drained)),
    column!("vm_capable", "VMCapable", Bool, "Whether node can host instances", |_, _, n| {
        flag(n.vm_capable)
    }),
    column!("powered", "Powered", Bool, "Whether node is thought to be powered on", |_, _, _| {
        // No node has a program that could tell.
        Cell::Unavailable
    }),
    column!("pip", "PrimaryIP", Text, "Primary IP address", |_, _, n| text(n.host())),
    column!("sip", "SecondaryIP", Text, "Secondary IP address", |_, _, n| {
        n.secondary_ip.map_or_else(|| text(n.host()), |ip| text(ip.to_string()))
    }),
    column!("address", "Address", Text, "Where its daemon listens", |_, _, n| {
        text(n.address.clone())
    }),
    column!("group", "Group", Text, "Node group", |s, _, n| {
        s.groups.get(&n.group).map_or(Cell::NoData, |group| text(group.name.as_str()))
    }),
    column!("group.uuid", "GroupUUID", Text, "UUID of node group", |_, _, n| {
        text(n.group.to_string())
    }),
    column!(
        "pinst_cnt",
        "Pinst",
        Number,
        "Number of instances with this node as primary",
        |s, _, n| count(s.instances.values().filter(|i| i.primary == n.uuid).count())
    ),
    column!(
        "sinst_cnt",
        "Sinst",
        Number,
        "Number of instances with this node as secondary",
        |_, _, _| count(0)
    ),
    column!(
        "pinst_list",
        "PriInstances",
        Other,
        "List of instances with this node as primary",
        |s, _, n| list(primaries(s, n))
    ),
    column!(
        "sinst_list",
        "SecInstances",
        Other,
        "List of instances with this node as secondary",
        |_, _, _| list(Vec::<String>::new())
    ),
    // Ganeti never shows them, not even where they are set.
    column!("hv_state", "HypervisorState", Other, "Hypervisor state", |_, _, n| {
        state_of(&n.hv_state)
    }),
    column!("disk_state", "DiskState", Other, "Disk state", |_, _, n| state_of(&n.disk_state)),
];

/// What the node says.
const LIVE: &[Column<Node>] = &[
    column!(
        "dtotal",
        "DTotal",
        Unit,
        "Total storage space on storage unit for instance disk allocation",
        |_, l, n| info(l, n, |info| number(info.disk_total.0))
    ),
    column!("dfree", "DFree", Unit, "Available storage space on storage unit", |_, l, n| {
        info(l, n, |info| number(info.disk_free.0))
    }),
    column!(
        "mtotal",
        "MTotal",
        Unit,
        "Total amount of memory of physical machine",
        |_, l, n| info(l, n, |info| number(info.memory_total.0))
    ),
    column!("mnode", "MNode", Unit, "Amount of memory used by node (dom0 for Xen)", |_, l, n| {
        info(l, n, |info| number(info.memory_node.0))
    }),
    column!("mfree", "MFree", Unit, "Memory available for instance allocations", |_, l, n| {
        info(l, n, |info| number(info.memory_free.0))
    }),
    column!("ctotal", "CTotal", Number, "Number of logical processors", |_, l, n| {
        info(l, n, |info| number(info.cpus))
    }),
    column!(
        "cnos",
        "CNOs",
        Number,
        "Number of logical processors used by the node OS (dom0 for Xen)",
        // The guests are processes beside it: it may use all of them.
        |_, l, n| info(l, n, |info| number(info.cpus))
    ),
    column!(
        "cnodes",
        "CNodes",
        Number,
        "Number of NUMA domains on node (if exported by hypervisor)",
        |_, l, n| info(l, n, |info| said(info.numa_nodes))
    ),
    column!(
        "csockets",
        "CSockets",
        Number,
        "Number of physical CPU sockets (if exported by hypervisor)",
        |_, l, n| info(l, n, |info| said(info.cpu_sockets))
    ),
    // Nobody counts spindles, because there is no exclusive storage.
    column!(
        "spfree",
        "SpFree",
        Number,
        "Available spindles in volume group (exclusive storage only)",
        |_, l, n| info(l, n, |_| Cell::NoData)
    ),
    column!(
        "sptotal",
        "SpTotal",
        Number,
        "Total spindles in volume group (exclusive storage only)",
        |_, l, n| info(l, n, |_| Cell::NoData)
    ),
    column!(
        "bootid",
        "BootID",
        Text,
        "Random UUID renewed for each system reboot, can be used for detecting reboots by \
         tracking changes",
        |_, l, n| {
            info(l, n, |info| match info.boot_id.is_nil() {
                true => Cell::NoData,
                false => text(info.boot_id.to_string()),
            })
        }
    ),
];

/// `ndp!("name", "Title", Kind; …)`: a column for each parameter.
macro_rules! ndp {
    ($($name:literal, $title:literal, $kind:ident;)*) => {
        &[
            column!("ndparams", "NodeParameters", Other, "Merged node parameters",
                |s, _, n| Cell::Value(parameters(s, n))),
            column!("custom_ndparams", "CustomNodeParameters", Other, "Custom node parameters",
                |_, _, n| Cell::Value(custom_node_parameters(&n.ndparams))),
            $(column!(concat!("ndp/", $name), $title, $kind,
                concat!("The \"", $name, "\" node parameter"), |s, _, n| parameter(s, n, $name)),)*
        ]
    };
}

const PARAMETERS: &[Column<Node>] = ndp!(
    "cpu_speed", "ndp/cpu_speed", Float;
    "exclusive_storage", "ExclusiveStorage", Bool;
    "oob_program", "OutOfBandProgram", Other;
    "ovs", "OpenvSwitch", Bool;
    "ovs_link", "OpenvSwitchLink", Other;
    "ovs_name", "OpenvSwitchName", Other;
    "spindle_count", "SpindleCount", Number;
    "ssh_port", "ndp/ssh_port", Number;
);

/// What all objects have.
const COMMON: &[Column<Node>] = &[
    column!("tags", "Tags", Other, "Tags", |_, _, n| list(n.tags.iter().cloned())),
    column!("ctime", "CTime", Timestamp, "Creation timestamp", |_, _, n| number(n.ctime.0)),
    column!("mtime", "MTime", Timestamp, "Modification timestamp", |_, _, n| number(n.mtime.0)),
    column!(
        "serial_no",
        "SerialNo",
        Number,
        "Node object serial number, incremented on each modification",
        |_, _, n| number(n.serial.0)
    ),
    column!("uuid", "UUID", Text, "Node UUID", |_, _, n| text(n.uuid.to_string())),
];

const ROLE_DOC: &str = "Node role; \"M\" for master, \"C\" for master candidate, \"R\" for \
                        regular, \"D\" for drained, \"O\" for offline";

//! Columns of nodes.

use std::sync::Arc;

use gantry_model::errors::Fault;
use gantry_model::objects::Node;
use gantry_model::query::{Cell, FieldKind};
use gantry_model::report::NodeInfo;

use super::nice_sort::nice_key;
use super::picture::NodePicture;
use super::table::{Column, Columns, Live, Names, column, count, flag, list, number, text};
use crate::state::ClusterState;

pub(super) fn rows<'a>(state: &'a ClusterState, names: Names<'_>) -> Result<Vec<&'a Node>, Fault> {
    if names.is_empty() {
        let mut all: Vec<&Node> = state.nodes.values().map(Arc::as_ref).collect();
        all.sort_by_cached_key(|node| nice_key(node.name.as_str()));
        return Ok(all);
    }
    names.iter().map(|name| state.find_node(name).map(Arc::as_ref)).collect()
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

/// The host of `host:port`: Ganeti's addresses have no port.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

pub(super) const COLUMNS: Columns<Node> = Columns { tables: &[TABLE], aliases: &[] };

const TABLE: &[Column<Node>] = &[
    column!(Name: "name", "Node", Text, "Name of the node", |_, _, n| text(n.name.as_str())),
    column!("dtotal", "DTotal", Unit, "Size of the storage for instances", |_, l, n| {
        info(l, n, |info| number(info.disk_total.0))
    }),
    column!("dfree", "DFree", Unit, "Free space for instances", |_, l, n| {
        info(l, n, |info| number(info.disk_free.0))
    }),
    column!("mtotal", "MTotal", Unit, "Memory of the node", |_, l, n| {
        info(l, n, |info| number(info.memory_total.0))
    }),
    column!("mnode", "MNode", Unit, "Memory used by the node itself", |_, l, n| {
        info(l, n, |info| number(info.memory_node.0))
    }),
    column!("mfree", "MFree", Unit, "Memory free for instances", |_, l, n| {
        info(l, n, |info| number(info.memory_free.0))
    }),
    column!("pinst_cnt", "Pinst", Number, "Instances with this primary", |s, _, n| {
        count(s.instances.values().filter(|i| i.primary == n.uuid).count())
    }),
    column!("sinst_cnt", "Sinst", Number, "Instances with this secondary", |_, _, _| count(0)),
    column!("pinst_list", "PriInstances", Other, "Instances with this primary", |s, _, n| {
        list(primaries(s, n))
    }),
    column!("sinst_list", "SecInstances", Other, "Instances with this secondary", |_, _, _| {
        list(Vec::<String>::new())
    }),
    column!("ctotal", "CTotal", Number, "Processors", |_, l, n| {
        info(l, n, |info| number(info.cpus))
    }),
    column!("role", "Role", Text, "M, C, R, D or O", |s, _, n| text(role(s, n))),
    column!("master", "IsMaster", Bool, "Whether it is the master", |s, _, n| {
        flag(s.master == Some(n.uuid))
    }),
    column!("master_candidate", "MasterC", Bool, "Whether it is a candidate", |_, _, n| {
        flag(n.master_candidate)
    }),
    column!("offline", "Offline", Bool, "Whether it is offline", |_, _, n| flag(n.offline)),
    column!("drained", "Drained", Bool, "Whether it is drained", |_, _, n| flag(n.drained)),
    column!("vm_capable", "VMCapable", Bool, "Whether it may run instances", |_, _, n| {
        flag(n.vm_capable)
    }),
    column!("master_capable", "MasterCapable", Bool, "Whether it may become master", |_, _, n| {
        flag(n.master_capable)
    }),
    column!("pip", "PrimaryIP", Text, "Primary IP address", |_, _, n| text(host(&n.address))),
    column!("sip", "SecondaryIP", Text, "Secondary IP address", |_, _, n| text(host(&n.address))),
    column!("address", "Address", Text, "Where its daemon listens", |_, _, n| {
        text(n.address.clone())
    }),
    column!("group", "Group", Text, "Node group", |s, _, n| {
        s.groups.get(&n.group).map_or(Cell::NoData, |group| text(group.name.as_str()))
    }),
    column!("group.uuid", "GroupUUID", Text, "UUID of node group", |_, _, n| {
        text(n.group.to_string())
    }),
    column!("bootid", "BootID", Text, "This run of its daemon", |_, l, n| {
        of_picture(l, n, |picture| text(picture.boot.to_string()))
    }),
    column!("tags", "Tags", Other, "Tags", |_, _, n| list(n.tags.iter().cloned())),
    column!("ctime", "CTime", Timestamp, "When it was added", |_, _, n| number(n.ctime.0)),
    column!("mtime", "MTime", Timestamp, "When it changed last", |_, _, n| number(n.mtime.0)),
    column!("serial_no", "SerialNo", Number, "Number of changes", |_, _, n| number(n.serial.0)),
    column!("uuid", "UUID", Text, "Its id", |_, _, n| text(n.uuid.to_string())),
];

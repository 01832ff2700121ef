//! What an instance is, where it is, and what it does now.

use gantry_model::ids::NodeUuid;
use gantry_model::objects::{AdminState, Instance, NodeGroup};
use gantry_model::params::HvParams;
use gantry_model::query::{Cell, FieldKind};
use gantry_model::report::{GuestReport, GuestState, UnreadableGuest};
use serde_json::json;

use super::super::table::{Column, Live, column, flag, list, number, text};
use super::params::hvparams;
use crate::state::ClusterState;

/// Why the primary node, which is connected, cannot say what the guest does.
fn unreadable<'a>(
    state: &ClusterState,
    live: Live<'a>,
    instance: &Instance,
) -> Option<&'a UnreadableGuest> {
    let node = live.picture.node(instance.primary).filter(|node| node.connected)?;
    let online = !state.nodes.get(&instance.primary).is_some_and(|node| node.offline);
    node.unreadable.get(&instance.uuid).filter(|_| online)
}

/// What the primary node says of the guest: `Err` is why it cannot be said.
fn guest<'a>(
    state: &ClusterState,
    live: Live<'a>,
    instance: &Instance,
) -> Result<Option<&'a GuestReport>, Cell> {
    if state.nodes.get(&instance.primary).is_some_and(|node| node.offline) {
        return Err(Cell::Offline);
    }
    match live.picture.node(instance.primary) {
        Some(node) if node.connected && !node.unreadable.contains_key(&instance.uuid) => {
            Ok(node.guests.get(&instance.uuid))
        }
        _ => Err(Cell::NoData),
    }
}

/// Whether another node runs the guest. What a node said before it went away does not count, nor
/// what is left of a guest that has ended.
fn runs_elsewhere(state: &ClusterState, live: Live<'_>, instance: &Instance) -> bool {
    let runs = |place: &NodeUuid| {
        live.picture.node(*place).is_some_and(|node| {
            let guest = node.guests.get(&instance.uuid);
            node.connected && guest.is_some_and(|guest| guest.state != GuestState::Shutdown)
        })
    };
    let online = |place: &NodeUuid| !state.nodes.get(place).is_some_and(|node| node.offline);
    let mut others = live.picture.places(instance.uuid).iter().filter(|p| **p != instance.primary);
    others.any(|place| online(place) && runs(place))
}

/// Whether a guest may end by itself in this cluster (X51).
fn may_end(state: &ClusterState) -> bool {
    state.cluster.as_ref().is_none_or(|cluster| cluster.settings.allows_user_shutdown())
}

/// Whether the last that was seen of its present start is that its user shut it down: nothing is
/// left of such a guest once its node's daemon has restarted.
fn was_shut_down_inside(state: &ClusterState, instance: &Instance) -> bool {
    may_end(state)
        && state.transitions.get(&instance.uuid).is_some_and(|last| {
            last.state == Some(GuestState::Shutdown) && last.epoch == instance.run_epoch
        })
}

/// Ganeti's words for the state of an instance; it has none for one that cannot be found out.
fn status(state: &ClusterState, live: Live<'_>, instance: &Instance) -> Cell {
    if unreadable(state, live, instance).is_some() {
        return Cell::NoData;
    }
    let word = match guest(state, live, instance) {
        Err(Cell::Offline) => "ERROR_nodeoffline",
        Err(_) => "ERROR_nodedown",
        Ok(_) if runs_elsewhere(state, live, instance) => "ERROR_wrongnode",
        Ok(Some(report)) if report.state == GuestState::Shutdown => match instance.admin_state {
            AdminState::Up if may_end(state) => "USER_down",
            AdminState::Up => "ERROR_down",
            AdminState::Down => "ADMIN_down",
            AdminState::Offline => "ADMIN_offline",
        },
        Ok(Some(_)) => match instance.admin_state {
            AdminState::Up => "running",
            AdminState::Down | AdminState::Offline => "ERROR_up",
        },
        Ok(None) => match instance.admin_state {
            AdminState::Up if was_shut_down_inside(state, instance) => "USER_down",
            AdminState::Up => "ERROR_down",
            AdminState::Down => "ADMIN_down",
            AdminState::Offline => "ADMIN_offline",
        },
    };
    text(word)
}

fn of_guest(
    state: &ClusterState,
    live: Live<'_>,
    instance: &Instance,
    value: fn(&GuestReport) -> Cell,
) -> Cell {
    match guest(state, live, instance) {
        Ok(Some(report)) if report.state != GuestState::Shutdown => value(report),
        Ok(_) => Cell::Unavailable,
        Err(cell) => cell,
    }
}

fn node_name(state: &ClusterState, instance: &Instance) -> Cell {
    state.nodes.get(&instance.primary).map_or(Cell::NoData, |node| text(node.name.as_str()))
}

fn group(state: &ClusterState, instance: &Instance, value: fn(&NodeGroup) -> String) -> Cell {
    let node = state.nodes.get(&instance.primary);
    match node.and_then(|node| state.groups.get(&node.group)) {
        Some(group) => text(value(group)),
        None => Cell::NoData,
    }
}

/// How its console is reached, while it runs.
fn console(state: &ClusterState, live: Live<'_>, instance: &Instance) -> Cell {
    let has_one = match hvparams(state, instance) {
        HvParams::Kvm(params) => params.serial_console,
        HvParams::Fake(_) => true,
    };
    match guest(state, live, instance) {
        Ok(Some(report)) if report.state != GuestState::Shutdown && has_one => {
            // Of Ganeti's kinds the one that has no address: the daemon is what talks to it.
            let message = format!("use `gnt-instance console {}`", instance.name);
            Cell::Value(json!({"instance": instance.name, "kind": "msg", "message": message}))
        }
        Ok(_) => Cell::Unavailable,
        Err(cell) => cell,
    }
}

pub(super) const COLUMNS: &[Column<Instance>] = &[
    column!(Name: "name", "Instance", Text, "Instance name", |_, _, i| text(i.name.as_str())),
    column!("hypervisor", "Hypervisor", Text, "Hypervisor name", |_, _, i| {
        text(i.hypervisor().as_str())
    }),
    column!("os", "OS", Text, "Operating system", |_, _, i| {
        if i.os.is_empty() { Cell::Unavailable } else { text(i.os.clone()) }
    }),
    column!(Name: "pnode", "Primary_node", Text, "Primary node", |s, _, i| node_name(s, i)),
    column!("status", "Status", Text, STATUS_DOC, status),
    column!(
        "status.fault",
        "Status_fault",
        Text,
        "Why its node cannot say what the guest does",
        |s, l, i| {
            let guest = unreadable(s, l, i);
            guest.map_or(Cell::Unavailable, |guest| text(guest.reason.clone()))
        }
    ),
    column!("oper_ram", "Memory", Unit, "Actual memory usage as seen by hypervisor", |s, l, i| {
        of_guest(s, l, i, |guest| number(guest.memory.0))
    }),
    column!(
        "oper_vcpus",
        "VCPUs",
        Number,
        "Actual number of VCPUs as seen by hypervisor",
        |s, l, i| { of_guest(s, l, i, |guest| number(guest.vcpus)) }
    ),
    column!("oper_state", "Running", Bool, "Actual state of instance", |s, l, i| {
        match guest(s, l, i) {
            Ok(report) => flag(report.is_some_and(|r| r.state != GuestState::Shutdown)),
            Err(cell) => cell,
        }
    }),
    column!("admin_state", "InstanceState", Text, "Desired state of instance", |_, _, i| {
        text(match i.admin_state {
            AdminState::Up => "up",
            AdminState::Down => "down",
            AdminState::Offline => "offline",
        })
    }),
    column!(
        "snodes",
        "Secondary_Nodes",
        Other,
        "Secondary nodes; usually this will just be one node",
        |_, _, _| { list(Vec::<String>::new()) }
    ),
    column!("tags", "Tags", Other, "Tags", |_, _, i| list(i.tags.iter().cloned())),
    column!("ctime", "CTime", Timestamp, "Creation timestamp", |_, _, i| number(i.ctime.0)),
    column!("mtime", "MTime", Timestamp, "Modification timestamp", |_, _, i| number(i.mtime.0)),
    column!(
        "serial_no",
        "SerialNo",
        Number,
        "Instance object serial number, incremented on each modification",
        |_, _, i| number(i.serial.0)
    ),
    column!("uuid", "UUID", Text, "Instance UUID", |_, _, i| text(i.uuid.to_string())),
    column!("admin_up", "Autostart", Bool, "Desired state of instance", |_, _, i| {
        flag(i.admin_state == AdminState::Up)
    }),
    column!(
        "admin_state_source",
        "InstanceStateSource",
        Text,
        "Who last changed the desired state of the instance",
        // What a guest does by itself is seen in its status and changes nothing that is desired.
        |_, _, _| text("admin")
    ),
    column!("disks_active", "DisksActive", Bool, "Desired state of instance disks", |_, _, i| {
        // They are active from the start of the guest to its end.
        flag(i.admin_state == AdminState::Up)
    }),
    column!(
        "forthcoming",
        "Forthcoming",
        Bool,
        "whether the Instance is forthcoming",
        |_, _, _| { flag(false) }
    ),
    column!("pnode.group", "PrimaryNodeGroup", Text, "Primary node's group", |s, _, i| {
        group(s, i, |group| group.name.to_string())
    }),
    column!(
        "pnode.group.uuid",
        "PrimaryNodeGroupUUID",
        Text,
        "Primary node's group UUID",
        |s, _, i| group(s, i, |group| group.uuid.to_string())
    ),
    column!(
        "snodes.group",
        "SecondaryNodesGroups",
        Other,
        "Node groups of secondary nodes",
        |_, _, _| list(Vec::<String>::new())
    ),
    column!(
        "snodes.group.uuid",
        "SecondaryNodesGroupsUUID",
        Other,
        "Node group UUIDs of secondary nodes",
        |_, _, _| list(Vec::<String>::new())
    ),
    column!("console", "Console", Other, "Instance console information", console),
];

const STATUS_DOC: &str = "Instance status; \"running\" if instance is set to be running and \
    actually is, \"ADMIN_down\" if instance is stopped and is not running, \"ERROR_wrongnode\" \
    if instance running, but not on its designated primary node, \"ERROR_up\" if instance \
    should be stopped, but is actually running, \"ERROR_down\" if instance should run, but \
    doesn't, \"ERROR_nodedown\" if instance's primary node is down, \"ERROR_nodeoffline\" if \
    instance's primary node is marked offline, \"ADMIN_offline\" if instance is offline and \
    does not use dynamic resources";

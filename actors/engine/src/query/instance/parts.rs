//! Its disks and network interfaces: as lists, and by index.

use gantry_model::objects::{Disk, DiskLocation, DiskMode, Instance, Nic, NicMode, NicParams};
use gantry_model::query::{Cell, FieldKind};
use serde_json::{Value, json};

use super::super::table::{Column, column, count, list, number, text};
use crate::state::ClusterState;

/// The driver in the `logical_id` of file disks. There is no other, and Ganeti's default.
const FILE_DRIVER: &str = "loop";

fn of_disks(instance: &Instance, value: fn(&Disk) -> Value) -> Cell {
    list(instance.disks.iter().map(value))
}

fn of_nics(instance: &Instance, value: fn(&Nic) -> Value) -> Cell {
    list(instance.nics.iter().map(value))
}

/// What names the disk in its storage, in Ganeti's form.
fn logical_id(disk: &Disk) -> Value {
    match &disk.location {
        DiskLocation::File { path } | DiskLocation::SharedFile { path } => {
            json!([FILE_DRIVER, path])
        }
        DiskLocation::Fake => Value::Null,
    }
}

/// What an interface is connected with: its own, or the cluster's.
fn nicparams(state: &ClusterState, nic: &Nic) -> NicParams {
    match &state.cluster {
        Some(cluster) => nic.nicparams.over(&cluster.nicparams),
        None => nic.nicparams.over(&NicParams::default()),
    }
}

/// A parameter of each interface.
fn of_nicparams(state: &ClusterState, instance: &Instance, value: fn(NicParams) -> Value) -> Cell {
    list(instance.nics.iter().map(|nic| value(nicparams(state, nic))))
}

/// The link of an interface on a bridge; nothing of another.
fn bridge(params: NicParams) -> Option<String> {
    (params.mode == NicMode::Bridged).then_some(params.link)
}

/// The parameters that an interface has of its own.
fn own_nicparams(nic: &Nic) -> Value {
    serde_json::to_value(&nic.nicparams).expect("a struct of plain values is JSON")
}

fn some(value: Option<String>) -> Cell {
    value.map_or(Cell::Unavailable, text)
}

fn nic_param(
    state: &ClusterState,
    instance: &Instance,
    idx: usize,
    value: fn(NicParams) -> Option<String>,
) -> Cell {
    instance.nics.get(idx).map_or(Cell::Unavailable, |nic| some(value(nicparams(state, nic))))
}

fn mode(disk: &Disk) -> &'static str {
    match disk.mode {
        DiskMode::Rw => "rw",
        DiskMode::Ro => "ro",
    }
}

fn disk(instance: &Instance, idx: usize, value: fn(&Disk) -> Cell) -> Cell {
    instance.disks.get(idx).map_or(Cell::Unavailable, value)
}

fn nic(instance: &Instance, idx: usize, value: fn(&Nic) -> Cell) -> Cell {
    instance.nics.get(idx).map_or(Cell::Unavailable, value)
}

pub(super) const COLUMNS: &[Column<Instance>] = &[
    column!("disk_template", "Disk_template", Text, "Instance disk template", |_, _, i| {
        text(i.disk_template.as_str())
    }),
    column!(
        "disk_usage",
        "DiskUsage",
        Unit,
        "Total disk space used by instance on each of its nodes; this is not the disk size visible \
         to the instance, but the usage on the node",
        |_, _, i| number(i.disks.iter().map(|disk| disk.size.0).sum::<u64>())
    ),
    column!("disk.count", "Disks", Number, "Number of disks", |_, _, i| count(i.disks.len())),
    column!("disk.sizes", "Disk_sizes", Other, "List of disk sizes", |_, _, i| {
        of_disks(i, |disk| json!(disk.size.0))
    }),
    column!("disk.names", "Disk_names", Other, "List of disk names", |_, _, i| {
        of_disks(i, |disk| json!(disk.name))
    }),
    column!("disk.uuids", "Disk_UUIDs", Other, "List of disk UUIDs", |_, _, i| {
        of_disks(i, |disk| json!(disk.uuid))
    }),
    // No disk has spindles of its own.
    column!("disk.spindles", "Disk_spindles", Other, "List of disk spindles", |_, _, i| {
        of_disks(i, |_| Value::Null)
    }),
    column!("disk.modes", "Disk_modes", Other, "List of access modes of disks", |_, _, i| {
        of_disks(i, |disk| json!(mode(disk)))
    }),
    column!("disk.logical_ids", "Disk_logical_ids", Other, "Where each disk is", |_, _, i| {
        of_disks(i, logical_id)
    }),
    column!("nic.count", "NICs", Number, "Number of network interfaces", |_, _, i| {
        count(i.nics.len())
    }),
    column!(
        "nic.macs",
        "NIC_MACs",
        Other,
        "List containing each network interface's MAC address",
        |_, _, i| of_nics(i, |nic| json!(nic.mac))
    ),
    column!(
        "nic.uuids",
        "NIC_UUIDs",
        Other,
        "List containing each network interface's UUID",
        |_, _, i| of_nics(i, |nic| json!(nic.uuid))
    ),
    column!(
        "nic.ips",
        "NIC_IPs",
        Other,
        "List containing each network interface's IP address",
        |_, _, i| of_nics(i, |nic| json!(nic.ip))
    ),
    column!(
        "nic.names",
        "NIC_Names",
        Other,
        "List containing each network interface's name",
        |_, _, i| of_nics(i, |nic| json!(nic.name))
    ),
    column!(
        "nic.modes",
        "NIC_modes",
        Other,
        "List containing each network interface's mode",
        |s, _, i| of_nicparams(s, i, |params| json!(params.mode))
    ),
    column!(
        "nic.links",
        "NIC_links",
        Other,
        "List containing each network interface's link",
        |s, _, i| of_nicparams(s, i, |params| json!(params.link))
    ),
    column!(
        "nic.vlans",
        "NIC_VLANs",
        Other,
        "List containing each network interface's VLAN",
        |s, _, i| of_nicparams(s, i, |params| json!(params.vlan))
    ),
    column!(
        "nic.bridges",
        "NIC_bridges",
        Other,
        "List containing each network interface's bridge",
        |s, _, i| of_nicparams(s, i, |params| json!(bridge(params)))
    ),
    // No interface is in a network yet.
    column!(
        "nic.networks",
        "NIC_networks",
        Other,
        "List containing each interface's network",
        |_, _, i| of_nics(i, |_| Value::Null)
    ),
    column!(
        "nic.networks.names",
        "NIC_networks_names",
        Other,
        "List containing the name of each interface's network",
        |_, _, i| of_nics(i, |_| Value::Null)
    ),
    column!(
        "custom_nicparams",
        "CustomNicParameters",
        Other,
        "Custom network interface parameters",
        |_, _, i| of_nics(i, own_nicparams)
    ),
    column!(
        "network_port",
        "Network_port",
        Other,
        "Instance network port if available (e.g. for VNC console)",
        |_, _, i| i.network_port.map_or(Cell::Unavailable, number)
    ),
];

/// `by_index!(disks 0 "1st", …; nics 0 "1st", …)`: the columns of each of them.
macro_rules! by_index {
    (disks $($d:literal $dth:literal),*; nics $($n:literal $nth:literal),*) => {
        &[
            $(
                column!(concat!("disk.size/", $d), concat!("Disk/", $d), Unit,
                    concat!("Disk size of ", $dth, " disk"),
                    |_, _, i| disk(i, $d, |disk| number(disk.size.0))),
                column!(concat!("disk.name/", $d), concat!("DiskName/", $d), Text,
                    concat!("Name of ", $dth, " disk"),
                    |_, _, i| disk(i, $d, |disk| {
                        disk.name.as_deref().map_or(Cell::Unavailable, text)
                    })),
                column!(concat!("disk.spindles/", $d), concat!("DiskSpindles/", $d), Number,
                    concat!("Spindles of ", $dth, " disk"),
                    |_, _, _| Cell::Unavailable),
                column!(concat!("disk.uuid/", $d), concat!("DiskUUID/", $d), Text,
                    concat!("UUID of ", $dth, " disk"),
                    |_, _, i| disk(i, $d, |disk| text(disk.uuid.to_string()))),
            )*
            $(
                column!(concat!("nic.mac/", $n), concat!("NicMAC/", $n), Text,
                    concat!("MAC address of ", $nth, " network interface"),
                    |_, _, i| nic(i, $n, |nic| text(nic.mac.as_str()))),
                column!(concat!("nic.uuid/", $n), concat!("NicUUID/", $n), Text,
                    concat!("UUID address of ", $nth, " network interface"),
                    |_, _, i| nic(i, $n, |nic| text(nic.uuid.to_string()))),
                column!(concat!("nic.ip/", $n), concat!("NicIP/", $n), Text,
                    concat!("IP address of ", $nth, " network interface"),
                    |_, _, i| nic(i, $n, |nic| some(nic.ip.map(|ip| ip.to_string())))),
                column!(concat!("nic.name/", $n), concat!("NicName/", $n), Text,
                    concat!("Name address of ", $nth, " network interface"),
                    |_, _, i| nic(i, $n, |nic| some(nic.name.clone()))),
                column!(concat!("nic.mode/", $n), concat!("NicMode/", $n), Text,
                    concat!("Mode of ", $nth, " network interface"),
                    |s, _, i| nic_param(s, i, $n, |params| Some(params.mode.to_string()))),
                column!(concat!("nic.link/", $n), concat!("NicLink/", $n), Text,
                    concat!("Link of ", $nth, " network interface"),
                    |s, _, i| nic_param(s, i, $n, |params| Some(params.link))),
                column!(concat!("nic.vlan/", $n), concat!("NicVLAN/", $n), Text,
                    concat!("VLAN of ", $nth, " network interface"),
                    |s, _, i| nic_param(s, i, $n, |params| {
                        Some(params.vlan).filter(|vlan| !vlan.is_empty())
                    })),
                column!(concat!("nic.bridge/", $n), concat!("NicBridge/", $n), Text,
                    concat!("Bridge of ", $nth, " network interface"),
                    |s, _, i| nic_param(s, i, $n, bridge)),
                column!(concat!("nic.network/", $n), concat!("NicNetwork/", $n), Text,
                    concat!("Network of ", $nth, " network interface"),
                    |_, _, _| Cell::Unavailable),
                column!(concat!("nic.network.name/", $n), concat!("NicNetworkName/", $n), Text,
                    concat!("Network name of ", $nth, " network interface"),
                    |_, _, _| Cell::Unavailable),
            )*
        ]
    };
}

/// As many of each as Ganeti has fields for (X50).
pub(super) const BY_INDEX: &[Column<Instance>] = by_index!(
    disks
    0 "1st", 1 "2nd", 2 "3rd", 3 "4th",
    4 "5th", 5 "6th", 6 "7th", 7 "8th",
    8 "9th", 9 "10th", 10 "11th", 11 "12th",
    12 "13th", 13 "14th", 14 "15th", 15 "16th";
    nics
    0 "1st", 1 "2nd", 2 "3rd", 3 "4th",
    4 "5th", 5 "6th", 6 "7th", 7 "8th"
);

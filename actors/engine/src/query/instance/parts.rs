//! Its disks and network interfaces: as lists, and by index.

use gantry_model::objects::{Disk, DiskLocation, DiskMode, Instance, Nic};
use gantry_model::query::{Cell, FieldKind};
use serde_json::{Value, json};

use super::super::table::{Column, column, count, list, number, text};

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
        DiskLocation::File { path } => json!([FILE_DRIVER, path]),
        DiskLocation::Fake => Value::Null,
    }
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
    column!("disk_usage", "DiskUsage", Unit, "Size of all disks", |_, _, i| {
        number(i.disks.iter().map(|disk| disk.size.0).sum::<u64>())
    }),
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

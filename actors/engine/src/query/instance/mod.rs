//! Columns of instances (X50), and rows by name.
//!
//! What a column says is in the file of its subject; every table of columns is listed here. Beyond
//! Ganeti's fields there are `disk.modes` and `disk.logical_ids`, which `gnt-instance info` shows
//! and Ganeti answers in another way. Deliberately absent: fields of what instances do not have
//! yet (modes, links and addresses of interfaces, spindles).

mod params;
mod parts;
mod standing;

use std::sync::Arc;

use gantry_model::errors::Fault;
use gantry_model::objects::Instance;

use super::nice_sort::nice_key;
use super::table::{Columns, Names};
use crate::state::ClusterState;

pub(super) const COLUMNS: Columns<Instance> = Columns {
    tables: &[standing::COLUMNS, parts::COLUMNS, parts::BY_INDEX, params::COLUMNS],
    aliases: &[
        ("vcpus", "be/vcpus"),
        ("be/memory", "be/maxmem"),
        ("sda_size", "disk.size/0"),
        ("sdb_size", "disk.size/1"),
        ("mac", "nic.mac/0"),
        ("ip", "nic.ip/0"),
        ("bridge", "nic.bridge/0"),
        ("nic_mode", "nic.mode/0"),
        ("nic_link", "nic.link/0"),
        ("nic_network", "nic.network/0"),
    ],
};

pub(super) fn rows<'a>(
    state: &'a ClusterState,
    names: Names<'_>,
) -> Result<Vec<&'a Instance>, Fault> {
    if names.is_empty() {
        let mut all: Vec<&Instance> = state.instances.values().map(Arc::as_ref).collect();
        all.sort_by_cached_key(|instance| nice_key(instance.name.as_str()));
        return Ok(all);
    }
    names.iter().map(|name| state.find_instance(name).map(Arc::as_ref)).collect()
}

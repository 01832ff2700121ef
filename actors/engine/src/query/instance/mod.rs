//! Columns of instances (X50), and rows by name.
//!
//! What a column says is in the file of its subject; every table of columns is listed here. Beyond
//! Ganeti's fields there are `disk.modes` and `disk.logical_ids`, which `gnt-instance info` shows
//! and Ganeti answers in another way. Parameters of hypervisors that are not there yet have their
//! columns, as they have in a Ganeti that has none of these enabled, without a value.

mod params;
mod parts;
mod standing;

use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::objects::Instance;

use super::nice_sort::nice_key;
use super::table::{Columns, Names};
use crate::state::{ClusterState, not_found};

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
    let find = |name: &String| match state.find_instance(name) {
        Ok(instance) => Ok(instance.as_ref()),
        Err(fault) if fault.code == FaultCode::UnknownEntity => Err(not_found("Instance", name)),
        Err(fault) => Err(fault),
    };
    names.iter().map(find).collect()
}

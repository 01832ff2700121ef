//! Columns of the cluster (X61). It is one row; no command lists it, programs do.

use gantry_model::errors::Fault;
use gantry_model::messages::ClusterInfo;
use gantry_model::query::{Cell, FieldKind};
use serde_json::json;

use super::table::{Column, Columns, Names, column, flag, list, number, text};
use crate::state::unknown;

pub(super) fn rows<'a>(
    cluster: Option<&'a ClusterInfo>,
    names: Names<'_>,
) -> Result<Vec<&'a ClusterInfo>, Fault> {
    let is_it = |name: &String| cluster.is_some_and(|info| info.cluster.name.as_str() == name);
    match names.iter().find(|name| !is_it(name)) {
        Some(other) => Err(unknown("cluster", other)),
        None => Ok(cluster.into_iter().collect()),
    }
}

pub(super) const COLUMNS: Columns<ClusterInfo> = Columns { tables: &[TABLE], aliases: &[] };

const TABLE: &[Column<ClusterInfo>] = &[
    column!("name", "Name", Text, "Cluster name", |_, _, i| text(i.cluster.name.as_str())),
    column!("cluster_name", "Name", Text, "Cluster name", |_, _, i| {
        text(i.cluster.name.as_str())
    }),
    column!("master_node", "Master", Text, "Master node name", |_, _, i| {
        text(i.master.name.as_str())
    }),
    column!("volume_group_name", "VgName", Text, "LVM volume group name", |_, _, i| {
        Cell::Value(json!(i.cluster.settings.vg_name))
    }),
    // Nobody can drain the queue, and there is no watcher to pause.
    column!("drain_flag", "QueueDrained", Bool, "Flag whether job queue is drained", |_, _, _| {
        flag(false)
    }),
    column!(
        "watcher_pause",
        "WatcherPause",
        Timestamp,
        "Until when watcher is paused",
        |_, _, _| Cell::Unavailable
    ),
    column!("architecture", "ArchInfo", Other, "Architecture information", |_, _, i| {
        let (bits, machine) = i.architecture_words();
        list([format!("{bits}bit"), machine.to_owned()])
    }),
    column!("software_version", "SoftwareVersion", Text, "Software version", |_, _, i| {
        text(i.software_version.as_str())
    }),
    column!("protocol_version", "ProtocolVersion", Number, "RPC protocol version", |_, _, i| {
        number(i.versions.protocol)
    }),
    column!(
        "config_version",
        "ConfigVersion",
        Number,
        "Configuration format version",
        |_, _, i| number(i.versions.configuration)
    ),
    column!(
        "os_api_version",
        "OsApiVersion",
        Number,
        "API version for OS template scripts",
        |_, _, i| number(i.versions.os_api)
    ),
    column!(
        "export_version",
        "ExportVersion",
        Number,
        "Import/export file format version",
        |_, _, i| number(i.versions.export)
    ),
    column!("vcs_version", "VCSVersion", Text, "VCS version", |_, _, i| text(i.vcs_version())),
    column!("tags", "Tags", Other, "Tags", |_, _, i| list(i.cluster.tags.iter().cloned())),
    column!("ctime", "CTime", Timestamp, "Creation timestamp", |_, _, i| {
        number(i.cluster.ctime.0)
    }),
    column!("mtime", "MTime", Timestamp, "Modification timestamp", |_, _, i| {
        number(i.cluster.mtime.0)
    }),
];

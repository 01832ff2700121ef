//! What the fake cluster has: two nodes, three instances.

use gantry_engine::query::{Asked, CompareAs, FilterCheck, FilterField};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{ClusterUuid, GroupUuid, NodeUuid, ReignId, Revision};
use gantry_model::levels::LevelStanding;
use gantry_model::messages::{ClusterInfo, LogHolders, QueryTable, Versions};
use gantry_model::names::{ClusterName, GroupName, NodeName};
use gantry_model::objects::{
    Cluster, ClusterSettings, DiskTemplate, InstancePolicy, Node, NodeGroup,
};
use gantry_model::params::HypervisorKind;
use gantry_model::query::{Cell, FieldDef, FieldKind, Table};
use gantry_model::units::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-11-22 06:07:54.773264 UTC.
const CTIME: u64 = 1_795_327_674_773_264;

pub(crate) const WEB1: Uuid = Uuid::from_u128(0x1);

/// A field: name, title, kind, and the value of each row.
type Field = (&'static str, &'static str, FieldKind, Vec<Cell>);

fn values<const N: usize>(values: [Value; N]) -> Vec<Cell> {
    values.into_iter().map(Cell::Value).collect()
}

/// Of the only interface of the first of three instances.
fn one(value: Value) -> Vec<Cell> {
    values([json!([value]), json!([]), json!([])])
}

fn uuids(first: u128, n_rows: u128) -> Vec<Cell> {
    (first..first + n_rows).map(|id| Cell::Value(json!(Uuid::from_u128(id)))).collect()
}

/// A table of which any fields and rows can be asked for, with filters as the engine means them.
pub(crate) fn select(fields: &[Field], asked: &QueryTable, what: &str) -> Result<Table, Fault> {
    let QueryTable { resource, fields: shown, names, filter, .. } = asked;
    let by_name = Asked { resource: *resource, fields: &[], names, filter: filter.as_ref() };
    let by_name = by_name.rows_by_name();
    let rows = rows(fields, by_name.as_deref().unwrap_or(names), what)?;
    let all: Vec<String> = fields.iter().map(|field| field.0.to_owned()).collect();
    let shown = if shown.is_empty() { &all } else { shown };
    let found = |name: &str| fields.iter().find(|field| field.0 == name);
    let def = |name: &String| match found(name) {
        Some((name, title, kind, _)) => FieldDef {
            name: (*name).to_owned(),
            title: (*title).to_owned(),
            kind: *kind,
            doc: String::new(),
        },
        None => FieldDef {
            name: name.clone(),
            title: name.clone(),
            kind: FieldKind::Other,
            doc: String::new(),
        },
    };
    let cell = |column: Option<&Field>, row: &Result<usize, Cell>| match (column, row) {
        (None, _) => Cell::Unknown,
        (Some(field), Ok(row)) => field.3[*row].clone(),
        (Some(field), Err(key)) if field.0 == fields[0].0 => key.clone(),
        (Some(_), Err(_)) => Cell::Unavailable,
    };
    let find = |name: &str| {
        let column = found(name)?;
        Some(FilterField { column, kind: column.2, compare: CompareAs::Plain })
    };
    let check = filter.as_ref().map(|filter| FilterCheck::new(filter, &find)).transpose()?;
    let mut table = Table {
        fields: shown.iter().map(def).collect(),
        rows: Vec::new(),
        unknown_fields: shown.iter().filter(|name| found(name).is_none()).cloned().collect(),
        filtered: filter.is_some(),
    };
    for row in &rows {
        if check.as_ref().is_none_or(|check| {
            check.wants(&|column| cell(Some(*column), row)).expect("values that suit")
        }) {
            table.rows.push(shown.iter().map(|name| cell(found(name), row)).collect());
        }
    }
    Ok(table)
}

/// The rows that are asked for; of jobs also those that do not exist, with their numbers.
fn rows(fields: &[Field], names: &[String], what: &str) -> Result<Vec<Result<usize, Cell>>, Fault> {
    let is_name = |cell: &Cell, name: &String| match cell {
        Cell::Value(Value::String(text)) => text
            .strip_prefix(name.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        Cell::Value(Value::Number(number)) => number.to_string() == *name,
        _ => false,
    };
    let keys = &fields[0].3;
    if names.is_empty() {
        return Ok((0..keys.len()).map(Ok).collect());
    }
    let find = |name: &String| match keys.iter().position(|cell| is_name(cell, name)) {
        Some(row) => Ok(Ok(row)),
        None => match name.parse::<u64>() {
            Ok(id) if what == "job" => Ok(Err(Cell::Value(json!(id)))),
            _ => {
                let text = match what {
                    "instance" => format!("Instance name {name} not found"),
                    "node" => format!("Node name {name} not found"),
                    _ => format!("{what} {name} does not exist"),
                };
                Err(Fault::new(FaultCode::UnknownEntity, text))
            }
        },
    };
    names.iter().map(find).collect()
}

pub(crate) fn instances() -> Vec<Field> {
    let parts = [instance_state(), instance_parts(), instance_parameters()];
    parts.into_iter().flatten().collect()
}

fn instance_state() -> Vec<Field> {
    vec![
        ("name", "Instance", FieldKind::Text, values([json!("web1"), json!("web2"), json!("db1")])),
        ("uuid", "UUID", FieldKind::Text, uuids(0x1, 3)),
        (
            "hypervisor",
            "Hypervisor",
            FieldKind::Text,
            values(["kvm", "kvm", "fake"].map(Into::into)),
        ),
        ("os", "OS", FieldKind::Text, values(["debian", "", "debian"].map(Into::into))),
        (
            "pnode",
            "Primary_node",
            FieldKind::Text,
            values(["node1.example", "node1.example", "node2.example"].map(Into::into)),
        ),
        ("snodes", "Secondary_Nodes", FieldKind::Other, values([json!([]), json!([]), json!([])])),
        (
            "status",
            "Status",
            FieldKind::Text,
            values(["running", "ADMIN_down", "ERROR_nodedown"].map(Into::into)),
        ),
        ("status.fault", "Status_fault", FieldKind::Text, vec![Cell::Unavailable; 3]),
        (
            "oper_ram",
            "Memory",
            FieldKind::Unit,
            vec![Cell::Value(json!(1536)), Cell::Unavailable, Cell::NoData],
        ),
        (
            "oper_state",
            "Running",
            FieldKind::Bool,
            vec![Cell::Value(json!(true)), Cell::Value(json!(false)), Cell::NoData],
        ),
        (
            "admin_state",
            "InstanceState",
            FieldKind::Text,
            values(["up", "down", "up"].map(Into::into)),
        ),
    ]
}

fn instance_parts() -> Vec<Field> {
    vec![
        (
            "disk_template",
            "Disk_template",
            FieldKind::Text,
            values(["file", "diskless", "file"].map(Into::into)),
        ),
        ("disk_usage", "DiskUsage", FieldKind::Unit, values([json!(4096), json!(0), json!(68)])),
        (
            "disk.sizes",
            "Disk_sizes",
            FieldKind::Other,
            values([json!([4096]), json!([]), json!([64, 4])]),
        ),
        (
            "disk.uuids",
            "Disk_UUIDs",
            FieldKind::Other,
            values([json!([Uuid::from_u128(0xd0)]), json!([]), json!(["x", "y"])]),
        ),
        (
            "disk.names",
            "Disk_names",
            FieldKind::Other,
            values([json!(["root"]), json!([]), json!([null, null])]),
        ),
        (
            "disk.modes",
            "Disk_modes",
            FieldKind::Other,
            values([json!(["rw"]), json!([]), json!(["rw", "ro"])]),
        ),
        (
            "disk.logical_ids",
            "Disk_logical_ids",
            FieldKind::Other,
            values([
                json!([["loop", "/srv/gantry/disks/web1/d0.file.disk0"]]),
                json!([]),
                json!([null, null]),
            ]),
        ),
        ("nic.ips", "NIC_IPs", FieldKind::Other, one(json!("192.0.2.7"))),
        ("nic.modes", "NIC_modes", FieldKind::Other, one(json!("bridged"))),
        ("nic.links", "NIC_links", FieldKind::Other, one(json!("br0"))),
        ("nic.vlans", "NIC_VLANs", FieldKind::Other, one(json!(""))),
        ("nic.names", "NIC_Names", FieldKind::Other, one(json!(null))),
        ("nic.uuids", "NIC_UUIDs", FieldKind::Other, values([json!(["n0"]), json!([]), json!([])])),
        (
            "pnode.group",
            "PrimaryNodeGroup",
            FieldKind::Text,
            values(["default"; 3].map(Into::into)),
        ),
        (
            "pnode.group.uuid",
            "PrimaryNodeGroupUUID",
            FieldKind::Text,
            values([0x90, 0x90, 0x90].map(|id| json!(Uuid::from_u128(id)))),
        ),
        ("network_port", "Network_port", FieldKind::Other, vec![Cell::Unavailable; 3]),
        (
            "nic.macs",
            "NIC_MACs",
            FieldKind::Other,
            values([json!(["aa:00:00:00:00:01"]), json!([]), json!([])]),
        ),
    ]
}

fn instance_parameters() -> Vec<Field> {
    let be = |maxmem: u64| {
        json!({"always_failover": false, "auto_balance": true, "maxmem": maxmem, "minmem": maxmem,
               "spindle_use": 1, "vcpus": 1})
    };
    vec![
        (
            "hvparams",
            "HypervisorParameters",
            FieldKind::Other,
            values([
                json!({"acpi": false, "boot_order": "disk", "serial_console": true}),
                json!({"serial_console": false}),
                json!({}),
            ]),
        ),
        (
            "custom_hvparams",
            "CustomHypervisorParameters",
            FieldKind::Other,
            values([json!({"acpi": false}), json!({}), json!({})]),
        ),
        ("beparams", "BackendParameters", FieldKind::Other, values([be(1536), be(128), be(128)])),
        (
            "osparams",
            "OpSysParameters",
            FieldKind::Other,
            values([json!({"os-image": "/srv/debian.raw"}), json!({}), json!({})]),
        ),
        (
            "custom_osparams",
            "CustomOpSysParameters",
            FieldKind::Other,
            values([json!({"os-image": "/srv/debian.raw"}), json!({}), json!({})]),
        ),
        (
            "custom_beparams",
            "CustomBackendParameters",
            FieldKind::Other,
            values([json!({"maxmem": 1536, "minmem": 1536}), json!({}), json!({})]),
        ),
        (
            "ctime",
            "CTime",
            FieldKind::Timestamp,
            values([json!(CTIME), json!(CTIME), json!(CTIME)]),
        ),
        (
            "mtime",
            "MTime",
            FieldKind::Timestamp,
            values([json!(CTIME), json!(CTIME), json!(CTIME)]),
        ),
        ("serial_no", "SerialNo", FieldKind::Number, values([json!(3), json!(1), json!(12)])),
        ("tags", "Tags", FieldKind::Other, values([json!(["a", "b"]), json!([]), json!([])])),
    ]
}

pub(crate) fn nodes() -> Vec<Field> {
    let live = |value: u64| vec![Cell::Value(json!(value)), Cell::NoData];
    vec![
        (
            "name",
            "Node",
            FieldKind::Text,
            values(["node1.example", "node2.example"].map(Into::into)),
        ),
        ("uuid", "UUID", FieldKind::Text, uuids(0xa1, 2)),
        ("dtotal", "DTotal", FieldKind::Unit, live(258_048)),
        ("dfree", "DFree", FieldKind::Unit, live(69_632)),
        ("mtotal", "MTotal", FieldKind::Unit, live(24_064)),
        ("mnode", "MNode", FieldKind::Unit, live(3379)),
        ("mfree", "MFree", FieldKind::Unit, live(22_835)),
        ("pinst_cnt", "Pinst", FieldKind::Number, values([json!(2), json!(1)])),
        ("sinst_cnt", "Sinst", FieldKind::Number, values([json!(0), json!(0)])),
        ("pip", "PrimaryIP", FieldKind::Text, values(["192.0.2.1", "192.0.2.2"].map(Into::into))),
        ("sip", "SecondaryIP", FieldKind::Text, values(["192.0.2.1", "192.0.2.2"].map(Into::into))),
        ("ndparams", "NodeParameters", FieldKind::Other, {
            let params = |speed: u64| json!({"cpu_speed": speed, "oob_program": "", "ovs": false});
            values([params(1), params(2)])
        }),
        (
            "custom_ndparams",
            "CustomNodeParameters",
            FieldKind::Other,
            values([json!({}), json!({"cpu_speed": 2})]),
        ),
        ("ndp/cpu_speed", "ndp/cpu_speed", FieldKind::Float, values([json!(1), json!(2)])),
        ("master_candidate", "MasterC", FieldKind::Bool, values([json!(true), json!(false)])),
        ("drained", "Drained", FieldKind::Bool, values([json!(false), json!(true)])),
        ("offline", "Offline", FieldKind::Bool, values([json!(false), json!(false)])),
        ("master_capable", "MasterCapable", FieldKind::Bool, values([json!(true), json!(true)])),
        ("vm_capable", "VMCapable", FieldKind::Bool, values([json!(true), json!(true)])),
        (
            "pinst_list",
            "PriInstances",
            FieldKind::Other,
            values([json!(["web1", "web2"]), json!(["db1"])]),
        ),
    ]
}

pub(crate) fn cluster() -> ClusterInfo {
    let at = Timestamp(CTIME);
    let (node, group) = (NodeUuid(Uuid::from_u128(0xa1)), GroupUuid(Uuid::from_u128(0x90)));
    ClusterInfo {
        cluster: Cluster {
            enabled_hypervisors: vec![HypervisorKind::Kvm, HypervisorKind::Fake],
            enabled_disk_templates: vec![DiskTemplate::File, DiskTemplate::Diskless],
            file_storage_dir: "/srv/gantry/disks".to_owned(),
            shared_file_storage_dir: "/srv/gantry/shared".to_owned(),
            ca_certificate: "PEM".to_owned(),
            settings: ClusterSettings {
                uid_pool: vec![(1000, 1005), (2000, 2000)],
                compression_tools: vec!["gzip".to_owned(), "lzop".to_owned()],
                user_shutdown: Some(true),
                gluster_storage_dir: "/var/run/gantry/gluster".to_owned(),
                ..ClusterSettings::default()
            },
            policy: Some(InstancePolicy::new(vec![DiskTemplate::File, DiskTemplate::Diskless])),
            ..Cluster::new(
                ClusterUuid(Uuid::from_u128(0xc1)),
                ClusterName::new("cluster.example").expect("valid"),
                at,
            )
        },
        master: Node {
            master_candidate: true,
            ..Node::new(
                node,
                NodeName::new("node1.example").expect("valid"),
                "192.0.2.1:1811".to_owned(),
                group,
                at,
            )
        },
        groups: vec![NodeGroup::new(group, GroupName::new("default").expect("valid"), at)],
        reign: ReignId(5),
        revision: Revision(77),
        software_version: "0.1.0".to_owned(),
        architecture: "x86_64".to_owned(),
        versions: Versions { protocol: 1, configuration: 1, ..Versions::default() },
        level: LevelStanding { level: 4, newest: 4, held_by: Vec::new() },
        holders: LogHolders {
            voters: vec!["node1.example".to_owned()],
            learners: vec!["node2.example".to_owned()],
        },
    }
}

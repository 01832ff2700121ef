//! Every column of every resource, and names that do not exist.

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{JobId, ReignId, Revision};
use gantry_model::jobs::{JobStatus, LogKind};
use gantry_model::levels::LevelStanding;
use gantry_model::locks::{LockMode, LockName, LockRow};
use gantry_model::messages::{ClusterInfo, Fields, LogHolders, Versions};
use gantry_model::objects::Node;
use gantry_model::query::{Cell, FieldKind, Resource};
use gantry_model::report::GuestState;
use gantry_model::units::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::fields;
use super::view::{View, guest};
use crate::state::JobFact;
use crate::state::tests::sample::{
    began, disk, group, instance, instance_id, new_job, node, node_id,
};

/// Columns of which there is one for each disk, interface or parameter.
fn is_one_of_many(name: &str) -> bool {
    name.contains('/')
}

/// All columns of one row against what they should be; fails for a column that is not expected.
fn check(view: &View, resource: Resource, name: &str, expected: &Value) {
    let table = view.table(resource, &[], &[name]);
    let values = table.fields.iter().zip(&table.rows[0]).map(|(field, cell)| {
        let value = match cell {
            Cell::Value(value) => value.clone(),
            Cell::Unavailable => json!("(unavail)"),
            Cell::NoData => json!("(nodata)"),
            other => panic!("{} is {other:?}", field.name),
        };
        (field.name.clone(), value)
    });
    let values = values.filter(|(name, _)| !is_one_of_many(name));
    assert_eq!(&Value::Object(values.collect()), expected);
    assert!(table.unknown_fields.is_empty());
}

/// Two objects as one; a literal can only be so long.
fn both(mut first: Value, second: Value) -> Value {
    let (Value::Object(first_entries), Value::Object(second)) = (&mut first, second) else {
        panic!("objects");
    };
    first_entries.extend(second);
    first
}

fn with_instance() -> View {
    let mut view = View::new();
    let mut instance = instance(1);
    instance.os = "debian".into();
    instance.tags = vec!["web".into()];
    instance.beparams.maxmem = Some(512);
    view.log.config(vec![ConfigDelta::InstanceAdd(Box::new(instance))]);
    view.reports(node_id(1), vec![guest(1, GuestState::Running)]);
    view
}

// covers: C206
#[test]
fn columns_of_an_instance() {
    let mut expected = json!({
        "name": "web1",
        "hypervisor": "fake",
        "os": "debian",
        "pnode": "node1",
        "status": "ERROR_up",
        "status.fault": "(unavail)",
        "oper_ram": 256,
        "oper_vcpus": 2,
        "oper_state": true,
        "admin_state": "down",
        "snodes": [],
        "disk_template": "fake",
        "disk_usage": 1024,
        "disk.count": 1,
        "disk.sizes": [1024],
        "disk.names": [null],
        "disk.spindles": [null],
        "disk.uuids": [disk(1, 0).uuid],
        "disk.modes": ["rw"],
        "disk.logical_ids": [null],
        "nic.count": 0,
        "nic.macs": [],
        "nic.uuids": [],
        "beparams": {"always_failover": false, "auto_balance": true, "maxmem": 512, "minmem": 128,
                     "spindle_use": 1, "vcpus": 1},
        "custom_beparams": {"maxmem": 512},
        "hvparams": {},
        "custom_hvparams": {},
        "osparams": {},
        "custom_osparams": {},
        "admin_up": false,
        "pnode.group": "default",
        "pnode.group.uuid": group().uuid,
        "snodes.group": [],
        "snodes.group.uuid": [],
        "network_port": "(unavail)",
        "console": {"instance": "web1", "kind": "msg",
                    "message": "use `gnt-instance console web1`"},
        "tags": ["web"],
        "ctime": 1,
        "mtime": 1,
        "serial_no": 1,
        "uuid": instance_id(1).to_string(),
    });
    // It has no interfaces, so nothing is listed of any.
    for of_all_interfaces in [
        "nic.ips",
        "nic.names",
        "nic.modes",
        "nic.links",
        "nic.vlans",
        "nic.bridges",
        "nic.networks",
        "nic.networks.names",
        "custom_nicparams",
    ] {
        expected[of_all_interfaces] = json!([]);
    }
    let more = json!({
        "admin_state_source": "admin",
        "disks_active": false,
        "forthcoming": false,
    });
    check(&with_instance(), Resource::Instance, "web1", &both(expected, more));
}

fn values(view: &View, fields: &[&str]) -> Vec<Cell> {
    view.table(Resource::Instance, fields, &["web1"]).rows.remove(0)
}

// covers: X50
#[test]
fn single_disks_and_parameters_have_columns() {
    let fields = ["disk.size/0", "disk.name/0", "disk.size/1", "nic.mac/0", "be/maxmem", "hv/acpi"];
    let expected = [
        Cell::Value(json!(1024)),
        Cell::Unavailable,
        Cell::Unavailable,
        Cell::Unavailable,
        Cell::Value(json!(512)),
        Cell::Unavailable,
    ];
    assert_eq!(values(&with_instance(), &fields), expected);
}

// covers: X50
#[test]
fn a_second_name_has_the_title_of_the_first() {
    let table = with_instance().table(Resource::Instance, &["be/memory", "sda_size"], &["web1"]);
    let defs = table.fields.iter().map(|def| (def.name.as_str(), def.title.as_str()));
    assert!(defs.eq([("be/memory", "ConfigMaxMem"), ("sda_size", "Disk/0")]));
    assert_eq!(table.rows[0], [Cell::Value(json!(512)), Cell::Value(json!(1024))]);
}

// covers: C68 C86 C112
#[test]
fn fields_can_be_asked_for_without_rows() {
    let names = ["name", "nmae"].map(str::to_owned);
    let Fields { fields: defs, unknown_fields } = fields(Resource::Instance, &names);
    let docs: Vec<&str> = defs.iter().map(|def| def.doc.as_str()).collect();
    assert_eq!(docs, ["Instance name", "Unknown field 'nmae'"]);
    assert_eq!(unknown_fields, ["nmae"]);
    let all = fields(Resource::Instance, &[]).fields;
    let at = |name: &str| all.iter().position(|def| def.name == name).expect("a field");
    assert!(at("disk.size/2") < at("disk.size/10") && at("admin_state") < at("uuid"));
    assert!(at("be/maxmem") + 1 == at("be/memory"));
}

// covers: C206
#[test]
fn columns_of_a_node() {
    let expected = json!({
        "name": "node1",
        "dtotal": 10_000,
        "dfree": 9_000,
        "mtotal": 4096,
        "mnode": 512,
        "mfree": 2048,
        "pinst_cnt": 1,
        "sinst_cnt": 0,
        "pinst_list": ["web1"],
        "ctotal": 4,
        "role": "M",
        "master": true,
        "master_candidate": true,
        "offline": false,
        "drained": false,
        "vm_capable": true,
        "master_capable": true,
        "sinst_list": [],
        "pip": "192.0.2.1",
        "sip": "192.0.2.1",
        "address": "192.0.2.1:1811",
        "group": "default",
        "group.uuid": group().uuid,
        "bootid": Uuid::from_u128(0xb007).to_string(),
        "cnos": 4,
        "csockets": 2,
        "cnodes": "(nodata)",
        "spfree": "(nodata)",
        "sptotal": "(nodata)",
        "powered": "(unavail)",
        "hv_state": "(unavail)",
        "disk_state": "(unavail)",
        "ndparams": {"cpu_speed": 1, "exclusive_storage": false, "oob_program": "", "ovs": false,
                     "ovs_link": "", "ovs_name": "switch1", "spindle_count": 1, "ssh_port": 22},
        "custom_ndparams": {},
        "tags": [],
        "ctime": 1,
        "mtime": 1,
        "serial_no": 1,
        "uuid": node_id(1).to_string(),
    });
    check(&with_instance(), Resource::Node, "node1", &expected);
}

fn with_job() -> (View, JobId) {
    let mut view = View::new();
    view.log.now = Timestamp(2_000);
    let job = view.log.submit(new_job(2));
    let (at, kind) = (Timestamp(9), LogKind::Message);
    let line = JobFact::Log { op_idx: 0, at, kind, text: "said".into() };
    let end = JobFact::OpEnded {
        op_idx: 0,
        status: JobStatus::Success,
        result: Some(json!(["node1"])),
        fault: None,
    };
    view.log.job(job, vec![began(0), line, end]);
    (view, job)
}

// covers: C206 Q22 Q23
#[test]
fn columns_of_a_job() {
    let (mut view, job) = with_job();
    let end = JobFact::OpEnded {
        op_idx: 1,
        status: JobStatus::Error,
        result: None,
        fault: Some(Fault::new(FaultCode::WrongState, "no")),
    };
    view.log.job(job, vec![end]);
    let input = |index: u32| {
        json!({
            "OP_ID": "OP_TEST_DELAY",
            "comment": null,
            "debug_level": 0,
            "depends": null,
            "dry_run": false,
            "priority": 0,
            "reason": [["gnt:opcode:test_delay", format!("job=1;index={index}"), 2_000_000]],
            "duration": 0.001,
            "interruptible": false,
            "on_master": true,
            "on_nodes": [],
            "repeat": 0,
            "no_locks": true,
        })
    };
    let expected = json!({
        "id": 1,
        "status": "error",
        "summary": ["TEST_DELAY(0.001)", "TEST_DELAY(0.001)"],
        "priority": 0,
        "received_ts": [0, 2_000],
        "start_ts": [0, 5],
        "end_ts": [0, 2_002],
        "archived": false,
        "ops": [input(0), input(1)],
        "opstatus": ["success", "error"],
        "opresult": [["node1"], ["OpExecError", ["no"]]],
        "oplog": [[[1, [0, 9], "message", "said"]], []],
        "opstart": [[0, 5], null],
        "opexec": [[0, 6], null],
        "opend": [[0, 2_001], [0, 2_002]],
        "oppriority": [0, 0],
    });
    check(&view, Resource::Job, "1", &expected);
}

// covers: L23
#[test]
fn columns_of_a_lock() {
    let mut view = View::new();
    view.locks = vec![LockRow {
        name: LockName::node(node_id(1)),
        mode: Some(LockMode::Shared),
        owners: vec![JobId(1), JobId(2)],
        pending: vec![
            (LockMode::Exclusive, vec![JobId(3), JobId(4)]),
            (LockMode::Shared, vec![JobId(5)]),
        ],
    }];
    let name = format!("node/{}", node_id(1));
    let expected = json!({
        "name": name,
        "mode": "shared",
        "owner": ["1", "2"],
        "pending": [["exclusive", ["3", "4"]], ["shared", ["5"]]],
    });
    check(&view, Resource::Lock, &name, &expected);
}

// covers: X61
#[test]
fn every_column_of_the_cluster() {
    let mut view = View::new();
    let cluster = view.log.state.cluster.as_deref().expect("a cluster").clone();
    let (name, ctime, mtime) = (cluster.name.to_string(), cluster.ctime.0, cluster.mtime.0);
    view.cluster = Some(ClusterInfo {
        cluster,
        master: node(1),
        groups: Vec::new(),
        reign: ReignId(1),
        revision: Revision(2),
        software_version: "1.2.3".into(),
        architecture: "x86_64".into(),
        versions: Versions { protocol: 3, configuration: 6, os_api: 0, export: 0, vcs: "".into() },
        level: LevelStanding::default(),
        holders: LogHolders::default(),
    });
    let expected = json!({
        "architecture": ["64bit", "x86_64"],
        "cluster_name": name,
        "config_version": 6,
        "ctime": ctime,
        "drain_flag": false,
        "export_version": 0,
        "master_node": node(1).name.to_string(),
        "mtime": mtime,
        "name": name,
        "os_api_version": 0,
        "protocol_version": 3,
        "software_version": "1.2.3",
        "tags": [],
        "vcs_version": "(gantry) version v1.2.3",
        "volume_group_name": null,
        "watcher_pause": "(unavail)",
    });
    check(&view, Resource::Cluster, &name, &expected);
}

#[test]
fn a_lock_that_is_only_waited_for_has_no_owner() {
    let mut view = View::new();
    let (name, mode) = (LockName::bgl(), None);
    view.locks = vec![LockRow { name, mode, owners: Vec::new(), pending: Vec::new() }];
    let table = view.table(Resource::Lock, &["mode", "owner", "pending"], &[]);
    let cells = [json!(null), json!([]), json!([])].map(Cell::Value);
    assert_eq!(table.rows, [cells]);
}

// covers: C85
#[test]
fn a_job_that_does_not_exist_has_a_row_with_its_number() {
    let (view, job) = with_job();
    let table = view.table(Resource::Job, &["status", "id", "nope"], &["99", &job.to_string()]);
    assert_eq!(table.rows[0], [Cell::Unavailable, Cell::Value(json!(99)), Cell::Unknown]);
    assert_eq!(table.rows[1][1], Cell::Value(json!(job.0)));
}

#[test]
fn an_instance_without_os_has_none() {
    let mut view = View::new();
    view.log.config(vec![ConfigDelta::InstanceAdd(Box::new(instance(1)))]);
    assert_eq!(view.cell(Resource::Instance, "os", "web1"), Cell::Unavailable);
}

#[test]
fn a_job_that_waits_shows_it_and_one_that_has_ended_shows_its_end() {
    let (mut view, job) = with_job();
    let status = |view: &View| view.cell(Resource::Job, "status", "1");
    assert_eq!(status(&view), Cell::Value("queued".into()));
    assert_eq!(view.cell(Resource::Job, "end_ts", "1"), Cell::Unavailable);
    view.jobs.insert(job, JobStatus::Waiting);
    assert_eq!(status(&view), Cell::Value("waiting".into()));
    view.log.apply(view.log.cancel_command(job));
    let fault = Some(Fault::new(FaultCode::Canceled, "canceled"));
    let status_of = JobStatus::Canceled;
    let end = JobFact::OpEnded { op_idx: 1, status: status_of, result: None, fault };
    view.log.job(job, vec![end]);
    assert_eq!(status(&view), Cell::Value("canceled".into()), "what the leader knew is old");
}

#[test]
fn roles_of_nodes_are_ganetis_letters() {
    let mut view = View::new();
    let add = |node| ConfigDelta::NodeAdd(Box::new(node));
    view.log.config(vec![
        add(Node { master_candidate: true, drained: true, ..node(4) }),
        add(Node { drained: true, offline: true, ..node(5) }),
        add(Node { offline: true, ..node(6) }),
    ]);
    let table = view.table(Resource::Node, &["role"], &[]);
    let roles: Vec<Cell> = table.rows.into_iter().flatten().collect();
    let expected = ["M", "R", "R", "C", "D", "O"].map(|role| Cell::Value(role.into()));
    assert_eq!(roles, expected);
}

// covers: C207
#[test]
fn what_an_offline_or_silent_node_would_have_to_say_is_not_known() {
    let mut view = View::new();
    let offline = Node { offline: true, ..node(4) };
    view.log.config(vec![ConfigDelta::NodeAdd(Box::new(offline))]);
    let live = ["dtotal", "dfree", "mtotal", "mnode", "mfree", "ctotal", "bootid"];
    for node in [2, 3, 4] {
        view.reports(node_id(node), Vec::new());
    }
    view.picture.disconnected(node_id(3));
    let table = view.table(Resource::Node, &live, &["node1", "node3", "node4"]);
    assert_eq!(table.rows[0], vec![Cell::NoData; live.len()], "never said anything");
    assert_eq!(table.rows[1], vec![Cell::NoData; live.len()], "went away");
    assert_eq!(table.rows[2], vec![Cell::Offline; live.len()]);
    let known = view.table(Resource::Node, &live, &["node2"]);
    assert!(known.rows[0].iter().all(|cell| matches!(cell, Cell::Value(_))));
}

// covers: C207
#[test]
fn a_field_that_does_not_exist_is_said_and_its_cells_are_unknown() {
    let view = with_instance();
    let table = view.table(Resource::Instance, &["name", "nmae", "uuid"], &[]);
    assert_eq!(table.unknown_fields, ["nmae"]);
    assert_eq!(table.fields[1].name, "nmae");
    assert_eq!(table.fields[1].kind, FieldKind::Other);
    assert_eq!(table.rows[0][0], Cell::Value("web1".into()));
    assert_eq!(table.rows[0][1], Cell::Unknown);
}

#[test]
fn columns_come_in_the_order_asked_for() {
    let view = with_instance();
    let table = view.table(Resource::Instance, &["uuid", "name", "name"], &[]);
    let names: Vec<&str> = table.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["uuid", "name", "name"]);
    assert_eq!(table.rows[0][1], table.rows[0][2]);
}

#[test]
fn a_name_that_does_not_exist_is_refused() {
    let view = with_instance();
    for (resource, text) in [
        (Resource::Instance, "Instance name nope not found"),
        (Resource::Node, "Node name nope not found"),
        (Resource::Job, "job nope does not exist"),
        (Resource::Lock, "lock nope does not exist"),
        (Resource::Cluster, "cluster nope does not exist"),
    ] {
        let fault = view.ask(resource, &[], &["nope"]).expect_err("there is none");
        assert_eq!((fault.code, fault.message.as_str()), (FaultCode::UnknownEntity, text));
    }
}

#[test]
fn objects_are_found_by_name_in_any_case_and_by_id() {
    let view = with_instance();
    let name = Cell::Value("web1".into());
    assert_eq!(view.cell(Resource::Instance, "name", "WEB1"), name);
    assert_eq!(view.cell(Resource::Instance, "name", &instance_id(1).to_string()), name);
    let name = Cell::Value("node2".into());
    assert_eq!(view.cell(Resource::Node, "name", &node_id(2).to_string()), name);
}

#[test]
fn rows_come_in_the_order_of_numbers_in_names_or_as_asked_for() {
    let mut view = View::new();
    let add = |number| ConfigDelta::InstanceAdd(Box::new(instance(number)));
    view.log.config([10, 2, 1].map(add).to_vec());
    let names = |asked: &[&str]| {
        let table = view.table(Resource::Instance, &["name"], asked);
        table.rows.into_iter().flatten().collect::<Vec<_>>()
    };
    let cells = |names: [&str; 3]| names.map(|name| Cell::Value(name.into()));
    assert_eq!(names(&[]), cells(["web1", "web2", "web10"]));
    assert_eq!(names(&["web2", "web10", "web1"]), cells(["web2", "web10", "web1"]));
    let nodes = view.table(Resource::Node, &["pinst_list"], &["node1"]);
    assert_eq!(nodes.rows[0][0], Cell::Value(json!(["web1", "web2", "web10"])));
}

#[test]
fn columns_have_names_of_their_own_titles_and_words() {
    for resource in Resource::ALL {
        let Fields { fields: defs, unknown_fields } = fields(resource, &[]);
        assert!(unknown_fields.is_empty());
        for (idx, def) in defs.iter().enumerate() {
            assert!(!def.title.is_empty() && !def.doc.is_empty(), "{}", def.name);
            assert!(!def.title.contains(' '), "{}: Ganeti's titles have no spaces", def.name);
            assert!(!defs[..idx].iter().any(|other| other.name == def.name), "{}", def.name);
        }
    }
}

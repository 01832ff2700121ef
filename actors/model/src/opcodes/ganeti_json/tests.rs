//! Every opcode in Ganeti's form: read, shown and read again; and every way in which it is refused.

use super::*;
use serde_json::json;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// One of each, with as little as it takes.
fn smallest() -> Vec<Value> {
    let create = json!({
        "OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", "disk_template": "diskless"
    });
    let add = json!({
        "OP_ID": "OP_NODE_ADD", "node_name": "node2", "node_uuid": ID, "address": "n:1",
        "secret_hash": "00", "key_hash": "00"
    });
    let on_instance = |op_id: &str| json!({ "OP_ID": op_id, "instance_name": "web1" });
    let mut reboot = on_instance("OP_INSTANCE_REBOOT");
    reboot["reboot_type"] = json!("hard");
    vec![
        json!({ "OP_ID": "OP_CLUSTER_DESTROY" }),
        json!({ "OP_ID": "OP_CLUSTER_RENEW_CRYPTO" }),
        json!({ "OP_ID": "OP_CLUSTER_SET_PARAMS", "candidate_pool_size": 3 }),
        add,
        json!({ "OP_ID": "OP_NODE_REMOVE", "node_name": "node2" }),
        json!({
            "OP_ID": "OP_NODE_SET_PARAMS", "node_name": "node2",
            "drained": true, "ndparams": { "ssh_port": 23, "ovs": null }
        }),
        create,
        on_instance("OP_INSTANCE_REMOVE"),
        on_instance("OP_INSTANCE_REINSTALL"),
        on_instance("OP_INSTANCE_STARTUP"),
        on_instance("OP_INSTANCE_SHUTDOWN"),
        reboot,
        json!({ "OP_ID": "OP_TAGS_SET", "kind": "instance", "name": "web1", "tags": ["a"] }),
        json!({ "OP_ID": "OP_TAGS_DEL", "kind": "cluster", "tags": ["a"] }),
        json!({ "OP_ID": "OP_TEST_DELAY", "duration": 1.5 }),
    ]
}

/// The one of this name.
fn of(op_id: &str) -> Value {
    let found = smallest().into_iter().find(|document| document["OP_ID"] == op_id);
    found.unwrap_or_else(|| panic!("{op_id} is not there"))
}

fn read(document: &Value) -> OpRequest {
    OpRequest::from_ganeti(document).unwrap_or_else(|error| panic!("{document}: {error}"))
}

fn refused(document: &Value) -> OpJsonError {
    match OpRequest::from_ganeti(document) {
        Ok(request) => panic!("{document} was read as {request:?}"),
        Err(error) => error,
    }
}

fn with(document: &Value, field: &str, value: Value) -> Value {
    let mut changed = document.clone();
    changed[field] = value;
    changed
}

/// All fields of an opcode with the values that they have where nothing is said.
fn filled(document: &Value) -> Map<String, Value> {
    match read(document).input_fields() {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

// covers: O90
#[test]
fn there_is_one_of_every_opcode() {
    let ops: Vec<Value> = smallest().iter().map(|document| document["OP_ID"].clone()).collect();
    let all: Vec<Value> = OpCode::ALL.iter().map(|(op_id, _)| json!(op_id)).collect();
    assert_eq!(ops, all);
}

// covers: O90
#[test]
fn every_opcode_is_read_as_it_is_shown() {
    for document in smallest() {
        let request = read(&document);
        let shown = request.input_fields();
        assert_eq!(read(&shown), request, "{shown}");
        assert_eq!(read(&shown).input_fields(), shown);
    }
}

// covers: O31
#[test]
fn what_was_said_of_an_instance_is_read_again() {
    let document = json!({
        "OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", "mode": "create",
        "disk_template": "file", "pnode": "node1", "hypervisor": "kvm", "start": true,
        "hvparams": { "acpi": false, "vnc_bind_address": "default", "cpu_cores": 2 },
        "beparams": { "memory": 256, "vcpus": 2 }, "os_type": "debian", "tags": ["a"],
        "osparams": { "os-image": "/srv/a.raw" }, "conflicts_check": false,
        "disks": [{ "size": 128, "mode": "ro", "name": "root" }, { "size": 64 }],
        "nics": [{ "mac": "auto", "ip": "192.0.2.1", "mode": "bridged", "link": "br0" }],
        "ignore_ipolicy": true, "file_storage_dir": "a",
    });
    let shown = read(&document).input_fields();
    for (field, value) in [
        ("hvparams", json!({ "acpi": false, "cpu_cores": 2 })),
        ("beparams", json!({ "minmem": 256, "maxmem": 256, "vcpus": 2 })),
        ("disks", json!([{ "size": 128, "mode": "ro", "name": "root" }, { "size": 64 }])),
        ("nics", json!([{ "ip": "192.0.2.1", "mode": "bridged", "link": "br0" }])),
        ("conflicts_check", json!(false)),
        ("pnode", json!("node1")),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(read(&shown), read(&document));
}

// covers: O22 C106
#[test]
fn what_was_said_of_a_node_is_shown_and_read_again() {
    let terms = json!({
        "group": ID, "master_capable": false, "vm_capable": false, "secondary_ip": "192.0.2.7",
        "ndparams": { "ssh_port": "2222" }, "hv_state": { "kvm": { "mem_node": 512 } },
        "disk_state": { "plain/xenvg": { "disk_reserved": 10 } },
    });
    let mut document = of("OP_NODE_ADD");
    let given = document.as_object_mut().expect("an object");
    given.extend(terms.as_object().expect("an object").clone());
    let request = read(&document);
    let shown = request.input_fields();
    for (field, value) in terms.as_object().expect("an object") {
        assert_eq!(shown[field], *value, "{field}");
    }
    assert_eq!((&shown["primary_ip"], &shown["readd"]), (&json!("n"), &json!(false)));
    assert_eq!((request.level(), read(&shown)), (6, request));
    let elsewhere = refused(&with(&document, "primary_ip", json!("192.0.2.8")));
    assert!(matches!(elsewhere, OpJsonError::NotAvailable { field: "primary_ip", .. }));
}

// covers: O90
#[test]
fn every_opcode_refuses_a_field_that_it_does_not_have() {
    for document in smallest() {
        let error = refused(&with(&document, "colour", json!("red")));
        let text = error.to_string();
        assert!(matches!(&error, OpJsonError::UnknownField { field, .. } if field == "colour"));
        assert!(text.contains("colour") && text.contains("depends, "), "{text}");
    }
}

// covers: O90 O91 O92 O93 O94 O95 O96
#[test]
fn every_field_of_every_opcode_refuses_a_value_of_another_type() {
    let wrong = json!([{ "x": [1] }]);
    for document in smallest() {
        for field in filled(&document).keys().filter(|field| *field != "OP_ID") {
            let error = refused(&with(&document, field, wrong.clone()));
            match &error {
                OpJsonError::BadValue { field: named, .. }
                | OpJsonError::NotAvailable { field: named, .. } => {
                    let joined = *named == "OP_ID" || *named == "kind";
                    assert!(named == field || joined, "{field}: {error}");
                }
                OpJsonError::UnknownField { op_id, .. } | OpJsonError::Missing { op_id, .. } => {
                    let inside = op_id.starts_with("a disk") || op_id.starts_with("an interface");
                    assert!(inside, "{field}: {error}");
                }
                other => panic!("{field}: {other}"),
            }
        }
    }
}

// covers: O90
#[test]
fn nothing_said_of_a_field_is_the_same_as_null() {
    for document in smallest() {
        let given = document.as_object().expect("an object");
        for field in filled(&document).keys().filter(|field| !given.contains_key(*field)) {
            let null = with(&document, field, Value::Null);
            assert_eq!(read(&null), read(&document), "{field} of {document}");
        }
    }
}

// covers: O91 O92 O93 O94 O95 O96
#[test]
fn every_opcode_takes_what_all_have() {
    for document in smallest() {
        let mut document = document;
        for (field, value) in [
            ("dry_run", json!(true)),
            ("debug_level", json!(2)),
            ("priority", json!(-10)),
            ("depends", json!([[7, ["success"]], ["8", []], [-1, ["error", "canceled"]]])),
            ("comment", json!("by hand")),
            ("reason", json!([["gnt:user", "maintenance", 1_795_330_800_000_000_000_u64]])),
        ] {
            document[field] = value;
        }
        let request = read(&document);
        let common = &request.common;
        assert!(common.dry_run && common.debug_level == 2 && common.priority == -10);
        assert_eq!(common.comment.as_deref(), Some("by hand"));
        assert_eq!(common.reason[0].text, "maintenance");
        let back: Vec<(u64, Option<u32>)> =
            common.depends.iter().map(|one| (one.job.0, one.back)).collect();
        assert_eq!(back, [(7, None), (8, None), (0, Some(1))]);
        let states = [JobStatus::Error, JobStatus::Canceled];
        assert_eq!(common.depends[2].states, states);
        // What is counted back is not known to programs from before.
        assert_eq!(request.level(), 6);
        let shown = request.input_fields();
        assert_eq!(shown["depends"][2], json!([-1, ["error", "canceled"]]));
        assert_eq!(read(&shown), request);
    }
}

// covers: O92 O93 O94 O95 O96
#[test]
fn what_all_have_is_refused_where_it_is_wrong() {
    let delay = json!({ "OP_ID": "OP_TEST_DELAY", "duration": 1 });
    for (field, value) in [
        ("priority", json!(5)),
        ("priority", json!(-20)),
        ("priority", json!(300)),
        ("priority", json!("high")),
        ("priority", json!(0.5)),
        ("depends", json!([7])),
        ("depends", json!([[7]])),
        ("depends", json!([[0, []]])),
        ("depends", json!([["x", []]])),
        ("depends", json!([[1.5, []]])),
        ("depends", json!([[-5_000_000_000_i64, []]])),
        ("depends", json!([[7, ["running"]]])),
        ("depends", json!([[7, "success"]])),
        ("depends", json!([[7, [], 1]])),
        ("reason", json!([["gnt:user", "text"]])),
        ("reason", json!([["gnt:user", "text", "now"]])),
        ("reason", json!([["gnt:user", "text", -1]])),
        ("debug_level", json!(-1)),
        ("dry_run", json!("yes")),
        ("comment", json!(7)),
    ] {
        let error = refused(&with(&delay, field, value.clone()));
        let named = matches!(&error, OpJsonError::BadValue { field: named, .. } if *named == field);
        assert!(named, "{field}={value}: {error}");
    }
}

// covers: O97
#[test]
fn an_id_beside_a_name_is_what_the_name_must_mean() {
    for (document, field, node) in [
        (of("OP_INSTANCE_STARTUP"), "instance_uuid", false),
        (of("OP_NODE_REMOVE"), "node_uuid", true),
        (with(&of("OP_INSTANCE_CREATE"), "pnode", json!("node1")), "pnode_uuid", true),
    ] {
        let request = read(&with(&document, field, json!(ID)));
        assert_eq!(request.common.expected.len(), 1, "{field}");
        let is_node = matches!(request.common.expected[0], Expected::Node { .. });
        assert_eq!((is_node, request.level()), (node, 6), "{field}");
        assert_eq!(request.input_fields()[field], json!(ID));
        assert_eq!(read(&request.input_fields()), request);
        for wrong in [json!("web1"), json!(7), json!("")] {
            let error = refused(&with(&document, field, wrong));
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}

// covers: O97 O66
#[test]
fn several_ids_stand_beside_as_many_names() {
    let delay = json!({ "OP_ID": "OP_TEST_DELAY", "duration": 1, "on_nodes": ["n1", "n2"] });
    let request = read(&with(&delay, "on_node_uuids", json!([ID, ID])));
    assert_eq!(request.common.expected.len(), 2);
    assert_eq!(request.input_fields()["on_node_uuids"], json!([ID, ID]));
    let error = refused(&with(&delay, "on_node_uuids", json!([ID])));
    assert!(error.to_string().contains("one id for each of the 2 names"), "{error}");
}

// covers: O97
#[test]
fn an_id_without_a_name_is_the_name_of_a_node_and_of_no_instance() {
    let OpCode::NodeRemove(op) = read(&json!({ "OP_ID": "OP_NODE_REMOVE", "node_uuid": ID })).op
    else {
        panic!("another opcode");
    };
    assert_eq!(op.node_name.as_str(), ID);
    let error = refused(&json!({ "OP_ID": "OP_INSTANCE_STARTUP", "instance_uuid": ID }));
    let expected = OpJsonError::Missing { op_id: "OP_INSTANCE_STARTUP", field: "instance_name" };
    assert_eq!(error, expected);
}

// covers: O90
#[test]
fn what_is_no_opcode_says_so() {
    for (document, text) in [
        (json!([]), "not a list"),
        (json!("OP_TEST_DELAY"), "not a string"),
        (json!({}), "the OP_ID of the opcode is missing"),
        (json!({ "OP_ID": "OP_NOSUCH" }), "OP_ID \"OP_NOSUCH\" is not supported"),
        (json!({ "OP_ID": 7 }), "is not supported"),
        (json!({ "OP_ID": "OP_TEST_DELAY" }), "OP_TEST_DELAY needs field \"duration\""),
        (json!({ "OP_ID": "OP_TEST_DELAY", "duration": -1 }), "-1 is not a number of seconds"),
        (json!({ "OP_ID": "OP_TEST_DELAY", "duration": 1e300 }), "is not a number of seconds"),
    ] {
        let error = refused(&document).to_string();
        assert!(error.contains(text), "{error}");
    }
}

// covers: O31 O33 Q13
#[test]
fn hidden_parameters_are_read_and_shown_without_their_values() {
    let hidden = ["osparams_private", "osparams_secret"];
    let ops = ["OP_INSTANCE_CREATE", "OP_INSTANCE_REINSTALL"];
    for (op_id, field) in ops.into_iter().flat_map(|op_id| hidden.map(|field| (op_id, field))) {
        let document = with(&of(op_id), field, json!({ "key": "hunter2" }));
        let request = read(&document);
        assert_eq!(request.level(), 6);
        let shown = request.input_fields();
        assert_eq!(shown[field], json!({ "key": "<redacted>" }));
        let error = refused(&shown).to_string();
        assert!(error.contains(field), "{error}");
        let mut op = request.op;
        op.redact();
        assert!(!serde_json::to_string(&op).expect("encodes").contains("hunter2"));
    }
}

#[test]
fn what_comes_later_may_only_say_that_it_is_not_wanted() {
    let create = of("OP_INSTANCE_CREATE");
    assert_eq!(read(&with(&create, "forthcoming", json!(false))), read(&create));
    for (field, value) in
        [("forthcoming", json!(true)), ("iallocator", json!("hail")), ("mode", json!("import"))]
    {
        let error = refused(&with(&create, field, value));
        assert!(matches!(error, OpJsonError::NotAvailable { .. }), "{error}");
    }
}

#[test]
fn parameters_are_refused_as_where_they_are_typed() {
    let create = of("OP_INSTANCE_CREATE");
    let error = refused(&with(&create, "beparams", json!({ "vcpus": "two" }))).to_string();
    assert!(error.contains("'vcpus' (value two) is not a valid integer"), "{error}");
    let error = refused(&with(&create, "hvparams", json!({ "acpi": true }))).to_string();
    assert!(error.contains("name the hypervisor"), "{error}");
    let disk = refused(&with(&create, "disks", json!([{ "size": 1, "colour": 1 }]))).to_string();
    assert!(disk.starts_with("a disk of OP_INSTANCE_CREATE has no field \"colour\""), "{disk}");
}

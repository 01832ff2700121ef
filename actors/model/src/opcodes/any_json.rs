//! Opcodes from any JSON: reading one never panics, and what is read is written as it was meant.
//!
//! Goal: what stands in a submission is chosen by whoever sends it. Method: documents that look
//! like opcodes, with fields of the right names and values of any kind, and documents of any form.
//! PROPTEST_CASES says how many of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::{OpCode, OpRequest};

/// Names of fields that opcodes have, and one that none has.
const FIELDS: &[&str] = &[
    "instance_name",
    "node_name",
    "node_uuid",
    "address",
    "secret_hash",
    "key_hash",
    "kind",
    "name",
    "tags",
    "duration",
    "on_master",
    "on_nodes",
    "repeat",
    "no_locks",
    "no_remember",
    "startup_paused",
    "force",
    "ignore_offline_nodes",
    "hvparams",
    "beparams",
    "shutdown_timeout",
    "ignore_failures",
    "reboot_type",
    "ignore_secondaries",
    "primary_node",
    "disk_template",
    "disks",
    "os",
    "os_type",
    "force_variant",
    "osparams",
    "no_install",
    "start",
    "node_certificates",
    "cluster_certificate",
    "verbose",
    "debug",
    "unheard_of",
];

/// Values that some field takes, and others near them.
fn likely_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(vec![
            json!("web1"), json!("node1.example"), json!("file"), json!("hard"), json!("soft"),
            json!("instance"), json!("cluster"), json!("node"), json!("nodegroup"), json!(""),
            json!("00000000-0000-4000-8000-000000000001"), json!("../x"), json!([]), json!({}),
            json!(["a", "owner:b"]), json!({"os-image": "/a"}), json!({"maxmem": 128}),
            json!({"kvm": {"acpi": false}}), json!([{"size": 1, "mode": "rw", "name": null}]),
        ]),
        2 => any::<bool>().prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any_value(),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn opcode_like() -> impl Strategy<Value = Value> {
    let op_ids: Vec<&str> = OpCode::ALL.iter().map(|(op_id, _)| *op_id).collect();
    let fields = prop::collection::btree_map(select(FIELDS), likely_value(), 0..FIELDS.len());
    (select(op_ids), fields).prop_map(|(op_id, fields)| json!({ op_id: fields }))
}

/// An opcode of every kind that has few required fields, so that reading succeeds too.
fn opcode_near() -> impl Strategy<Value = Value> {
    let near = [
        json!({"OP_CLUSTER_DESTROY": {}}),
        json!({"OP_CLUSTER_RENEW_CRYPTO": {}}),
        json!({"OP_NODE_REMOVE": {"node_name": "node1"}}),
        json!({"OP_INSTANCE_STARTUP":
            {"instance_name": "web1", "no_remember": false, "startup_paused": false}}),
        json!({"OP_INSTANCE_REINSTALL": {"instance_name": "web1"}}),
        json!({"OP_TAGS_SET": {"kind": "instance", "name": "web1", "tags": ["a"]}}),
        json!({"OP_TAGS_DEL": {"kind": "cluster", "name": null, "tags": []}}),
        json!({"OP_TEST_DELAY": {"duration": 1, "on_master": true, "on_nodes": [], "repeat": 0,
            "no_locks": true}}),
    ];
    (select(near.to_vec()), select(FIELDS), likely_value(), any::<bool>()).prop_map(
        |(mut op, field, value, change)| {
            let fields = op.as_object_mut().and_then(|op| op.values_mut().next());
            if let Some(Value::Object(fields)) = fields.filter(|_| change) {
                fields.insert(field.to_owned(), value);
            }
            op
        },
    )
}

/// Reads it as an opcode; what is one survives both encodings, and can be named and summarised.
fn check(document: &Value) -> Result<bool, TestCaseError> {
    let read =
        catch_unwind(AssertUnwindSafe(|| serde_json::from_value::<OpCode>(document.clone())));
    let Ok(read) = read else {
        return Err(TestCaseError::fail(format!("a panic while reading {document}")));
    };
    let Ok(mut op) = read else { return Ok(false) };
    let json = serde_json::to_value(&op).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let again: OpCode = serde_json::from_value(json).map_err(|error| {
        TestCaseError::fail(format!("{document} was read, and is not any more: {error}"))
    })?;
    prop_assert_eq!(&again, &op);
    let bytes = gantry_wire::encode(&op).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let again: OpCode =
        gantry_wire::decode(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&again, &op);
    prop_assert!(op.summary().starts_with(op.op_id().trim_start_matches("OP_")));
    prop_assert!(op.level() >= 1);
    let _named = op.named();
    prop_assert!(OpRequest::from(op).input_fields()["OP_ID"].is_string());
    Ok(true)
}

proptest! {
    // covers: O90
    #[test]
    fn what_looks_like_an_opcode_is_read_or_refused(document in opcode_like()) {
        check(&document)?;
    }

    #[test]
    fn what_is_nearly_an_opcode_is_read_or_refused(document in opcode_near()) {
        check(&document)?;
    }

    #[test]
    fn any_document_is_read_or_refused(document in any_value()) {
        check(&document)?;
    }
}

/// Without it the properties could hold because nothing is ever read.
#[test]
fn documents_that_are_opcodes_are_read() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut n_read = 0;
    for _ in 0..200 {
        let tree = opcode_near().new_tree(&mut runner).expect("a document");
        let document = proptest::strategy::ValueTree::current(&tree);
        n_read += usize::from(check(&document).expect("the property holds"));
    }
    assert!(n_read > 50, "{n_read}");
}

//! Coverage by enumeration: what is in a table of the model has all that belongs to it.

use std::fs;
use std::path::{Path, PathBuf};

use gantry_model::node_calls::NodeCall;
use gantry_model::opcodes::OpCode;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root").to_owned()
}

/// All text below a directory.
fn text_below(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).expect("a directory of ours") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text.push_str(&text_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source file is text"));
        }
    }
    text
}

/// Commands whose name is not that of their opcode; Ganeti's names differ there.
fn command_stem(stem: &str) -> &str {
    match stem {
        "instance/create" => "instance/add",
        "test/delay" => "debug/delay",
        "tags/set" => "tags/add",
        "tags/del" => "tags/remove",
        other => other,
    }
}

/// `OP_INSTANCE_STARTUP` as the type is called.
fn type_name(op_id: &str) -> String {
    op_id
        .trim_start_matches("OP_")
        .split('_')
        .map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase()))
        .collect()
}

#[test]
fn every_opcode_has_a_logical_unit_of_its_own() {
    for (op_id, stem) in OpCode::ALL {
        let path = root().join("actors/master/src/lu").join(format!("{stem}.rs"));
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|_| panic!("{op_id} has no logical unit at {}", path.display()));
        let unit = format!("impl LogicalUnit for {}", type_name(op_id));
        assert!(text.contains(&unit), "{} lacks '{unit}'", path.display());
        assert!(text.contains("fn locks("), "{op_id} declares no locks");
    }
}

#[test]
fn every_opcode_has_a_command_with_help() {
    for (op_id, stem) in OpCode::ALL {
        let path = root().join("cli/commands/src").join(format!("{}.rs", command_stem(stem)));
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|_| panic!("{op_id} has no command at {}", path.display()));
        assert!(text.contains("///"), "{}: the help text is its doc comment", path.display());
    }
}

#[test]
fn every_opcode_passes_the_generic_tests_of_units() {
    let tests = text_below(&root().join("actors/master/src/lu"));
    for (op_id, _) in OpCode::ALL {
        let covered = tests.contains(op_id) || tests.contains(&type_name(op_id));
        assert!(covered, "{op_id} is in no test");
    }
}

#[test]
fn every_node_call_can_be_recovered() {
    let calls = text_below(&root().join("actors/node/src/calls"));
    for wire_name in NodeCall::ALL {
        let variant: String = wire_name
            .split(['.', '-'])
            .map(|word| format!("{}{}", &word[..1].to_uppercase(), &word[1..]))
            .collect();
        assert!(calls.contains(&variant), "{wire_name} ({variant}) has no handler");
    }
    assert!(calls.contains("recover"), "no call is recovered");
}

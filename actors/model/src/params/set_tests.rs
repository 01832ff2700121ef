//! The table of parameters: names, defaults, encodings of states that are older than most of it.

use super::super::{FakeParams, HvOverrides, HypervisorKind, KvmOverrides, KvmParams};
use super::*;

/// The names that the first state level had, in its order.
const FIRST: [&str; 9] = [
    "acpi",
    "boot_order",
    "disk_type",
    "initrd_path",
    "kernel_args",
    "kernel_path",
    "kvm_path",
    "machine_version",
    "serial_console",
];

// covers: H1 H65 H115
#[test]
fn there_are_all_parameters_with_defaults_that_they_accept() {
    assert_eq!(KvmParams::SPECS.len(), 65);
    for spec in KvmParams::SPECS.iter().chain(FakeParams::SPECS) {
        assert!(spec.kind.takes(spec.default), "{}", spec.name);
        let read = spec.kind.read(&spec.default.to_text());
        assert_eq!(read.as_ref().map(ParamValue::as_ref), Some(spec.default), "{}", spec.name);
    }
    let mut names: Vec<&str> = KvmParams::SPECS.iter().map(|spec| spec.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 65, "no name twice");
}

#[test]
fn a_set_without_anything_new_is_encoded_as_before() {
    let names = |value: serde_json::Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let filled = serde_json::to_value(KvmParams::default()).expect("encodes");
    assert_eq!(names(filled), FIRST);
    let none = serde_json::to_string(&KvmOverrides::default()).expect("encodes");
    let nulls: Vec<String> = FIRST.iter().map(|name| format!("\"{name}\":null")).collect();
    assert_eq!(none, format!("{{{}}}", nulls.join(",")));
}

#[test]
fn encodings_come_back() {
    let mut over = KvmOverrides::default();
    for (name, text) in [("vga", "std"), ("acpi", "false"), ("cpu_cores", "2"), ("vga", "qxl")] {
        over.set(name, text).expect("accepted");
    }
    let back: KvmOverrides =
        gantry_wire::decode(&gantry_wire::encode(&over).expect("encodes")).expect("decodes");
    assert_eq!(back, over);
    assert_eq!(back.get("vga"), Some(ParamRef::Text("qxl")));
    assert_eq!(back.level(), 6);
    let filled = over.over(&KvmParams::default());
    let again: KvmParams =
        gantry_wire::decode(&gantry_wire::encode(&filled).expect("encodes")).expect("decodes");
    assert_eq!(again, filled);
    assert_eq!((again.cpu_cores, again.acpi, again.level()), (2, false, 6));
}

#[test]
fn only_what_an_old_program_knows_belongs_to_its_level() {
    let mut over = KvmOverrides::default();
    over.set("kernel_args", "quiet").expect("accepted");
    assert_eq!((over.level(), over.over(&KvmParams::default()).level()), (1, 1));
}

#[test]
fn what_a_later_program_has_set_is_passed_over() {
    let later = r#"{"acpi":false,"not_yet":{"known":[1]},"vga":null}"#;
    let over: KvmOverrides = serde_json::from_str(later).expect("readable");
    assert_eq!(over.rows().into_iter().collect::<Vec<_>>(), [("acpi", "False".to_owned())]);
    assert!(serde_json::from_str::<KvmOverrides>(r#"{"acpi":"x"}"#).is_err());
}

#[test]
fn a_wrong_name_lists_the_right_ones_and_a_wrong_value_what_is_accepted() {
    let mut over = HvOverrides::none(HypervisorKind::Kvm);
    let error = over.set("acpy", "true").expect_err("unknown");
    assert!(error.to_string().contains("acpi"), "{error}");
    let error = over.set("boot_order", "tape").expect_err("unknown");
    let expected = "'boot_order' (value tape) is not one of cdrom, disk, floppy, network";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn overrides_are_small() {
    assert!(size_of::<HvOverrides>() <= 32);
    assert!(size_of::<(u8, ParamValue)>() <= 32);
}

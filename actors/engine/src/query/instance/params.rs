//! Its parameters: filled from the cluster's defaults, its own, and one by one.

use gantry_model::objects::Instance;
use gantry_model::params::{BackendParams, HvOverrides, HvParams, HypervisorDefaults};
use gantry_model::query::{Cell, FieldKind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::table::{Column, column};
use crate::state::ClusterState;

fn beparams(state: &ClusterState, instance: &Instance) -> BackendParams {
    match &state.cluster {
        Some(cluster) => instance.beparams.over(&cluster.beparams),
        None => instance.beparams.over(&BackendParams::default()),
    }
}

/// The parameters that it runs with under its hypervisor.
pub(super) fn hvparams(state: &ClusterState, instance: &Instance) -> HvParams {
    match &state.cluster {
        Some(cluster) => instance.hvparams.over(&cluster.hvparams),
        None => instance.hvparams.over(&HypervisorDefaults::default()),
    }
}

/// A set of parameters by name; those that are not set are left out.
fn object(params: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(params).expect("a struct of plain values is JSON") {
        Value::Object(all) => all.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => unreachable!("a struct is encoded as {other}"),
    }
}

fn of_hypervisor(params: &HvParams) -> Map<String, Value> {
    match params {
        HvParams::Kvm(params) => object(params),
        HvParams::Fake(params) => object(params),
    }
}

fn own_of_hypervisor(params: &HvOverrides) -> Map<String, Value> {
    match params {
        HvOverrides::Kvm(params) => object(params),
        HvOverrides::Fake(params) => object(params),
    }
}

fn cell(params: Map<String, Value>) -> Cell {
    Cell::Value(Value::Object(params))
}

/// One of them, unless this set does not have it.
fn one(params: &Map<String, Value>, name: &str) -> Cell {
    params.get(name).map_or(Cell::Unavailable, |value| Cell::Value(value.clone()))
}

/// `by_name!(be: "name", "Title", Kind; … hv: …)`: a column for each parameter.
macro_rules! by_name {
    (be: $($be:literal, $be_title:literal, $be_kind:ident;)*
     hv: $($hv:literal, $hv_title:literal, $hv_kind:ident;)*) => {
        &[
            column!("beparams", "BackendParameters", Other, "Backend parameters (merged)",
                |s, _, i| cell(object(&beparams(s, i)))),
            column!("custom_beparams", "CustomBackendParameters", Other,
                "Custom backend parameters", |_, _, i| cell(object(&i.beparams))),
            column!("hvparams", "HypervisorParameters", Other, "Hypervisor parameters (merged)",
                |s, _, i| cell(of_hypervisor(&hvparams(s, i)))),
            column!("custom_hvparams", "CustomHypervisorParameters", Other,
                "Custom hypervisor parameters", |_, _, i| cell(own_of_hypervisor(&i.hvparams))),
            column!("osparams", "OpSysParameters", Other, "Operating system parameters (merged)",
                |_, _, i| Cell::Value(json!(i.osparams))),
            column!("custom_osparams", "CustomOpSysParameters", Other,
                "Custom operating system parameters", |_, _, i| Cell::Value(json!(i.osparams))),
            $(column!(concat!("be/", $be), $be_title, $be_kind,
                concat!("The \"", $be, "\" backend parameter"),
                |s, _, i| one(&object(&beparams(s, i)), $be)),)*
            $(column!(concat!("hv/", $hv), $hv_title, $hv_kind,
                concat!("The \"", $hv, "\" hypervisor parameter"),
                |s, _, i| one(&of_hypervisor(&hvparams(s, i)), $hv)),)*
        ]
    };
}

pub(super) const COLUMNS: &[Column<Instance>] = by_name!(
    be:
    "always_failover", "be/always_failover", Bool;
    "auto_balance", "Auto_balance", Bool;
    "maxmem", "ConfigMaxMem", Unit;
    "minmem", "ConfigMinMem", Unit;
    "spindle_use", "be/spindle_use", Number;
    "vcpus", "ConfigVCPUs", Number;
    hv:
    "acpi", "ACPI", Bool;
    "boot_order", "Boot_order", Other;
    "disk_type", "Disk_type", Other;
    "initrd_path", "Initrd_path", Other;
    "kernel_args", "hv/kernel_args", Other;
    "kernel_path", "Kernel_path", Other;
    "kvm_path", "hv/kvm_path", Other;
    "machine_version", "hv/machine_version", Other;
    "migration_mode", "hv/migration_mode", Other;
    "serial_console", "hv/serial_console", Bool;
);

#[cfg(test)]
mod tests {
    use gantry_model::params::{FakeParams, KvmParams};

    use super::*;

    #[test]
    fn every_parameter_has_a_column() {
        let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        let hv = KvmParams::KEYS.iter().chain(FakeParams::KEYS).map(|key| format!("hv/{key}"));
        let be = BackendParams::KEYS.iter().map(|key| format!("be/{key}"));
        for name in hv.chain(be) {
            assert!(names.contains(&name.as_str()), "{name} has no column");
        }
    }
}

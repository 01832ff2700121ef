//! Its parameters: filled from the cluster's defaults, its own, and one by one.

use gantry_model::objects::Instance;
use gantry_model::params::{
    BackendParams, CLUSTER_ONLY, FakeParams, HvParams, HypervisorDefaults, HypervisorKind,
    KvmParams, ParamRef, ParameterSet,
};
use gantry_model::query::{Cell, FieldKind};
use serde_json::{Value, json};

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

/// Parameters by name.
fn object<'a>(values: impl IntoIterator<Item = (&'static str, ParamRef<'a>)>) -> Cell {
    let json = |(name, value): (&str, ParamRef<'_>)| (name.to_owned(), json!(value));
    Cell::Value(Value::Object(values.into_iter().map(json).collect()))
}

/// Without those that only the cluster has, as in Ganeti.
fn of_instances<'a>(
    values: Vec<(&'static str, ParamRef<'a>)>,
) -> Vec<(&'static str, ParamRef<'a>)> {
    values.into_iter().filter(|(name, _)| !CLUSTER_ONLY.contains(name)).collect()
}

/// The backend parameters that are set.
fn own_beparams(instance: &Instance) -> Cell {
    let all = serde_json::to_value(&instance.beparams).expect("plain values are JSON");
    Cell::Value(match all {
        Value::Object(all) => all.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => unreachable!("a struct is encoded as {other}"),
    })
}

/// One backend parameter.
fn be(state: &ClusterState, instance: &Instance, name: &str) -> Cell {
    let filled = beparams(state, instance);
    let mut all = BackendParams::SPECS.iter().zip(filled.values());
    let found = all.find(|(spec, _)| spec.name == name);
    found.map_or(Cell::Unavailable, |(_, value)| Cell::Value(json!(value)))
}

/// One hypervisor parameter, unless this hypervisor does not have it. Looked up, not filled in: a
/// list of one column would otherwise copy all parameters of every instance.
fn hv(state: &ClusterState, instance: &Instance, name: &str) -> Cell {
    if let Some(own) = instance.hvparams.get(name) {
        return Cell::Value(json!(own));
    }
    let kind = instance.hypervisor();
    let default = match (&state.cluster, kind) {
        (Some(cluster), HypervisorKind::Kvm) => value_of(&cluster.hvparams.kvm, name),
        (Some(cluster), HypervisorKind::Fake) => value_of(&cluster.hvparams.fake, name),
        (None, HypervisorKind::Kvm) => value_of(&KvmParams::default(), name),
        (None, HypervisorKind::Fake) => value_of(&FakeParams::default(), name),
    };
    default.map_or(Cell::Unavailable, Cell::Value)
}

fn value_of<P: ParameterSet>(params: &P, name: &str) -> Option<Value> {
    let at = P::SPECS.iter().position(|spec| spec.name == name)?;
    Some(json!(params.values()[at]))
}

/// `by_name!(be: "name", "Title", Kind; … hv: …)`: a column for each parameter.
macro_rules! by_name {
    (be: $($be:literal, $be_title:literal, $be_kind:ident;)*
     hv: $($hv:literal, $hv_title:literal, $hv_kind:ident;)*) => {
        &[
            column!("beparams", "BackendParameters", Other, "Backend parameters (merged)",
                |s, _, i| {
                    let filled = beparams(s, i);
                    object(BackendParams::SPECS.iter().map(|spec| spec.name).zip(filled.values()))
                }),
            column!("custom_beparams", "CustomBackendParameters", Other,
                "Custom backend parameters", |_, _, i| own_beparams(i)),
            column!("hvparams", "HypervisorParameters", Other, "Hypervisor parameters (merged)",
                |s, _, i| object(of_instances(hvparams(s, i).values()))),
            column!("custom_hvparams", "CustomHypervisorParameters", Other,
                "Custom hypervisor parameters", |_, _, i| object(i.hvparams.values())),
            column!("osparams", "OpSysParameters", Other, "Operating system parameters (merged)",
                |_, _, i| Cell::Value(json!(i.osparams))),
            column!("custom_osparams", "CustomOpSysParameters", Other,
                "Custom operating system parameters", |_, _, i| Cell::Value(json!(i.osparams))),
            $(column!(concat!("be/", $be), $be_title, $be_kind,
                concat!("The \"", $be, "\" backend parameter"),
                |s, _, i| be(s, i, $be)),)*
            $(column!(concat!("hv/", $hv), $hv_title, $hv_kind,
                concat!("The \"", $hv, "\" hypervisor parameter"),
                |s, _, i| hv(s, i, $hv)),)*
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
    "blockdev_prefix", "hv/blockdev_prefix", Other;
    "boot_order", "Boot_order", Other;
    "bootloader_args", "hv/bootloader_args", Other;
    "bootloader_path", "hv/bootloader_path", Other;
    "cdrom2_image_path", "hv/cdrom2_image_path", Other;
    "cdrom_disk_type", "hv/cdrom_disk_type", Other;
    "cdrom_image_path", "CDROM_image_path", Other;
    "cpu_cap", "hv/cpu_cap", Number;
    "cpu_cores", "hv/cpu_cores", Number;
    "cpu_mask", "hv/cpu_mask", Other;
    "cpu_sockets", "hv/cpu_sockets", Number;
    "cpu_threads", "hv/cpu_threads", Number;
    "cpu_type", "cpu_type", Other;
    "cpu_weight", "hv/cpu_weight", Number;
    "cpuid", "hv/cpuid", Other;
    "device_model", "hv/device_model", Other;
    "devices", "hv/devices", Other;
    "disk_aio", "hv/disk_aio", Other;
    "disk_cache", "hv/disk_cache", Other;
    "disk_discard", "hv/disk_discard", Other;
    "disk_type", "Disk_type", Other;
    "drop_capabilities", "hv/drop_capabilities", Other;
    "extra_cgroups", "hv/extra_cgroups", Other;
    "extra_config", "hv/extra_config", Other;
    "floppy_image_path", "hv/floppy_image_path", Other;
    "init_script", "hv/init_script", Other;
    "initrd_path", "Initrd_path", Other;
    "kernel_args", "hv/kernel_args", Other;
    "kernel_path", "Kernel_path", Other;
    "keymap", "hv/keymap", Other;
    "kvm_extra", "hv/kvm_extra", Other;
    "kvm_flag", "hv/kvm_flag", Other;
    "kvm_path", "hv/kvm_path", Other;
    "kvm_pci_reservations", "hv/kvm_pci_reservations", Number;
    "machine_version", "hv/machine_version", Other;
    "mem_path", "hv/mem_path", Other;
    "migration_bandwidth", "hv/migration_bandwidth", Number;
    "migration_caps", "hv/migration_caps", Other;
    "migration_downtime", "hv/migration_downtime", Number;
    "migration_mode", "hv/migration_mode", Other;
    "migration_port", "hv/migration_port", Number;
    "nic_type", "NIC_type", Other;
    "num_ttys", "hv/num_ttys", Number;
    "pae", "PAE", Bool;
    "pci_pass", "pci_pass", Other;
    "reboot_behavior", "hv/reboot_behavior", Other;
    "root_path", "hv/root_path", Other;
    "scsi_controller_type", "hv/scsi_controller_type", Other;
    "security_domain", "hv/security_domain", Other;
    "security_model", "hv/security_model", Other;
    "serial_console", "hv/serial_console", Bool;
    "serial_speed", "hv/serial_speed", Number;
    "soundhw", "hv/soundhw", Other;
    "spice_bind", "hv/spice_bind", Other;
    "spice_image_compression", "hv/spice_image_compression", Other;
    "spice_ip_version", "hv/spice_ip_version", Number;
    "spice_jpeg_wan_compression", "hv/spice_jpeg_wan_compression", Other;
    "spice_password_file", "hv/spice_password_file", Other;
    "spice_playback_compression", "hv/spice_playback_compression", Bool;
    "spice_streaming_video", "hv/spice_streaming_video", Other;
    "spice_tls_ciphers", "hv/spice_tls_ciphers", Other;
    "spice_use_tls", "hv/spice_use_tls", Bool;
    "spice_use_vdagent", "hv/spice_use_vdagent", Bool;
    "spice_zlib_glz_wan_compression", "hv/spice_zlib_glz_wan_compression", Other;
    "startup_timeout", "hv/startup_timeout", Number;
    "usb_devices", "hv/usb_devices", Other;
    "usb_mouse", "hv/usb_mouse", Other;
    "use_bootloader", "hv/use_bootloader", Bool;
    "use_chroot", "hv/use_chroot", Bool;
    "use_guest_agent", "hv/use_guest_agent", Bool;
    "use_localtime", "hv/use_localtime", Bool;
    "user_shutdown", "hv/user_shutdown", Bool;
    "vga", "hv/vga", Other;
    "vhost_net", "hv/vhost_net", Bool;
    "vif_script", "hv/vif_script", Other;
    "vif_type", "hv/vif_type", Other;
    "viridian", "hv/viridian", Bool;
    "virtio_net_queues", "hv/virtio_net_queues", Number;
    "vnc_bind_address", "VNC_bind_address", Other;
    "vnc_password_file", "hv/vnc_password_file", Other;
    "vnc_tls", "hv/vnc_tls", Bool;
    "vnc_x509_path", "hv/vnc_x509_path", Other;
    "vnc_x509_verify", "hv/vnc_x509_verify", Bool;
    "vnet_hdr", "hv/vnet_hdr", Bool;
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_a_column() {
        let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        let hv = KvmParams::SPECS.iter().chain(FakeParams::SPECS);
        let hv = hv.map(|spec| format!("hv/{}", spec.name));
        let be = BackendParams::SPECS.iter().map(|spec| format!("be/{}", spec.name));
        for name in hv.chain(be) {
            assert!(names.contains(&name.as_str()), "{name} has no column");
        }
    }
}

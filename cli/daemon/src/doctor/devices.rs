//! Devices and what the kernel offers to guests.

use std::fs::OpenOptions;
use std::io::ErrorKind;

use gantry_commands::machine::{Finding, Verdict};

use super::programs::QEMU;
use super::{Patient, ok, warning};

/// What becomes of opening a device for reading and writing.
fn open(patient: &Patient, path: &str) -> Result<(), ErrorKind> {
    let opened = OpenOptions::new().read(true).write(true).open(patient.file(path));
    opened.map(drop).map_err(|error| error.kind())
}

fn device(
    patient: &Patient,
    (check, path): (&'static str, &str),
    without: &str,
    module: &str,
) -> Finding {
    match open(patient, path) {
        Ok(()) => ok(check, format!("{path} can be used")),
        Err(ErrorKind::PermissionDenied) => warning(
            check,
            format!("{path} is closed to this user: {without}"),
            "run the daemon as root, or give its user the group of the device",
        ),
        Err(_) => warning(
            check,
            format!("{path} cannot be used: {without}"),
            format!("load the kernel module with `modprobe {module}`, if the machine has it"),
        ),
    }
}

/// Whether guests are executed by the processor.
pub(super) async fn kvm(patient: &Patient) -> Finding {
    const CHECK: &str = "kvm";
    let without = "guests are emulated, many times slower";
    let device = device(patient, (CHECK, "/dev/kvm"), without, "kvm_intel` or `modprobe kvm_amd");
    // Without the emulator nothing can be tried; its own check says that it is missing.
    if device.verdict != Verdict::Ok || !patient.is_there(QEMU) {
        return device;
    }
    match (patient.kvm_trial)(patient).await {
        Ok(()) => ok(CHECK, "a guest executes under /dev/kvm"),
        Err(reason) => warning(
            CHECK,
            format!("/dev/kvm is there and of no use ({reason}): {without}"),
            "switch on virtualization in the firmware or, in a virtual machine, let its host nest",
        ),
    }
}

/// Whether guests can be on a bridge.
pub(super) fn tun(patient: &Patient) -> Finding {
    device(patient, ("tun", "/dev/net/tun"), "guests have no network but user mode", "tun")
}

/// Whether the network of guests is fast.
pub(super) fn vhost_net(patient: &Patient) -> Finding {
    let without = "the network of guests with vhost_net does not start";
    device(patient, ("vhost_net", "/dev/vhost-net"), without, "vhost_net")
}

/// Whether there is a bridge.
pub(super) fn bridges(patient: &Patient) -> Finding {
    const CHECK: &str = "bridges";
    let mut found: Vec<String> = std::fs::read_dir(patient.file("/sys/class/net"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|interface| interface.path().join("bridge").exists())
        .map(|interface| interface.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    match found.is_empty() {
        false => ok(CHECK, found.join(", ")),
        true => warning(
            CHECK,
            "this machine has none",
            "make one for interfaces in mode bridged, such as with `ip link add br0 type bridge`",
        ),
    }
}

/// Whether guests can be kept apart from the daemon.
pub(super) fn cgroup(patient: &Patient) -> Finding {
    const CHECK: &str = "cgroup";
    if !patient.is_there("/sys/fs/cgroup/cgroup.controllers") {
        let advice = "boot with systemd.unified_cgroup_hierarchy=1; without it guests have a \
                      process group of their own only";
        return warning(CHECK, "no unified hierarchy (version 2)", advice);
    }
    let has_systemd = patient.is_there("/run/systemd/system");
    match has_systemd && patient.is_there("/usr/bin/systemd-run") {
        true => ok(CHECK, "version 2, with scopes of systemd"),
        false => ok(CHECK, "version 2, without systemd: guests share the daemon's"),
    }
}

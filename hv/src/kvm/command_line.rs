//! QEMU's command line for a guest: pure, so that it can be read and tested as text.

use std::path::{Path, PathBuf};

use gantry_host::Command;
use gantry_model::objects::GuestSpec;
use gantry_model::params::{HvParams, HypervisorKind, KvmParams, ParamError};

use super::devices::{self, with_devices};
use super::display::{self, Display, with_display};
use super::network::{self, Cable, with_nics};
use super::shell_words;
use crate::error::HvError;
use crate::kvm::probe::Accelerator;
use crate::kvm::run_dir::RunDir;

/// An attached disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPath {
    /// A file or a block device.
    pub path: PathBuf,
    /// Whether it is a block device.
    pub block_device: bool,
}

/// Everything that the command line depends on.
#[derive(Clone, Copy, Debug)]
pub struct LaunchPlan<'a> {
    /// The guest.
    pub spec: &'a GuestSpec,
    /// Its parameters, out of the spec.
    pub params: &'a KvmParams,
    /// Its disks, as in the spec.
    pub disks: &'a [DiskPath],
    /// How its interfaces are connected, as in the spec.
    pub cables: &'a [Cable],
    /// Where its display is.
    pub display: &'a Display,
    /// Its run directory.
    pub dir: &'a RunDir,
    /// How it shall execute.
    pub accelerator: Accelerator,
}

/// The parameters, if the guest is one of ours.
pub(super) fn kvm_params(spec: &GuestSpec) -> Result<&KvmParams, HvError> {
    match &spec.hvparams {
        HvParams::Kvm(params) => Ok(params),
        HvParams::Fake(_) => Err(HvError::Invalid {
            field: "hypervisor",
            value: spec.hvparams.kind().to_string(),
            accepted: HypervisorKind::Kvm.to_string(),
        }),
    }
}

pub(super) fn invalid(field: &'static str, value: impl ToString, accepted: &str) -> HvError {
    HvError::Invalid { field, value: value.to_string(), accepted: accepted.to_owned() }
}

/// A parameter that was stored by a program with other rules.
fn refused(error: ParamError) -> HvError {
    match error {
        ParamError::BadValue { name, value, expected: accepted }
        | ParamError::Conflict { name, value, conflict: accepted } => {
            HvError::Invalid { field: name, value, accepted }
        }
        ParamError::Unknown { name, known } => {
            HvError::Invalid { field: "parameter", value: name, accepted: known }
        }
    }
}

/// Whether all values are ones that [`command`] knows what to do with; gives warnings.
///
/// # Errors
/// Names the first field that is not, its value and what is accepted.
pub fn check(spec: &GuestSpec) -> Result<Vec<String>, HvError> {
    let params = kvm_params(spec)?;
    let mut warnings = Vec::new();
    if spec.memory.0 == 0 {
        return Err(invalid("memory", spec.memory, "at least 1 MiB"));
    }
    if spec.vcpus == 0 {
        return Err(invalid("vcpus", spec.vcpus, "at least 1"));
    }
    params.check(Some(spec.vcpus)).map_err(refused)?;
    if params.security_model == "pool" && spec.uid_pool.is_empty() {
        let accepted = "none or user: the cluster has no pool of user ids (`cluster init \
                        --uid-pool`)";
        return Err(invalid("security_model", "pool", accepted));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !params.machine_version.chars().all(plain) {
        let accepted = "a name from `qemu-system-x86_64 -machine help`";
        return Err(invalid("machine_version", &params.machine_version, accepted));
    }
    if shell_words::split(&params.kvm_extra).is_none() {
        let accepted = "words as in a shell, with quotes and backslashes ended";
        return Err(invalid("kvm_extra", &params.kvm_extra, accepted));
    }
    devices::check(&spec.disks, params)?;
    network::check(&spec.nics, spec.disks.len(), params)?;
    display::wanted(params, spec.name.as_str(), spec.network_port)?;
    if params.kernel_path.is_empty() && params.boot_order == "network" && spec.nics.is_empty() {
        return Err(invalid("boot_order", "network", "disk; no interface"));
    }
    if !params.acpi {
        warnings.push("acpi is off: the guest cannot be asked to shut down".to_owned());
    }
    Ok(warnings)
}

/// The command that starts a guest stopped before its first instruction, and returns when its
/// monitor can be talked to. Values must have passed [`check`].
#[must_use]
pub fn command(plan: &LaunchPlan<'_>) -> Command {
    let LaunchPlan { spec, params, dir, .. } = plan;
    let rtc = if params.use_localtime { "base=localtime" } else { "base=utc" };
    // The process ends with the guest; `-S` lets us decide when the guest begins.
    let reboot = if params.reboot_behavior == "exit" { "shutdown" } else { "reset" };
    let mut command = Command::new(&params.kvm_path)
        .args(["-name", spec.name.as_str()])
        .args(["-uuid", &spec.instance.to_string()])
        .args(["-no-user-config", "-nodefaults"])
        .args(["-machine", &machine(params)])
        .args(["-accel", plan.accelerator.as_str()])
        .args(["-m", &format!("size={}M", spec.memory.0)])
        .args(["-smp", &smp(spec, params)])
        .args(["-rtc", rtc])
        .args(["-display", "none"])
        .args(["-action", &format!("reboot={reboot},shutdown=poweroff"), "-S", "-daemonize"])
        .arg("-pidfile")
        .arg(dir.pid())
        // A daemon's last words go to the log only if something is logged: `strace` is a kind of
        // message that a machine emulator never has, so nothing but last words is in there.
        .args(["-d", "strace", "-D"])
        .arg(dir.log())
        .args(["-chardev", &socket("monitor0", &dir.qmp())])
        .args(["-mon", "chardev=monitor0,mode=control"]);
    if !params.cpu_type.is_empty() {
        command = command.args(["-cpu", &params.cpu_type]);
    }
    if !params.mem_path.is_empty() {
        command = command.args(["-mem-path", &params.mem_path]);
    }
    if params.serial_console {
        command = command
            .args(["-chardev", &socket("serial0", &dir.serial())])
            .args(["-device", "isa-serial,chardev=serial0"]);
    }
    command = with_display(boot(command, params), plan);
    command = with_nics(with_devices(command, plan), plan);
    if params.use_guest_agent {
        command = command
            .args(["-chardev", &socket("qga0", &dir.guest_agent())])
            .args(["-device", "virtio-serial-pci,id=serial-bus0"])
            .arg("-device")
            .arg("virtserialport,bus=serial-bus0.0,chardev=qga0,name=org.qemu.guest_agent.0");
    }
    command.args(shell_words::split(&params.kvm_extra).unwrap_or_default())
}

fn machine(params: &KvmParams) -> String {
    // As a property of the machine: the option -no-acpi is gone from newer versions.
    let acpi = if params.acpi { "acpi=on" } else { "acpi=off" };
    if params.machine_version.is_empty() {
        format!("type=pc,{acpi}")
    } else {
        format!("type={},{acpi}", params.machine_version)
    }
}

fn smp(spec: &GuestSpec, params: &KvmParams) -> String {
    let mut smp = format!("cpus={}", spec.vcpus);
    let topology = [
        ("sockets", params.cpu_sockets),
        ("cores", params.cpu_cores),
        ("threads", params.cpu_threads),
    ];
    for (what, number) in topology.into_iter().filter(|(_, number)| *number > 0) {
        smp.push_str(&format!(",{what}={number}"));
    }
    smp
}

/// A listening socket.
fn socket(id: &str, path: &Path) -> String {
    format!("socket,id={id},path={},server=on,wait=off", escaped(&path.to_string_lossy()))
}

/// A value among others of an option: a comma in it ends it, unless doubled.
pub(super) fn escaped(value: &str) -> String {
    value.replace(',', ",,")
}

fn boot(mut command: Command, params: &KvmParams) -> Command {
    if params.kernel_path.is_empty() {
        return command;
    }
    command = command.args(["-kernel", &params.kernel_path]);
    if !params.initrd_path.is_empty() {
        command = command.args(["-initrd", &params.initrd_path]);
    }
    let mut kernel_args = format!("root={} {}", params.root_path, params.kernel_args);
    if params.serial_console {
        kernel_args.push_str(&format!(" console=ttyS0,{}", params.serial_speed));
    }
    command.args(["-append", kernel_args.trim()])
}

/// The kind and the first three groups of the id (row H156).
pub(super) fn device_id(kind: &str, uuid: &str) -> String {
    let groups: Vec<&str> = uuid.split('-').take(3).collect();
    format!("{kind}-{}", groups.join("-"))
}

#[cfg(test)]
#[path = "command_line_tests.rs"]
mod tests;

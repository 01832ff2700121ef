//! QEMU's command line for a guest: pure, so that it can be read and tested as text.

use std::path::{Path, PathBuf};

use gantry_host::Command;
use gantry_model::objects::{Disk, DiskMode, GuestSpec};
use gantry_model::params::{HvParams, HypervisorKind, KvmParams};
use serde_json::json;

use crate::error::HvError;
use crate::kvm::probe::Accelerator;
use crate::kvm::run_dir::RunDir;

/// Most disks of a guest (row H146).
const DISKS_MAX: usize = 16;

/// Most disks on the two IDE channels of the default machine.
const IDE_DISKS_MAX: usize = 4;

/// Most interfaces of a guest. Ganeti allows 8 (row H146), but then 16 disks and 8 interfaces do
/// not fit into the slots of one PCI bus beside what the machine itself needs; 4 do.
const NICS_MAX: usize = 4;

/// First PCI slot that is ours; those below belong to the machine and to later devices (row H155:
/// 12 reserved). Slots are fixed by index, so that they do not move when a device is added.
const FIRST_SLOT: usize = 12;

/// Speed of the serial console on a kernel's command line.
const SERIAL_SPEED: u32 = 38_400;

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

fn invalid(field: &'static str, value: impl ToString, accepted: &str) -> HvError {
    HvError::Invalid { field, value: value.to_string(), accepted: accepted.to_owned() }
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
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !params.machine_version.chars().all(plain) {
        let accepted = "a name from `qemu-system-x86_64 -machine help`";
        return Err(invalid("machine_version", &params.machine_version, accepted));
    }
    check_devices(spec, params)?;
    check_boot(spec, params)?;
    if !params.acpi {
        warnings.push("acpi is off: the guest cannot be asked to shut down".to_owned());
    }
    for (nic_idx, nic) in spec.nics.iter().enumerate() {
        let mac = &nic.mac;
        warnings.push(format!("interface {nic_idx} ({mac}) is not connected to any network"));
    }
    Ok(warnings)
}

fn check_devices(spec: &GuestSpec, params: &KvmParams) -> Result<(), HvError> {
    let n_disks_max = match params.disk_type.as_str() {
        "paravirtual" => DISKS_MAX,
        "ide" => IDE_DISKS_MAX,
        other => return Err(invalid("disk_type", other, "paravirtual, ide")),
    };
    if spec.disks.len() > n_disks_max {
        let accepted = format!("at most {n_disks_max} of disk_type {}", params.disk_type);
        return Err(invalid("number of disks", spec.disks.len(), &accepted));
    }
    if let Some(disk) = spec.disks.iter().find(|disk| disk.mode == DiskMode::Ro) {
        let value = format!("ro (disk {})", disk.index);
        return Err(invalid("disk mode", value, "rw; kvm guests need to write"));
    }
    if spec.nics.len() > NICS_MAX {
        let accepted = format!("at most {NICS_MAX}");
        return Err(invalid("number of interfaces", spec.nics.len(), &accepted));
    }
    for nic in &spec.nics {
        if !is_mac(&nic.mac) {
            let accepted = "six bytes in hexadecimal with colons";
            return Err(invalid("mac", &nic.mac, accepted));
        }
    }
    Ok(())
}

fn check_boot(spec: &GuestSpec, params: &KvmParams) -> Result<(), HvError> {
    if params.kernel_path.is_empty() {
        if !params.initrd_path.is_empty() {
            return Err(invalid("initrd_path", &params.initrd_path, "empty without kernel_path"));
        }
        match params.boot_order.as_str() {
            "disk" => {}
            "network" if !spec.nics.is_empty() => {}
            "network" => return Err(invalid("boot_order", "network", "disk; no interface")),
            other => return Err(invalid("boot_order", other, "disk, network")),
        }
    }
    for (field, path) in
        [("kernel_path", &params.kernel_path), ("initrd_path", &params.initrd_path)]
    {
        if !path.is_empty() && !Path::new(path).is_absolute() {
            return Err(invalid(field, path, "an absolute path or nothing"));
        }
    }
    Ok(())
}

fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    let is_byte = |byte: &&str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    bytes.len() == 6 && bytes.iter().all(is_byte)
}

/// The command that starts a guest stopped before its first instruction, and returns when its
/// monitor can be talked to. Values must have passed [`check`].
#[must_use]
pub fn command(plan: &LaunchPlan<'_>) -> Command {
    let LaunchPlan { spec, params, dir, .. } = plan;
    let mut command = Command::new(&params.kvm_path)
        .args(["-name", spec.name.as_str()])
        .args(["-uuid", &spec.instance.to_string()])
        .args(["-no-user-config", "-nodefaults"])
        .args(["-machine", &machine(params)])
        .args(["-accel", plan.accelerator.as_str()])
        .args(["-m", &format!("size={}M", spec.memory.0)])
        .args(["-smp", &format!("cpus={}", spec.vcpus)])
        .args(["-rtc", "base=utc"])
        .args(["-display", "none"])
        // The process ends with the guest; `-S` lets us decide when the guest begins.
        .args(["-action", "reboot=reset,shutdown=poweroff", "-S", "-daemonize"])
        .arg("-pidfile")
        .arg(dir.pid())
        // A daemon's last words go to the log only if something is logged: `strace` is a kind of
        // message that a machine emulator never has, so nothing but last words is in there.
        .args(["-d", "strace", "-D"])
        .arg(dir.log())
        .args(["-chardev", &socket("monitor0", &dir.qmp())])
        .args(["-mon", "chardev=monitor0,mode=control"]);
    if params.serial_console {
        command = command
            .args(["-chardev", &socket("serial0", &dir.serial())])
            .args(["-device", "isa-serial,chardev=serial0"]);
    }
    command = boot(command, params);
    for (disk, path) in spec.disks.iter().zip(plan.disks) {
        command = with_disk(command, plan, disk, path);
    }
    with_nics(command, plan)
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

/// A listening socket. A comma in a value ends it, unless doubled.
fn socket(id: &str, path: &Path) -> String {
    let path = path.to_string_lossy().replace(',', ",,");
    format!("socket,id={id},path={path},server=on,wait=off")
}

fn boot(mut command: Command, params: &KvmParams) -> Command {
    if params.kernel_path.is_empty() {
        return command;
    }
    command = command.args(["-kernel", &params.kernel_path]);
    if !params.initrd_path.is_empty() {
        command = command.args(["-initrd", &params.initrd_path]);
    }
    let mut kernel_args = params.kernel_args.clone();
    if params.serial_console {
        kernel_args.push_str(&format!(" console=ttyS0,{SERIAL_SPEED}"));
    }
    command.args(["-append", kernel_args.trim()])
}

fn with_disk(command: Command, plan: &LaunchPlan<'_>, disk: &Disk, at: &DiskPath) -> Command {
    let node = format!("node-disk{}", disk.index);
    let file = if at.block_device { "host_device" } else { "file" };
    let blockdev = json!({
        "driver": "raw",
        "node-name": node,
        "read-only": disk.mode == DiskMode::Ro,
        "file": { "driver": file, "filename": at.path.to_string_lossy() },
    });
    let disk_idx = disk.index as usize;
    let id = device_id("disk", &disk.uuid.to_string());
    let place = if plan.params.disk_type == "ide" {
        if plan.params.machine_version.contains("q35") {
            format!("ide-hd,bus=ide.{disk_idx},unit=0")
        } else {
            format!("ide-hd,bus=ide.{},unit={}", disk_idx / 2, disk_idx % 2)
        }
    } else {
        format!("virtio-blk-pci,addr={:#x}", FIRST_SLOT + disk_idx)
    };
    let from_disk = plan.params.kernel_path.is_empty() && plan.params.boot_order == "disk";
    let boot = if from_disk && disk_idx == 0 { ",bootindex=1" } else { "" };
    command
        .args(["-blockdev", &blockdev.to_string()])
        .args(["-device", &format!("{place},drive={node},id={id}{boot}")])
}

fn with_nics(mut command: Command, plan: &LaunchPlan<'_>) -> Command {
    for (nic_idx, nic) in plan.spec.nics.iter().enumerate() {
        let id = device_id("nic", &nic.uuid.to_string());
        let slot = FIRST_SLOT + DISKS_MAX + nic_idx;
        let from_net = plan.params.kernel_path.is_empty() && plan.params.boot_order == "network";
        let boot = if from_net && nic_idx == 0 { ",bootindex=1" } else { "" };
        let mac = &nic.mac;
        // A hub with nothing else on it: a cable that leads nowhere.
        command = command
            .args(["-netdev", &format!("hubport,id=net-{id},hubid={nic_idx}")])
            .arg("-device")
            .arg(format!("virtio-net-pci,addr={slot:#x},netdev=net-{id},mac={mac},id={id}{boot}"));
    }
    command
}

/// The kind and the first three groups of the id (row H156).
fn device_id(kind: &str, uuid: &str) -> String {
    let groups: Vec<&str> = uuid.split('-').take(3).collect();
    format!("{kind}-{}", groups.join("-"))
}

#[cfg(test)]
#[path = "command_line_tests.rs"]
mod tests;

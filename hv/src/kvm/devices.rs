//! The devices of a guest on QEMU's command line: disks, CD and floppy drives, USB, sound.

use gantry_host::Command;
use gantry_model::objects::{Disk, DiskMode, DiskTemplate};
use gantry_model::params::{KvmParams, is_url};
use serde_json::{Value, json};

use super::command_line::{DiskPath, LaunchPlan, device_id, escaped, invalid};
use crate::error::HvError;

/// Most disks of a guest (row H146).
pub(super) const DISKS_MAX: usize = 16;

/// First PCI slot that is ours; those below belong to the machine and to later devices (row H155:
/// 12 reserved). Slots are fixed by index, so that they do not move when a device is added.
pub(super) const FIRST_SLOT: usize = 12;

/// Most drives on the two IDE channels of the default machine.
const IDE_DRIVES_MAX: usize = 4;

/// Most disks on one of the older SCSI controllers: eight ids, of which it has one itself.
const LSI_DISKS_MAX: usize = 7;

/// Sound devices that QEMU has, by Ganeti's old names (H59).
const SOUND_CARDS: [(&str, &[&str]); 6] = [
    ("ac97", &["AC97"]),
    ("adlib", &["adlib"]),
    ("cs4231a", &["cs4231a"]),
    ("es1370", &["ES1370"]),
    ("hda", &["intel-hda", "hda-duplex"]),
    ("sb16", &["sb16"]),
];

/// How the disks of a guest are attached to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bus<'a> {
    /// Each is a PCI device.
    Virtio,
    /// On the machine's own controller.
    Ide,
    /// On a SCSI controller, as this device.
    Scsi(&'a str),
    /// By the old option, for what has no device: flash of the machine.
    Interface(&'a str),
}

fn bus(disk_type: &str) -> Bus<'_> {
    match disk_type {
        "paravirtual" => Bus::Virtio,
        "ide" => Bus::Ide,
        "scsi" => Bus::Scsi("scsi-hd"),
        "scsi-hd" | "scsi-cd" | "scsi-block" | "scsi-generic" => Bus::Scsi(disk_type),
        other => Bus::Interface(other),
    }
}

/// How CD drives are attached: one that is only virtual is not a CD to a guest, so it is IDE.
fn cdrom_is_scsi(params: &KvmParams) -> bool {
    let as_disks = params.cdrom_disk_type.is_empty();
    let chosen = if as_disks { &params.disk_type } else { &params.cdrom_disk_type };
    matches!(bus(chosen), Bus::Scsi(_))
}

fn cdroms(params: &KvmParams) -> impl Iterator<Item = (usize, &str)> {
    let paths = [params.cdrom_image_path.as_str(), params.cdrom2_image_path.as_str()];
    paths.into_iter().enumerate().filter(|(_, path)| !path.is_empty())
}

/// Whether so many disks of this kind can be there.
pub(super) fn check(disks: &[Disk], params: &KvmParams) -> Result<(), HvError> {
    let n_cdroms = if cdrom_is_scsi(params) { 0 } else { cdroms(params).count() };
    let n_disks_max = match bus(&params.disk_type) {
        Bus::Virtio => DISKS_MAX,
        Bus::Ide => IDE_DRIVES_MAX - n_cdroms,
        Bus::Scsi(_) if params.scsi_controller_type == "virtio-scsi-pci" => DISKS_MAX,
        Bus::Scsi(_) if params.scsi_controller_type == "megasas" => DISKS_MAX,
        Bus::Scsi(_) => {
            LSI_DISKS_MAX - if cdrom_is_scsi(params) { cdroms(params).count() } else { 0 }
        }
        Bus::Interface(_) => 2,
    };
    if disks.len() > n_disks_max {
        let accepted = format!("at most {n_disks_max} of disk_type {}", params.disk_type);
        return Err(invalid("number of disks", disks.len(), &accepted));
    }
    if let Some(disk) = disks.iter().find(|disk| disk.mode == DiskMode::Ro) {
        let value = format!("ro (disk {})", disk.index);
        return Err(invalid("disk mode", value, "rw; kvm guests need to write"));
    }
    usb_devices(params)?;
    sound_cards(params).map(|_| ())
}

/// Adds all of them.
pub(super) fn with_devices(mut command: Command, plan: &LaunchPlan<'_>) -> Command {
    let params = plan.params;
    let any_scsi_disk =
        matches!(bus(&params.disk_type), Bus::Scsi(_)) && !plan.spec.disks.is_empty();
    if any_scsi_disk || (cdrom_is_scsi(params) && cdroms(params).next().is_some()) {
        command = command.args([
            "-device",
            &format!("{},id=scsi", scsi_controller(&params.scsi_controller_type)),
        ]);
    }
    for (disk, path) in plan.spec.disks.iter().zip(plan.disks) {
        command = with_disk(command, plan, disk, path);
    }
    command = with_cdroms(command, params);
    if !params.floppy_image_path.is_empty() {
        let boot = boot_index(params, "floppy", true);
        let file = escaped(&params.floppy_image_path);
        command = command
            .args(["-drive", &format!("if=none,id=fd0,format=raw,file={file}")])
            .args(["-device", "isa-fdc,id=fdc0"])
            .args(["-device", &format!("floppy,bus=fdc0.0,drive=fd0{boot}")]);
    }
    with_sound(with_usb(command, params), params)
}

fn scsi_controller(name: &str) -> &str {
    match name {
        "lsi" => "lsi53c895a",
        other => other,
    }
}

/// The part of a device that makes the firmware boot from it.
pub(super) fn boot_index(params: &KvmParams, order: &str, first: bool) -> &'static str {
    let boots = params.kernel_path.is_empty() && params.boot_order == order && first;
    if boots { ",bootindex=1" } else { "" }
}

fn with_disk(command: Command, plan: &LaunchPlan<'_>, disk: &Disk, at: &DiskPath) -> Command {
    let params = plan.params;
    if let Bus::Interface(interface) = bus(&params.disk_type) {
        let file = escaped(&at.path.to_string_lossy());
        return command.args(["-drive", &format!("if={interface},format=raw,file={file}")]);
    }
    let node = format!("node-disk{}", disk.index);
    let disk_idx = disk.index as usize;
    let id = device_id("disk", &disk.uuid.to_string());
    let place = match bus(&params.disk_type) {
        Bus::Ide if params.machine_version.contains("q35") => {
            format!("ide-hd,bus=ide.{disk_idx},unit=0")
        }
        Bus::Ide => format!("ide-hd,bus=ide.{},unit={}", disk_idx / 2, disk_idx % 2),
        Bus::Scsi(device) => format!("{device},bus=scsi.0,scsi-id={disk_idx}"),
        Bus::Virtio | Bus::Interface(_) => {
            format!("virtio-blk-pci,addr={:#x}", FIRST_SLOT + disk_idx)
        }
    };
    let boot = boot_index(params, "disk", disk_idx == 0);
    let write_cache = match params.disk_cache.as_str() {
        "writethrough" => ",write-cache=off",
        "none" | "writeback" => ",write-cache=on",
        _ => "",
    };
    command
        .args(["-blockdev", &blockdev(params, disk, at, &node).to_string()])
        .args(["-device", &format!("{place},drive={node},id={id}{write_cache}{boot}")])
}

fn blockdev(params: &KvmParams, disk: &Disk, at: &DiskPath, node: &str) -> Value {
    let driver = if at.block_device { "host_device" } else { "file" };
    let mut file = json!({ "driver": driver, "filename": at.path.to_string_lossy() });
    let mut format = json!({
        "driver": "raw",
        "node-name": node,
        "read-only": disk.mode == DiskMode::Ro,
    });
    // Two nodes must not each have their own idea of what is on a shared disk (row H43).
    let direct = params.disk_cache == "none" || disk.template() == DiskTemplate::SharedFile;
    if direct {
        let cache = json!({ "direct": true, "no-flush": false });
        file["cache"] = cache.clone();
        format["cache"] = cache;
    }
    if params.disk_aio != "threads" {
        file["aio"] = json!(params.disk_aio);
    }
    if params.disk_discard == "unmap" {
        file["discard"] = json!("unmap");
        format["discard"] = json!("unmap");
    }
    format["file"] = file;
    format
}

fn with_cdroms(mut command: Command, params: &KvmParams) -> Command {
    let scsi = cdrom_is_scsi(params);
    for (nth, (cd_idx, path)) in cdroms(params).enumerate() {
        let format = if is_url(path) { "" } else { "format=raw," };
        let file = escaped(path);
        // From the far end of the buses, where disks come last.
        let place = if scsi {
            format!("scsi-cd,bus=scsi.0,scsi-id={}", LSI_DISKS_MAX - 1 - cd_idx)
        } else if params.machine_version.contains("q35") {
            format!("ide-cd,bus=ide.{},unit=0", 5 - cd_idx)
        } else {
            format!("ide-cd,bus=ide.1,unit={}", 1 - cd_idx)
        };
        let boot = boot_index(params, "cdrom", nth == 0);
        command = command
            .arg("-drive")
            .arg(format!("if=none,id=cd{cd_idx},media=cdrom,readonly=on,{format}file={file}"))
            .args(["-device", &format!("{place},drive=cd{cd_idx}{boot}")]);
    }
    command
}

/// QEMU's devices for what `usb_devices` names: old words, or devices as they are (H60).
fn usb_devices(params: &KvmParams) -> Result<Vec<String>, HvError> {
    let words = params.usb_devices.split([',', ' ']).filter(|word| !word.is_empty());
    words
        .map(|word| match word {
            "mouse" => Ok("usb-mouse".to_owned()),
            "tablet" => Ok("usb-tablet".to_owned()),
            "keyboard" => Ok("usb-kbd".to_owned()),
            device if is_usb_device(device) => Ok(device.to_owned()),
            other => host_device(other).ok_or_else(|| {
                let accepted = "mouse, tablet, keyboard, host:VENDOR:PRODUCT, usb-…";
                invalid("usb_devices", other, accepted)
            }),
        })
        .collect()
}

fn is_usb_device(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    word.strip_prefix("usb-").is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
}

fn host_device(word: &str) -> Option<String> {
    let (vendor, product) = word.strip_prefix("host:")?.split_once(':')?;
    let is_id = |id: &str| id.len() == 4 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (is_id(vendor) && is_id(product))
        .then(|| format!("usb-host,vendorid=0x{vendor},productid=0x{product}"))
}

fn with_usb(mut command: Command, params: &KvmParams) -> Command {
    let mut devices = usb_devices(params).unwrap_or_default();
    match params.usb_mouse.as_str() {
        // A pointer that is where the viewer's is (H35).
        "" if !params.vnc_bind_address.is_empty() => devices.insert(0, "usb-tablet".to_owned()),
        "" => {}
        pointer => devices.insert(0, format!("usb-{pointer}")),
    }
    if devices.is_empty() {
        return command;
    }
    command = command.arg("-usb");
    devices.iter().fold(command, |command, device| command.args(["-device", device]))
}

fn sound_cards(params: &KvmParams) -> Result<Vec<&'static str>, HvError> {
    let mut devices = Vec::new();
    for word in params.soundhw.split(',').filter(|word| !word.is_empty()) {
        let Some((_, of_card)) = SOUND_CARDS.iter().find(|(name, _)| *name == word) else {
            let known: Vec<&str> = SOUND_CARDS.iter().map(|(name, _)| *name).collect();
            return Err(invalid("soundhw", word, &known.join(", ")));
        };
        devices.extend(*of_card);
    }
    Ok(devices)
}

fn with_sound(mut command: Command, params: &KvmParams) -> Command {
    let devices = sound_cards(params).unwrap_or_default();
    if devices.is_empty() {
        return command;
    }
    // Nobody hears it on the node.
    command = command.args(["-audiodev", "none,id=audio0"]);
    for device in devices {
        let with = if device == "intel-hda" { "" } else { ",audiodev=audio0" };
        command = command.args(["-device", &format!("{device}{with}")]);
    }
    command
}

//! The command line as text.
//!
//! covers: H146 H153 H155 H156 H170 H171

use super::*;
use gantry_model::ids::{DiskUuid, InstanceUuid, NicUuid, RunEpoch};
use gantry_model::names::InstanceName;
use gantry_model::objects::{DiskLocation, Nic};
use gantry_model::params::FakeParams;
use gantry_model::units::MiB;
use uuid::Uuid;

fn disk(index: u32) -> Disk {
    Disk {
        uuid: DiskUuid(Uuid::from_u128(
            0xd15c_0000_0000_0000_0000_0000_0000_0000 + u128::from(index),
        )),
        instance: InstanceUuid(Uuid::nil()),
        index,
        size: MiB(1),
        mode: DiskMode::Rw,
        name: None,
        location: DiskLocation::Fake,
    }
}

fn nic(mac: &str) -> Nic {
    Nic { uuid: NicUuid(Uuid::from_u128(0x41c0_0000 << 96)), mac: mac.to_owned() }
}

fn spec(n_disks: u32, params: KvmParams) -> GuestSpec {
    GuestSpec {
        instance: InstanceUuid(Uuid::from_u128(7)),
        name: InstanceName::new("web1.example").expect("a name"),
        hvparams: params.into(),
        memory: MiB(128),
        vcpus: 2,
        disks: (0..n_disks).map(disk).collect(),
        nics: Vec::new(),
        epoch: RunEpoch(1),
    }
}

fn line_of(spec: &GuestSpec) -> String {
    let at = |disk: &Disk| DiskPath {
        path: PathBuf::from(format!("/disks/{}.raw", disk.index)),
        block_device: disk.index == 1,
    };
    let disks: Vec<DiskPath> = spec.disks.iter().map(at).collect();
    let dir = RunDir::new(Path::new("/s,1"), spec.instance);
    let params = kvm_params(spec).expect("kvm");
    let accelerator = Accelerator::Tcg;
    command(&LaunchPlan { spec, params, disks: &disks, dir: &dir, accelerator }).line()
}

fn check_error(spec: &GuestSpec) -> String {
    check(spec).expect_err("not accepted").to_string()
}

#[test]
fn the_whole_line_of_a_plain_guest() {
    let dir = "/s,1/run/kvm/00000000-0000-0000-0000-000000000007";
    let escaped = dir.replace(',', ",,");
    let expected = format!(
        "/usr/bin/qemu-system-x86_64 -name web1.example \
         -uuid 00000000-0000-0000-0000-000000000007 -no-user-config -nodefaults \
         -machine type=pc,acpi=on -accel tcg -m size=128M -smp cpus=2 -rtc base=utc \
         -display none -action reboot=reset,shutdown=poweroff -S -daemonize \
         -pidfile {dir}/pid -d strace -D {dir}/log \
         -chardev socket,id=monitor0,path={escaped}/qmp,server=on,wait=off \
         -mon chardev=monitor0,mode=control \
         -chardev socket,id=serial0,path={escaped}/serial,server=on,wait=off \
         -device isa-serial,chardev=serial0"
    );
    assert_eq!(line_of(&spec(0, KvmParams::default())), expected);
}

#[test]
fn paravirtual_disks_have_fixed_slots_and_the_first_boots() {
    let line = line_of(&spec(2, KvmParams::default()));
    let node0 = r#""node-name":"node-disk0""#;
    assert!(line.contains(node0) && line.contains(r#""filename":"/disks/0.raw""#), "{line}");
    let device0 = "virtio-blk-pci,addr=0xc,drive=node-disk0,id=disk-d15c0000-0000-0000,bootindex=1";
    assert!(line.contains(device0), "{line}");
    assert!(line.contains("virtio-blk-pci,addr=0xd,drive=node-disk1,id=disk-"), "{line}");
    assert_eq!(line.matches("bootindex").count(), 1, "{line}");
    assert!(line.contains(r#""driver":"host_device""#), "the second is a block device: {line}");
}

#[test]
fn ide_disks_share_channels_by_machine() {
    let ide = KvmParams { disk_type: "ide".into(), ..KvmParams::default() };
    let line = line_of(&spec(4, ide.clone()));
    for place in ["bus=ide.0,unit=0", "bus=ide.0,unit=1", "bus=ide.1,unit=0", "bus=ide.1,unit=1"] {
        assert!(line.contains(&format!("ide-hd,{place},drive=")), "{place}: {line}");
    }
    let q35 = KvmParams { machine_version: "pc-q35-7.2".into(), ..ide.clone() };
    let line = line_of(&spec(2, q35));
    assert!(line.contains("-machine type=pc-q35-7.2,acpi=on"), "{line}");
    assert!(line.contains("ide-hd,bus=ide.1,unit=0,drive="), "{line}");
    assert!(check(&spec(4, ide.clone())).is_ok());
    assert!(check_error(&spec(5, ide)).contains("at most 4 of disk_type ide"));
}

#[test]
fn a_kernel_gets_its_arguments_and_the_console() {
    let params = KvmParams {
        kernel_path: "/boot/vmlinuz".into(),
        initrd_path: "/boot/initrd".into(),
        kernel_args: "ro quiet".into(),
        ..KvmParams::default()
    };
    let line = line_of(&spec(1, params.clone()));
    let boot = "-kernel /boot/vmlinuz -initrd /boot/initrd \
                -append 'ro quiet console=ttyS0,38400'";
    assert!(line.contains(boot), "{line}");
    assert!(!line.contains("bootindex"), "{line}");
    let silent = KvmParams { serial_console: false, initrd_path: String::new(), ..params };
    let line = line_of(&spec(0, silent));
    assert!(line.contains("-kernel /boot/vmlinuz -append 'ro quiet'"), "{line}");
    assert!(!line.contains("serial"), "{line}");
}

#[test]
fn acpi_off_is_said_to_the_machine_and_warned_of() {
    let params = KvmParams { acpi: false, ..KvmParams::default() };
    let spec = spec(0, params);
    assert!(line_of(&spec).contains("-machine type=pc,acpi=off"));
    let warnings = check(&spec).expect("accepted");
    assert!(warnings[0].starts_with("acpi is off"), "{warnings:?}");
}

#[test]
fn interfaces_are_there_but_lead_nowhere_and_that_is_said() {
    let mut spec = spec(0, KvmParams::default());
    spec.nics = vec![nic("aa:00:00:12:34:56")];
    let line = line_of(&spec);
    assert!(line.contains("-netdev hubport,id=net-nic-41c00000-0000-0000,hubid=0"), "{line}");
    assert!(line.contains("virtio-net-pci,addr=0x1c,"), "{line}");
    assert!(line.contains(",mac=aa:00:00:12:34:56,"), "{line}");
    let warnings = check(&spec).expect("accepted");
    assert!(warnings[0].contains("not connected"), "{warnings:?}");
    spec.nics = vec![nic("aa:00:00:12:34:56,x=y")];
    assert!(check_error(&spec).starts_with("mac "));
}

#[test]
fn what_is_not_accepted_names_field_value_and_choice() {
    let with = |change: fn(&mut KvmParams)| {
        let mut params = KvmParams::default();
        change(&mut params);
        check_error(&spec(1, params))
    };
    assert_eq!(
        with(|p| p.disk_type = "scsi".into()),
        "disk_type \"scsi\" is not accepted: paravirtual, ide"
    );
    assert_eq!(
        with(|p| p.boot_order = "cdrom".into()),
        "boot_order \"cdrom\" is not accepted: disk, network"
    );
    assert!(with(|p| p.boot_order = "network".into()).contains("no interface"));
    assert!(with(|p| p.machine_version = "pc,accel=kvm".into()).starts_with("machine_version"));
    assert!(with(|p| p.kernel_path = "vmlinuz".into()).contains("absolute"));
    assert!(with(|p| p.initrd_path = "/initrd".into()).contains("without kernel_path"));
}

#[test]
fn amounts_of_nothing_or_too_many_are_refused() {
    let good = spec(1, KvmParams::default());
    assert!(check_error(&GuestSpec { memory: MiB(0), ..good.clone() }).starts_with("memory"));
    assert!(check_error(&GuestSpec { vcpus: 0, ..good.clone() }).starts_with("vcpus"));
    assert!(check(&spec(16, KvmParams::default())).is_ok());
    assert!(check_error(&spec(17, KvmParams::default())).contains("at most 16"));
    let mut read_only = good.clone();
    read_only.disks[0].mode = DiskMode::Ro;
    assert!(check_error(&read_only).starts_with("disk mode"));
    let fake = GuestSpec { hvparams: HvParams::Fake(FakeParams::default()), ..good };
    assert_eq!(check_error(&fake), "hypervisor \"fake\" is not accepted: kvm");
}

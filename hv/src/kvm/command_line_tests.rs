//! The command line as text.
//!
//! covers: H146 H153 H155 H156 H170 H171

use super::*;
use crate::kvm::display::{Wanted, wanted};
use gantry_model::ids::{DiskUuid, InstanceUuid, NicUuid, RunEpoch};
use gantry_model::names::InstanceName;
use gantry_model::objects::{Disk, DiskLocation, DiskMode, Nic, NicMode, NicOverrides};
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
    Nic {
        uuid: NicUuid(Uuid::from_u128(0x41c0_0000 << 96)),
        mac: mac.to_owned(),
        ip: None,
        name: None,
        nicparams: NicOverrides::default(),
    }
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
        network_port: None,
        tags: Vec::new(),
        uid_pool: Vec::new(),
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
    let cables: Vec<Cable> = spec.nics.iter().map(|_| Cable::Nowhere).collect();
    let at = wanted(params, spec.name.as_str(), spec.network_port).expect("accepted");
    let Wanted::Known(display) = at else { panic!("an interface is looked up") };
    let (disks, cables, display) = (&disks, &cables, &display);
    command(&LaunchPlan { spec, params, disks, cables, display, dir: &dir, accelerator }).line()
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
                -append 'root=/dev/vda1 ro quiet console=ttyS0,38400'";
    assert!(line.contains(boot), "{line}");
    assert!(!line.contains("bootindex"), "{line}");
    let silent = KvmParams { serial_console: false, initrd_path: String::new(), ..params };
    let line = line_of(&spec(0, silent));
    assert!(line.contains("-kernel /boot/vmlinuz -append 'root=/dev/vda1 ro quiet'"), "{line}");
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
fn interfaces_without_a_mode_lead_nowhere() {
    let mut spec = spec(0, KvmParams::default());
    spec.nics = vec![nic("aa:00:00:12:34:56")];
    let line = line_of(&spec);
    assert!(line.contains("-netdev hubport,id=net-nic-41c00000-0000-0000,hubid=0"), "{line}");
    assert!(line.contains("virtio-net-pci,addr=0x1c,"), "{line}");
    assert!(line.contains(",mac=aa:00:00:12:34:56,"), "{line}");
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
    assert!(with(|p| p.disk_type = "tape".into()).starts_with("disk_type \"tape\" is not"));
    assert_eq!(
        with(|p| p.boot_order = "cdrom".into()),
        "boot_order \"cdrom\" is not accepted: needs cdrom_image_path"
    );
    assert!(with(|p| p.kvm_extra = "-a 'b".into()).starts_with("kvm_extra"));
    assert!(with(|p| p.usb_devices = "joystick".into()).starts_with("usb_devices \"joystick\""));
    assert!(with(|p| p.soundhw = "organ".into()).contains("ac97"));
    let vnc = with(|p| p.vnc_bind_address = "0.0.0.0".into());
    assert!(vnc.contains("no network port"), "{vnc}");
    assert!(with(|p| p.boot_order = "network".into()).contains("no interface"));
    assert!(with(|p| p.machine_version = "pc,accel=kvm".into()).starts_with("machine_version"));
    assert!(with(|p| p.kernel_path = "vmlinuz".into()).contains("absolute"));
    assert!(with(|p| p.initrd_path = "/initrd".into()).contains("beside kernel_path"));
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

fn line_with(change: impl FnOnce(&mut KvmParams)) -> String {
    let mut params = KvmParams::default();
    change(&mut params);
    let mut spec = spec(2, params);
    spec.network_port = Some(11_002);
    check(&spec).expect("accepted");
    line_of(&spec)
}

fn has(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part} in {line}");
    }
}

// covers: H9 H10 H11 H12 H36 H61
#[test]
fn a_display_is_on_the_port_of_the_guest_with_a_card_and_a_tablet() {
    let line = line_with(|p| p.vnc_bind_address = "127.0.0.1".into());
    has(&line, &["-vnc 127.0.0.1:5102 ", "-vga std", "-usb -device usb-tablet"]);
    let line = line_with(|p| {
        p.vnc_bind_address = "::1".into();
        (p.vnc_tls, p.vnc_x509_path, p.vnc_x509_verify) = (true, "/x5,09".into(), true);
        (p.vnc_password_file, p.vga, p.keymap) = ("/p".into(), "qxl".into(), "de".into());
    });
    let object = "tls-creds-x509,id=vnctls0,endpoint=server,verify-peer=on,dir=/x5,,09";
    has(&line, &[object, "[::1]:5102,password=on,tls-creds=vnctls0", "-vga qxl", "-k de"]);
    let line = line_with(|p| p.vnc_bind_address = "/run/vnc".into());
    has(&line, &["-vnc unix:/run/vnc/web1.example.vnc"]);
}

// covers: H14 H32 H34 H43 H44
#[test]
fn disks_are_on_the_bus_and_behind_the_cache_of_the_parameters() {
    let line = line_with(|p| {
        (p.disk_type, p.scsi_controller_type) = ("scsi-hd".into(), "megasas".into());
        (p.disk_cache, p.disk_aio, p.disk_discard) =
            ("none".into(), "native".into(), "unmap".into());
    });
    has(
        &line,
        &[
            "-device megasas,id=scsi ",
            "scsi-hd,bus=scsi.0,scsi-id=1,drive=node-disk1",
            r#""cache":{"direct":true,"no-flush":false}"#,
            r#""aio":"native""#,
            r#""discard":"unmap""#,
            "write-cache=on",
        ],
    );
    let line = line_with(|p| p.disk_cache = "writethrough".into());
    has(&line, &["write-cache=off"]);
    assert!(!line.contains("direct"), "{line}");
    let line = line_with(|p| p.disk_type = "pflash".into());
    has(&line, &["-drive if=pflash,format=raw,file=/disks/0.raw"]);
}

// covers: D5 H43
#[test]
fn disks_that_nodes_share_are_never_cached() {
    let mut spec = spec(1, KvmParams::default());
    spec.disks[0].location = DiskLocation::SharedFile { path: "/shared/0.raw".into() };
    has(&line_of(&spec), &[r#""direct":true"#]);
}

// covers: H27 H28 H29 H30 H33
#[test]
fn the_medium_to_boot_from_comes_first() {
    let line = line_with(|p| {
        p.boot_order = "cdrom".into();
        p.cdrom_image_path = "https://example/x.iso".into();
        p.cdrom2_image_path = "/iso/b".into();
    });
    let cd0 = "if=none,id=cd0,media=cdrom,readonly=on,file=https://example/x.iso";
    has(&line, &[cd0, "ide-cd,bus=ide.1,unit=1,drive=cd0,bootindex=1", "drive=cd1"]);
    assert_eq!(line.matches("bootindex").count(), 1, "{line}");
    let line = line_with(|p| {
        (p.boot_order, p.floppy_image_path) = ("floppy".into(), "/f".into());
        (p.cdrom_image_path, p.cdrom_disk_type) = ("/iso/a".into(), "scsi-cd".into());
    });
    has(&line, &["floppy,bus=fdc0.0,drive=fd0,bootindex=1", "scsi-cd,bus=scsi.0", "lsi53c895a"]);
}

// covers: H41 H42 H52 H53 H55 H56 H57 H58 H59 H60 H62
#[test]
fn other_parameters_become_the_options_that_they_name() {
    let line = line_with(|p| {
        (p.cpu_type, p.cpu_sockets, p.cpu_cores, p.cpu_threads) = ("host,+vmx".into(), 1, 2, 1);
        (p.mem_path, p.use_localtime, p.use_guest_agent) = ("/huge".into(), true, true);
        (p.reboot_behavior, p.soundhw) = ("exit".into(), "hda".into());
        (p.usb_devices, p.kvm_extra) = ("host:1d6b:0002".into(), "-a 'b c'".into());
    });
    has(
        &line,
        &[
            "-cpu host,+vmx",
            "-smp cpus=2,sockets=1,cores=2,threads=1",
            "-mem-path /huge",
            "-rtc base=localtime",
            "reboot=shutdown,shutdown=poweroff",
            "name=org.qemu.guest_agent.0",
            "-device intel-hda -device hda-duplex,audiodev=audio0",
            "usb-host,vendorid=0x1d6b,productid=0x0002",
            "-a 'b c'",
        ],
    );
}

// covers: H31 H48 H49 H65 H146
#[test]
fn taps_have_queues_and_headers_as_the_parameters_say() {
    let mut spec = spec(0, KvmParams { virtio_net_queues: 4, ..KvmParams::default() });
    spec.nics = vec![nic("aa:00:00:12:34:56")];
    spec.nics[0].nicparams.mode = Some(NicMode::Bridged);
    let dir = RunDir::new(Path::new("/s"), spec.instance);
    let cables = [Cable::Tap { vhost: true }];
    let line = |spec: &GuestSpec| {
        let params = kvm_params(spec).expect("kvm");
        let (display, accelerator) = (&Display::None, Accelerator::Tcg);
        let (disks, cables, dir) = (&[], &cables, &dir);
        command(&LaunchPlan { spec, params, disks, cables, display, dir, accelerator }).line()
    };
    has(
        &line(&spec),
        &["ifname=tap41c000000000,script=no,downscript=no,queues=4,vhost=on", ",mq=on,vectors=10,"],
    );
    let params = KvmParams { nic_type: "e1000".into(), vnet_hdr: false, ..KvmParams::default() };
    spec.hvparams = params.into();
    has(&line(&spec), &["vnet_hdr=off", "-device e1000,addr=0x1c,netdev="]);
}

// covers: H146
#[test]
fn eight_interfaces_fit_beside_twelve_disks() {
    let mut spec = spec(12, KvmParams::default());
    spec.nics = vec![nic("aa:00:00:12:34:56"); 8];
    assert!(check(&spec).is_ok());
    let line = line_of(&spec);
    for slot in ["addr=0x1f", "addr=0x1b", "addr=0x18", "addr=0x17"] {
        assert_eq!(line.matches(slot).count(), 1, "{slot}: {line}");
    }
    spec.disks.push(disk(12));
    assert!(check_error(&spec).starts_with("number of interfaces"));
}

//! Parameters of kvm under real QEMU. Says aloud when there is none.
//!
//! covers: H9 H13 H14 H27 H28 H33 H35 H41 H43 H44 H53 H54 H56 H59 H60 H61 H62 H153 H154

mod kvm_bench;
mod kvm_guest;

use std::path::Path;

use gantry_hv::conformance::Bench;
use gantry_model::params::KvmParams;
use kvm_bench::KvmBench;
use kvm_guest::{boot, with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// What a case changes.
type Change = Box<dyn Fn(&mut KvmParams)>;

/// The same of one that remembers nothing.
type PlainChange = fn(&mut KvmParams);

#[tokio::test]
async fn all_kinds_of_devices_boot() {
    let Some(mut bench) = KvmBench::new() else { return };
    let image = bench.base().join("medium.img");
    std::fs::write(&image, vec![0; 1_474_560]).expect("writes");
    let medium = image.to_string_lossy().into_owned();
    // One that is written to is nobody else's.
    let floppy = bench.base().join("floppy.img");
    std::fs::copy(&image, &floppy).expect("copies");
    let floppy = floppy.to_string_lossy().into_owned();
    let changes: Vec<(&str, Change)> = vec![
        (
            "scsi on virtio",
            Box::new(|p| {
                p.disk_type = "scsi-hd".into();
                p.scsi_controller_type = "virtio-scsi-pci".into();
            }),
        ),
        ("scsi on lsi", Box::new(|p| p.disk_type = "scsi".into())),
        (
            "caches",
            Box::new(|p| {
                p.disk_cache = "writethrough".into();
                p.disk_discard = "unmap".into();
            }),
        ),
        (
            "a CD, a floppy, a display",
            Box::new(move |p| {
                p.cdrom_image_path = medium.clone();
                p.cdrom2_image_path = medium.clone();
                p.floppy_image_path = floppy.clone();
                p.vga = "cirrus".into();
                p.keymap = "de".into();
            }),
        ),
        (
            "USB and sound",
            Box::new(|p| {
                p.usb_mouse = "mouse".into();
                p.usb_devices = "keyboard,usb-tablet".into();
                p.soundhw = "ac97,hda".into();
            }),
        ),
        (
            "processors",
            Box::new(|p| {
                (p.cpu_sockets, p.cpu_cores, p.cpu_threads) = (1, 1, 1);
                p.cpu_type = "qemu64".into();
                p.use_localtime = true;
            }),
        ),
        ("more options", Box::new(|p| p.kvm_extra = "-smbios 'type=1,serial=a b'".into())),
    ];
    for (what, change) in changes {
        eprintln!("{what}");
        let (spec, disks) = bench.guest();
        let spec = with(spec, change);
        boot(&bench, &spec, &disks).await;
        bench.hypervisor().kill(spec.instance).await.expect("killed");
    }
}

#[tokio::test]
async fn a_display_asks_for_its_password() {
    let Some(mut bench) = KvmBench::new() else { return };
    let password = bench.base().join("vnc-password");
    std::fs::write(&password, "secret7\n").expect("writes");
    let (spec, disks) = bench.guest();
    let mut spec = with(spec, |params| {
        params.vnc_bind_address = "127.0.0.1".into();
        params.vnc_password_file = password.to_string_lossy().into_owned();
    });
    spec.network_port = Some(free_port().await);
    boot(&bench, &spec, &disks).await;
    let at = ("127.0.0.1", spec.network_port.expect("just set"));
    let mut viewer = TcpStream::connect(at).await.expect("vnc listens on its port");
    let mut version = [0; 12];
    viewer.read_exact(&mut version).await.expect("greets");
    assert_eq!(&version[..4], b"RFB ");
    viewer.write_all(b"RFB 003.008\n").await.expect("writes");
    let mut kinds = [0; 2];
    viewer.read_exact(&mut kinds).await.expect("says how to authenticate");
    assert_eq!(kinds, [1, 2], "one way: by a password");
    bench.hypervisor().kill(spec.instance).await.expect("killed");
}

/// A port that nobody listens on now.
async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    if port >= 5_900 { port } else { 11_007 }
}

#[tokio::test]
async fn a_display_can_be_a_socket_and_the_agents_channel_is_one() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    let directory = bench.base().to_owned();
    let spec = with(spec, |params| {
        params.vnc_bind_address = directory.to_string_lossy().into_owned();
        params.use_guest_agent = true;
    });
    boot(&bench, &spec, &disks).await;
    let socket = directory.join(format!("{}.vnc", spec.name));
    let mut viewer = UnixStream::connect(&socket).await.expect("vnc listens");
    let mut version = [0; 4];
    viewer.read_exact(&mut version).await.expect("greets");
    assert_eq!(&version, b"RFB ");
    let agent = directory.join("run/kvm").join(spec.instance.to_string()).join("qga");
    UnixStream::connect(&agent).await.expect("the channel is there");
    bench.hypervisor().kill(spec.instance).await.expect("killed");
    assert!(!agent.exists(), "goes with the guest");
}

#[tokio::test]
async fn a_guest_runs_on_the_processors_of_its_mask() {
    let Some(mut bench) = KvmBench::new() else { return };
    if !Path::new("/usr/bin/taskset").exists() {
        return eprintln!("skipped: there is no taskset here");
    }
    let (spec, disks) = bench.guest();
    let spec = with(spec, |params| params.cpu_mask = "0".into());
    boot(&bench, &spec, &disks).await;
    let report = bench.hypervisor().query(spec.instance).await.expect("asks").expect("runs");
    let status = format!("/proc/{}/status", report.pid.expect("a process"));
    let status = std::fs::read_to_string(status).expect("reads");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    assert_eq!(allowed.map(str::trim), Some("0"));
    bench.hypervisor().kill(spec.instance).await.expect("killed");
}

#[tokio::test]
async fn what_the_node_does_not_have_is_refused_before_a_start() {
    let Some(mut bench) = KvmBench::new() else { return };
    let hv = bench.hypervisor();
    let (spec, _) = bench.guest();
    let cases: [(&str, PlainChange); 4] = [
        ("cdrom_image_path", |p| p.cdrom_image_path = "/nonexistent/x.iso".into()),
        ("mem_path", |p| p.mem_path = "/nonexistent/huge".into()),
        ("vnc_password_file", |p| p.vnc_password_file = "/nonexistent/pw".into()),
        ("kernel_path", |p| p.kernel_path = "/nonexistent/vmlinuz".into()),
    ];
    for (field, change) in cases {
        let error = hv.validate(&with(spec.clone(), change)).await.expect_err(field);
        assert!(error.to_string().starts_with(field), "{error}");
        assert!(error.to_string().contains("on this node"), "{error}");
    }
}

//! Interfaces of guests on a bridge of the node, under real QEMU, in a network namespace of its
//! own. Says aloud when there is no QEMU, or when namespaces are not allowed.
//!
//! covers: C221 H48 H49 H65 H145 H153 H154

mod kvm_bench;

use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_host::{Command, CommandRunner, RealRunner, may_make_taps};
use gantry_hv::Hypervisor;
use gantry_hv::conformance::Bench;
use gantry_hv::kvm::{KvmConfig, KvmHypervisor};
use gantry_model::ids::NicUuid;
use gantry_model::objects::{GuestSpec, Nic, NicMode, NicOverrides};
use gantry_model::params::KvmParams;
use kvm_bench::KvmBench;
use uuid::Uuid;

/// Set in the process that is inside of the namespace.
const INSIDE: &str = "GANTRY_TEST_NETNS";

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs this test again in a namespace of its own; true if this process is the one inside.
#[expect(clippy::print_stderr, reason = "says aloud why a test is skipped")]
async fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if let Err(why) = may_make_taps() {
        eprintln!("skipped: {why}");
        return false;
    }
    let own = std::env::current_exe().expect("has a path");
    // What /sys says of networks belongs to the namespace in which it was mounted.
    let script = "mount -t sysfs sysfs /sys && exec \"$0\" --exact --nocapture \"$1\"";
    let command = Command::new("/usr/bin/unshare")
        .args(["--net", "--mount", "/bin/sh", "-c", script])
        .arg(own)
        .arg(test)
        .env(INSIDE, "1")
        .timeout(PATIENCE);
    match RealRunner.run(command).await {
        Ok(_) => {}
        Err(error) if error.to_string().contains("unshare failed") => {
            eprintln!("skipped: {error}");
        }
        Err(error) => panic!("{error}"),
    }
    false
}

async fn ip(words: &[&str]) {
    let command = Command::new("/usr/sbin/ip").args(words.iter().copied());
    RealRunner.run(command).await.expect("ip works");
}

fn nic(number: u32, mode: NicMode, link: &str) -> Nic {
    Nic {
        uuid: NicUuid(Uuid::from_u128(u128::from(number) << 96)),
        mac: format!("aa:00:00:00:00:0{number}"),
        ip: "192.0.2.7".parse().ok(),
        name: Some("lan".into()),
        nicparams: NicOverrides {
            mode: Some(mode),
            link: Some(link.into()),
            vlan: Some(String::new()),
        },
    }
}

fn with(spec: GuestSpec, nics: Vec<Nic>, change: impl FnOnce(&mut KvmParams)) -> GuestSpec {
    let mut params = KvmParams::default();
    change(&mut params);
    GuestSpec { hvparams: params.into(), nics, ..spec }
}

fn net(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

#[tokio::test]
async fn an_interface_is_on_its_bridge_while_the_guest_runs() {
    let Some(mut bench) = KvmBench::new() else { return };
    if !inside("an_interface_is_on_its_bridge_while_the_guest_runs").await {
        return;
    }
    let hv = bench.hypervisor();
    let (spec, disks) = bench.guest();
    let two = vec![nic(1, NicMode::Bridged, "br0"), nic(2, NicMode::Routed, "")];
    let spec = with(spec, two, |params| params.virtio_net_queues = 2);
    let error = hv.validate(&spec).await.expect_err("no such bridge yet");
    assert!(error.to_string().starts_with("link \"br0\""), "{error}");
    ip(&["link", "add", "br0", "type", "bridge"]).await;
    ip(&["link", "set", "br0", "up"]).await;
    let started = hv.start(&spec, &disks, false).await.expect("starts");
    assert!(!started.notes.iter().any(|note| note.contains("user mode")), "{:?}", started.notes);
    assert!(net("br0/brif/tap000000010000").exists(), "on the bridge");
    assert!(net("tap000000020000").exists(), "routed");
    hv.kill(spec.instance).await.expect("killed");
    assert!(!net("tap000000010000").exists() && !net("tap000000020000").exists(), "gone");
}

#[tokio::test]
async fn a_script_connects_with_ganetis_environment() {
    let Some(mut bench) = KvmBench::new() else { return };
    if !inside("a_script_connects_with_ganetis_environment").await {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let (script, said) = (bench.base().join("vif"), bench.base().join("said"));
    let text = format!("#!/bin/sh\n(echo ARG=$1; env) > {}\n", said.display());
    std::fs::write(&script, text).expect("writes");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&script, executable).expect("permitted");
    let hv = KvmHypervisor::new(KvmConfig { network_script: Some(script), ..bench.config() });
    let (spec, disks) = bench.guest();
    let mut spec = with(spec, vec![nic(3, NicMode::Bridged, "anything")], |_| {});
    spec.tags = vec!["a".into(), "b".into()];
    hv.start(&spec, &disks, true).await.expect("starts");
    let said = std::fs::read_to_string(&said).expect("the script ran");
    for line in [
        "ARG=tap000000030000",
        "INTERFACE=tap000000030000",
        "INTERFACE_INDEX=0",
        "INTERFACE_NAME=lan",
        "INTERFACE_UUID=00000003-0000-0000-0000-000000000000",
        "MAC=aa:00:00:00:00:03",
        "MODE=bridged",
        "LINK=anything",
        "BRIDGE=anything",
        "VLAN=",
        "IP=192.0.2.7",
        "TAGS=a b",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} in {said}");
    }
    assert!(said.contains(&format!("INSTANCE={}", spec.name)), "{said}");
    hv.kill(spec.instance).await.expect("killed");
}

#[tokio::test]
async fn a_script_that_fails_ends_the_start_and_leaves_nothing() {
    let Some(mut bench) = KvmBench::new() else { return };
    if !inside("a_script_that_fails_ends_the_start_and_leaves_nothing").await {
        return;
    }
    let script = Some(PathBuf::from("/bin/false"));
    let hv = KvmHypervisor::new(KvmConfig { network_script: script, ..bench.config() });
    let (spec, disks) = bench.guest();
    let spec = with(spec, vec![nic(4, NicMode::Bridged, "br0")], |_| {});
    let error = hv.start(&spec, &disks, false).await.expect_err("not connected");
    assert!(error.to_string().contains("could not connect"), "{error}");
    assert!(!net("tap000000040000").exists(), "gone");
    assert_eq!(hv.list().await.expect("lists").guests, []);
}

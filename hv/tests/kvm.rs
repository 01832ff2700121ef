//! What only real QEMU can do wrong. Says aloud when there is no QEMU.
//!
//! covers: H1 H6 H32 H130 H132 H136 H138 H150 H157 H167 H170

mod kvm_bench;
mod kvm_guest;

use std::path::PathBuf;
use std::sync::Arc;

use gantry_host::{Command, CommandRunner, ProcessIdentity, RealRunner, find_by_arguments};
use gantry_hv::conformance::Bench;
use gantry_hv::kvm::{Accelerator, AcceleratorChoice, KvmConfig, KvmHypervisor};
use gantry_hv::{GuestChange, GuestIntent, HvError, Hypervisor, StoppedBy};
use gantry_model::errors::FaultCode;
use gantry_model::ids::InstanceUuid;
use gantry_model::node_calls::{InstanceStart, Recovery};
use gantry_model::objects::{GuestSpec, Nic, NicOverrides};
use gantry_model::params::KvmParams;
use gantry_model::report::GuestState;
use kvm_bench::KvmBench;
use kvm_guest::{PATIENCE, boot, with};
use uuid::Uuid;

fn run_dir(bench: &KvmBench, instance: InstanceUuid) -> PathBuf {
    bench.base().join("run/kvm").join(instance.to_string())
}

#[tokio::test]
async fn qemus_own_words_tell_why_a_start_failed_and_nothing_is_left() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (good, disks) = bench.guest();
    let bad = with(good.clone(), |params| params.machine_version = "no-such-machine".into());
    let hv = bench.hypervisor();
    let mut events = hv.events();
    let error = hv.start(&bad, &disks, false).await.expect_err("no such machine");
    assert!(error.to_string().contains("unsupported machine type"), "{error}");
    assert_eq!(hv.list().await.expect("lists").guests, []);
    assert!(events.try_recv().is_err(), "it never ran");
    hv.start(&good, &disks, false).await.expect("the next start is not hindered");
    hv.kill(good.instance).await.expect("killed");
}

#[tokio::test]
async fn two_guests_cannot_have_the_same_disk() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (one, disks) = bench.guest();
    let (two, _) = bench.guest();
    boot(&bench, &one, &disks).await;
    let hv = bench.hypervisor();
    let error = hv.start(&two, &disks, false).await.expect_err("qemu locks its images");
    assert!(error.to_string().contains("lock"), "{error}");
    assert_eq!(hv.list().await.expect("lists").guests.len(), 1);
    hv.kill(one.instance).await.expect("killed");
}

#[tokio::test]
async fn a_missing_program_names_its_package() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    let spec = with(spec, |params| params.kvm_path = "/nonexistent/qemu".into());
    let hv = bench.hypervisor();
    let started = hv.start(&spec, &disks, false).await.err();
    let validated = hv.validate(&spec).await.err();
    for error in [started, validated] {
        let error = error.expect("not there");
        let text = "/nonexistent/qemu is not installed; install the package qemu-system-x86";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.code(), FaultCode::EnvironmentError);
    }
}

#[tokio::test]
async fn a_directory_too_long_for_sockets_is_refused_before_anything_happens() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    let base = bench.base().join("d".repeat(60));
    let hv = KvmHypervisor::new(KvmConfig { base: base.clone(), ..bench.config() });
    let error = hv.start(&spec, &disks, false).await.expect_err("too long");
    assert!(matches!(error, HvError::SocketPathTooLong { .. }), "{error}");
    assert!(!base.exists());
    let facts = hv.node_facts().await;
    assert!(!facts.usable && facts.version.contains("shorter directory"), "{facts:?}");
}

#[tokio::test]
async fn a_disk_that_is_not_there_is_refused_before_anything_happens() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, _) = bench.guest();
    let disks = [gantry_hv::DiskSource::Path(bench.base().join("missing"))];
    let error = bench.hypervisor().start(&spec, &disks, false).await.expect_err("missing");
    assert!(error.to_string().contains("missing"), "{error}");
    let record = [gantry_hv::DiskSource::Record];
    let error = bench.hypervisor().start(&spec, &record, false).await.expect_err("a fake disk");
    assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
    assert!(!run_dir(&bench, spec.instance).exists());
}

#[tokio::test]
async fn without_acpi_a_guest_is_not_asked() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    let spec = with(spec, |params| params.acpi = false);
    boot(&bench, &spec, &disks).await;
    let stopped = bench.hypervisor().stop(spec.instance, PATIENCE).await.expect("stops");
    assert_eq!(stopped, StoppedBy::KilledUnasked);
}

#[tokio::test]
async fn without_a_serial_console_there_is_none() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    let spec = with(spec, |params| params.serial_console = false);
    let hv = bench.hypervisor();
    hv.start(&spec, &disks, false).await.expect("starts");
    let error = hv.console(spec.instance).await.err().expect("none");
    assert!(matches!(error, HvError::NoConsole { .. }), "{error}");
    hv.kill(spec.instance).await.expect("killed");
}

#[tokio::test]
async fn other_disks_machines_and_interfaces_boot_too() {
    let Some(mut bench) = KvmBench::new() else { return };
    let changes: [fn(&mut KvmParams); 3] = [
        |params| params.disk_type = "ide".into(),
        |params| params.machine_version = "q35".into(),
        |params| (params.disk_type, params.machine_version) = ("ide".into(), "q35".into()),
    ];
    for change in changes {
        let (spec, disks) = bench.guest();
        let mut spec = with(spec, change);
        let uuid = gantry_model::ids::NicUuid(Uuid::from_u128(3));
        spec.nics = vec![Nic {
            uuid,
            mac: "aa:00:00:00:00:01".into(),
            ip: None,
            name: None,
            nicparams: NicOverrides::default(),
        }];
        boot(&bench, &spec, &disks).await;
        let stopped = bench.hypervisor().stop(spec.instance, PATIENCE).await.expect("stops");
        assert_eq!(stopped, StoppedBy::Guest, "acpi works there too");
    }
}

#[tokio::test]
async fn a_qemu_that_dies_while_watched_is_told() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    boot(&bench, &spec, &disks).await;
    let hv = bench.hypervisor();
    let mut events = hv.events();
    let report = hv.query(spec.instance).await.expect("asks").expect("runs");
    bench.kill_behind(&report).await;
    let exited = async {
        loop {
            if let GuestChange::Exited { .. } = events.recv().await.expect("goes on").change {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, exited).await.expect("told");
    assert_eq!(hv.query(spec.instance).await.expect("asks"), None);
}

#[tokio::test]
async fn a_qemu_that_hangs_is_still_there_and_can_be_killed() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    boot(&bench, &spec, &disks).await;
    let hv = bench.hypervisor();
    let pid = hv.query(spec.instance).await.expect("asks").expect("runs").pid.expect("has one");
    let hang = Command::new("/bin/kill").args(["-STOP", &pid.to_string()]);
    RealRunner.run(hang).await.expect("stopped");
    let report = hv.query(spec.instance).await.expect("asks").expect("exists");
    assert_eq!(report.state, GuestState::Running);
    hv.kill(spec.instance).await.expect("killed");
    assert_eq!(ProcessIdentity::of(pid).expect("proc"), None);
}

#[tokio::test]
async fn a_guest_whose_identity_was_not_written_is_found_by_its_command_line() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    boot(&bench, &spec, &disks).await;
    bench.crash();
    std::fs::remove_file(run_dir(&bench, spec.instance).join("process")).expect("was there");
    bench.restart();
    let hv = bench.hypervisor();
    let intent = InstanceStart { spec: spec.clone(), paused: false };
    let recovered = hv.recover(GuestIntent::Start(&intent)).await;
    assert!(matches!(recovered, Recovery::Done(_)), "it executes: {recovered:?}");
    hv.start(&spec, &disks, false).await.expect("runs already");
    let pid_file = run_dir(&bench, spec.instance).join("pid");
    let found = find_by_arguments(&["-pidfile", &pid_file.to_string_lossy()]).expect("proc");
    assert_eq!(found.len(), 1);
    hv.kill(spec.instance).await.expect("killed");
}

#[tokio::test]
async fn a_guest_whose_record_is_unreadable_is_not_started_again() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    boot(&bench, &spec, &disks).await;
    bench.crash();
    std::fs::write(run_dir(&bench, spec.instance).join("spec"), b"\xc1").expect("writes");
    bench.restart();
    let hv = bench.hypervisor();
    let error = hv.start(&spec, &disks, false).await.expect_err("something runs");
    assert!(matches!(error, HvError::Unrecorded { .. }), "{error}");
    let intent = InstanceStart { spec, paused: false };
    let recovered = hv.recover(GuestIntent::Start(&intent)).await;
    assert!(matches!(recovered, Recovery::Unknown(_)), "{recovered:?}");
}

#[tokio::test]
async fn the_directory_of_a_guest_is_closed_to_others_and_emptied_at_its_end() {
    use std::os::unix::fs::PermissionsExt;
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    boot(&bench, &spec, &disks).await;
    let dir = run_dir(&bench, spec.instance);
    let mode = std::fs::metadata(&dir).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    bench.hypervisor().kill(spec.instance).await.expect("killed");
    let entries = std::fs::read_dir(&dir).expect("lists");
    let mut left: Vec<_> = entries.map(|entry| entry.expect("lists").file_name()).collect();
    left.sort();
    assert_eq!(left, ["ended", "spec"]);
}

#[tokio::test]
async fn what_guests_get_is_said_aloud() {
    let Some(mut bench) = KvmBench::new() else { return };
    let (spec, disks) = bench.guest();
    let hv = bench.hypervisor();
    let facts = hv.node_facts().await;
    assert!(facts.usable && facts.version.contains("QEMU"), "{facts:?}");
    assert_eq!(facts.accelerator, "tcg");
    let warnings = hv.validate(&spec).await.expect("can run");
    let started = hv.start(&spec, &disks, false).await.expect("starts");
    for notes in [&facts.notes, &warnings, &started.notes] {
        assert!(notes[0].starts_with("emulated by tcg"), "{notes:?}");
    }
    hv.kill(spec.instance).await.expect("killed");
}

#[tokio::test]
async fn kvm_counts_only_where_a_guest_executes_under_it() {
    let Some(bench) = KvmBench::new() else { return };
    let accelerator = AcceleratorChoice::Probe;
    let hv: Arc<dyn Hypervisor> =
        Arc::new(KvmHypervisor::new(KvmConfig { accelerator, ..bench.config() }));
    let facts = hv.node_facts().await;
    if facts.accelerator == "kvm" {
        assert_eq!(facts.notes, Vec::<String>::new());
    } else {
        eprintln!("here: {:?}", facts.notes);
        assert_eq!(facts.accelerator, "tcg");
        assert!(facts.notes[0].contains("kvm is not usable here"), "{:?}", facts.notes);
    }
    assert_eq!(hv.node_facts().await, facts);
    let scratch = bench.base().join("run/kvm-probe");
    assert!(!scratch.exists(), "cleaned up");
    let serial = format!("file:{}", scratch.join("serial").display());
    let trial = find_by_arguments(&["-serial", &serial]).expect("proc");
    let gone = async {
        for process in trial {
            process.wait_gone(PATIENCE).await.expect("proc");
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("no trial guest is left");
}

#[tokio::test]
async fn a_program_without_kvm_is_noticed_by_the_probe() {
    use std::os::unix::fs::PermissionsExt;
    let Some(mut bench) = KvmBench::new() else { return };
    // A program that has a version, as QEMU has, but ends when it shall run a guest.
    let program = bench.base().join("qemu");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'QEMU emulator 0' && exit 0\n\
                  echo 'no kvm in here' >&2; exit 1\n";
    std::fs::write(&program, script).expect("writes");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, executable).expect("permitted");
    let (spec, disks) = bench.guest();
    let spec = with(spec, |params| params.kvm_path = program.to_string_lossy().into_owned());
    let accelerator = AcceleratorChoice::Probe;
    let hv = KvmHypervisor::new(KvmConfig { accelerator, ..bench.config() });
    let warnings = hv.validate(&spec).await.expect("it might run");
    let warning = warnings.last().expect("one");
    assert!(warning.starts_with("emulated by tcg: kvm is not usable here"), "{warning}");
    let error = hv.start(&spec, &disks, false).await.expect_err("it cannot run");
    let mut chain = error.to_string();
    if let Some(source) = std::error::Error::source(&error) {
        chain.push_str(&source.to_string());
    }
    assert!(chain.contains("no kvm in here"), "{chain}");
    assert_eq!(hv.list().await.expect("lists").guests, []);
    let fixed = AcceleratorChoice::Fixed(Accelerator::Kvm);
    let hv = KvmHypervisor::new(KvmConfig { accelerator: fixed, ..bench.config() });
    assert_eq!(hv.validate(&spec).await.expect("as told"), Vec::<String>::new());
}

/// The user of a process, as the kernel has it.
fn uid_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("Uid:")).expect("it has a user");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

// covers: H45 H46
#[tokio::test]
async fn a_guest_with_a_user_of_its_own_runs_as_that_one() {
    let Some(mut bench) = KvmBench::new() else { return };
    if gantry_host::accounts::own_uid() != 0 {
        return eprintln!("SKIPPED: only root can start guests as another user");
    }
    let nobody = gantry_host::accounts::account_named("nobody").expect("looked up");
    let nobody = nobody.expect("every machine has it").uid;
    let (spec, disks) = bench.guest();
    let spec = with(spec, |params| {
        params.security_model = "user".into();
        params.security_domain = "nobody".into();
    });
    boot(&bench, &spec, &disks).await;
    let hv = bench.hypervisor();
    let report = hv.list().await.expect("lists").guests.remove(0);
    assert_eq!(uid_of(report.pid.expect("a process")), nobody);
    // It is ended as any other, and can be started again over what it left.
    hv.kill(spec.instance).await.expect("killed");
    boot(&bench, &spec, &disks).await;
    hv.kill(spec.instance).await.expect("killed");
}

// covers: H45
#[tokio::test]
async fn guests_of_a_pool_run_as_users_of_their_own() {
    let Some(mut bench) = KvmBench::new() else { return };
    if gantry_host::accounts::own_uid() != 0 {
        return eprintln!("SKIPPED: only root can start guests as another user");
    }
    // What the first users of every machine are called differs; that they exist does not.
    let pool = vec![(1, 20)];
    let hv = bench.hypervisor();
    let mut users = Vec::new();
    for _ in 0..2 {
        let (spec, disks) = bench.guest();
        let spec = GuestSpec { uid_pool: pool.clone(), ..spec };
        let spec = with(spec, |params| params.security_model = "pool".into());
        boot(&bench, &spec, &disks).await;
        let guests = hv.list().await.expect("lists").guests;
        let report = guests.into_iter().find(|guest| guest.instance == spec.instance);
        users.push(uid_of(report.and_then(|report| report.pid).expect("a process")));
    }
    assert!(users.iter().all(|uid| (1..=20).contains(uid)), "{users:?}");
    assert_ne!(users[0], users[1]);
    // A pool that is used up refuses, before anything happens.
    let (spec, disks) = bench.guest();
    let spec = GuestSpec { uid_pool: users.iter().map(|uid| (*uid, *uid)).collect(), ..spec };
    let spec = with(spec, |params| params.security_model = "pool".into());
    let error = hv.start(&spec, &disks, false).await.expect_err("refused");
    assert!(error.to_string().contains("as whom nothing runs"), "{error}");
    assert!(!run_dir(&bench, spec.instance).exists(), "nothing has happened");
    for guest in hv.list().await.expect("lists").guests {
        hv.kill(guest.instance).await.expect("killed");
    }
}

// covers: H45 H46
#[tokio::test]
async fn a_guest_never_runs_as_root_in_place_of_a_user_that_is_not_there() {
    let Some(mut bench) = KvmBench::new() else { return };
    for (model, domain, named) in
        [("user", "gantry-no-such-user", "gantry-no-such-user"), ("pool", "", "pool")]
    {
        let (spec, disks) = bench.guest();
        let spec = with(spec, |params| {
            params.security_model = model.into();
            params.security_domain = domain.into();
        });
        let error = bench.hypervisor().start(&spec, &disks, false).await.expect_err("refused");
        assert_eq!(error.code(), FaultCode::WrongInput, "{error}");
        assert!(error.to_string().contains(named) || !domain.is_empty(), "{error}");
        assert!(!run_dir(&bench, spec.instance).exists(), "nothing has happened");
    }
}

//! Machines made of files and scripts.

use gantry_host::ScriptedRunner;

use super::*;

const QEMU: &str = "/usr/bin/qemu-system-x86_64 --version";
const CLOCK: &str = "/usr/bin/timedatectl show --property=NTPSynchronized --value";

fn patient(root: &Path, script: ScriptedRunner) -> Patient {
    let state_dir = StateDir::new(root.join("state"));
    let (root, runner) = (root.to_owned(), Arc::new(script));
    let kvm_trial: KvmTrial = |_| std::future::ready(Ok(())).boxed();
    Patient {
        root,
        runner,
        state_dir,
        node: None,
        clock: || Duration::from_secs(1_000_000),
        kvm_trial,
    }
}

fn make(root: &Path, file: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().expect("below the root")).expect("made");
    std::fs::write(path, "").expect("made");
}

async fn all(patient: &Patient) -> Vec<Finding> {
    let mut findings = Vec::new();
    examine(patient, &mut |finding| findings.push(finding)).await;
    findings
}

fn of<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.check == check).expect("it is checked")
}

#[tokio::test]
async fn a_machine_with_everything_passes() {
    let root = tempfile::tempdir().expect("a directory");
    for file in [
        "dev/kvm",
        "usr/bin/qemu-system-x86_64",
        "dev/net/tun",
        "dev/vhost-net",
        "sys/class/net/br0/bridge/bridge_id",
        "sys/class/net/eth0/address",
        "sys/fs/cgroup/cgroup.controllers",
        "run/systemd/system/x",
        "usr/bin/systemd-run",
    ] {
        make(root.path(), file);
    }
    let script = ScriptedRunner::new()
        .prints(QEMU, "QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7)\nCopyright\n")
        .prints(CLOCK, "yes\n");
    let findings = all(&patient(root.path(), script)).await;
    for check in ["qemu", "kvm", "tun", "vhost_net", "bridges", "cgroup", "clock"] {
        let finding = of(&findings, check);
        assert_eq!((finding.verdict, &finding.advice), (Verdict::Ok, &None), "{finding:?}");
    }
    assert_eq!(of(&findings, "bridges").found, "br0");
    assert!(of(&findings, "qemu").found.contains("7.2.15"));
    assert!(of(&findings, "kvm").found.contains("executes"));
}

#[tokio::test]
async fn a_device_under_which_no_guest_executes_is_no_kvm() {
    let root = tempfile::tempdir().expect("a directory");
    make(root.path(), "dev/kvm");
    make(root.path(), "usr/bin/qemu-system-x86_64");
    let kvm_trial: KvmTrial = |_| std::future::ready(Err("it stood still".to_owned())).boxed();
    let patient = Patient { kvm_trial, ..patient(root.path(), ScriptedRunner::new()) };
    let finding = devices::kvm(&patient).await;
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(finding.found.contains("it stood still"), "{}", finding.found);
}

#[test]
fn a_directory_of_disks_that_is_not_allowed_is_found() {
    let root = tempfile::tempdir().expect("a directory");
    let mut patient = patient(root.path(), ScriptedRunner::new());
    assert_eq!(disks::allowed_paths(&patient).verdict, Verdict::Ok);
    patient.state_dir.create().expect("made");
    let file = root.path().join("disks").display().to_string();
    patient.node = Some(disks::node_with_files_in(&file));
    assert_eq!(disks::allowed_paths(&patient).verdict, Verdict::Warning, "there is no list");
    let list = patient.state_dir.storage_paths();
    std::fs::write(&list, "/srv/other\n").expect("written");
    let finding = disks::allowed_paths(&patient);
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(finding.advice.expect("advice").contains(&file));
    std::fs::write(&list, format!("{file}\n")).expect("written");
    assert_eq!(disks::allowed_paths(&patient).verdict, Verdict::Ok);
}

#[tokio::test]
async fn a_bare_machine_is_told_what_to_do_about_each() {
    let root = tempfile::tempdir().expect("a directory");
    let missing = gantry_host::CommandError::NotFound { program: "/usr/bin/qemu".into() };
    let script = ScriptedRunner::new().run_line(QEMU, Err(missing)).prints(CLOCK, "no\n");
    let findings = all(&patient(root.path(), script)).await;
    assert_eq!(of(&findings, "qemu").verdict, Verdict::Failed);
    for check in ["kvm", "tun", "vhost_net", "bridges", "cgroup", "clock", "node", "daemon"] {
        assert_eq!(of(&findings, check).verdict, Verdict::Warning, "{check}");
    }
    for finding in findings.iter().filter(|finding| finding.verdict != Verdict::Ok) {
        assert!(finding.advice.is_some(), "{finding:?}");
    }
}

#[tokio::test]
async fn an_emulator_that_is_too_old_is_refused_by_its_version() {
    let root = tempfile::tempdir().expect("a directory");
    let script = ScriptedRunner::new().prints(QEMU, "QEMU emulator version 2.11.1(Debian)\n");
    let finding = programs::qemu(&patient(root.path(), script)).await;
    assert_eq!(finding.verdict, Verdict::Failed);
    assert!(finding.advice.expect("advice").contains("version 5"));
}

#[tokio::test]
async fn a_state_directory_that_is_open_to_others_fails() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().expect("a directory");
    let patient = patient(root.path(), ScriptedRunner::new());
    patient.state_dir.create().expect("made");
    assert_eq!(disks::state_dir(&patient).verdict, Verdict::Ok);
    let open = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(patient.state_dir.path(), open).expect("set");
    assert_eq!(disks::state_dir(&patient).verdict, Verdict::Failed);
}

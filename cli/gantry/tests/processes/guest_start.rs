//! Guests that cannot be started or will not stop: what is said, and what is left.

use std::os::unix::fs::PermissionsExt;

use crate::console;
use crate::rig::{Cluster, eventually, has_qemu};

const NAME: &str = "web1.t";

/// Writes a program that plays QEMU.
fn false_qemu(cluster: &Cluster, script: &str) -> String {
    let path = cluster.place.join("qemu.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the script");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, executable).expect("executable");
    format!("kvm:kvm_path={}", path.display())
}

/// Row I1: an instance that was made and does not start stays, marked to run. Nothing of a guest
/// is left, and it can be removed.
fn assert_kept_without_a_guest(cluster: &Cluster) {
    cluster.wait_status(NAME, "ERROR_down");
    assert_eq!(cluster.qemus(1), []);
    cluster.gantry(&["instance", "remove", "-f", NAME]).success();
    cluster.assert_nothing_left();
}

// covers: I1
#[test]
fn a_missing_qemu_is_said_with_the_package_that_has_it() {
    let cluster = Cluster::of_one();
    let refused = cluster.add(NAME, &["-H", "kvm:kvm_path=/nonexistent"]);
    let text = refused.failure(1);
    for word in ["/nonexistent", "qemu-system-x86"] {
        assert!(text.contains(word), "{word}: {refused}");
    }
    assert_kept_without_a_guest(&cluster);
}

#[test]
fn a_qemu_that_does_not_run_at_all_is_quoted() {
    let cluster = Cluster::of_one();
    let qemu = false_qemu(&cluster, "echo 'no such luck' >&2; exit 1");
    let refused = cluster.add(NAME, &["-H", &qemu]);
    let text = refused.failure(1);
    assert!(text.contains("no such luck"), "{refused}");
    assert_kept_without_a_guest(&cluster);
}

#[test]
fn a_qemu_that_dies_at_the_start_of_a_guest_is_quoted() {
    let cluster = Cluster::of_one();
    let script = "case \"$1\" in --version) echo 'QEMU emulator version 7.2.0';; \
                  *) echo 'could not set up the machine' >&2; exit 1;; esac";
    let qemu = false_qemu(&cluster, script);
    let refused = cluster.add(NAME, &["-H", &qemu]);
    let text = refused.failure(1);
    assert!(text.contains("could not set up the machine"), "{refused}");
    assert_kept_without_a_guest(&cluster);
}

#[test]
fn a_guest_that_ignores_the_power_button_is_killed_and_that_is_said() {
    if !has_qemu() {
        return;
    }
    let cluster = Cluster::of_one();
    cluster.add(NAME, &[]).success();
    eventually("the guest is up", || (cluster.n_boots() == 1).then_some(()));
    let console = console::open(&cluster, 1, NAME, "i");
    console::wait_says(&console, "IGNORE 1");
    let stopped = cluster.gantry(&["instance", "shutdown", "--timeout", "1", NAME]);
    let said = stopped.success();
    assert!(said.contains("killed"), "{stopped}");
    cluster.wait_status(NAME, "ADMIN_down");
    assert_eq!(cluster.qemus(1), []);
}

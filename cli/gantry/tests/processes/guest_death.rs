//! Guests that end by themselves, and guests that outlive their daemon.

use std::time::Duration;

use gantry_host::find_by_arguments;

use crate::console;
use crate::rig::{Cluster, Launch, eventually, eventually_within, has_qemu, now_us, skipped};

const NAME: &str = "web1.t";

/// An operator who looks again after this must not see a dead guest as running. Nothing polls:
/// QEMU's end closes a socket. The rest is for a machine with two cores and much to do.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

fn cluster_with_guest() -> Cluster {
    let cluster = Cluster::of_one();
    cluster.add(NAME, &[]).success();
    cluster.wait_status(NAME, "running");
    eventually("the guest is up", || (cluster.n_boots() == 1).then_some(()));
    cluster
}

#[test]
fn a_killed_qemu_is_noticed_and_can_be_started_again() {
    if !has_qemu() {
        return;
    }
    let cluster = cluster_with_guest();
    let first = cluster.one_qemu(1);
    assert!(first.kill().expect("our guest"));
    eventually_within(NOTICED_WITHIN, "the dead guest is seen", || {
        (cluster.instances() == [(NAME.to_owned(), "ERROR_down".to_owned())]).then_some(())
    });
    cluster.gantry(&["instance", "startup", NAME]).success();
    cluster.wait_status(NAME, "running");
    assert_ne!(cluster.one_qemu(1), first);
    eventually("the guest is up again", || (cluster.n_boots() == 2).then_some(()));
}

#[test]
fn a_guest_that_powers_itself_off_is_down_by_its_user() {
    if !has_qemu() {
        return;
    }
    let cluster = cluster_with_guest();
    let console = console::open(&cluster, 1, NAME, "q");
    cluster.wait_status(NAME, "USER_down");
    let ended = console.finish(Duration::from_secs(20));
    ended.success();
    assert!(ended.stderr.contains("is not running any more"), "{ended}");
    assert_eq!(cluster.qemus(1), []);
    // Not for a moment only: it is not taken for a guest that died when nothing is left of it.
    let later = cluster.instances();
    assert_eq!(later, [(NAME.to_owned(), "USER_down".to_owned())]);
    cluster.gantry(&["instance", "startup", NAME]).success();
    cluster.wait_status(NAME, "running");
}

#[test]
fn a_guest_goes_on_without_its_daemon() {
    if !has_qemu() {
        return;
    }
    let mut cluster = cluster_with_guest();
    let before = cluster.one_qemu(1);
    cluster.kill(1);
    assert!(before.is_alive().expect("/proc"), "the guest died with its daemon");
    cluster.start(1);
    cluster.wait_status(NAME, "running");
    assert_eq!(cluster.one_qemu(1), before);
    let console = console::open(&cluster, 1, NAME, "");
    console::wait_says(&console, "TICK ");
    assert!(!console.stdout().contains("GANTRY-GUEST UP"), "{}", console.stdout());
    assert_eq!(cluster.n_boots(), 1);
}

#[test]
fn a_guest_that_dies_while_its_daemon_is_dead_is_seen_afterwards() {
    if !has_qemu() {
        return;
    }
    let mut cluster = cluster_with_guest();
    let guest = cluster.one_qemu(1);
    cluster.kill(1);
    assert!(guest.kill().expect("our guest"));
    cluster.start(1);
    cluster.wait_status(NAME, "ERROR_down");
    cluster.gantry(&["instance", "startup", NAME]).success();
    cluster.wait_status(NAME, "running");
    cluster.one_qemu(1);
}

#[test]
fn a_trial_guest_does_not_outlive_the_daemons() {
    if !has_qemu() {
        return;
    }
    let mut cluster = Cluster::made();
    let serial = cluster.node(1).state_dir.join("run").join("kvm-probe").join("serial");
    let wanted = format!("file:{}", serial.display());
    let trials = || find_by_arguments(&["-serial", &wanted]).expect("/proc");
    let mut daemon = cluster.launch(1, &Launch::default());
    // Where there is no /dev/kvm nothing is tried, and where it works it is over very soon.
    let deadline = now_us() + 5_000_000;
    let orphan = loop {
        if let Some(trial) = trials().pop() {
            break trial;
        }
        if now_us() > deadline {
            skipped("no trial guest was seen, /dev/kvm is missing or quick");
            return;
        }
    };
    daemon.kill();
    cluster.start(1);
    eventually("the trial guest of the dead daemon ends", || {
        (!orphan.is_alive().expect("/proc")).then_some(())
    });
    eventually("the trial is over", || trials().is_empty().then_some(()));
}

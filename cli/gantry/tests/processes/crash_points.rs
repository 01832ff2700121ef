//! A daemon, leader and node in one, dies at every point of every node call of an instance's life
//! and is started again. The command that waited goes on waiting and hears the end of its job.

use std::time::Duration;

use crate::rig::{Cluster, Launch, eventually, has_qemu};

/// How long a command may wait for its job over the death and the start of a daemon.
const CLIENT_WAIT: Duration = Duration::from_secs(60);

const NAME: &str = "web1.t";

/// Runs a command during which the daemon dies and comes back.
fn crash(cluster: &mut Cluster, words: &[&str]) {
    let n_jobs = cluster.jobs().len();
    let client = cluster.spawn(1, words);
    let dead = cluster.wait_end(1);
    assert_eq!(dead.signal(), Some(9), "it should have killed itself: {dead}");
    cluster.start(1);

    let told = client.finish(CLIENT_WAIT);
    let jobs = cluster.jobs();
    assert_eq!(jobs.len(), n_jobs + 1, "one command is one job: {jobs:?}");
    let (id, status) = jobs.last().expect("a job");
    assert_eq!(status, "success", "{}\n{told}", cluster.job(*id));
    told.success();
    let end = cluster.job(*id)["end_us"].clone();
    cluster.wait_no_locks();
    assert_eq!(cluster.job(*id)["end_us"], end, "it ended once");
    assert!(cluster.qemus(1).len() <= 1, "a guest runs twice");
}

fn assert_runs_once(cluster: &Cluster) {
    cluster.wait_status(NAME, "running");
    let qemu = cluster.one_qemu(1);
    eventually("the guest is up", || (cluster.n_boots() > 0).then_some(()));
    assert_eq!(cluster.n_boots(), 1, "it was booted again");
    let files = cluster.disk_files();
    assert_eq!(files.len(), 1, "{files:?}");
    let disk = files.first().expect("one").display().to_string();
    assert!(disk.ends_with(".file.disk0"), "half-made: {disk}");
    assert!(qemu.is_alive().expect("/proc"), "it has ended");
}

fn create(call: &str, at: &str) {
    if !has_qemu() {
        return;
    }
    let mut cluster = Cluster::made();
    cluster.start_as(1, &Launch::crash_at(call, at));
    let words = cluster.add_words(1, NAME, &[]);
    crash(&mut cluster, &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_runs_once(&cluster);
}

fn startup(call: &str, at: &str) {
    if !has_qemu() {
        return;
    }
    let mut cluster = Cluster::made();
    cluster.start_as(1, &Launch::crash_at(call, at));
    cluster.add(NAME, &["--no-start"]).success();
    crash(&mut cluster, &["instance", "startup", NAME]);
    assert_runs_once(&cluster);
}

fn remove(call: &str, at: &str) {
    if !has_qemu() {
        return;
    }
    let mut cluster = Cluster::made();
    cluster.start_as(1, &Launch::crash_at(call, at));
    cluster.add(NAME, &[]).success();
    cluster.one_qemu(1);
    crash(&mut cluster, &["instance", "remove", "-f", "--shutdown-timeout", "5", NAME]);
    cluster.assert_nothing_left();
}

/// One test for each moment of a call.
macro_rules! at_every_point {
    ($scenario:ident: $($name:ident = $call:literal),* $(,)?) => {
        $(mod $name {
            #[test]
            fn before_intent() { super::super::$scenario($call, "before-intent"); }
            #[test]
            fn after_intent() { super::super::$scenario($call, "after-intent"); }
            #[test]
            fn after_effect() { super::super::$scenario($call, "after-effect"); }
            #[test]
            fn after_record() { super::super::$scenario($call, "after-record"); }
        })*
    };
}

mod creating {
    at_every_point!(create:
        disk_create = "disk.create",
        disk_write_image = "disk.write-image",
        instance_start = "instance.start",
    );
}

mod starting {
    at_every_point!(startup: instance_start = "instance.start");
}

mod removing {
    at_every_point!(remove:
        instance_stop = "instance.stop",
        disk_remove = "disk.remove",
    );
}

//! Disks that take no more: under images, and under the log.

use std::time::Duration;

use crate::rig::{Cluster, Launch, Program, is_root, skipped};

/// How a daemon is started so that a limit on the size of its files is an error to it, as a full
/// disk is, and not its death: the signal that comes with the error is ignored.
fn limited(more: &[&str]) -> Launch {
    let mut through = vec!["/bin/sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    through.extend(more);
    Launch { through: through.into_iter().map(str::to_owned).collect(), ..Launch::default() }
}

fn limit_files(cluster: &Cluster, pid: u32, bytes: &str) {
    let words = [
        "/usr/bin/prlimit".to_owned(),
        "--pid".to_owned(),
        pid.to_string(),
        format!("--fsize={bytes}:unlimited"),
    ];
    let words: Vec<_> = words.iter().map(Into::into).collect();
    Program::start(&cluster.place, &words, &[], None).finish(Duration::from_secs(10)).success();
}

#[test]
fn a_disk_that_cannot_be_written_is_taken_back() {
    let mut cluster = Cluster::made();
    // Enough for the log, too little for the image.
    cluster.start_as(1, &limited(&["/usr/bin/prlimit", "--fsize=33554432"]));
    let refused = cluster.add_sized("web1.t", "64M", &[]);
    let text = refused.failure(1);
    assert!(text.contains("File too large") && text.contains("disk 0"), "{refused}");
    cluster.assert_nothing_left();
    // What fits is made as ever.
    cluster.add("web2.t", &["--no-start"]).success();
}

#[test]
fn a_file_system_without_space_refuses_and_keeps_nothing() {
    if !is_root() {
        return;
    }
    let mut cluster = Cluster::made();
    let disks = cluster.disks();
    std::fs::create_dir_all(&disks).expect("a place to mount on");
    let script = format!("mount -t tmpfs -o size=12m tmpfs {} && exec \"$@\"", disks.display());
    let through = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &script, "sh"];
    let through = through.into_iter().map(str::to_owned).collect();
    let launch = Launch { through, ..Launch::default() };
    if !can_mount(&cluster, &launch) {
        skipped("nothing can be mounted here");
        return;
    }
    cluster.start_as(1, &launch);
    let fill = |name: &str| cluster.add_sized(name, "8M", &["--no-start"]);
    fill("web1.t").success();
    let refused = fill("web2.t");
    let text = refused.failure(1);
    assert!(text.contains("not enough space") && text.contains("needed 8 MiB"), "{refused}");
    assert_eq!(cluster.instances().len(), 1);
    let inside = format!("/proc/{}/root{}", cluster.daemon_pid(1), disks.display());
    let n_there = std::fs::read_dir(inside).expect("the daemon's view").count();
    assert_eq!(n_there, 1, "only the first instance has a directory");
    cluster.gantry(&["instance", "remove", "-f", "web1.t"]).success();
    fill("web2.t").success();
}

fn can_mount(cluster: &Cluster, launch: &Launch) -> bool {
    let mut words: Vec<_> = launch.through.iter().map(Into::into).collect();
    words.push("/bin/true".into());
    let tried = Program::start(&cluster.place, &words, &[], None).finish(Duration::from_secs(10));
    tried.code() == Some(0)
}

#[test]
fn a_log_that_cannot_grow_refuses_jobs_and_loses_none() {
    let mut cluster = Cluster::made();
    cluster.start_as(1, &limited(&[]));
    for _ in 0..3 {
        cluster.gantry(&["debug", "delay", "0.01"]).success();
    }
    let before = cluster.jobs();
    limit_files(&cluster, cluster.daemon_pid(1), "1");
    let refused = cluster.gantry(&["debug", "delay", "--submit", "--print-jobid", "0.01"]);
    let text = refused.failure(1);
    assert!(text.contains("File too large"), "the reason is not said: {refused}");
    assert_eq!(refused.stdout, "", "a number was given for what is not on disk");

    // There is space again; whoever is asked to stop stops, and the next daemon has everything.
    limit_files(&cluster, cluster.daemon_pid(1), "unlimited");
    cluster.stop(1);
    cluster.start(1);
    let after = cluster.jobs();
    assert_eq!(after[..before.len()], before[..]);
    assert!(after.len() <= before.len() + 1, "{after:?}");
    cluster.gantry(&["debug", "delay", "0.01"]).success();
    cluster.wait_no_locks();
}

//! Disks that take no more: under images, and under the log.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::rig::{Cluster, Launch, Program, eventually, is_root, path, skipped};

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
    let mut cluster = Cluster::made();
    let disks = cluster.disks();
    std::fs::create_dir_all(&disks).expect("a place to mount on");
    let mount = format!("mount -t tmpfs -o size=12m tmpfs {}", disks.display());
    let Some(launch) = mounted(&cluster, &mount) else { return };
    cluster.start_as(1, &launch);
    let fill = |name: &str| cluster.add_sized(name, "8M", &["--no-start"]);
    fill("web1.t").success();
    let refused = fill("web2.t");
    let text = refused.failure(1);
    assert!(text.contains("not enough space") && text.contains("needed 8 MiB"), "{refused}");
    assert_eq!(cluster.instances().len(), 1);
    let inside = format!("/proc/{}/root{}", cluster.daemon_pid(1), disks.display());
    let n_there = std::fs::read_dir(&inside).expect("the daemon's view").count();
    assert_eq!(n_there, 1, "only the first instance has a directory");
    cluster.gantry(&["instance", "remove", "-f", "web1.t"]).success();
    fill("web2.t").success();
}

#[test]
fn a_file_system_that_is_full_in_the_middle_gets_back_what_was_made() {
    let mut cluster = Cluster::made();
    let disks = cluster.disks();
    std::fs::create_dir_all(&disks).expect("a place to mount on");
    // Space enough for the check before, but files only for the top, a directory and one disk.
    let mount = format!("mount -t tmpfs -o size=64m,nr_inodes=3 tmpfs {}", disks.display());
    let Some(launch) = mounted(&cluster, &mount) else { return };
    cluster.start_as(1, &launch);
    let add = |name: &str, disks: &[&str]| {
        let mut words = vec!["instance", "add", "-n", "node1.t", "--no-nics", "-t", "file"];
        words.extend(["--no-start", "--no-install", "-o", "noop"]);
        words.extend(disks.iter().flat_map(|disk| ["--disk", disk]));
        words.push(name);
        cluster.gantry(&words)
    };
    let refused = add("web1.t", &["0:size=4M", "1:size=4M"]);
    let text = refused.failure(1);
    assert!(text.contains("No space left on device") && text.contains("disk 1"), "{refused}");
    let inside = format!("/proc/{}/root{}", cluster.daemon_pid(1), disks.display());
    let n_there = std::fs::read_dir(inside).expect("the daemon's view").count();
    assert_eq!(n_there, 0, "half of an instance was left");
    assert_eq!(cluster.instances(), []);
    cluster.wait_no_locks();
    // One disk is as much as there is room for: nothing holds it.
    add("web2.t", &["0:size=4M"]).success();
}

/// A daemon with mounts of its own, made by this script; `None` where that is not possible, which
/// is said aloud.
fn mounted(cluster: &Cluster, script: &str) -> Option<Launch> {
    let script = format!("{script} && exec \"$@\"");
    // Whoever is not root is root in a user namespace of their own, if the system lets them.
    let own =
        if is_root() { vec!["--mount"] } else { vec!["--user", "--map-root-user", "--mount"] };
    let mut through = vec!["/usr/bin/unshare"];
    through.extend(own);
    through.extend(["/bin/sh", "-c", &script, "sh"]);
    let through: Vec<String> = through.into_iter().map(str::to_owned).collect();
    let mut words: Vec<_> = through.iter().map(Into::into).collect();
    words.push("/bin/true".into());
    let tried = Program::start(&cluster.place, &words, &[], None).finish(Duration::from_secs(10));
    if tried.code() != Some(0) {
        skipped(&format!("nothing can be mounted here: {tried}"));
        return None;
    }
    Some(Launch { through, ..Launch::default() })
}

fn copy(cluster: &Cluster, from: &Path, to: &Path) {
    let words = ["/bin/cp", "-a", &format!("{}/.", from.display()), path(to)];
    let words: Vec<_> = words.iter().map(Into::into).collect();
    Program::start(&cluster.place, &words, &[], None).finish(Duration::from_secs(10)).success();
}

/// Writes until the file system takes no more byte.
fn fill(file: &Path) {
    let mut file = std::fs::File::create(file).expect("a file");
    for size in [64 * 1024, 1] {
        while file.write_all(&vec![0x5a; size]).is_ok() {}
    }
}

#[test]
fn a_log_on_a_full_file_system_refuses_jobs_and_loses_none() {
    let mut cluster = Cluster::made();
    let log = cluster.node(1).state_dir.join("log");
    let (aside, log_text) = (cluster.place.join("log-before"), log.display());
    std::fs::create_dir_all(&aside).expect("a place beside it");
    copy(&cluster, &log, &aside);
    let script = format!(
        "mount -t tmpfs -o size=12m tmpfs {log_text} && cp -a {}/. {log_text}/",
        aside.display()
    );
    let Some(launch) = mounted(&cluster, &script) else { return };
    cluster.start_as(1, &launch);
    cluster.gantry(&["debug", "delay", "0.01"]).success();

    let inside = format!("/proc/{}/root{log_text}", cluster.daemon_pid(1));
    let filler = Path::new(&inside).join("filler");
    fill(&filler);
    // Long, so that the log is written soon where it has never been.
    let reason = "x".repeat(16 * 1024);
    let words = ["debug", "delay", "--submit", "--print-jobid", "--reason", &reason, "0.01"];
    let mut acknowledged = 1;
    let refused = loop {
        let submitted = cluster.gantry(&words);
        if submitted.code() != Some(0) {
            break submitted;
        }
        acknowledged += 1;
        assert!(acknowledged < 500, "the log never needed space");
    };
    let text = refused.failure(1);
    assert!(text.contains("No space left on device"), "the reason is not said: {refused}");
    assert_eq!(refused.stdout, "", "a number was given for what is not on disk");

    // There is space again, and the next daemon has everything.
    std::fs::remove_file(&filler).expect("the filler");
    copy(&cluster, Path::new(&inside), &log);
    cluster.stop(1);
    cluster.start(1);
    eventually("every job that was acknowledged ends well", || {
        let jobs = cluster.jobs();
        let n_good = jobs.iter().filter(|(_, status)| status == "success").count();
        (jobs.len() == n_good && (acknowledged..=acknowledged + 1).contains(&n_good)).then_some(())
    });
    cluster.wait_no_locks();
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

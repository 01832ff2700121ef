//! A daemon, leader and node in one, dies before and after every commit of an instance's life and
//! is started again. How many commits there are is not written down: the number rises until a
//! command ends while the daemon lives.

use std::sync::Arc;
use std::time::Duration;

use gantry_host::Pool;
use gantry_hv::fake::FakeWorld;
use gantry_storage::fake::FakeStore;

use crate::rig::{Cluster, Finished, Launch, Program, eventually_within, has_qemu};

/// How long a command may wait for its job over the death and the start of a daemon.
const CLIENT_WAIT: Duration = Duration::from_secs(60);

/// Commits after which a test gives up: no command here has half as many.
const COMMITS_MAX: u64 = 60;

const NAME: &str = "web1.t";

/// How the daemon and the command ended that ran at the same time.
enum Ended {
    /// The daemon killed itself, was started again, and the command went on.
    Crashed(Finished),
    /// The command ended first: there is no such commit.
    Lived(Finished),
}

/// Runs a command under a daemon that is to die; starts another when it did.
fn run(cluster: &mut Cluster, words: &[&str]) -> Ended {
    let mut client = cluster.spawn(1, words);
    let first = eventually_within(CLIENT_WAIT, "the daemon or the command ends", || {
        let died = cluster.has_ended(1);
        let told = client.ended();
        (died || told.is_some()).then_some((died, told))
    });
    match first {
        // What its guests did is a commit a moment after the command: the daemon may die of that
        // while it is looked at.
        (false, Some(told)) => {
            cluster.kill(1);
            cluster.start(1);
            Ended::Lived(told)
        }
        (_, told) => {
            let dead = cluster.wait_end(1);
            assert_eq!(dead.signal(), Some(9), "it should have killed itself: {dead}");
            cluster.start(1);
            Ended::Crashed(told.unwrap_or_else(|| wait(client)))
        }
    }
}

fn wait(client: Program) -> Finished {
    client.finish(CLIENT_WAIT)
}

/// The command is one more job, which ended once and well; nobody holds a lock.
fn assert_one_good_job(cluster: &Cluster, n_before: usize, told: &Finished) {
    let words = ["job", "list", "--no-headers", "--separator=|", "-o", "id,status,end_ts"];
    let jobs = || cluster.gantry(&words).success().lines().map(str::to_owned).collect::<Vec<_>>();
    let ended = jobs();
    assert_eq!(ended.len(), n_before + 1, "one command is one job: {ended:?}\n{told}");
    let last = ended.last().expect("a job");
    assert!(last.contains("|success|["), "{last}\n{told}");
    told.success();
    cluster.wait_no_locks();
    assert_eq!(jobs(), ended, "it ended once");
}

/// What the worlds of the fake backends have and have seen: disks, and guests that run.
fn assert_worlds(cluster: &Cluster, n_disks: usize, n_running: usize) {
    let directory = cluster.node(1).state_dir.join("fake");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let disks = FakeStore::in_directory(&directory.join("disks"), Arc::new(Pool));
        let disks = disks.expect("the world of disks");
        assert_eq!(disks.violations().await.expect("readable"), Vec::<String>::new());
        assert_eq!(disks.disks().await.expect("readable").len(), n_disks);
        let guests = FakeWorld::in_directory(&directory.join("guests"), Arc::new(Pool));
        let guests = guests.expect("the world of guests");
        assert_eq!(guests.violations().await.expect("readable"), Vec::<String>::new());
        assert_eq!(guests.running().await.expect("readable").len(), n_running);
    });
}

/// Dies at the first, second, … commit of a command until it has no more. `prepare` makes what the
/// command needs and takes away what the last round left; `check` looks at what the command did.
fn at_every_commit(
    moment: &str,
    words: &[&str],
    prepare: impl Fn(&Cluster),
    check: impl Fn(&Cluster),
) {
    let mut cluster = Cluster::of_one();
    for number in 1..=COMMITS_MAX {
        prepare(&cluster);
        let n_before = cluster.jobs().len();
        cluster.kill(1);
        cluster.start_as(1, &Launch::crash_at("commit", &format!("{number}:{moment}")));
        let ended = run(&mut cluster, words);
        match &ended {
            Ended::Crashed(told) | Ended::Lived(told) => {
                assert_one_good_job(&cluster, n_before, told);
            }
        }
        check(&cluster);
        if let Ended::Lived(_) = ended {
            // Submission, the steps, the end: fewer would mean that nothing was tried.
            assert!(number > 3, "only {} commits were met", number - 1);
            return;
        }
    }
    panic!("{words:?} has more than {COMMITS_MAX} commits");
}

fn remove_if_there(cluster: &Cluster) {
    if !cluster.instances().is_empty() {
        cluster.gantry(&["instance", "remove", "-f", NAME]).success();
    }
    assert_worlds(cluster, 0, 0);
}

fn creating(moment: &str) {
    at_every_commit(moment, &Cluster::fake_words(NAME), remove_if_there, |cluster| {
        cluster.wait_status(NAME, "running");
        assert_worlds(cluster, 1, 1);
    });
}

fn starting(moment: &str) {
    let stopped = |cluster: &Cluster| {
        if cluster.instances().is_empty() {
            let mut words = Cluster::fake_words(NAME);
            words.push("--no-start");
            cluster.gantry(&words).success();
        } else {
            cluster.gantry(&["instance", "shutdown", "--timeout", "0", NAME]).success();
        }
        assert_worlds(cluster, 1, 0);
    };
    at_every_commit(moment, &["instance", "startup", NAME], stopped, |cluster| {
        cluster.wait_status(NAME, "running");
        assert_worlds(cluster, 1, 1);
    });
}

fn removing(moment: &str) {
    let running = |cluster: &Cluster| {
        cluster.gantry(&Cluster::fake_words(NAME)).success();
        assert_worlds(cluster, 1, 1);
    };
    let words = ["instance", "remove", "-f", "--shutdown-timeout", "1", NAME];
    at_every_commit(moment, &words, running, |cluster| {
        assert_eq!(cluster.instances(), []);
        assert_worlds(cluster, 0, 0);
    });
}

#[test]
fn creating_dies_before_every_commit() {
    creating("before");
}

#[test]
fn creating_dies_after_every_commit() {
    creating("after");
}

#[test]
fn starting_dies_before_every_commit() {
    starting("before");
}

#[test]
fn starting_dies_after_every_commit() {
    starting("after");
}

#[test]
fn removing_dies_before_every_commit() {
    removing("before");
}

#[test]
fn removing_dies_after_every_commit() {
    removing("after");
}

/// With a real guest, where a second boot would be counted on its disk.
fn a_real_guest_at(number: u64, moment: &str) {
    if !has_qemu() {
        return;
    }
    let mut cluster = Cluster::made();
    cluster.start_as(1, &Launch::crash_at("commit", &format!("{number}:{moment}")));
    let words = cluster.add_words(1, NAME, &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&mut cluster, &words) {
        Ended::Crashed(told) => assert_one_good_job(&cluster, 0, &told),
        Ended::Lived(told) => panic!("no commit {number}: {told}"),
    }
    cluster.wait_status(NAME, "running");
    cluster.one_qemu(1);
    eventually_within(CLIENT_WAIT, "the guest is up", || (cluster.n_boots() > 0).then_some(()));
    assert_eq!(cluster.n_boots(), 1, "it was booted again");
    assert_eq!(cluster.disk_files().len(), 1, "{:?}", cluster.disk_files());
}

#[test]
fn a_real_guest_survives_a_death_before_the_third_commit() {
    a_real_guest_at(3, "before");
}

#[test]
fn a_real_guest_survives_a_death_after_the_sixth_commit() {
    a_real_guest_at(6, "after");
}

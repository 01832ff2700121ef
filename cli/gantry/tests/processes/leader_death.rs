//! `kill -9` of the only daemon under load, at moments chosen by a seed: what was acknowledged is
//! done, once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::rig::{Cluster, Finished, eventually, eventually_within};

const N_DELAYS: usize = 50;
const N_INSTANCES: usize = 5;
const N_CLIENTS: usize = 4;

/// How long the jobs may take, all together, and each command in its patience.
const LOAD_WAIT: Duration = Duration::from_secs(90);

/// Numbers that follow from a seed (splitmix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// The words of the n-th submission: mostly delays, instances among them.
fn words(n: usize) -> Vec<String> {
    let every = (N_DELAYS + N_INSTANCES) / N_INSTANCES;
    let name = format!("web{n}.t");
    let mut words = match n % every {
        0 => Cluster::fake_words(&name),
        remainder if remainder % 3 == 0 => vec!["debug", "delay", "-n", "node1.t", "0.05"],
        _ => vec!["debug", "delay", "0.1"],
    };
    words.extend(["--submit", "--print-jobid"]);
    words.into_iter().map(str::to_owned).collect()
}

/// The number that a submission printed first.
fn number(submitted: &Finished) -> u64 {
    let first = submitted.success().lines().next().unwrap_or_default();
    first.parse().unwrap_or_else(|_| panic!("no job number: {submitted}"))
}

fn submit_all(cluster: &Cluster, next: &AtomicUsize, acknowledged: &Mutex<Vec<u64>>) {
    loop {
        let n = next.fetch_add(1, Ordering::SeqCst);
        if n >= N_DELAYS + N_INSTANCES {
            return;
        }
        let words = words(n);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // A command that begins while no daemon is there says so, and that nothing was done.
        let submitted = eventually_within(LOAD_WAIT, "a daemon takes the job", || {
            let submitted = cluster.spawn(1, &words).finish(LOAD_WAIT);
            (!submitted.stderr.contains("no daemon answers")).then_some(submitted)
        });
        acknowledged.lock().expect("no panic").push(number(&submitted));
    }
}

fn killed_under_load(seed: u64) {
    let mut random = Seeded(seed);
    let n_before = usize::try_from(random.below(40)).expect("small") + 8;
    let mut cluster = Cluster::of_one();
    let mut daemon = cluster.nodes[0].daemon.take().expect("it runs");
    let acknowledged = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..N_CLIENTS {
            scope.spawn(|| submit_all(&cluster, &next, &acknowledged));
        }
        // The moment: so many are acknowledged, and the others are somewhere on their way.
        eventually_within(LOAD_WAIT, "some jobs are acknowledged", || {
            (acknowledged.lock().expect("no panic").len() >= n_before).then_some(())
        });
        daemon.kill();
        daemon = cluster.launch(1, &crate::rig::Launch::default());
    });
    cluster.nodes[0].daemon = Some(daemon);

    let acknowledged = acknowledged.into_inner().expect("no panic");
    let expected: BTreeSet<u64> = acknowledged.iter().copied().collect();
    assert_eq!(expected.len(), N_DELAYS + N_INSTANCES, "seed {seed}: a number was given twice");
    let is_final = |status: &str| ["success", "error", "canceled"].contains(&status);
    let jobs = eventually_within(LOAD_WAIT, "every job ends", || {
        let jobs = cluster.jobs();
        jobs.iter().all(|(_, status)| is_final(status)).then_some(jobs)
    });
    let there: BTreeSet<u64> = jobs.iter().map(|(id, _)| *id).collect();
    assert_eq!(there, expected, "seed {seed}: each submission is one job, and none is lost");
    let failed: Vec<_> = jobs.iter().filter(|(_, status)| status != "success").collect();
    assert!(failed.is_empty(), "seed {seed}: {failed:?}");
    eventually("all instances run", || {
        let instances = cluster.instances();
        let n_running = instances.iter().filter(|(_, status)| status == "running").count();
        (n_running == N_INSTANCES && instances.len() == N_INSTANCES).then_some(())
    });
    cluster.wait_no_locks();
}

#[test]
fn no_acknowledged_job_is_lost_seed_1() {
    killed_under_load(1);
}

#[test]
fn no_acknowledged_job_is_lost_seed_2() {
    killed_under_load(2);
}

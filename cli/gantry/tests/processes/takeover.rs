//! Three real daemons that vote: `kill -9` of the one that leads.

use std::time::Duration;

use crate::rig::{Cluster, eventually};

/// How long a command may take that waits for another leader.
const TAKEOVER_WAIT: Duration = Duration::from_secs(60);

fn master(cluster: &Cluster, at: usize) -> String {
    cluster.gantry_at(at, &["cluster", "getmaster"]).success().trim().to_owned()
}

// covers: Q20 C14
#[test]
fn another_daemon_takes_over_and_goes_on_with_the_jobs() {
    let mut cluster = Cluster::of_voters(3);
    let mut add = Cluster::fake_words("web1.t");
    add.iter_mut().filter(|word| **word == "node1.t").for_each(|word| *word = "node2.t");
    cluster.gantry(&add).success();
    let before = master(&cluster, 2);
    assert_eq!(before, "node1.t");
    // Submitted at a node that stays; it waits for the end through the change of leader.
    let waits = cluster.spawn(2, &["debug", "delay", "3"]);
    eventually("the job runs", || {
        let running = |(_, status): &(u64, String)| status == "running";
        cluster.jobs().iter().any(running).then_some(())
    });
    cluster.kill(1);
    waits.finish(TAKEOVER_WAIT).success();
    let after = master(&cluster, 2);
    assert_ne!(after, before);
    assert_eq!(master(&cluster, 3), after, "the third agrees");
    // What the first one had acknowledged is there, and the cluster takes work.
    let list = cluster.gantry_at(3, &["instance", "list", "--no-headers", "-o", "name"]);
    assert_eq!(list.success().trim(), "web1.t");
    cluster.gantry_at(3, &["debug", "delay", "0.1"]).success();
    // The old one comes back as a follower.
    cluster.start(1);
    assert_eq!(master(&cluster, 1), after);
}

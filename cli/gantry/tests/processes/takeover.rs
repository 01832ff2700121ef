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

fn roles(cluster: &Cluster, at: usize) -> Vec<String> {
    let list = cluster.gantry_at(at, &["node", "list", "--no-headers", "-o", "role"]);
    list.success().split_whitespace().map(str::to_owned).collect()
}

// covers: C13 C113 P30 P32 P34 P35
#[test]
fn the_old_master_is_taken_out_of_use_and_comes_back() {
    let mut cluster = Cluster::of_voters(3);
    let waits = cluster.spawn(3, &["debug", "delay", "2"]);
    // On the node that is to be the master, as in Ganeti.
    let said = cluster.gantry_on(2, &["cluster", "master-failover"]);
    assert_eq!(said.success().trim(), "The master is node2.t now.");
    waits.finish(TAKEOVER_WAIT).success();
    assert_eq!(roles(&cluster, 3), ["C", "M", "C"]);
    let refused = cluster.gantry_on(2, &["cluster", "master-failover"]);
    assert!(refused.failure(1).contains("node2.t is already the master"));
    // When the command ends the node may be switched off: it has no vote.
    let modified = cluster.gantry_at(3, &["node", "modify", "--offline", "yes", "node1.t"]);
    let expected = "Modified node node1.t\n - master_candidate -> False\n - offline -> True\n";
    assert!(modified.success().ends_with(expected));
    cluster.kill(1);
    assert_eq!(roles(&cluster, 3), ["O", "M", "C"]);
    cluster.gantry_at(3, &["debug", "delay", "0.1"]).success();
    let back = ["node", "modify", "--offline", "no", "--force", "node1.t"];
    let refused = cluster.gantry_at(2, &back);
    assert!(refused.failure(1).contains("de-offlined but fails to report its version"));
    cluster.start(1);
    cluster.gantry_at(2, &back).success();
    assert_eq!(roles(&cluster, 1), ["C", "M", "C"]);
    eventually("all three vote again", || {
        let info = cluster.gantry_at(2, &["cluster", "info"]);
        info.success().contains("node1.t, node2.t, node3.t").then_some(())
    });
    let said = cluster.gantry_at(3, &["cluster", "master-failover", "--to", "node1.t"]);
    assert_eq!(said.success().trim(), "The master is node1.t now.");
}

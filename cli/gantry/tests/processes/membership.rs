//! Nodes that come and go, and the end of a cluster.

use crate::rig::{Cluster, Program, eventually};

// covers: C7 C106 C116
#[test]
fn a_node_joins_while_jobs_run_and_leaves_again() {
    let mut cluster = Cluster::of(3);
    let jobs: Vec<Program> = (0..4)
        .map(|n| cluster.spawn(1 + n % 3, &["debug", "delay", "-l", "-n", "node2.t", "2"]))
        .collect();
    eventually("the jobs run", || {
        let jobs = cluster.jobs();
        (jobs.iter().filter(|(_, status)| status == "running").count() == 4).then_some(())
    });
    let joiner = cluster.add_place_for_node();
    let token = cluster.token_for(joiner);
    cluster.join(joiner, &token).success();
    cluster.start(joiner);
    cluster.wait_for_reports();
    for job in jobs {
        job.finish(std::time::Duration::from_secs(30)).success();
    }
    // It takes part: a job runs on it.
    cluster.gantry_at(joiner, &["debug", "delay", "-n", "node4.t", "0.01"]).success();

    cluster.gantry(&["node", "remove", "node4.t"]).success();
    let left = cluster.wait_end(joiner);
    left.success();
    let names = cluster.gantry(&["node", "list", "--no-headers", "-o", "name"]);
    assert_eq!(names.success().split_whitespace().count(), 3, "{names}");
    // Its directory is free again.
    let token = cluster.token_for(joiner);
    cluster.join(joiner, &token).success();
    cluster.start(joiner);
    cluster.wait_for_reports();
}

// covers: D5 S26
#[test]
fn a_node_that_leaves_takes_nothing_out_of_a_directory_that_nodes_share() {
    let mut cluster = Cluster::of(2);
    for (instance, node) in [("web1", "node1.t"), ("web2", "node2.t")] {
        let at = ["-n", node, "--no-start", "--no-install", instance];
        let add = ["instance", "add", "-t", "sharedfile", "-s", "1M", "-o", "none"];
        cluster.gantry(&[&add[..], &at[..]].concat()).success();
    }
    let disks = |cluster: &Cluster| {
        let of =
            |name| std::fs::read_dir(cluster.shared_disks().join(name)).map_or(0, Iterator::count);
        (of("web1"), of("web2"))
    };
    assert_eq!(disks(&cluster), (1, 1));
    let template = ["instance", "list", "--no-headers", "-o", "disk_template", "web2"];
    assert_eq!(cluster.gantry(&template).success().trim(), "sharedfile");

    cluster.gantry(&["instance", "remove", "-f", "web2"]).success();
    assert_eq!(disks(&cluster), (1, 0));
    cluster.gantry(&["node", "remove", "node2.t"]).success();
    cluster.wait_end(2).success();
    assert_eq!(disks(&cluster), (1, 0), "the disk of the other node is there");
}

// covers: C6 C7
#[test]
fn after_the_end_of_a_cluster_another_begins_in_its_directory() {
    let mut cluster = Cluster::of_one();
    cluster.gantry(&["debug", "delay", "0.01"]).success();
    let first = cluster.json(&["cluster", "info"])["cluster"]["uuid"].clone();
    cluster.gantry(&["cluster", "destroy", "--yes-do-it"]).success();
    cluster.wait_end(1).success();
    let orphan = cluster.gantry(&["cluster", "info"]);
    orphan.failure(5);

    cluster.init().success();
    cluster.start(1);
    let second = cluster.json(&["cluster", "info"])["cluster"]["uuid"].clone();
    assert_ne!(first, second);
    assert_eq!(cluster.jobs(), []);
    cluster.gantry(&["debug", "delay", "0.01"]).success();
}

//! Any node takes any command.

use crate::console;
use crate::rig::{Cluster, has_qemu};

// covers: C60 C62 C70
#[test]
fn commands_are_taken_by_whichever_node_is_asked() {
    if !has_qemu() {
        return;
    }
    let cluster = Cluster::of(3);
    let words = cluster.add_words(2, "web1.t", &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    cluster.gantry_at(3, &words).success();
    cluster.one_qemu(2);
    assert_eq!((cluster.qemus(1), cluster.qemus(3)), (vec![], vec![]));

    let through_master = console::open(&cluster, 1, "web1.t", "");
    console::wait_says(&through_master, "TICK ");
    let through_other = console::open(&cluster, 3, "web1.t", "");
    console::wait_says(&through_other, "TICK ");

    let lists: Vec<String> = [1, 2, 3]
        .into_iter()
        .map(|node| cluster.gantry_at(node, &["instance", "list"]).success().to_owned())
        .collect();
    assert!(lists[0].contains("running"), "{}", lists[0]);
    assert_eq!((&lists[1], &lists[2]), (&lists[0], &lists[0]));
    let remove = ["instance", "remove", "-f", "--shutdown-timeout", "0", "web1.t"];
    cluster.gantry_at(2, &remove).success();
    assert_eq!(cluster.qemus(2), []);
    cluster.assert_nothing_left();
}

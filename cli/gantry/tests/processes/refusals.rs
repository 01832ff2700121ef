//! What operators do wrong, and what they are told.

use std::time::Duration;

use crate::rig::{Cluster, Launch, Place, eventually, now_us};

/// Long enough for a refusal, and shorter than the client's patience with a cluster that is gone.
const AT_ONCE: Duration = Duration::from_secs(20);

// covers: C106
#[test]
fn an_expired_token_is_refused_as_that() {
    let mut cluster = Cluster::of_one();
    let joiner = cluster.add_place_for_node();
    let issued = cluster.json(&["node", "add", "--valid", "1", "node2.t"]);
    let expires = issued["expires_us"].as_u64().expect("a time");
    eventually("the token expires", || (now_us() > expires).then_some(()));
    let refused = cluster.join(joiner, issued["token"].as_str().expect("a token"));
    let text = refused.failure(1);
    assert!(text.contains("token") && text.contains("expired"), "{refused}");
    assert!(!cluster.node(joiner).state_dir.join("node.json").exists());
    let daemon = cluster.launch(joiner, &Launch::default()).finish(AT_ONCE);
    daemon.failure(5);
}

// covers: C106
#[test]
fn a_used_token_is_refused_as_that() {
    let mut cluster = Cluster::of_one();
    let (second, third) = (cluster.add_place_for_node(), cluster.add_place_for_node());
    let token = cluster.token_for(second);
    cluster.join(second, &token).success();
    let refused = cluster.join(third, &token);
    let text = refused.failure(1);
    assert!(text.contains("token") && text.contains("used"), "{refused}");
    assert!(!cluster.node(third).state_dir.join("node.json").exists());
}

// covers: C106
#[test]
fn the_token_of_another_cluster_is_refused_as_that() {
    let mut old = Cluster::of_one();
    old.add_place_for_node();
    let token = old.token_for(2);
    old.stop(1).success();
    // Another cluster answers at the same address now.
    let mut new = Cluster::made_in(Place::new());
    new.add_place_for_node();
    let address = old.node(1).address.clone();
    new.start_as(1, &Launch { args: vec!["--listen".into(), address], ..Launch::default() });
    let refused = new.join(2, &token);
    let text = refused.failure(1);
    assert!(text.contains("authority") || text.contains("another cluster"), "{refused}");
    // And one that was cut while it was copied.
    let cut = new.join(2, &token[..token.len() - 2]);
    let text = cut.failure(1);
    assert!(text.contains("incomplete or mistyped"), "{cut}");
}

#[test]
fn a_second_daemon_of_a_directory_is_refused() {
    let cluster = Cluster::of_one();
    let second = cluster.launch(1, &Launch::default()).finish(AT_ONCE);
    let text = second.failure(1);
    assert!(text.contains("another daemon uses"), "{second}");
    assert!(text.contains("Hint:"), "{second}");
    // The first is not disturbed.
    cluster.gantry(&["debug", "delay", "0.01"]).success();
}

// covers: C213
#[test]
fn a_command_without_a_daemon_says_how_to_start_it() {
    let mut cluster = Cluster::made();
    let never_run = cluster.gantry(&["instance", "list"]);
    let text = never_run.failure(1);
    assert!(text.contains("gantry daemon"), "{never_run}");
    cluster.start(1);
    cluster.stop(1).success();
    let stopped = cluster.spawn(1, &["instance", "list"]).finish(AT_ONCE);
    let text = stopped.failure(1);
    for word in [cluster.node(1).address.as_str(), "gantry daemon"] {
        assert!(text.contains(word), "{word}: {stopped}");
    }
}

// covers: C200
#[test]
fn a_directory_without_a_cluster_is_exit_code_5() {
    let place = Place::new();
    let cluster = Cluster { nodes: Vec::new(), pool: 1, place };
    let nowhere = cluster.place.join("nothing");
    let nowhere = nowhere.to_str().expect("text");
    let command = cluster.run(&["instance", "list", "--state-dir", nowhere]);
    assert!(command.failure(5).contains(nowhere), "{command}");
    let daemon = cluster.run(&["daemon", "--state-dir", nowhere]);
    assert!(daemon.failure(5).contains("gantry cluster init"), "{daemon}");
    assert!(!std::path::Path::new(nowhere).exists(), "a look must not make it");
}

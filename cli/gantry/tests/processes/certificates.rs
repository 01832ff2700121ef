//! Certificates and the authority, with real daemons.

use std::path::Path;

use crate::rig::{Cluster, eventually};

fn authority_of(cluster: &Cluster) -> String {
    let info = cluster.json(&["cluster", "info"]);
    info["cluster"]["ca_certificate"].as_str().expect("a certificate").to_owned()
}

fn names(cluster: &Cluster, node: usize) -> usize {
    let listed = cluster.gantry_at(node, &["node", "list", "--no-headers", "-o", "name"]);
    listed.success().split_whitespace().count()
}

/// Whether the chain in a file ends in that authority (PEM texts are equal where certificates are).
fn is_of(file: &Path, authority: &str) -> bool {
    let text = std::fs::read_to_string(file).expect("a certificate");
    text.contains(authority.trim())
}

// covers: C27 O16 K14 P65
#[test]
fn a_new_authority_reaches_also_a_node_that_was_off() {
    let mut cluster = Cluster::of(3);
    let old = authority_of(&cluster);
    let state_dir = cluster.node(1).state_dir.clone();
    assert!(!state_dir.join("authority.pem").exists(), "its key is in the log, sealed");
    let stolen = cluster.place.join("stolen");
    std::fs::create_dir(&stolen).expect("a directory");
    std::fs::set_permissions(&stolen, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("ours");
    for file in ["admin.pem", "trust.pem", "endpoint"] {
        std::fs::copy(state_dir.join(file), stolen.join(file)).expect("copied");
    }
    let pending_token = cluster.token_for_name("node9.t");

    cluster.stop(3).success();
    let renewed = cluster.gantry(&["cluster", "renew-crypto", "--new-cluster-certificate", "-f"]);
    renewed.success();
    let new = authority_of(&cluster);
    assert_ne!(old, new);
    assert_eq!([names(&cluster, 1), names(&cluster, 2)], [3, 3]);
    for node in [1, 2] {
        let file = cluster.node(node).state_dir.join("node.pem");
        assert!(is_of(&file, &new) && !is_of(&file, &old), "node {node}");
    }
    // Neither the first node nor another takes the old certificate of the operator.
    let stolen = stolen.to_str().expect("text").to_owned();
    for node in [1, 2] {
        let endpoint = cluster.node(node).address.clone();
        let words = ["node", "list", "--state-dir", &stolen, "--endpoint", &endpoint];
        eventually(&format!("node {node} refuses it"), || {
            (!cluster.run(&words).is_success()).then_some(())
        });
    }
    let again = cluster.gantry(&["cluster", "renew-crypto", "--new-cluster-certificate", "-f"]);
    again.failure(1);

    cluster.start(3);
    cluster.wait_for_reports();
    let file = cluster.node(3).state_dir.join("node.pem");
    assert!(is_of(&file, &new), "it has renewed by itself");
    assert_eq!(names(&cluster, 3), 3);
    // Nobody needs the old one: another rotation is possible.
    eventually("the old authority is gone", || {
        let again = cluster.gantry(&["cluster", "renew-crypto", "--new-cluster-certificate", "-f"]);
        again.is_success().then_some(())
    });
    assert_eq!(names(&cluster, 3), 3);
    // A token of the authority before is void.
    let joiner = cluster.add_place_for_node();
    assert!(!cluster.join(joiner, &pending_token).is_success());
}

// covers: C27 O16
#[test]
fn node_certificates_alone_are_renewed_under_running_daemons() {
    let cluster = Cluster::of(2);
    let files = [1, 2].map(|node| cluster.node(node).state_dir.join("node.pem"));
    let read = || files.clone().map(|file| std::fs::read(file).expect("a certificate"));
    let (before, authority) = (read(), authority_of(&cluster));
    cluster.gantry(&["cluster", "renew-crypto", "--new-node-certificates", "-f"]).success();
    let after = read();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    assert_eq!(authority_of(&cluster), authority);
    assert_eq!([names(&cluster, 1), names(&cluster, 2)], [2, 2]);
}

//! Commands on a daemon's own machine: by which right they are answered.

use std::os::unix::fs::PermissionsExt;

use crate::rig::{Cluster, Launch, is_root, skipped};

/// Somebody with no rights: `nobody` and `nogroup` on Debian.
const NOBODY: u32 = 65_534;

/// Lets others than us pass through the place of a test.
fn open_place(cluster: &Cluster) {
    let mode = PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(cluster.place.path(), mode).expect("our directory");
}

fn groups(admin: &str, reader: &str) -> Launch {
    let args = ["--admin-group", admin, "--reader-group", reader].map(str::to_owned).to_vec();
    Launch { args, ..Launch::default() }
}

// covers: C210
#[test]
fn the_daemons_own_user_needs_no_certificate() {
    let cluster = Cluster::of_one();
    let state_dir = &cluster.node(1).state_dir;
    for file in ["admin.pem", "reader.pem"] {
        std::fs::remove_file(state_dir.join(file)).expect("it was made");
    }
    cluster.gantry(&["debug", "delay", "0.01"]).success();
    let mode = std::fs::metadata(state_dir).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "no group, nobody else");
    let over_network = cluster.gantry(&["node", "list", "--endpoint", &cluster.node(1).address]);
    over_network.failure(5);
}

// covers: C210
#[test]
fn a_member_of_the_readers_group_looks_and_changes_nothing() {
    if !is_root() {
        return skipped("only root can run commands as somebody else");
    }
    let mut cluster = Cluster::made();
    open_place(&cluster);
    cluster.start_as(1, &groups("gantry-no-such-group", "nogroup"));
    let seen = cluster.gantry_as(NOBODY, &["node", "list", "--no-headers", "-o", "name"]);
    assert_eq!(seen.success(), "node1.t\n");
    let refused = cluster.gantry_as(NOBODY, &["debug", "delay", "0.01"]);
    assert!(refused.failure(1).contains("role reader may not send"), "{refused}");
    let read = cluster.gantry_as(NOBODY, &["node", "list", "--endpoint", "127.0.0.1:9"]);
    assert!(read.failure(1).contains("Permission denied"), "the files are closed to it: {read}");
}

// covers: C210
#[test]
fn a_member_of_the_admins_group_may_do_everything() {
    if !is_root() {
        return skipped("only root can run commands as somebody else");
    }
    let mut cluster = Cluster::made();
    open_place(&cluster);
    cluster.start_as(1, &groups("nogroup", "gantry-no-such-group"));
    cluster.gantry_as(NOBODY, &["debug", "delay", "0.01"]).success();
}

// covers: C210 C213
#[test]
fn others_are_told_what_they_lack() {
    if !is_root() {
        return skipped("only root can run commands as somebody else");
    }
    let mut cluster = Cluster::made();
    open_place(&cluster);
    cluster.start_as(1, &groups("root", "gantry-no-such-group"));
    let refused = cluster.gantry_as(NOBODY, &["node", "list"]);
    let text = refused.failure(1);
    for fragment in ["don't have permissions to connect", "user nobody", "in group root"] {
        assert!(text.contains(fragment), "{refused}");
    }
}

#[test]
fn a_certificate_for_a_reader_lets_it_look_from_afar_until_the_authority_is_replaced() {
    let cluster = Cluster::of_one();
    let (out, address) = (cluster.place.join("reader"), cluster.node(1).address.clone());
    let dir = out.display().to_string();
    let issue = ["cluster", "issue-certificate", "--role", "reader", "--out", &dir, "monitoring"];
    cluster.gantry(&issue).success();
    for file in ["reader.pem", "trust.pem"] {
        let mode = std::fs::metadata(out.join(file)).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let far = |words: &[&str]| {
        let mut all = words.to_vec();
        all.extend(["--state-dir", &dir, "--endpoint", &address]);
        cluster.run(&all)
    };
    far(&["node", "list"]).success();
    let refused = far(&["debug", "delay", "0.01"]);
    assert!(refused.failure(1).contains("role reader may not send"), "{refused}");
    let another = far(&["cluster", "issue-certificate", "--role", "admin", "--out", &dir, "me"]);
    assert!(another.failure(1).contains("role reader may not send"), "{another}");
    let log = cluster.node(1).daemon.as_ref().expect("it runs").stderr();
    let told = log.lines().any(|line| {
        line.contains("an operator's certificate was issued") && line.contains("monitoring")
    });
    assert!(told, "{log}");
    cluster.gantry(&["cluster", "renew-crypto", "--new-cluster-certificate", "--force"]).success();
    let stale = far(&["node", "list"]);
    assert!(!stale.is_success(), "{stale}");
}

//! The daemon under a service manager that speaks systemd's protocol.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::rig::{Cluster, Launch};

/// A service manager: what the daemon tells it.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn in_place_of(cluster: &Cluster) -> (Self, String) {
        let path = cluster.place.join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        (Self { socket }, path.display().to_string())
    }

    /// The next message that has this line; those before it pass.
    fn hears(&self, line: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let heard = self.socket.recv(&mut buffer);
            let n = heard.unwrap_or_else(|error| panic!("no {line} was told: {error}"));
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if text.lines().any(|told| told == line) {
                return text;
            }
        }
    }
}

#[test]
fn the_manager_is_told_when_the_daemon_is_ready_lives_and_stops() {
    let mut cluster = Cluster::made();
    let (manager, path) = Manager::in_place_of(&cluster);
    let env = vec![("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000".to_owned())];
    cluster.start_as(1, &Launch { env, ..Launch::default() });
    let ready = manager.hears("READY=1");
    assert!(ready.contains("STATUS=node node1.t of cluster cluster.t"), "{ready}");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    cluster.stop(1).success();
    manager.hears("STOPPING=1");
}

#[test]
fn the_doctor_of_a_running_node_finds_its_daemon() {
    let mut cluster = Cluster::of_one();
    let state_dir = cluster.node(1).state_dir.display().to_string();
    let words = ["doctor", "--state-dir", &state_dir, "--json"];
    let verdict = |text: &str, check: &str| {
        let document: serde_json::Value = serde_json::from_str(text).expect("a document");
        let checks = document["checks"].as_array().cloned().expect("checks");
        let found = checks.iter().find(|found| found["check"] == check).expect("it is checked");
        found["verdict"].as_str().expect("a word").to_owned()
    };
    let seen = cluster.run(&words);
    let asked = ["daemon", "node", "certificates", "state directory", "address", "clock of master"];
    for check in asked {
        assert_eq!(verdict(&seen.stdout, check), "ok", "{check}: {seen}");
    }
    // Of the daemon, which has the limits of this test, and not of the command.
    assert!(seen.stdout.contains("of the daemon"), "{seen}");
    cluster.stop(1).success();
    let seen = cluster.run(&words);
    assert_eq!(verdict(&seen.stdout, "daemon"), "failed", "{seen}");
    assert_eq!(seen.code(), Some(1), "{seen}");
}

/// What one question over HTTP is answered with.
fn get(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn prometheus_is_told_of_jobs_actors_and_the_daemon() {
    let mut cluster = Cluster::made();
    // The address of the node is nobody else's; with another protocol the same port is free.
    let address = cluster.node(1).address.clone();
    let args = vec!["--metrics".to_owned(), address.clone()];
    cluster.start_as(1, &Launch { args, ..Launch::default() });
    cluster.gantry(&["debug", "delay", "0.01"]).success();
    let answer = get(&address, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for line in [
        "gantry_daemon_info{version=",
        "gantry_is_master 1",
        "gantry_jobs{state=\"success\"} 1",
        "gantry_nodes 1",
        "gantry_actors{kind=\"cluster\"} 1",
        "# TYPE gantry_memory_bytes gauge",
        "# TYPE gantry_lock_wait_seconds histogram",
        "\ngantry_lock_waiters 0",
        "\ngantry_locks_granted 0",
        "# TYPE gantry_log_flush_seconds counter",
        "\ngantry_log_flushes_total ",
        "# EOF",
    ] {
        assert!(answer.contains(line), "{line}: {answer}");
    }
    assert!(get(&address, "/").starts_with("HTTP/1.1 404"));
}

#[test]
fn metrics_are_for_this_machine_alone() {
    let cluster = Cluster::made();
    let args = vec!["--metrics".to_owned(), "0.0.0.0:9107".to_owned()];
    let daemon = cluster.launch(1, &Launch { args, ..Launch::default() });
    let refused = daemon.finish(Duration::from_secs(20));
    assert!(refused.failure(1).contains("127.0.0.1"), "{refused}");
}

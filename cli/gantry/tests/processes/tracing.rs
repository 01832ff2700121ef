//! One command is one trace, from the command line down to the monitor of a guest.

use crate::rig::{Cluster, Finished, Launch, has_qemu};

/// The trace that a command with `-d` said it has.
fn trace_of(ran: &Finished) -> String {
    let (_, rest) = ran.stderr.split_once("trace=").unwrap_or_else(|| panic!("no trace: {ran}"));
    let trace: String = rest.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
    assert_eq!(trace.len(), 36, "{ran}");
    trace
}

fn started_with(args: &[&str]) -> Cluster {
    let mut cluster = Cluster::made();
    let args = args.iter().map(ToString::to_string).collect();
    cluster.start_as(1, &Launch { args, ..Launch::default() });
    cluster
}

fn daemon_log(cluster: &Cluster) -> String {
    cluster.node(1).daemon.as_ref().expect("it runs").stderr()
}

#[test]
fn a_start_is_found_by_its_trace_down_to_qmp() {
    if !has_qemu() {
        return;
    }
    let cluster = started_with(&["--log-level", "debug"]);
    let added = cluster.add("web1.t", &["-d"]);
    added.success();
    let trace = trace_of(&added);
    let log = daemon_log(&cluster);
    let of_trace: Vec<&str> = log.lines().filter(|line| line.contains(&trace)).collect();
    for what in ["job ended", "node call done", "qmp command"] {
        assert!(of_trace.iter().any(|line| line.contains(what)), "{what}: {of_trace:#?}");
    }
    let other = cluster.gantry(&["instance", "shutdown", "web1.t", "-d"]);
    other.success();
    assert_ne!(trace_of(&other), trace, "each command has its own");
}

#[test]
fn a_log_in_json_has_the_trace_in_a_field() {
    let cluster = started_with(&["--log-format", "json"]);
    let ran = cluster.gantry(&["debug", "delay", "-n", "node1.t", "0.01", "-d"]);
    ran.success();
    let trace = trace_of(&ran);
    let log = daemon_log(&cluster);
    let lines = log.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line)
            .unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let lines: Vec<_> = lines.collect();
    let of_job = |line: &&serde_json::Value| line["fields"]["message"] == "job ended";
    let ended = lines.iter().find(of_job).expect("the job has ended");
    assert_eq!(ended["fields"]["trace"], trace);
    let of_call = |line: &&serde_json::Value| line["fields"]["message"] == "node call done";
    let call = lines.iter().find(of_call).expect("the node was called");
    assert_eq!(call["span"]["trace"], trace, "{call}");
}

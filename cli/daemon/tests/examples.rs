//! The examples do what they say.

use gantry_client::ClientConfig;
use gantry_daemon::{NodeOptions, RunningNode, StateDir};

#[path = "../examples/embedded_node.rs"]
mod embedded_node;
#[path = "../../../transport/client/examples/submit_and_watch.rs"]
mod submit_and_watch;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_in_another_program_and_clients_talk_to_it() {
    let place = tempfile::tempdir().expect("a place");
    let seen = embedded_node::run(place.path()).await.expect("runs");
    assert_eq!(seen, "web1.example running");

    // The same state directory again, for the other example.
    let state_dir = StateDir::new(place.path().join("state"));
    let listen = Some("127.0.0.1:0".parse().expect("an address"));
    let options = NodeOptions { listen, ..NodeOptions::new(state_dir.clone()) };
    let node = RunningNode::start(options).await.expect("starts again");
    let config = ClientConfig::discover(state_dir.path(), None).await.expect("is there");
    let lines = submit_and_watch::run(config).await.expect("runs");
    let expected = ["job 2: success", "job 3: success", "node \"node1.example\", master: true"];
    assert_eq!(lines, expected);
    node.run(std::future::ready(())).await.expect("stops");
}

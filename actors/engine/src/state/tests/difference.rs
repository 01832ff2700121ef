//! Differences between states.

use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::objects::AdminState;
use gantry_model::tags::Tagged;
use serde_json::{Value, json};

use super::sample::{Log, instance, instance_id, node, node_id};
use crate::state::ClusterState;

fn different(before: &ClusterState, log: &Log) -> Vec<(String, String, Value, Value)> {
    let changes = before.differences(&log.state).expect("objects can be encoded");
    changes.into_iter().map(|c| (c.object, c.field, c.before, c.after)).collect()
}

#[test]
fn a_state_does_not_differ_from_itself() {
    let log = Log::new();
    assert_eq!(different(&log.state.clone(), &log), []);
}

#[test]
fn only_what_means_something_differs() {
    let mut log = Log::new();
    log.config(vec![ConfigDelta::InstanceAdd(Box::new(instance(1)))]);
    let before = log.state.clone();
    let change = InstanceChange::AdminState(AdminState::Up);
    let instance = instance_id(1);
    log.config(vec![ConfigDelta::InstanceChange { instance, expected: None, change }]);
    let expected = ("instance web1", "admin_state", json!("down"), json!("up"));
    let expected = (expected.0.to_owned(), expected.1.to_owned(), expected.2, expected.3);
    assert_eq!(different(&before, &log), [expected]);
}

#[test]
fn what_comes_and_what_goes_differs_as_a_whole() {
    let mut log = Log::new();
    let before = log.state.clone();
    log.config(vec![ConfigDelta::NodeAdd(Box::new(node(7)))]);
    let added = different(&before, &log);
    assert_eq!((added[0].0.as_str(), added[0].1.as_str()), ("node node7", ""));
    assert_eq!((&added[0].2, added[0].3["name"].as_str()), (&Value::Null, Some("node7")));
    let before = log.state.clone();
    log.config(vec![ConfigDelta::NodeRemove { node: node_id(7) }]);
    assert_eq!(different(&before, &log)[0].3, Value::Null);
}

#[test]
fn the_cluster_itself_differs_by_field() {
    let mut log = Log::new();
    let before = log.state.clone();
    let (object, add) = (Tagged::Cluster, vec!["a".to_owned()]);
    log.config(vec![ConfigDelta::Tags { object, add, remove: Vec::new() }]);
    let expected = ("the cluster".to_owned(), "tags".to_owned(), json!([]), json!(["a"]));
    assert_eq!(different(&before, &log), [expected]);
}

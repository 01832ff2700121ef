//! Tests of OP_CLUSTER_DESTROY.

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::opcodes::ClusterDestroy;
use serde_json::json;

use crate::lu::rig::{Rig, instance, node_id};

// covers: O2 L1
#[test]
fn the_lock_is_the_big_one() {
    assert_eq!(Rig::alone().locks(ClusterDestroy {}), [["cluster/BGL Hold(Exclusive)"]]);
}

// covers: O2
#[test]
fn a_cluster_with_other_nodes_or_instances_is_refused() {
    assert_eq!(
        Rig::new().refusal(ClusterDestroy {}),
        (
            FaultCode::WrongState,
            "the cluster still has 2 other nodes, remove them first: node2, node3".into()
        )
    );
    let mut rig = Rig::alone();
    let mut instance = instance();
    instance.primary = node_id(1);
    rig.config(&[ConfigDelta::InstanceAdd(Box::new(instance))]).expect("a new instance");
    assert_eq!(
        rig.refusal(ClusterDestroy {}),
        (FaultCode::WrongState, "the cluster still has 1 instances, remove them first".into())
    );
}

// covers: O2
#[test]
fn it_is_over_and_the_answer_is_the_master() {
    let mut rig = Rig::alone();
    assert_eq!(rig.run(ClusterDestroy {}), json!("node1"));
    assert!(rig.state.destroyed);
}

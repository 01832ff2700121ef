//! Tests of OP_NODE_REMOVE.

use gantry_model::errors::FaultCode;

use crate::lu::rig::{Rig, all_steps, node_id, node_name};
use crate::lu::samples::{add_node, pool_of, remove_node, with_token};

// covers: O21 L1
#[test]
fn the_lock_is_the_big_one() {
    assert_eq!(Rig::new().locks(remove_node(3)), [["cluster/BGL Hold(Exclusive)"]]);
}

// covers: O21
#[test]
fn the_master_or_a_node_in_use_or_unknown_is_refused() {
    assert_eq!(
        Rig::new().refusal(remove_node(8)),
        (FaultCode::UnknownEntity, "Node 'node8' not known".into())
    );
    let master = "Node is the master node, failover to another node is required";
    assert_eq!(Rig::new().refusal(remove_node(1)), (FaultCode::WrongInput, master.into()));
    let in_use = "Instance web1 is still running on the node, please remove first";
    assert_eq!(
        Rig::with_instance().refusal(remove_node(2)),
        (FaultCode::WrongInput, in_use.into())
    );
}

// covers: O21
#[test]
fn the_node_is_told_and_removed_even_if_it_does_not_hear() {
    let mut rig = Rig::new();
    rig.run(pool_of(1));
    let op = remove_node(3).into();
    let plan = rig.check(&op).expect("not refused");
    let steps = all_steps(&op, &plan);
    let text: Vec<(&str, bool)> =
        steps.iter().map(|step| (step.name.as_str(), step.may_fail)).collect();
    assert_eq!(text, [("tell node node3 to leave", true), ("remove node node3", false)]);
    rig.run(remove_node(3));
    assert!(rig.state.node_by_name(&node_name(3)).is_none());
    assert_eq!(rig.nodes.left, [node_id(3)].into());
}

// covers: O21
#[test]
fn a_node_that_was_removed_needs_a_new_token() {
    let mut rig = with_token();
    rig.run(add_node());
    rig.run(remove_node(9));
    assert_eq!(rig.refusal(add_node()).1, "the join token is not known to this cluster");
}

// covers: O21 P32
#[test]
fn another_becomes_a_candidate_in_its_place() {
    let mut rig = Rig::new();
    rig.run(pool_of(2));
    let op = remove_node(2).into();
    let steps = all_steps(&op, &rig.check(&op).expect("not refused"));
    let says = steps[1].says.as_deref().expect("it says something");
    assert!(says.ends_with(" - INFO: Promoted nodes to master candidate role: node3"), "{says}");
    rig.run(remove_node(2));
    assert!(rig.state.nodes[&node_id(3)].master_candidate);
}

//! Tests of OP_CLUSTER_SET_PARAMS.

use gantry_model::errors::FaultCode;
use gantry_model::opcodes::ClusterSetParams;

use crate::lu;
use crate::lu::rig::{Rig, all_steps, node_id, node_name};
use crate::lu::samples::pool_of;

// covers: O12 P31
#[test]
fn a_pool_has_at_least_one_candidate() {
    let refused = |op: ClusterSetParams| lu::arguments(&op.into()).expect_err("refused").message;
    assert_eq!(refused(ClusterSetParams::default()), "Please pass at least one modification");
    assert!(refused(pool_of(0)).starts_with("candidate_pool_size is 0"));
    assert_eq!(lu::arguments(&pool_of(1).into()), Ok(()));
}

// covers: O12 P31 P32
#[test]
fn a_larger_pool_is_filled_at_once() {
    let mut rig = Rig::new();
    let locks = ["cluster/BGL Hold(Shared)", "node/[lockset] Hold(Exclusive)"];
    assert_eq!(rig.locks(pool_of(2)), [locks]);
    let op = pool_of(2).into();
    let steps = all_steps(&op, &rig.check(&op).expect("not refused"));
    let says = " - INFO: Promoted nodes to master candidate role: node2";
    assert_eq!(steps[0].says.as_deref(), Some(says));
    rig.run(pool_of(2));
    let candidates = rig.state.nodes.values().filter(|node| node.master_candidate);
    let names: Vec<&str> = candidates.map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["node1", "node2"]);
    assert_eq!(rig.state.cluster.as_ref().expect("there is one").candidate_pool_size, 2);
}

// covers: O12 P31
#[test]
fn a_smaller_pool_is_left_as_it_is() {
    let mut rig = Rig::new();
    rig.run(pool_of(3));
    let op = pool_of(1).into();
    let steps = all_steps(&op, &rig.check(&op).expect("not refused"));
    let says = " - INFO: Note: more nodes are candidates (3) than desired (1)";
    assert_eq!((steps.len(), steps[0].says.as_deref()), (1, Some(says)));
    rig.run(pool_of(1));
    assert!(rig.state.nodes.values().all(|node| node.master_candidate));
}

// covers: O12
#[test]
fn what_has_changed_meanwhile_is_not_overwritten() {
    let mut rig = Rig::new();
    let op = pool_of(2).into();
    let steps = all_steps(&op, &rig.check(&op).expect("not refused"));
    rig.run(pool_of(3));
    let fault = rig.act(&steps[0].act).expect_err("another serial");
    assert_eq!((fault.code, fault.retryable), (FaultCode::WrongState, true));
    assert!(rig.state.nodes[&node_id(3)].master_candidate, "{}", node_name(3));
}

//! Tests of OP_NODE_SET_PARAMS.

use std::collections::BTreeMap;

use gantry_model::errors::FaultCode;
use gantry_model::facts::Fact;
use gantry_model::objects::{Node, NodeRole};
use gantry_model::opcodes::NodeSetParams;
use serde_json::json;

use crate::lu;
use crate::lu::rig::{Rig, all_steps, node_id};
use crate::lu::samples::{modify_node, pool_of};

fn role(rig: &Rig, number: u8) -> NodeRole {
    rig.state.nodes[&node_id(number)].role()
}

/// Three candidates are wanted and there; of a fourth node nobody knows.
fn full() -> Rig {
    let mut rig = Rig::new();
    rig.run(pool_of(3));
    rig
}

/// All three are able to, two are wanted and there.
fn with_a_spare() -> Rig {
    let mut rig = Rig::new();
    rig.run(pool_of(2));
    rig
}

fn says(rig: &Rig, op: NodeSetParams) -> Option<String> {
    let op = op.into();
    all_steps(&op, &rig.check(&op).expect("not refused"))[0].says.clone()
}

fn offline(number: u8) -> NodeSetParams {
    NodeSetParams { offline: Some(true), ..modify_node(number) }
}

fn drained(number: u8) -> NodeSetParams {
    NodeSetParams { drained: Some(true), ..modify_node(number) }
}

// covers: O27
#[test]
fn something_must_be_said_and_only_one_state() {
    let refused = |op: NodeSetParams| lu::arguments(&op.into()).expect_err("refused").message;
    assert_eq!(refused(modify_node(2)), "Please pass at least one modification");
    let powered = NodeSetParams { powered: Some(true), ..modify_node(2) };
    assert_eq!(refused(powered), "Please pass at least one modification");
    let both = NodeSetParams { drained: Some(true), ..offline(2) };
    assert_eq!(refused(both), "Can't set the node into more than one state at the same time");
    let ndparams = Some(BTreeMap::from([("colour".to_owned(), "red".to_owned())]));
    let unknown = NodeSetParams { ndparams, ..modify_node(2) };
    assert_eq!(refused(unknown), "\"colour\" is no parameter of a node");
    let hv_state = Some(BTreeMap::from([("kvm".into(), BTreeMap::from([("colour".into(), 1)]))]));
    let unknown = NodeSetParams { hv_state, ..modify_node(2) };
    assert!(refused(unknown).contains("colour"));
}

// covers: O27 L1
#[test]
fn the_locks_are_those_of_the_node_or_of_all_where_another_may_be_promoted() {
    let all = ["cluster/BGL Hold(Shared)", "node/[lockset] Hold(Exclusive)"];
    let all = [&all[..], &["node-res/[lockset] Hold(Exclusive)"]].concat();
    let promoting = NodeSetParams { auto_promote: true, ..offline(2) };
    assert_eq!(Rig::new().locks(promoting), [all]);
    let one = ["cluster/BGL Hold(Shared)", "node/node2 Hold(Exclusive)"];
    let one = [&one[..], &["node-res/node2 Hold(Exclusive)"]].concat();
    assert_eq!(Rig::new().locks(offline(2)), [&one[..]]);
    let promotes = NodeSetParams { auto_promote: true, vm_capable: Some(true), ..modify_node(2) };
    assert_eq!(Rig::new().locks(promotes), [one], "nobody is demoted by it");
}

// covers: O27 P34
#[test]
fn the_master_keeps_its_role() {
    let refused = |op| Rig::new().refusal(op);
    let text = "The master role can be changed only via master-failover";
    for op in [offline(1), drained(1)] {
        assert_eq!(refused(op), (FaultCode::WrongInput, text.into()));
    }
    let demoted = NodeSetParams { master_candidate: Some(false), ..modify_node(1) };
    assert_eq!(refused(demoted), (FaultCode::WrongInput, text.into()));
    let unable =
        NodeSetParams { master_capable: Some(false), auto_promote: true, ..modify_node(1) };
    let text = "Master must remain master capable";
    assert_eq!(refused(unable), (FaultCode::WrongState, text.into()));
}

// covers: O27 P34
#[test]
fn a_takeover_between_check_and_change_leaves_the_master_a_candidate() {
    let mut rig = with_a_spare();
    let op = drained(2);
    let op = NodeSetParams { auto_promote: true, ..op }.into();
    let steps = all_steps(&op, &rig.check(&op).expect("not refused"));
    rig.take_over(2);
    let fault = rig.act(&steps[0].act).expect_err("it is the master");
    assert_eq!(fault.message, "node node2 is the master, which stays a candidate");
    assert_eq!((role(&rig, 2), role(&rig, 3)), (NodeRole::Candidate, NodeRole::Regular));
}

// covers: O27 P31
#[test]
fn the_pool_is_not_made_smaller_by_accident() {
    let text = "Not enough master candidates, please pass auto promote option to allow promotion \
                (--auto-promote or RAPI auto_promote=True)";
    for op in [offline(2), drained(2)] {
        assert_eq!(with_a_spare().refusal(op), (FaultCode::WrongState, text.into()));
    }
    // Nobody is left who could be one: then it is done as it is.
    let mut rig = full();
    rig.run(offline(2));
    assert_eq!(role(&rig, 2), NodeRole::Offline);
}

// covers: O27 P32
#[test]
fn another_is_promoted_on_request() {
    let mut rig = with_a_spare();
    let op = NodeSetParams { auto_promote: true, ..offline(2) };
    let line = " - INFO: Promoted nodes to master candidate role: node3";
    assert_eq!(says(&rig, op.clone()).as_deref(), Some(line));
    let steps = ["modify node node2", "take the log from node node2", "give the log to node node3"];
    assert_eq!(rig.step_names(op.clone()), steps);
    let result = rig.run(op);
    assert_eq!(result, json!([["master_candidate", "False"], ["offline", "True"]]));
    assert_eq!((role(&rig, 2), role(&rig, 3)), (NodeRole::Offline, NodeRole::Candidate));
}

// covers: O27 P30
#[test]
fn flags_exclude_each_other() {
    let mut rig = Rig::new();
    rig.run(drained(2));
    assert_eq!(role(&rig, 2), NodeRole::Drained);
    let result = rig.run(offline(2));
    assert_eq!(result, json!([["drained", "False"], ["offline", "True"]]));
    assert_eq!(role(&rig, 2), NodeRole::Offline);
}

// covers: O27
#[test]
fn what_is_not_set_is_not_unset() {
    let mut rig = Rig::new();
    let op = NodeSetParams { drained: Some(false), vm_capable: Some(true), ..modify_node(2) };
    let line = " - INFO: Ignoring request to unset flag drained, already unset";
    assert_eq!(says(&rig, op.clone()).as_deref(), Some(line));
    assert_eq!(rig.run(op), json!([["vm_capable", "True"]]));
    assert_eq!(role(&rig, 2), NodeRole::Regular);
}

// covers: O27 P32 P35
#[test]
fn a_node_that_comes_back_must_answer_and_is_a_candidate_if_one_is_wanted() {
    let mut rig = Rig::new();
    rig.run(offline(2));
    let back = NodeSetParams { offline: Some(false), ..modify_node(2) };
    let mut silent = rig.clone();
    silent.instead = Some(Fact::Unreachable { reason: "no route".into() });
    let text = "Node node2 is being de-offlined but fails to report its version: node node2 does \
                not answer: no route";
    assert_eq!(silent.refusal(back.clone()), (FaultCode::WrongState, text.into()));
    let lines = says(&rig, back.clone()).expect("it says something");
    assert!(lines.contains(" - INFO: Auto-promoting node to master candidate"), "{lines}");
    assert!(lines.contains(" - WARNING: Transitioning node from offline to online"), "{lines}");
    let result = rig.run(back.clone());
    assert_eq!(result, json!([["master_candidate", "True"], ["offline", "False"]]));
    let mut enough = with_a_spare();
    enough.run(offline(3));
    enough.run(NodeSetParams { offline: Some(false), ..modify_node(3) });
    assert_eq!(role(&enough, 3), NodeRole::Regular);
}

// covers: O27 P39
#[test]
fn who_is_not_able_to_is_no_candidate() {
    let mut rig = full();
    let unable = NodeSetParams { master_capable: Some(false), ..modify_node(2) };
    let line = " - INFO: Demoting from master candidate";
    assert_eq!(says(&rig, unable.clone()).as_deref(), Some(line));
    let result = rig.run(unable);
    assert_eq!(result, json!([["master_capable", "False"], ["master_candidate", "False"]]));
    let promoted = NodeSetParams { master_candidate: Some(true), ..modify_node(2) };
    let text = "Node node2 is not master capable, cannot make it a master candidate";
    assert_eq!(rig.refusal(promoted), (FaultCode::WrongState, text.into()));
    let able = NodeSetParams { master_capable: Some(true), ..modify_node(2) };
    let result = rig.run(able);
    assert_eq!(result, json!([["master_capable", "True"], ["master_candidate", "True"]]));
}

// covers: O27 P39
#[test]
fn a_node_with_instances_goes_on_running_them() {
    let op = NodeSetParams { vm_capable: Some(false), ..modify_node(2) };
    let text = "Node node2 hosts instances, cannot unset the vm_capable flag";
    assert_eq!(Rig::with_instance().refusal(op.clone()), (FaultCode::WrongState, text.into()));
    let mut rig = Rig::new();
    rig.run(op);
    assert!(!rig.state.nodes[&node_id(2)].vm_capable);
}

// covers: O27 P38
#[test]
fn power_needs_a_switch() {
    let op = NodeSetParams { powered: Some(true), ..offline(2) };
    let text = "Unable to change powered state for node node2 as it does not support out-of-band \
                handling";
    assert_eq!(Rig::new().refusal(op), (FaultCode::WrongState, text.into()));
}

// covers: O27 P12 P16
#[test]
fn parameters_are_merged_with_those_that_are_there() {
    let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let set = |pairs| NodeSetParams { ndparams: Some(own(pairs)), ..modify_node(2) };
    let mut rig = Rig::new();
    rig.run(set(&[("ssh_port", "23"), ("ovs", "True")]));
    rig.run(set(&[("ssh_port", "default"), ("ovs_name", "br0")]));
    let now = |rig: &Rig| -> Node { rig.state.nodes[&node_id(2)].as_ref().clone() };
    assert_eq!(now(&rig).ndparams, own(&[("ovs", "True"), ("ovs_name", "br0")]));
    let state = |pairs: &[(&str, u64)]| {
        let numbers = pairs.iter().map(|(name, number)| ((*name).to_owned(), *number));
        BTreeMap::from([("kvm".to_owned(), numbers.collect())])
    };
    let set = |pairs| NodeSetParams { hv_state: Some(state(pairs)), ..modify_node(2) };
    rig.run(set(&[("mem_node", 1), ("mem_hv", 2)]));
    rig.run(set(&[("mem_hv", 3)]));
    assert_eq!(now(&rig).hv_state, state(&[("mem_node", 1), ("mem_hv", 3)]));
}

// covers: O27 P41
#[test]
fn all_nodes_have_a_second_address_or_none() {
    let secondary = |number: u8, address: &str, force| NodeSetParams {
        secondary_ip: Some(address.parse().expect("an address")),
        force,
        ..modify_node(number)
    };
    let mut rig = Rig::new();
    let refused = rig.refusal(secondary(2, "198.51.100.2", true)).1;
    assert!(refused.starts_with("Changing the secondary ip on a single-homed"), "{refused}");
    let refused = rig.refusal(secondary(1, "198.51.100.1", false)).1;
    assert!(refused.starts_with("Changing the secondary ip on a single-homed"), "{refused}");
    let lines = says(&rig, secondary(1, "198.51.100.1", true)).expect("a warning");
    assert!(lines.contains("from single-homed to multi-homed"), "{lines}");
    rig.run(secondary(1, "198.51.100.1", true));
    let result = rig.run(secondary(2, "198.51.100.2", false));
    assert_eq!(result, json!([["secondary_ip", "198.51.100.2"]]));
    let refused = rig.refusal(secondary(3, "198.51.100.2", false)).1;
    assert_eq!(refused, "198.51.100.2 is the secondary ip of node node2");
    let refused = rig.refusal(secondary(2, "192.0.2.2", false)).1;
    assert!(refused.starts_with("Cannot set the secondary IP to be the same"), "{refused}");
    rig.run(secondary(1, "192.0.2.1", true));
    assert_eq!(rig.state.nodes[&node_id(1)].own_secondary_ip(), None);
}

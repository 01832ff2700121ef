//! Tests of OP_NODE_ADD.

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::opcodes::NodeAdd;

use crate::lu;
use crate::lu::rig::{NOW, Rig, node, node_id, node_name, token};
use crate::lu::samples::{add_node, with_token};

fn with_changed_token(change: impl FnOnce(&mut gantry_model::objects::JoinTokenRecord)) -> Rig {
    let mut rig = Rig::new();
    let mut token = token();
    change(&mut token);
    rig.config(&[ConfigDelta::TokenIssue(token)]).expect("a new token");
    rig
}

// covers: O22 L1
#[test]
fn the_lock_is_the_big_one() {
    assert_eq!(with_token().locks(add_node()), [["cluster/BGL Hold(Exclusive)"]]);
}

#[test]
fn an_address_has_a_host_and_a_port() {
    for address in ["", "192.0.2.9", ":1811", "node9:", "node9:0", "node9:65536", "node9:x"] {
        let op = NodeAdd { address: address.into(), ..add_node() };
        let fault = lu::arguments(&op.into()).expect_err(address);
        assert_eq!(fault.message, format!("address {address:?} is not of the form host:port"));
    }
    for address in ["node9:1811", "[2001:db8::9]:1811"] {
        let op = NodeAdd { address: address.into(), ..add_node() };
        assert_eq!(lu::arguments(&op.into()), Ok(()), "{address}");
    }
}

// covers: O22
#[test]
fn a_token_must_be_known_meant_for_this_node_and_good() {
    let refused = |rig: Rig, text: &str| {
        assert_eq!(rig.refusal(add_node()), (FaultCode::Forbidden, text.into()));
    };
    refused(Rig::new(), "the join token is not known to this cluster");
    let of_another = "the join token is for another node";
    refused(with_changed_token(|token| token.node_name = node_name(8)), of_another);
    refused(with_changed_token(|token| token.node = node_id(8)), of_another);
    refused(with_changed_token(|token| token.expires = NOW), "the join token has expired");
    let used = |token: &mut gantry_model::objects::JoinTokenRecord| {
        token.redeemed_by = Some("another key".into());
    };
    refused(with_changed_token(used), "the join token has been used already");
}

#[test]
fn a_cluster_without_group_is_broken() {
    let mut rig = with_token();
    rig.state.groups = Default::default();
    assert_eq!(
        rig.refusal(add_node()),
        (FaultCode::InternalError, "there is no node group".into())
    );
}

// covers: O22
#[test]
fn the_node_is_a_member_and_the_token_is_used() {
    let mut rig = with_token();
    assert_eq!(rig.step_names(add_node()), ["add node node9"]);
    rig.run(add_node());
    let added = rig.state.node_by_name(&node_name(9)).expect("a member");
    assert_eq!((added.uuid, added.address.as_str()), (node_id(9), "192.0.2.9:1811"));
    assert_eq!(added.group, node(1).group);
    assert!(!added.master_candidate && !added.offline && added.vm_capable);
    let key = rig.state.tokens["secret"].redeemed_by.clone();
    assert_eq!(key.as_deref(), Some("key"));
}

#[test]
fn the_same_key_may_ask_again_and_changes_nothing() {
    let mut rig = with_token();
    rig.run(add_node());
    assert_eq!(rig.step_names(add_node()), [""; 0]);
    let other = NodeAdd { key_hash: "another key".into(), ..add_node() };
    assert_eq!(rig.refusal(other).1, "the join token has been used already");
}

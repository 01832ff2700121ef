//! Tests of OP_NODE_ADD.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::objects::{JoinTokenRecord, NodeGroup, NodeTerms};
use gantry_model::opcodes::{NodeAdd, OpCode};

use super::check_terms;
use crate::lu;
use crate::lu::rig::{NOW, Rig, node, node_id, node_name, token};
use crate::lu::samples::{add_node, with_token};

fn with_changed_token(change: impl FnOnce(&mut JoinTokenRecord)) -> Rig {
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
    assert!(added.master_candidate && !added.offline && added.vm_capable);
    let key = rig.state.tokens["secret"].redeemed_by.clone();
    assert_eq!(key.as_deref(), Some("key"));
}

// covers: P31 P32
#[test]
fn a_node_is_a_candidate_if_it_may_be_one_and_the_pool_has_room() {
    let is_candidate = |mut rig: Rig| {
        let terms = rig.state.tokens["secret"].terms.clone();
        rig.run(NodeAdd { terms, ..add_node() });
        rig.state.node_by_name(&node_name(9)).expect("a member").master_candidate
    };
    assert!(is_candidate(with_token()));
    assert!(!is_candidate(with_changed_token(|token| token.terms.master_capable = false)));
    let mut full = with_token();
    Arc::make_mut(full.state.cluster.as_mut().expect("a cluster")).candidate_pool_size = 1;
    assert!(!is_candidate(full));
}

#[test]
fn the_same_key_may_ask_again_and_changes_nothing() {
    let mut rig = with_token();
    rig.run(add_node());
    assert_eq!(rig.step_names(add_node()), [""; 0]);
    let other = NodeAdd { key_hash: "another key".into(), ..add_node() };
    assert_eq!(rig.refusal(other).1, "the join token has been used already");
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

fn pair<V>(name: &str, value: V) -> BTreeMap<String, V> {
    BTreeMap::from([(name.to_owned(), value)])
}

/// The same cluster with a master that replicates over another address.
fn two_homed(mut rig: Rig) -> Rig {
    rig.change_node(1, |node| node.secondary_ip = address("198.51.100.1"));
    rig.state.master = Some(node_id(1));
    rig
}

// covers: C106 P12 P16
#[test]
fn the_node_is_as_whoever_added_it_has_said() {
    let terms = NodeTerms {
        group: Some(node(1).group),
        master_capable: false,
        vm_capable: false,
        secondary_ip: address("198.51.100.9"),
        ndparams: pair("ssh_port", "2222".to_owned()),
        hv_state: pair("fake", pair("mem_node", 512)),
        disk_state: pair("plain/xenvg", pair("disk_reserved", 10)),
    };
    let mut rig = two_homed(with_changed_token(|token| token.terms = terms.clone()));
    let issued = ConfigDelta::TokenIssue(rig.state.tokens["secret"].as_ref().clone());
    assert_eq!(issued.level(), 6);
    let op = NodeAdd { terms: terms.clone(), ..add_node() };
    assert_eq!(OpCode::from(op.clone()).level(), 6);
    rig.run(op);
    let added = rig.state.node_by_name(&node_name(9)).expect("a member").as_ref().clone();
    assert_eq!(ConfigDelta::NodeAdd(Box::new(added.clone())).level(), 6);
    let like = NodeTerms {
        group: Some(added.group),
        master_capable: added.master_capable,
        vm_capable: added.vm_capable,
        secondary_ip: added.secondary_ip,
        ndparams: added.ndparams,
        hv_state: added.hv_state,
        disk_state: added.disk_state,
    };
    assert_eq!(like, terms);
}

#[test]
fn a_node_of_which_nothing_is_said_may_be_added_under_the_first_level() {
    let mut rig = with_token();
    rig.run(add_node());
    let added = rig.state.node_by_name(&node_name(9)).expect("a member").as_ref().clone();
    assert_eq!(OpCode::from(add_node()).level(), 1);
    assert_eq!(ConfigDelta::TokenIssue(token()).level(), 1);
    let urgent = JoinTokenRecord { priority: -10, ..token() };
    assert_eq!(ConfigDelta::TokenIssue(urgent).level(), 6);
    assert_eq!(ConfigDelta::NodeAdd(Box::new(added)).level(), 1);
}

// covers: C106
#[test]
fn what_cannot_be_is_refused_before_and_when_the_node_comes() {
    let of = |secondary| NodeTerms { secondary_ip: address(secondary), ..NodeTerms::default() };
    let conflict = "New node ip address(es) conflict with existing node node1";
    let group = Some(gantry_model::ids::GroupUuid(uuid::Uuid::nil()));
    for (terms, code, text) in [
        (of("198.51.100.1"), FaultCode::ResourceNotUnique, conflict),
        (of("192.0.2.1"), FaultCode::ResourceNotUnique, conflict),
        (
            NodeTerms::default(),
            FaultCode::WrongInput,
            "The master has a secondary ip but the new node doesn't have one",
        ),
        (
            of("2001:db8::9"),
            FaultCode::WrongInput,
            "Secondary IP (2001:db8::9) needs to be a valid IPv4 address",
        ),
        (
            NodeTerms { group, ..of("198.51.100.9") },
            FaultCode::UnknownEntity,
            "Node group '00000000-0000-0000-0000-000000000000' not found",
        ),
        (
            NodeTerms { ndparams: pair("colour", "red".into()), ..of("198.51.100.9") },
            FaultCode::WrongInput,
            "\"colour\" is no parameter of a node",
        ),
    ] {
        let rig = two_homed(with_changed_token(|token| token.terms = terms.clone()));
        let early = check_terms(&rig.state, &terms).expect_err(text);
        assert_eq!((early.code, early.message.as_str()), (code, text));
        assert_eq!(rig.refusal(NodeAdd { terms, ..add_node() }), (code, text.into()));
    }
}

// covers: C106
#[test]
fn nobody_becomes_another_node_than_was_wanted() {
    let terms = NodeTerms { vm_capable: false, ..NodeTerms::default() };
    let text = "the join token is for a node of which something else was said";
    let refused = with_token().refusal(NodeAdd { terms, ..add_node() });
    assert_eq!(refused, (FaultCode::Forbidden, text.into()));
}

// covers: C106
#[test]
fn addresses_that_only_the_node_knows_are_looked_at_when_it_comes() {
    let one_homed =
        |secondary| with_changed_token(|token| token.terms.secondary_ip = address(secondary));
    let text = "The master has no secondary ip but the new node has one";
    let coming = |secondary| {
        let terms = NodeTerms { secondary_ip: address(secondary), ..NodeTerms::default() };
        NodeAdd { terms, ..add_node() }
    };
    let refused = one_homed("198.51.100.9").refusal(coming("198.51.100.9"));
    assert_eq!(refused, (FaultCode::WrongInput, text.into()));
    one_homed("192.0.2.9").run(coming("192.0.2.9"));
    let taken = NodeAdd { address: node(1).address, ..add_node() };
    let text = "New node ip address(es) conflict with existing node node1";
    assert_eq!(with_token().refusal(taken), (FaultCode::ResourceNotUnique, text.into()));
}

// covers: C106
#[test]
fn of_several_groups_one_must_be_named() {
    let mut rig = with_token();
    let other = NodeGroup::new(
        gantry_model::ids::GroupUuid(uuid::Uuid::nil()),
        gantry_model::names::GroupName::new("other").expect("valid"),
        NOW,
    );
    rig.state.groups.insert(other.uuid, std::sync::Arc::new(other));
    let text = "More than one node group exists. Target group must be specified explicitly.";
    assert_eq!(rig.refusal(add_node()), (FaultCode::WrongInput, text.into()));
}

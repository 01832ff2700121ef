//! What changes of the configuration mean.

use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::errors::FaultCode;
use gantry_model::ids::{RunEpoch, Serial};
use gantry_model::objects::{AdminState, Instance, Node};
use gantry_model::units::Timestamp;

use super::sample::{
    Log, cluster, group, instance, instance_id, instance_name, node, node_id, token,
};
use crate::state::{Command, InitCluster, STATE_LEVEL};

const NEVER: Timestamp = Timestamp(u64::MAX);

fn add_node(node: Node) -> ConfigDelta {
    ConfigDelta::NodeAdd(Box::new(node))
}

fn add_instance(instance: Instance) -> ConfigDelta {
    ConfigDelta::InstanceAdd(Box::new(instance))
}

fn redeem(key: &str) -> ConfigDelta {
    ConfigDelta::TokenRedeem { secret_hash: "secret".into(), key_hash: key.into() }
}

fn change(expected: Option<u64>, change: InstanceChange) -> ConfigDelta {
    let expected = expected.map(Serial);
    ConfigDelta::InstanceChange { instance: instance_id(1), expected, change }
}

fn start(epoch: u64, remember: bool) -> InstanceChange {
    InstanceChange::Start { epoch: RunEpoch(epoch), remember }
}

/// Refuses one change, and checks that one in front of it is not made either.
fn refuse(log: &mut Log, delta: ConfigDelta) -> (FaultCode, String) {
    let deltas = vec![add_node(node(7)), delta];
    let fault = log.refused(log.config_command(deltas));
    (fault.code, fault.message)
}

fn with_instance() -> Log {
    let mut log = Log::new();
    log.config(vec![add_instance(instance(1))]);
    log
}

fn first(log: &Log) -> &Instance {
    log.state.instance_by_name(&instance_name(1)).expect("there")
}

#[test]
fn a_cluster_begins_once() {
    let mut log = Log::new();
    let init = || {
        let init =
            InitCluster { cluster: cluster(), group: group(), node: node(1), level: STATE_LEVEL };
        Command::Init(Box::new(init))
    };
    assert_eq!(log.refused(init()).message, "the cluster exists already");
    log.config(vec![ConfigDelta::ClusterDestroy]);
    log.refused(init());
}

#[test]
fn nobody_reigns_before_the_cluster_begins() {
    let fault = Log::default().refused(Command::TakeOver { node: node_id(1) });
    assert_eq!(fault.message, "there is no cluster");
}

#[test]
fn a_name_and_an_id_belong_to_one_node() {
    let mut log = Log::new();
    let same_id = Node { name: node(8).name, ..node(2) };
    let same_name = Node { uuid: node_id(8), ..node(2) };
    assert_eq!(
        refuse(&mut log, add_node(same_name)),
        (FaultCode::AlreadyExists, "node node2 is already in the cluster".into())
    );
    assert_eq!(refuse(&mut log, add_node(same_id)).0, FaultCode::AlreadyExists);
}

// covers: O21
#[test]
fn a_node_is_not_removed_while_an_instance_lives_there() {
    let mut log = with_instance();
    let remove = |number| ConfigDelta::NodeRemove { node: node_id(number) };
    assert_eq!(
        refuse(&mut log, remove(1)),
        (FaultCode::WrongState, "instance web1 lives on node node1".into())
    );
    log.config(vec![remove(2)]);
    assert!(log.state.node_by_name(&node(2).name).is_none());
    assert_eq!(refuse(&mut log, remove(2)).0, FaultCode::UnknownEntity);
    log.config(vec![add_node(node(2))]);
}

#[test]
fn a_token_is_good_until_it_expires() {
    let mut log = Log::new();
    let expires = Timestamp(log.now.0 + 2);
    log.config(vec![ConfigDelta::TokenIssue(token("secret", expires))]);
    log.config(vec![redeem("key")]);
    assert_eq!(log.now, expires);
    let (code, text) = refuse(&mut log, redeem("key"));
    assert_eq!((code, text.as_str()), (FaultCode::Forbidden, "the join token has expired"));
}

#[test]
fn a_token_may_be_used_again_by_the_same_key_and_by_no_other() {
    let mut log = Log::new();
    log.config(vec![ConfigDelta::TokenIssue(token("secret", NEVER))]);
    log.config(vec![redeem("key")]);
    log.config(vec![redeem("key")]);
    assert_eq!(
        refuse(&mut log, redeem("another key")),
        (FaultCode::Forbidden, "the join token has been used already".into())
    );
}

#[test]
fn an_unknown_token_is_refused() {
    let (code, text) = refuse(&mut Log::new(), redeem("key"));
    assert_eq!(code, FaultCode::Forbidden);
    assert_eq!(text, "the join token is not known to this cluster");
}

#[test]
fn a_new_token_takes_the_place_of_old_ones() {
    let mut log = Log::new();
    let of_other = |secret: &str, expires| {
        let mut token = token(secret, expires);
        token.node_name = node(8).name;
        ConfigDelta::TokenIssue(token)
    };
    let soon = Timestamp(log.now.0 + 1);
    log.config(vec![of_other("expired", soon)]);
    log.config(vec![ConfigDelta::TokenIssue(token("same name", NEVER))]);
    log.config(vec![ConfigDelta::TokenIssue(token("secret", NEVER))]);
    assert_eq!(log.state.tokens.keys().collect::<Vec<_>>(), ["secret"]);
    log.config(vec![of_other("other", NEVER)]);
    assert_eq!(log.state.tokens.len(), 2);
}

#[test]
fn a_token_for_a_name_that_is_taken_is_refused() {
    let mut log = Log::new();
    log.config(vec![add_node(node(9))]);
    let (code, _) = refuse(&mut log, ConfigDelta::TokenIssue(token("secret", NEVER)));
    assert_eq!(code, FaultCode::AlreadyExists);
}

// covers: O21
#[test]
fn a_node_that_was_removed_cannot_come_back_with_its_old_token() {
    let mut log = Log::new();
    log.config(vec![ConfigDelta::TokenIssue(token("secret", NEVER))]);
    log.config(vec![redeem("key"), add_node(node(9))]);
    log.config(vec![ConfigDelta::NodeRemove { node: node_id(9) }]);
    assert_eq!(refuse(&mut log, redeem("key")).0, FaultCode::Forbidden);
}

#[test]
fn an_instance_needs_a_free_name_a_free_id_and_a_node() {
    let mut log = with_instance();
    let same_id = Instance { name: instance_name(2), ..instance(1) };
    let same_name = Instance { uuid: instance_id(2), ..instance(1) };
    let homeless = Instance { primary: node_id(9), ..instance(2) };
    assert_eq!(
        refuse(&mut log, add_instance(same_name)),
        (FaultCode::AlreadyExists, "instance web1 is already in the cluster".into())
    );
    assert_eq!(refuse(&mut log, add_instance(same_id)).0, FaultCode::AlreadyExists);
    assert_eq!(refuse(&mut log, add_instance(homeless)).0, FaultCode::WrongState);
}

#[test]
fn removing_an_instance_frees_its_name_and_removing_it_again_is_fine() {
    let mut log = with_instance();
    let remove = || vec![ConfigDelta::InstanceRemove { instance: instance_id(1) }];
    log.config(remove());
    assert!(log.state.instances.is_empty() && log.state.instance_names.is_empty());
    log.config(remove());
    log.config(vec![add_instance(instance(1))]);
}

#[test]
fn a_change_that_read_an_old_serial_is_refused_and_may_be_tried_again() {
    let mut log = with_instance();
    let up = InstanceChange::AdminState(AdminState::Up);
    log.config(vec![change(Some(1), up.clone())]);
    assert_eq!(first(&log).serial, Serial(2));
    assert_eq!(first(&log).mtime, Timestamp(log.now.0 - 1));
    let fault = log.refused(log.config_command(vec![change(Some(1), up.clone())]));
    assert_eq!((fault.code, fault.retryable), (FaultCode::WrongState, true));
    assert_eq!(
        fault.message,
        "instance web1 has changed meanwhile (serial 2, expected 1), retry the operation"
    );
    log.config(vec![change(None, up)]);
    assert_eq!(first(&log).serial, Serial(3));
}

#[test]
fn a_change_of_an_instance_that_is_not_there_is_refused() {
    let (code, _) = refuse(&mut Log::new(), change(None, start(1, true)));
    assert_eq!(code, FaultCode::UnknownEntity);
}

#[test]
fn an_epoch_only_rises_and_a_refusal_is_no_stale_token() {
    let mut log = with_instance();
    log.config(vec![change(None, start(5, false))]);
    for old in [4, 5] {
        // A stale token would tell the job that another placement of it has taken over.
        let (code, text) = refuse(&mut log, change(None, start(old, true)));
        assert_eq!(code, FaultCode::WrongState);
        assert_eq!(text, format!("instance web1: epoch {old} is not above 5"));
    }
    assert_eq!(first(&log).run_epoch, RunEpoch(5));
}

// covers: O36
#[test]
fn a_start_is_remembered_only_if_asked() {
    let mut log = with_instance();
    log.config(vec![change(None, start(1, false))]);
    assert_eq!(first(&log).admin_state, AdminState::Down);
    log.config(vec![change(None, start(2, true))]);
    assert_eq!(first(&log).admin_state, AdminState::Up);
}

// covers: O2
#[test]
fn a_cluster_with_instances_is_not_destroyed_and_a_destroyed_one_takes_nothing() {
    let mut log = with_instance();
    assert_eq!(
        refuse(&mut log, ConfigDelta::ClusterDestroy),
        (FaultCode::WrongState, "the cluster still has instances".into())
    );
    log.config(vec![
        ConfigDelta::InstanceRemove { instance: instance_id(1) },
        ConfigDelta::ClusterDestroy,
    ]);
    let (code, text) = refuse(&mut log, add_node(node(4)));
    assert_eq!((code, text.as_str()), (FaultCode::WrongState, "the cluster has been destroyed"));
}

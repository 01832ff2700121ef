//! What changes of secrets and authorities mean.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::ids::KeyGeneration;
use gantry_model::trust::{AuthorityRecord, SealedSecret, SecretName, TrustChange};
use gantry_model::units::Timestamp;

use super::sample::{Log, node_id, token};

fn delta(change: TrustChange) -> Vec<ConfigDelta> {
    vec![ConfigDelta::Trust(Box::new(change))]
}

fn sealed(generation: u64) -> SealedSecret {
    let generation = KeyGeneration(generation);
    SealedSecret { generation, nonce: vec![1; 12], sealed: vec![2; 32] }
}

fn authority(fingerprint: &str) -> AuthorityRecord {
    AuthorityRecord {
        fingerprint: fingerprint.into(),
        certificate: format!("<{fingerprint}>"),
        cross_certificate: String::new(),
    }
}

fn name(text: &str) -> SecretName {
    SecretName(text.into())
}

fn rotate(expected: u64, names: &[SecretName]) -> TrustChange {
    let secrets = names.iter().map(|name| (name.clone(), sealed(expected + 1)));
    TrustChange::KeyRotate { expected: KeyGeneration(expected), secrets: secrets.collect() }
}

fn set(text: &str, generation: u64) -> TrustChange {
    TrustChange::SecretSet { name: name(text), secret: sealed(generation) }
}

/// With authority `old`, its key sealed with generation 1.
fn founded() -> Log {
    let mut log = Log::new();
    log.config(delta(rotate(0, &[SecretName::authority("old")])));
    log.config(delta(TrustChange::AuthorityFound(authority("old"))));
    log
}

/// With authority `new` beside it, which signs.
fn switched() -> Log {
    let mut log = founded();
    let (authority, secret) = (authority("new"), sealed(1));
    log.config(delta(TrustChange::AuthorityAdd { authority, secret }));
    assert_eq!(log.state.trust.bundle(), "<old><new>");
    log.config(delta(TrustChange::AuthoritySwitch { fingerprint: "new".into() }));
    log
}

fn retire(pending: &[u8]) -> TrustChange {
    let pending: BTreeSet<_> = pending.iter().map(|number| node_id(*number)).collect();
    TrustChange::AuthorityRetire { fingerprint: "old".into(), pending }
}

fn published(log: &Log) -> &str {
    log.state.cluster.as_ref().map(|cluster| cluster.ca_certificate.as_str()).expect("there is one")
}

#[test]
fn a_secret_must_be_sealed_with_the_present_key() {
    let mut log = Log::new();
    let fault = log.refused(log.config_command(delta(set("x", 0))));
    assert_eq!(fault.code, FaultCode::WrongState, "nothing is sealed before there is a key");
    log.config(delta(rotate(0, &[])));
    log.config(delta(set("x", 1)));
    for generation in [0, 2] {
        let fault = log.refused(log.config_command(delta(set("y", generation))));
        assert_eq!(fault.message, format!("the cluster key has generation 1, not {generation}"));
    }
    log.config(delta(TrustChange::SecretRemove { name: name("x") }));
    assert!(log.state.secrets.is_empty());
}

#[test]
fn another_key_seals_every_secret_or_is_refused() {
    let mut log = Log::new();
    log.config(delta(rotate(0, &[])));
    log.config(delta(set("x", 1)));
    log.config(delta(set("y", 1)));
    let left_out = log.refused(log.config_command(delta(rotate(1, &[name("x")]))));
    assert_eq!(left_out.message, "secret y is not sealed with the new key");
    let stale = log.refused(log.config_command(delta(rotate(0, &[name("x"), name("y")]))));
    assert_eq!(stale.message, "the cluster key has generation 1, not 0");
    let secrets = BTreeMap::from([(name("x"), sealed(2)), (name("y"), sealed(1))]);
    let mixed = TrustChange::KeyRotate { expected: KeyGeneration(1), secrets };
    let fault = log.refused(log.config_command(delta(mixed)));
    assert_eq!(fault.message, "secret y is not of generation 2");
    log.config(delta(rotate(1, &[name("x"), name("y")])));
    assert!(log.state.secrets.values().all(|secret| secret.generation == KeyGeneration(2)));
    assert_eq!(log.state.trust.key_generation, KeyGeneration(2));
}

#[test]
fn an_authority_signs_only_with_a_key_in_the_log() {
    let mut log = Log::new();
    let found = delta(TrustChange::AuthorityFound(authority("old")));
    log.refused(log.config_command(found.clone()));
    log.config(delta(rotate(0, &[SecretName::authority("old")])));
    log.config(found.clone());
    assert_eq!(published(&log), "<old>");
    assert_eq!(log.refused(log.config_command(found)).code, FaultCode::AlreadyExists);
    let switch = TrustChange::AuthoritySwitch { fingerprint: "unknown".into() };
    assert_eq!(log.refused(log.config_command(delta(switch))).code, FaultCode::UnknownEntity);
}

#[test]
fn while_one_authority_replaces_the_other_both_are_believed() {
    let mut log = switched();
    assert_eq!(published(&log), "<new><old>");
    let (another, secret) = (authority("third"), sealed(1));
    let add = TrustChange::AuthorityAdd { authority: another, secret };
    let fault = log.refused(log.config_command(delta(add)));
    assert_eq!(fault.message, "the authority is being replaced already");
}

#[test]
fn a_rotation_that_is_taken_back_leaves_nothing() {
    let before = founded().state;
    let mut log = switched();
    log.config(delta(TrustChange::AuthoritySwitch { fingerprint: "old".into() }));
    let drop = || delta(TrustChange::AuthorityDrop { fingerprint: "new".into() });
    log.config(drop());
    log.config(drop());
    assert_eq!(log.state.trust, before.trust);
    assert_eq!(log.state.secrets, before.secrets);
    assert_eq!(published(&log), "<old>");
    let signing = TrustChange::AuthorityDrop { fingerprint: "old".into() };
    log.refused(log.config_command(delta(signing)));
}

#[test]
fn the_old_authority_is_gone_with_the_last_node_that_needed_it() {
    let mut log = switched();
    log.config(delta(retire(&[2, 3, 9])));
    let retiring = log.state.trust.retiring.clone().expect("two nodes are left");
    assert_eq!(retiring.pending, BTreeSet::from([node_id(2), node_id(3)]), "9 is no member");
    assert_eq!(published(&log), "<new>");
    assert!(!log.state.secrets.contains_key(&SecretName::authority("old")), "its key is erased");
    log.config(delta(TrustChange::NodeRenewed { node: node_id(1) }));
    log.config(delta(TrustChange::NodeRenewed { node: node_id(2) }));
    assert!(log.state.trust.retiring.is_some());
    log.config(vec![ConfigDelta::NodeRemove { node: node_id(3) }]);
    assert_eq!(log.state.trust.retiring, None, "a node that was removed needs nothing");
}

#[test]
fn without_pending_nodes_it_is_gone_at_once() {
    let mut log = switched();
    log.config(delta(retire(&[])));
    assert_eq!(log.state.trust.retiring, None);
    let again = log.refused(log.config_command(delta(retire(&[]))));
    assert_eq!(again.message, "authority old is not one that can be retired");
}

#[test]
fn join_tokens_end_with_the_authority_that_they_name() {
    let mut log = switched();
    log.config(vec![ConfigDelta::TokenIssue(token("secret", Timestamp(9_000)))]);
    assert_eq!(log.state.tokens.len(), 1);
    log.config(delta(retire(&[])));
    assert_eq!(log.state.tokens.len(), 0);
}

#[test]
fn a_state_from_before_has_the_hash_that_it_had() {
    let json = serde_json::to_value(&Log::new().state).expect("encodes");
    assert!(json.get("trust").is_none() && json.get("secrets").is_none());
    let founded = serde_json::to_value(&founded().state).expect("encodes");
    assert!(founded.get("trust").is_some() && founded.get("secrets").is_some());
}

//! Secret parameters of jobs: in the state as long as their job goes on.

use std::collections::BTreeMap;

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::FaultCode;
use gantry_model::ids::{JobId, KeyGeneration};
use gantry_model::messages::NewJob;
use gantry_model::names::InstanceName;
use gantry_model::opcodes::{InstanceReinstall, OpCode};
use gantry_model::params::{PrivateParams, SecretParams};
use gantry_model::trust::{SealedSecret, SecretName, TrustChange};

use super::sample::{Log, request_id};
use crate::state::{Applied, Command};

fn sealed(generation: u64) -> SealedSecret {
    let generation = KeyGeneration(generation);
    SealedSecret { generation, nonce: vec![1; 12], sealed: vec![2; 32] }
}

/// With a cluster key of generation 1.
fn keyed() -> Log {
    let mut log = Log::new();
    let secrets = BTreeMap::from([(SecretName::authority("old"), sealed(1))]);
    let first = TrustChange::KeyRotate { expected: KeyGeneration(0), secrets };
    log.config(vec![ConfigDelta::Trust(Box::new(first))]);
    log
}

fn job(params: SecretParams) -> NewJob {
    let op = InstanceReinstall {
        instance_name: InstanceName::new("web1.example.com").expect("a name"),
        os_type: None,
        force_variant: false,
        osparams: BTreeMap::new(),
        osparams_private: PrivateParams::default(),
        osparams_secret: params,
    };
    NewJob { ops: vec![OpCode::from(op).into()] }
}

fn named(secret: &SecretName) -> NewJob {
    let names = [("key".to_owned(), String::new())].into_iter().collect();
    job(SecretParams::Sealed { secret: secret.clone(), names })
}

fn submission(log: &Log, request: u64, generation: u64) -> (SecretName, Command) {
    let name = SecretName::parameters(request_id(request), 0, 0);
    let command = Command::Submit {
        reign: log.reign(),
        request: request_id(request),
        jobs: vec![named(&name)],
        secrets: BTreeMap::from([(name.clone(), sealed(generation))]),
    };
    (name, command)
}

fn submit(log: &mut Log, request: u64) -> (SecretName, JobId) {
    let (name, command) = submission(log, request, 1);
    match log.apply(command) {
        Applied::Jobs(ids) => (name, ids[0]),
        other => panic!("not submitted: {other:?}"),
    }
}

// covers: Q13 P14
#[test]
fn a_secret_of_a_job_is_gone_with_its_end() {
    let mut log = keyed();
    let (name, id) = submit(&mut log, 7);
    assert!(log.state.secrets.contains_key(&name));
    assert_eq!(log.apply(log.cancel_command(id)), Applied::Done);
    assert!(!log.state.secrets.contains_key(&name));
    let input = &log.state.jobs[&id].ops[0].input.op;
    assert_eq!(input.secret(), None);
    let shown = log.state.jobs[&id].inputs()[0]["osparams_secret"].to_string();
    assert_eq!(shown, r#"{"key":"<redacted>"}"#);
}

#[test]
fn a_repeated_submission_brings_no_secret_back() {
    let mut log = keyed();
    let (name, id) = submit(&mut log, 7);
    log.apply(log.cancel_command(id));
    let (_, again) = submit(&mut log, 7);
    assert_eq!(again, id);
    assert!(!log.state.secrets.contains_key(&name));
}

#[test]
fn another_cluster_key_reaches_the_secrets_of_jobs() {
    let mut log = keyed();
    let (name, _) = submit(&mut log, 7);
    let rotate = |names: Vec<SecretName>| {
        let secrets = names.into_iter().map(|name| (name, sealed(2))).collect();
        let change = TrustChange::KeyRotate { expected: KeyGeneration(1), secrets };
        vec![ConfigDelta::Trust(Box::new(change))]
    };
    let authority = SecretName::authority("old");
    let forgetful = log.config_command(rotate(vec![authority.clone()]));
    assert!(log.refused(forgetful).message.contains("is not sealed with the new key"));
    log.config(rotate(vec![authority, name.clone()]));
    assert_eq!(log.state.secrets[&name].generation, KeyGeneration(2));
}

#[test]
fn a_job_cannot_name_a_secret_that_it_did_not_bring() {
    let mut log = keyed();
    let theft = log.submit_command(7, vec![named(&SecretName::authority("old"))]);
    assert_eq!(log.refused(theft).code, FaultCode::WrongInput);
}

#[test]
fn a_secret_under_another_key_refuses_the_submission() {
    let mut log = keyed();
    let (_, command) = submission(&log, 7, 2);
    let fault = log.refused(command);
    assert!(fault.retryable, "the key was changed meanwhile: {fault:?}");
}

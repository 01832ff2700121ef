//! New certificates, and a new authority.

use std::collections::{BTreeMap, BTreeSet};

use gantry_engine::jobs::Next;
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::opcodes::{ClusterRenewCrypto, OpCode};
use gantry_model::steps::{Act, StepRecord, StepResult};
use gantry_model::trust::TrustChange;

use crate::lu;
use crate::lu::rig::{Rig, node_id};
use crate::lu::samples::{renew_authority, renew_nodes};

/// Does all steps; those on these nodes fail.
fn run_without(rig: &mut Rig, op: ClusterRenewCrypto, unreachable: &[NodeUuid]) {
    let op = OpCode::from(op);
    let plan = rig.check(&op).expect("it is not refused");
    let mut journal: Vec<StepRecord> = Vec::new();
    loop {
        assert_eq!(lu::replay(&op, &plan, &journal), Ok(()));
        let Next::Step(step) = lu::next(&op, &plan, &journal).expect("can be read") else {
            return;
        };
        let fails = matches!(&step.act, Act::Call { node, .. } if unreachable.contains(node));
        let result = if fails {
            assert!(step.may_fail, "{} must not fail the job", step.name);
            StepResult::Failed(Fault::new(FaultCode::NotDelivered, "no answer"))
        } else {
            rig.act(&step.act).unwrap_or_else(|fault| panic!("{}: {fault}", step.name));
            StepResult::Done(Default::default())
        };
        journal.push(StepRecord { step: *step, result: Some(result), undone: None });
    }
}

fn certified(authority: &str, numbers: &[u8]) -> BTreeMap<NodeUuid, String> {
    numbers.iter().map(|number| (node_id(*number), authority.to_owned())).collect()
}

fn pending(rig: &Rig) -> BTreeSet<NodeUuid> {
    rig.state.trust.retiring.as_ref().map(|r| r.pending.clone()).unwrap_or_default()
}

// covers: O16 T25
#[test]
fn with_a_new_authority_everybody_gets_a_certificate_of_it() {
    let mut rig = Rig::with_authority();
    run_without(&mut rig, renew_authority(), &[]);
    assert_eq!(rig.nodes.certified, certified("new", &[1, 2, 3]));
    assert!(rig.nodes.believed.values().all(|bundle| bundle == "<new>"), "{:?}", rig.nodes);
    assert_eq!(rig.state.trust.bundle(), "<new>");
    assert_eq!(rig.state.trust.retiring, None);
    assert_eq!(rig.state.secrets.len(), 1, "the old key is erased");
}

// covers: O16 P65
#[test]
fn without_one_only_certificates_are_renewed() {
    let mut rig = Rig::with_authority();
    let before = rig.state.trust.clone();
    run_without(&mut rig, renew_nodes(), &[node_id(3)]);
    assert_eq!(rig.nodes.certified, certified("old", &[1, 2]));
    assert_eq!(rig.state.trust, before);
}

// covers: K14
#[test]
fn who_cannot_be_reached_or_is_offline_is_pending() {
    let mut rig = Rig::with_authority();
    rig.change_node(2, |node| node.offline = true);
    run_without(&mut rig, renew_authority(), &[node_id(3)]);
    assert_eq!(pending(&rig), BTreeSet::from([node_id(2), node_id(3)]));
    assert_eq!(rig.nodes.certified, certified("new", &[1]));
    let believed = |number| rig.nodes.believed[&node_id(number)].as_str();
    assert_eq!([believed(1), believed(2), believed(3)], ["<new>", "<old>", "<old>"]);
}

#[test]
fn another_rotation_waits_for_who_is_pending() {
    let mut rig = Rig::with_authority();
    run_without(&mut rig, renew_authority(), &[node_id(3)]);
    let (code, text) = rig.refusal(renew_authority());
    assert_eq!(code, FaultCode::WrongState);
    assert!(text.ends_with("start or remove them first: node3"), "{text}");
    // Certificates of the authority that signs can be had all the same.
    run_without(&mut rig, renew_nodes(), &[]);
}

#[test]
fn a_rotation_that_fails_before_the_end_of_the_old_authority_leaves_it_signing() {
    let before = Rig::with_authority();
    let op = OpCode::from(renew_authority());
    let plan = before.check(&op).expect("it is not refused");
    let steps = lu::rig::all_steps(&op, &plan);
    let retires = |act: &Act| match act {
        Act::Config(deltas) => deltas.iter().any(|delta| {
            matches!(delta, ConfigDelta::Trust(change)
                if matches!(**change, TrustChange::AuthorityRetire { .. }))
        }),
        Act::Call { .. } | Act::Wait { .. } | Act::AwaitHolder { .. } => false,
    };
    let end = steps.iter().position(|step| retires(&step.act)).expect("it ends");
    for failing in 1..=end {
        let mut rig = before.clone();
        for step in &steps[..failing] {
            rig.act(&step.act).expect("it can be done");
        }
        for undo in steps[..failing].iter().rev().filter_map(|step| step.undo.as_ref()) {
            rig.act(undo).expect("it can be taken back");
        }
        assert_eq!(rig.state.trust, before.state.trust, "{}", steps[failing].name);
        assert_eq!(rig.state.secrets, before.state.secrets);
        assert_eq!(rig.nodes.believed, before.nodes.believed);
    }
    assert!(steps[end..].iter().all(|step| step.undo.is_none()), "nothing comes back after it");
}

// covers: O16 P64
#[test]
fn ssh_keys_are_refused_with_the_reason() {
    let bad = [
        ClusterRenewCrypto { renew_ssh_keys: true, ..renew_nodes() },
        ClusterRenewCrypto { ssh_key_bits: Some(2048), ..renew_nodes() },
        ClusterRenewCrypto { ssh_key_type: Some("rsa".into()), ..renew_nodes() },
    ];
    for op in bad {
        let fault = lu::arguments(&op.into()).expect_err("there are no ssh keys");
        assert!(fault.message.contains("have no ssh keys"), "{fault:?}");
    }
    let nothing = lu::arguments(&ClusterRenewCrypto::default().into());
    assert_eq!(nothing.expect_err("nothing to do").code, FaultCode::WrongInput);
}

// covers: O16
#[test]
fn all_nodes_are_held() {
    let rig = Rig::with_authority();
    let [stage] = rig.locks(renew_nodes()).try_into().expect("one stage");
    let held: Vec<String> = (1..4).map(|n| format!("node/node{n} Hold(Exclusive)")).collect();
    assert_eq!(stage[1..], held);
}

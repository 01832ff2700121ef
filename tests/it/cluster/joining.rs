//! Join tokens, and what is not one (row C106).

use std::time::Duration;

use gantry_link::identity::{Fingerprint, JoinToken};
use gantry_model::errors::FaultCode;
use gantry_model::messages::{Join, TokenIssue};
use gantry_model::opcodes::Reason;
use gantry_model::units::Millis;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimCluster, ops};

const NEWCOMER: MachineNumber = MachineNumber(3);

async fn token(cluster: &SimCluster, valid_ms: u64) -> String {
    let wanted = TokenIssue::new(ops::node_name(NEWCOMER), Millis(valid_ms));
    let issued = cluster.client().issue_token(&wanted).await;
    issued.expect("a token").token
}

async fn assert_refused(cluster: &SimCluster, request: Join, words: &str) {
    let n_nodes = cluster.state().nodes.len();
    let fault = cluster.join(request).await.expect_err("refused");
    assert_eq!(fault.code, FaultCode::Forbidden, "{fault:?}");
    assert!(fault.one_line().contains(words), "{}", fault.one_line());
    assert_eq!(cluster.state().nodes.len(), n_nodes);
    cluster.assert_all_well().await;
}

#[test]
fn an_expired_token_is_refused() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let request = cluster.join_request(&token(&cluster, 1_000).await, 3);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_refused(&cluster, request, "expired").await;
    });
}

#[test]
fn a_token_that_was_used_is_refused_to_another_key() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let token = token(&cluster, 60_000).await;
        cluster.join(cluster.join_request(&token, 3)).await.expect("joins");
        assert_refused(&cluster, cluster.join_request(&token, 4), "used already").await;
    });
}

#[test]
fn a_token_of_another_cluster_is_refused() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let _own = token(&cluster, 60_000).await;
        let elsewhere = "10.0.0.9:1811".parse().expect("an address");
        let foreign =
            JoinToken::new(Fingerprint::of(b"another"), [7; 32], vec![elsewhere]).expect("valid");
        assert_refused(&cluster, cluster.join_request(&foreign.to_string(), 3), "not known").await;
    });
}

// covers: C106 S232
#[test]
fn a_node_is_as_it_was_added_and_one_without_vm_capable_takes_no_instance() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let mut wanted = TokenIssue::new(ops::node_name(NEWCOMER), Millis(60_000));
        wanted.terms.vm_capable = false;
        wanted.terms.ndparams.insert("ssh_port".into(), "2222".into());
        wanted.priority = -10;
        wanted.reason =
            vec![Reason { source: "gnt:user".into(), text: "more room".into(), at_ns: 7 }];
        let token = cluster.client().issue_token(&wanted).await.expect("a token").token;
        cluster.join(cluster.join_request(&token, 3)).await.expect("joins");
        let state = cluster.state();
        let node = state.node_by_name(&ops::node_name(NEWCOMER)).expect("a member");
        assert!(!node.vm_capable && node.master_capable);
        assert_eq!(node.ndparams["ssh_port"], "2222");
        let job = state.jobs.values().next_back().expect("the job that added it");
        let asked = &job.ops[0].input;
        let fields = asked.input_fields();
        assert_eq!((&fields["OP_ID"], &fields["priority"]), (&"OP_NODE_ADD".into(), &(-10).into()));
        assert_eq!((&fields["vm_capable"], &fields["readd"]), (&false.into(), &false.into()));
        assert_eq!(fields["ndparams"]["ssh_port"], "2222");
        assert_eq!(asked.common.reason, wanted.reason);
        let end = cluster.client().submit_and_wait(ops::create("web1", NEWCOMER)).await;
        let fault = end.fault.expect("refused");
        assert!(fault.prerequisite);
        let name = ops::node_name(NEWCOMER);
        assert_eq!(fault.message, format!("Cannot use non-vm_capable primary node '{name}'"));
        cluster.assert_all_well().await;
    });
}

// covers: C106
#[test]
fn a_token_for_a_node_that_cannot_be_is_refused_at_once() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let n_tokens = cluster.state().tokens.len();
        let mut wanted = TokenIssue::new(ops::node_name(NEWCOMER), Millis(60_000));
        wanted.terms.ndparams.insert("colour".into(), "red".into());
        let refused = cluster.client().issue_token(&wanted).await.expect_err("no parameter");
        assert_eq!(refused.fault().expect("an answer").code, FaultCode::WrongInput);
        assert_eq!(cluster.state().tokens.len(), n_tokens);
    });
}

#[test]
fn a_newer_token_for_the_same_name_replaces_the_older() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let older = cluster.join_request(&token(&cluster, 60_000).await, 3);
        let newer = cluster.join_request(&token(&cluster, 60_000).await, 3);
        assert_refused(&cluster, older, "not known").await;
        cluster.join(newer).await.expect("joins");
    });
}

#[test]
fn the_same_request_again_gets_the_same_node_also_after_a_restart_of_the_leader() {
    simulate(async {
        let mut cluster = SimCluster::new(1, 2).await;
        let request = cluster.join_request(&token(&cluster, 600_000).await, 3);
        let first = cluster.join(request.clone()).await.expect("joins");
        assert_eq!(cluster.join(request.clone()).await, Ok(first.clone()));
        cluster.restart(MachineNumber(1)).await;
        assert_eq!(cluster.join(request).await, Ok(first.clone()));
        assert_eq!(first.node_name, ops::node_name(NEWCOMER));
        assert_eq!(cluster.state().nodes.len(), 3);
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_node_that_is_removed_leaves() {
    simulate(async {
        let cluster = SimCluster::new(1, 3).await;
        assert!(!cluster.has_left(NEWCOMER));
        cluster.client().done(ops::remove_node(NEWCOMER)).await;
        cluster.wait_until("it leaves", |cluster| cluster.has_left(NEWCOMER)).await;
        assert_eq!(cluster.state().nodes.len(), 2);
        cluster.assert_all_well().await;
    });
}

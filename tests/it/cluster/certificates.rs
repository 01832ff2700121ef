//! Authorities and the cluster key, as a whole cluster has them.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_engine::state::{Applied, Command};
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::KeyGeneration;
use gantry_model::messages::{ClusterKeyFetch, ClusterKeyHanded, QueryTrust, cluster_path};
use gantry_model::names::NodeName;
use gantry_model::objects::Node;
use gantry_model::opcodes::ClusterRenewCrypto;
use gantry_runtime::simulate;
use gantry_tests::{MachineNumber, SimClient, SimCluster};
use gantry_wire::Role;

const ANSWER: Duration = Duration::from_secs(10);

fn rotate() -> ClusterRenewCrypto {
    ClusterRenewCrypto { cluster_certificate: true, ..ClusterRenewCrypto::default() }
}

async fn key_for(client: &SimClient) -> Result<ClusterKeyHanded, Fault> {
    client.ask(&cluster_path(), &ClusterKeyFetch {}, ANSWER).await.expect("an answer")
}

// covers: O16 K14
#[test]
fn a_rotation_goes_on_without_a_node_that_is_off_and_ends_when_it_is_back() {
    simulate(async {
        let mut cluster = SimCluster::new(11, 3).await;
        let old = cluster.state().trust.bundle();
        let off = MachineNumber(3);
        cluster.crash(off);
        cluster.client().done(rotate()).await;
        let trust = cluster.state().trust.clone();
        let retiring = trust.retiring.clone().expect("one node is off");
        assert_eq!(retiring.pending, BTreeSet::from([cluster.node(off)]));
        assert_eq!(retiring.authority.certificate, old);
        assert_ne!(trust.bundle(), old);
        assert_eq!(cluster.believed(MachineNumber(2)), trust.bundle());

        cluster.restart(off).await;
        let asked = cluster.system(off).actor_ref::<QueryTrust>(cluster_path());
        let view = asked.ask(QueryTrust {}, ANSWER).await.expect("answered").expect("not refused");
        assert_eq!(view.bundle, trust.bundle());
        cluster.wait_for_state("the old one is gone", |s| s.trust.retiring.is_none()).await;
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_rotation_survives_a_crash_of_the_leader_in_the_middle() {
    simulate(async {
        let mut cluster = SimCluster::new(12, 3).await;
        let old = cluster.state().trust.bundle();
        let job = cluster.client().submit_one(rotate()).await;
        cluster
            .wait_for_state("two authorities are believed", |state| state.trust.other.is_some())
            .await;
        cluster.restart(MachineNumber(1)).await;
        let ended = |state: &gantry_engine::state::ClusterState| {
            state.jobs.get(&job).is_some_and(|job| job.status().is_final())
        };
        cluster.wait_for_state("the job has ended", ended).await;
        let trust = cluster.state().trust.clone();
        assert_ne!(trust.bundle(), old);
        assert!(trust.other.is_none() && trust.retiring.is_none(), "{trust:?}");
        cluster.assert_all_well().await;
    });
}

#[test]
fn the_cluster_key_is_for_full_candidates_that_ask_the_leader_themselves() {
    simulate(async {
        let cluster = SimCluster::new(13, 2).await;
        let stranger = cluster.client_as(Role::Candidate, MachineNumber(1));
        let refused = key_for(&stranger).await.expect_err("it is no node of the cluster");
        assert_eq!(refused.code, FaultCode::Forbidden);

        // Made a member, it is handed the key; not through another node.
        let mut member: Node =
            cluster.state().nodes.values().next().expect("a node").as_ref().clone();
        member.uuid = stranger.id().into();
        member.name = NodeName::new("candidate2").expect("valid");
        member.master_candidate = true;
        let command = |deltas| Command::Config { reign: cluster.state().reign, deltas };
        let add = command(vec![ConfigDelta::NodeAdd(Box::new(member.clone()))]);
        let added = cluster.store().propose(add, ANSWER).await.expect("committed");
        assert_eq!(added.applied, Applied::Done);
        let handed = key_for(&stranger).await.expect("it is a full candidate");
        assert_eq!(handed.generation, KeyGeneration(1));
        assert_eq!(handed.key.len(), 32);

        // Demoted, it is refused, whatever its certificate says.
        let remove = command(vec![ConfigDelta::NodeRemove { node: member.uuid }]);
        cluster.store().propose(remove, ANSWER).await.expect("committed");
        member.master_candidate = false;
        let add = command(vec![ConfigDelta::NodeAdd(Box::new(member))]);
        cluster.store().propose(add, ANSWER).await.expect("committed");
        let refused = key_for(&stranger).await.expect_err("not a candidate any more");
        assert_eq!(refused.code, FaultCode::Forbidden);
    });
}

//! Who may send what, asked of every message there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use gantry_engine::state::ClusterState;
use gantry_model::ids::{InstanceUuid, JobId, NodeUuid};
use gantry_model::messages::{
    AcquireLocks, ArchiveJobs, AutoArchiveJobs, CallNode, CancelJob, CertificateIssue,
    CertificateRenew, ChangeJobPriority, ClusterKeyFetch, FollowMaster, GatherFacts, InstallReign,
    JobTouched, Join, MasterFailover, PlanJob, QueryActors, QueryCluster, QueryFields, QueryFlight,
    QueryJobs, QueryLinks, QueryLocks, QueryTable, QueryTrust, ReadConsole, ReleaseLocks, Report,
    SearchTags, SubmitJobs, TokenIssue, WaitJob, WriteConsole, cluster_path, job_path, locks_path,
};
use gantry_model::node_calls::{instance_path, node_path};
use gantry_model::objects::NodeTerms;
use gantry_model::opcodes::{
    ClusterDestroy, ClusterRenewCrypto, InstanceReinstall, NodeAdd, NodeSetParams, OpCode,
    RebootType, TagsDel, TagsSet,
};
use gantry_model::params::{PrivateParams, SecretParams};
use gantry_model::tags::TagObject;
use gantry_runtime::simulate;
use gantry_store::RaftRequest;
use gantry_tests::{MachineNumber, SimCluster, ops};
use gantry_wire::{Access, ActorPath, AskError, Envelope, Message, NotDelivered, Role};
use uuid::Uuid;

/// A message by its receiver, its name and the right that it takes.
struct Entry {
    to: ActorPath,
    name: &'static str,
    access: Access,
}

fn entry<M: Message>(to: &ActorPath) -> Entry {
    Entry { to: to.clone(), name: M::WIRE_NAME, access: M::ACCESS }
}

/// Every message of the cluster, with a receiver that has it in its protocol.
fn every_message(cluster: &SimCluster, instance: InstanceUuid, job: JobId) -> Vec<Entry> {
    let (to, locks) = (cluster_path(), locks_path());
    let node = node_path(cluster.node(MachineNumber(2)));
    let guest = instance_path(instance);
    vec![
        entry::<SubmitJobs>(&to),
        entry::<PlanJob>(&to),
        entry::<QueryTable>(&to),
        entry::<QueryFields>(&to),
        entry::<QueryJobs>(&to),
        entry::<WaitJob>(&to),
        entry::<ArchiveJobs>(&to),
        entry::<AutoArchiveJobs>(&to),
        entry::<CancelJob>(&to),
        entry::<ChangeJobPriority>(&to),
        entry::<JobTouched>(&job_path(job)),
        entry::<QueryCluster>(&to),
        entry::<SearchTags>(&to),
        entry::<QueryActors>(&to),
        entry::<MasterFailover>(&to),
        entry::<TokenIssue>(&to),
        entry::<Join>(&to),
        entry::<Report>(&to),
        entry::<CertificateRenew>(&to),
        entry::<CertificateIssue>(&to),
        entry::<QueryTrust>(&to),
        entry::<ClusterKeyFetch>(&to),
        entry::<AcquireLocks>(&locks),
        entry::<ReleaseLocks>(&locks),
        entry::<QueryLocks>(&locks),
        entry::<CallNode>(&node),
        entry::<CallNode>(&guest),
        entry::<InstallReign>(&node),
        entry::<FollowMaster>(&node),
        entry::<GatherFacts>(&node),
        entry::<QueryActors>(&node),
        entry::<QueryFlight>(&node),
        entry::<QueryLinks>(&node),
        entry::<ReadConsole>(&guest),
        entry::<WriteConsole>(&guest),
    ]
}

/// The same between holders of the log only; others have no such actor.
fn messages_of_the_log() -> Vec<Entry> {
    vec![entry::<RaftRequest>(&ActorPath::new("/raft").expect("a valid path"))]
}

fn envelope(entry: &Entry) -> Envelope {
    // Nothing that any of them could be read from: what is let through fails later.
    Envelope::new(entry.to.clone(), entry.name.to_owned().into(), Bytes::new(), 5_000)
}

async fn check(cluster: &SimCluster, role: Role, door: MachineNumber, entries: &[Entry]) {
    let client = cluster.client_as(role, door);
    for entry in entries {
        let answer = client.send(envelope(entry)).await;
        let (name, to) = (entry.name, &entry.to);
        let forbidden =
            matches!(&answer, Err(AskError::NotDelivered(NotDelivered::Forbidden { .. })));
        let understood =
            !matches!(&answer, Err(AskError::NotDelivered(NotDelivered::NotUnderstood { .. })));
        let context = format!("{role} sends {name} to {to} through {door:?}: {answer:?}");
        assert_eq!(forbidden, !role.may(entry.access), "{context}");
        assert_eq!(understood, !role.may(entry.access), "{context}");
    }
}

#[test]
fn every_message_is_refused_to_every_role_without_its_right_and_to_no_other() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        cluster.client().done(ops::create("web1", MachineNumber(2))).await;
        let instance = cluster.client().instance_uuid("web1").await.expect("it exists");
        cluster.wait_until_idle().await;
        // One that outlasts all this, so that there is an actor of a job.
        let job = cluster.client().submit_one(ops::delay_on(MachineNumber(2), 600_000)).await;
        cluster.wait_for_state("it acts", |state| state.locks.contains_key(&job)).await;
        let noted = |state: &ClusterState| state.transitions.contains_key(&instance);
        cluster.wait_for_state("its start is noted", noted).await;
        let entries = every_message(&cluster, instance, job);
        let before = cluster.state();
        for role in [Role::Reader, Role::Joiner, Role::Admin, Role::Lapsed] {
            for door in [MachineNumber(1), MachineNumber(2)] {
                check(&cluster, role, door, &entries).await;
            }
            check(&cluster, role, MachineNumber(1), &messages_of_the_log()).await;
        }
        assert_eq!(*cluster.state(), *before, "nothing of it had an effect");
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_reader_changes_nothing_with_well_formed_messages_and_sees_all() {
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let job = cluster.client().done(ops::create("web1", MachineNumber(2))).await.job;
        for door in [MachineNumber(1), MachineNumber(2)] {
            let reader = cluster.client_as(Role::Reader, door);
            let before = cluster.state().revision;
            let refused = reader.submit_ops([ops::remove("web1")]).await.expect_err("a reader");
            assert!(format!("{refused:?}").contains("Forbidden"), "{refused:?}");
            let name = ops::node_name(MachineNumber(9));
            let wanted = TokenIssue::new(name, gantry_model::units::Millis(1000));
            let refused = reader.issue_token(&wanted).await;
            refused.expect_err("a reader");
            let instance = reader.instance_uuid("web1").await.expect("it may look");
            reader.write_console(instance, b"q".to_vec()).await.expect_err("a reader");
            reader.read_console(instance, 0, std::time::Duration::ZERO).await.expect("may look");
            assert_eq!(reader.jobs(vec![job]).await.expect("it may look").len(), 1);
            reader.locks().await.expect("it may look");
            assert_eq!(cluster.state().revision, before);
        }
        cluster.assert_all_well().await;
    });
}

/// One of every opcode, as it would be accepted from an administrator.
fn every_opcode() -> Vec<OpCode> {
    let on = MachineNumber(2);
    let (object, tags) = (TagObject::Cluster, vec!["owner:nobody".to_owned()]);
    let node_add = NodeAdd {
        node_name: ops::node_name(MachineNumber(3)),
        node_uuid: NodeUuid(Uuid::from_u128(3)),
        address: "node3.example:1811".to_owned(),
        secret_hash: "0".repeat(64),
        key_hash: "0".repeat(64),
        terms: NodeTerms::default(),
    };
    let renew = ClusterRenewCrypto { node_certificates: true, ..ClusterRenewCrypto::default() };
    let reinstall = InstanceReinstall {
        instance_name: ops::instance_name("web1"),
        os_type: None,
        force_variant: false,
        osparams: BTreeMap::new(),
        osparams_private: PrivateParams::default(),
        osparams_secret: SecretParams::default(),
    };
    vec![
        ClusterDestroy {}.into(),
        renew.into(),
        node_add.into(),
        ops::remove_node(on).into(),
        NodeSetParams { drained: Some(true), ..ops::modify_node(on) }.into(),
        ops::pool_of(2).into(),
        ops::create("web2", on).into(),
        ops::remove("web1").into(),
        reinstall.into(),
        ops::startup("web1").into(),
        ops::shutdown("web1").into(),
        ops::reboot("web1", RebootType::Hard).into(),
        TagsSet { object: object.clone(), tags: tags.clone() }.into(),
        TagsDel { object, tags }.into(),
        ops::delay(1).into(),
    ]
}

#[test]
fn no_opcode_is_taken_from_a_reader_or_a_joiner() {
    let opcodes = every_opcode();
    let tried: BTreeSet<&str> = opcodes.iter().map(OpCode::op_id).collect();
    let all: BTreeSet<&str> = OpCode::ALL.iter().map(|(op_id, _)| *op_id).collect();
    assert_eq!(tried, all, "an opcode that is added must be added above, too");
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        cluster.client().done(ops::create("web1", MachineNumber(2))).await;
        let before = cluster.state();
        for role in [Role::Reader, Role::Joiner] {
            for door in [MachineNumber(1), MachineNumber(2)] {
                let client = cluster.client_as(role, door);
                for op in &opcodes {
                    let refused = client.submit_ops([op.clone()]).await.expect_err(op.op_id());
                    let is_forbidden = matches!(
                        refused.ask_error(),
                        Some(AskError::NotDelivered(NotDelivered::Forbidden { .. }))
                    );
                    assert!(is_forbidden, "{role}, {}: {refused:?}", op.op_id());
                }
            }
        }
        let now = cluster.state();
        assert_eq!(now.jobs.len(), before.jobs.len(), "none of them is a job");
        cluster.assert_all_well().await;
    });
}

/// A message that is added must be added above, too.
#[test]
fn no_message_is_missing_here() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root");
    let dir = dir.join("actors/model/src/messages");
    let mut names = Vec::new();
    for file in fs::read_dir(dir).expect("the messages of the model") {
        let path = file.expect("an entry").path();
        if path.ends_with("mod.rs") {
            continue;
        }
        let text = fs::read_to_string(path).expect("text");
        let table = text.split("messages! {").nth(1).unwrap_or_default().to_owned();
        names.extend(table.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    names.retain(|name| name.contains('.'));
    assert!(names.len() >= 17, "{names:?}");
    simulate(async {
        let cluster = SimCluster::new(1, 2).await;
        let known = every_message(&cluster, InstanceUuid(Uuid::nil()), JobId(1));
        for name in names {
            assert!(known.iter().any(|entry| entry.name == name), "{name} is not tested");
        }
    });
}

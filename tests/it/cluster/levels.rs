//! Clusters of this version and the next: nothing of the next appears before everybody has it.
//!
//! The next version is the test-only one (feature `next-version`): one level with a command, a
//! field of the state and an opcode. A machine of this version is one whose store does not know
//! that level, whatever is compiled in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gantry_client::ClientError;
use gantry_engine::state::{Applied, Command, NEXT_LEVEL, NEXT_LEVELS, STATE_LEVEL, STATE_LEVELS};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::levels::LevelStanding;
use gantry_model::messages::{QueryCluster, SubmitJobs, TokenIssue, cluster_path};
use gantry_model::opcodes::TestNext;
use gantry_model::units::Millis;
use gantry_runtime::simulate;
use gantry_store::{CommitMoment, ProposeError};
use gantry_tests::{MachineNumber, SimClient, SimCluster, ops};
use gantry_wire::{AskError, Envelope, ErrorChain, Message, NotDelivered};
use serde::Serialize;

const FIRST: MachineNumber = MachineNumber(1);
const SECOND: MachineNumber = MachineNumber(2);
const THIRD: MachineNumber = MachineNumber(3);
const ALL: [MachineNumber; 3] = [FIRST, SECOND, THIRD];

/// Long enough for anything to be committed.
const SOON: Duration = Duration::from_secs(60);

/// Three holders of the log, all of this version.
async fn three_holders(seed: u64) -> SimCluster {
    let mut cluster = SimCluster::with_pool(seed, 3, 3).await;
    cluster.until_holders(3, 0).await;
    cluster
}

async fn upgrade(cluster: &mut SimCluster, machine: MachineNumber) {
    cluster.install(machine, NEXT_LEVELS);
    cluster.restart(machine).await;
}

async fn wait_for_leader(cluster: &SimCluster) -> MachineNumber {
    cluster.wait_until("somebody leads", |cluster| cluster.leader().is_some()).await;
    cluster.leader().expect("just now")
}

/// What the cluster says of its level, as soon as it says that `it_is`.
async fn standing(cluster: &SimCluster, it_is: impl Fn(&LevelStanding) -> bool) -> LevelStanding {
    let client = cluster.client();
    for _ in 0..600 {
        if let Ok(info) = client.cluster().await
            && it_is(&info.level)
        {
            return info.level;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("never");
}

async fn try_trial(cluster: &SimCluster, value: u64) -> Result<Applied, ProposeError> {
    let leader = wait_for_leader(cluster).await;
    let store = cluster.store_of(leader).expect("it leads");
    let reign = store.snapshot().reign;
    store.propose(Command::Trial { reign, value }, SOON).await.map(|done| done.applied)
}

async fn refused_opcode(client: &SimClient) -> Fault {
    let submitted = client.submit_ops([TestNext { note: "too early".into() }]).await;
    match submitted.expect_err("refused") {
        ClientError::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// How often the present holders of the log raise the level from now on.
fn count_rises(cluster: &SimCluster) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    for store in ALL.iter().filter_map(|machine| cluster.store_of(*machine)) {
        let count = Arc::clone(&count);
        store.watch_commits(Arc::new(move |moment, command| {
            if moment == CommitMoment::After && matches!(command, Command::RaiseLevel { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    count
}

fn levels(cluster: &SimCluster) -> BTreeMap<MachineNumber, u32> {
    let stores = ALL.map(|machine| (machine, cluster.store_of(machine)));
    stores
        .into_iter()
        .filter_map(|(machine, store)| Some((machine, store?.snapshot().level)))
        .collect()
}

/// From a cluster of this version to one of the next; a digest of all that passed.
async fn rolling_upgrade(seed: u64) -> (SimCluster, [u8; 32]) {
    let mut cluster = three_holders(seed).await;
    assert_eq!(cluster.state().level, STATE_LEVEL);
    upgrade(&mut cluster, SECOND).await;
    upgrade(&mut cluster, FIRST).await;
    let held = standing(&cluster, |now| now.newest == NEXT_LEVEL && now.held_by.len() == 1).await;
    assert_eq!(held.level, STATE_LEVEL);
    let holder = &held.held_by[0];
    assert_eq!(holder.name.as_ref(), Some(cluster.name(THIRD)));
    // Whoever leads now: it was asked, or it is the old one itself.
    assert_eq!(holder.knows, Some(STATE_LEVELS));

    let client = cluster.client();
    client.done(ops::create("web1", SECOND)).await;
    let fault = refused_opcode(&client).await;
    assert_eq!(fault.code, FaultCode::WrongState);
    let text = format!("OP_TEST_NEXT belongs to state level {NEXT_LEVEL}");
    assert!(fault.message.starts_with(&text), "{}", fault.message);
    let error = try_trial(&cluster, 1).await.expect_err("it belongs to the next level");
    assert!(matches!(error, ProposeError::NotPermitted(_)), "{error}");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(levels(&cluster).values().all(|level| *level == STATE_LEVEL));
    assert!(ALL.iter().all(|m| cluster.store_of(*m).is_some_and(|s| s.failure().is_none())));

    let raised = count_rises(&cluster);
    upgrade(&mut cluster, THIRD).await;
    let risen = standing(&cluster, |now| now.level == NEXT_LEVEL && now.held_by.is_empty()).await;
    assert_eq!(risen.newest, NEXT_LEVEL);
    // The leader has asked again since.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(raised.load(Ordering::Relaxed), 1, "it rises once");
    cluster
        .wait_until("all are at it", |cluster| {
            levels(cluster).values().filter(|level| **level == NEXT_LEVEL).count() == ALL.len()
        })
        .await;
    let digest = cluster.trace_digest();
    (cluster, digest)
}

#[test]
fn the_level_stays_while_one_holder_is_old_and_rises_when_the_last_is_replaced() {
    simulate(async {
        let (cluster, _) = rolling_upgrade(11).await;
        let client = cluster.client();
        let end = client.done(TestNext { note: "at last".into() }).await;
        assert_eq!(end.results, ["at last"]);
        assert_eq!(try_trial(&cluster, 7).await, Ok(Applied::Done));
        cluster
            .wait_until("all have the field", |cluster| {
                let trial = |m: &MachineNumber| cluster.store_of(*m).map(|s| s.snapshot().trial);
                ALL.iter().all(|machine| trial(machine) == Some(7))
            })
            .await;
        cluster.assert_all_well().await;
    });
}

#[test]
fn one_seed_gives_one_upgrade() {
    let run = |seed| simulate(async move { rolling_upgrade(seed).await.1 });
    assert_eq!(run(12), run(12));
    assert_ne!(run(12), run(13));
}

#[test]
fn a_holder_that_comes_back_with_the_old_program_refuses_to_start_and_the_others_go_on() {
    simulate(async {
        let (mut cluster, _) = rolling_upgrade(14).await;
        cluster.install(THIRD, STATE_LEVELS);
        let error = cluster.try_restart(THIRD).await.expect_err("it does not know the level");
        let text = ErrorChain(&error).to_string();
        let words = format!(
            "this program knows state levels up to {STATE_LEVEL}, the log is at {NEXT_LEVEL}: \
             upgrade this node's gantry"
        );
        assert!(text.contains(&words), "{text}");
        wait_for_leader(&cluster).await;
        cluster.client().done(ops::create("web2", FIRST)).await;
        upgrade(&mut cluster, THIRD).await;
        cluster
            .wait_until("it has caught up", |cluster| {
                let store = cluster.store_of(THIRD).expect("it runs");
                store.snapshot().instances.len() == 2
            })
            .await;
    });
}

fn envelope(message: &str, body: Bytes) -> Envelope {
    Envelope {
        to: cluster_path(),
        message: message.to_owned().into(),
        body,
        deadline_ms: 30_000,
        trace: None,
        request: None,
        fence: None,
        incarnation: None,
        origin: None,
        hops: 0,
    }
}

/// As a later program would encode it.
fn body(value: &impl Serialize) -> Bytes {
    gantry_wire::encode(value).expect("encodes").into()
}

fn not_understood(answer: Result<Bytes, AskError>) -> String {
    match answer {
        Err(AskError::NotDelivered(NotDelivered::NotUnderstood { reason, .. })) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_an_old_node_has_no_word_for_is_answered_and_nothing_else_suffers() {
    #[derive(Serialize)]
    struct LaterQuery {
        with_clouds: bool,
    }
    #[derive(Serialize)]
    struct LaterSubmit {
        request: gantry_wire::RequestId,
        jobs: Vec<BTreeMap<&'static str, Vec<LaterOp>>>,
    }
    #[derive(Serialize)]
    struct LaterOp {
        op: BTreeMap<&'static str, BTreeMap<&'static str, u32>>,
    }
    simulate(async {
        let cluster = SimCluster::new(15, 2).await;
        let client = cluster.client_at(SECOND);
        let long = client.submit_one(ops::delay(5_000)).await;

        let message = client.send(envelope("cluster.fly", body(&7))).await;
        assert_eq!(not_understood(message), "not in its protocol");
        let op = LaterOp { op: BTreeMap::from([("OP_FLY", BTreeMap::from([("height", 7)]))]) };
        let jobs = vec![BTreeMap::from([("ops", vec![op])])];
        let request = gantry_wire::RequestId(uuid::Uuid::from_u128(1));
        let opcode = body(&LaterSubmit { request, jobs });
        let opcode = client.send(envelope(SubmitJobs::WIRE_NAME, opcode)).await;
        let reason = not_understood(opcode);
        assert!(reason.contains("OP_FLY"), "{reason}");
        let field = body(&LaterQuery { with_clouds: true });
        let field = client.send(envelope(QueryCluster::WIRE_NAME, field)).await;
        assert!(field.is_ok(), "a field that is not known is not looked at: {field:?}");

        client.wait(long).await.expect_success();
        client.cluster().await.expect("the same connection is as good as before");
        cluster.assert_all_well().await;
    });
}

#[test]
fn a_node_joins_only_with_a_program_that_knows_the_level() {
    simulate(async {
        let cluster = SimCluster::new(16, 1).await;
        let wanted = TokenIssue::new(ops::node_name(SECOND), Millis(60_000));
        let issued = cluster.client().issue_token(&wanted).await;
        let request = cluster.join_request(&issued.expect("a token").token, 2);
        let old = gantry_model::levels::Levels { lowest: 1, newest: STATE_LEVEL - 1 };
        for (knows, words) in [
            (Some(old), format!("its gantry knows state levels {old}")),
            (None, "does not say which state levels it knows".to_owned()),
        ] {
            let mut request = request.clone();
            request.levels = knows;
            let fault = cluster.join(request).await.expect_err("refused");
            assert_eq!(fault.code, FaultCode::WrongState);
            assert!(fault.message.contains(&words), "{}", fault.message);
            assert!(fault.message.contains(&format!("is at level {STATE_LEVEL}")));
        }
        cluster.join(request).await.expect("the token was not used up");
        assert_eq!(cluster.state().nodes.len(), 2);
    });
}

//! Holders of the log with programs that know different state levels.
//!
//! An older program is this one with fewer levels: what belongs to a later one it cannot read.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use gantry_engine::state::{Applied, Command, STATE_LEVEL, STATE_LEVELS};
use gantry_model::ids::{JobId, NodeUuid, ReignId};
use gantry_model::levels::Levels;
use gantry_store::disk::{Disk, FaultyDisk};
use gantry_store::{
    Committed, Compaction, Leadership, LevelError, OpenError, ProposeError, Store, StoreConfig,
    StoreError,
};

use crate::cluster::TestCluster;
use crate::fixtures::{SOON, bootstrapped_at, chain, node, simulated, submit, submit_one};

const OFTEN: Compaction = Compaction { snapshot_every: 20, keep: 5 };
const BEFORE: u32 = STATE_LEVEL - 1;
const OLD: Levels = Levels { lowest: 1, newest: BEFORE };

/// The third of three knows less.
fn third_is_old() -> BTreeMap<NodeUuid, Levels> {
    BTreeMap::from([(node(3), OLD)])
}

async fn mixed(seed: u64) -> (TestCluster, ReignId, Store) {
    let (cluster, reign) = TestCluster::at_level(3, seed, OFTEN, BEFORE, third_is_old()).await;
    let leader = cluster.leader_but(&[node(3)]).await;
    (cluster, reign, leader)
}

async fn raise(store: &Store, reign: ReignId) -> Committed {
    let to = store.snapshot().level + 1;
    store.propose(Command::RaiseLevel { reign, to }, SOON).await.expect("committed")
}

async fn stopped(store: &Store) {
    let mut leadership = store.leadership();
    let stops = leadership.wait_for(|now| *now == Leadership::Stopped);
    tokio::time::timeout(SOON, stops).await.expect("in time").expect("told");
}

fn too_new() -> LevelError {
    LevelError::TooNew { found: STATE_LEVEL, known: BEFORE }
}

/// It refuses to open, and why.
async fn refused_at_open(cluster: &TestCluster, at: NodeUuid) -> LevelError {
    let error = cluster.open(at).await.expect_err("it does not know this level");
    let OpenError::Level { source, .. } = &error else { panic!("{}", chain(&error)) };
    source.clone()
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_program_is_too_old_stops_when_the_level_rises_and_the_others_go_on() {
    let (mut cluster, reign, leader) = mixed(1).await;
    submit_one(&leader, reign, 1).await.expect("the old one is a member like any");
    assert_eq!(raise(&leader, reign).await.applied, Applied::Done);
    let old = cluster.stores[&node(3)].clone();
    stopped(&old).await;
    assert_eq!(old.failure(), Some(too_new().to_string()));
    assert_eq!(old.snapshot().level, BEFORE, "nothing of the new level is shown");
    let error = old.read_index(SOON).await.expect_err("it serves nothing");
    assert!(matches!(error, StoreError::Level(_)), "{}", chain(&error));
    let error = submit_one(&old, reign, 2).await.expect_err("nor does it propose");
    assert_eq!(error, ProposeError::Level(too_new()));
    submit_one(&leader, reign, 3).await.expect("two of three go on");

    cluster.kill(node(3));
    assert_eq!(refused_at_open(&cluster, node(3)).await, too_new());
    cluster.levels.clear();
    cluster.start(node(3)).await;
    submit_one(&leader, reign, 4).await.expect("committed");
    cluster.agree_at(leader.snapshot().revision).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_was_off_while_the_level_rose_stops_when_it_is_back() {
    let (mut cluster, reign, leader) = mixed(2).await;
    cluster.kill(node(3));
    raise(&leader, reign).await;
    cluster.start(node(3)).await;
    stopped(&cluster.stores[&node(3)]).await;
    assert_eq!(cluster.stores[&node(3)].failure(), Some(too_new().to_string()));
    cluster.kill(node(3));
    assert_eq!(refused_at_open(&cluster, node(3)).await, too_new());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_a_later_level_is_not_taken() {
    let (mut cluster, reign, leader) = mixed(3).await;
    cluster.kill(node(3));
    raise(&leader, reign).await;
    for request in 0..60 {
        submit_one(&leader, reign, request).await.expect("committed");
    }
    // What it lacks is not in the log any more.
    cluster.start(node(3)).await;
    let old = cluster.stores[&node(3)].clone();
    stopped(&old).await;
    assert!(cluster.network.n_chunks() > 0, "a snapshot was sent");
    assert_eq!(old.failure(), Some(too_new().to_string()));
    assert_eq!(old.snapshot().level, BEFORE, "nothing of it was taken");
    cluster.kill(node(3));
    assert_eq!(refused_at_open(&cluster, node(3)).await, too_new());
    submit_one(&leader, reign, 100).await.expect("the others go on");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_the_program_has_no_word_for_stops_it_and_is_never_skipped() {
    let (mut cluster, reign) = TestCluster::of(3, 4, OFTEN).await;
    let leader = cluster.leader_but(&[node(3)]).await;
    cluster.network.speak_future(node(3));
    submit_one(&leader, reign, 1).await.expect("committed by two");
    let old = cluster.stores[&node(3)].clone();
    stopped(&old).await;
    let failure = old.failure().expect("it has stopped");
    assert!(failure.contains("cannot read log entry"), "{failure}");
    assert!(failure.contains("fly") && failure.contains("upgrade this node's gantry"), "{failure}");
    assert!(old.snapshot().revision < leader.snapshot().revision);
    submit_one(&leader, reign, 2).await.expect("two of three go on");

    cluster.kill(node(3));
    cluster.network.leave_alone(node(3));
    let needs = LevelError::TooNew { found: STATE_LEVEL + 1, known: STATE_LEVEL };
    assert_eq!(refused_at_open(&cluster, node(3)).await, needs, "not taken for a passing fault");
    cluster.levels.insert(node(3), Levels { lowest: 1, newest: STATE_LEVEL + 1 });
    cluster.start(node(3)).await;
    submit_one(&leader, reign, 3).await.expect("committed");
    cluster.agree_at(leader.snapshot().revision).await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_a_later_level_is_as_good_as_unknown() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped_at(simulated(&disk), STATE_LEVEL).await;
    let command = Command::ChangePriority { reign, job: JobId(1), priority: 1 };
    store.propose(command, SOON).await.expect("committed, and refused: there is no such job");
    store.shutdown().await.expect("ends");
    // An older program finds it as the last entry of its log, where no mark says the level.
    disk.replace("level", b"1").expect("written");
    let config = StoreConfig { levels: Levels { lowest: 1, newest: 1 }, ..simulated(&disk) };
    let error = Store::open(config).await.expect_err("it does not know the entry");
    let OpenError::Level { source: LevelError::Unreadable { what, .. }, .. } = &error else {
        panic!("{}", chain(&error));
    };
    assert!(what.starts_with("log entry"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_level_survives_the_power_and_an_older_program_refuses_the_directory() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped_at(simulated(&disk), BEFORE).await;
    raise(&store, reign).await;
    store.abort();
    disk.lose_power(None).expect("the medium works");
    let old = StoreConfig { levels: OLD, ..simulated(&disk) };
    let error = Store::open(old).await.expect_err("too old");
    assert_eq!(
        chain(&error),
        format!(
            "cannot use the log in simulated: this program knows state levels up to {BEFORE}, the \
             log is at {STATE_LEVEL}: upgrade this node's gantry"
        )
    );
    let store = Store::open(simulated(&disk)).await.expect("opens");
    assert_eq!(store.snapshot().level, STATE_LEVEL);
}

#[tokio::test(start_paused = true)]
async fn a_program_without_the_rules_of_the_log_refuses_it_too() {
    let disk = FaultyDisk::in_memory();
    let (store, _) = bootstrapped_at(simulated(&disk), BEFORE).await;
    store.shutdown().await.expect("ends");
    let levels = Levels { lowest: STATE_LEVEL, newest: STATE_LEVEL + 3 };
    let error = Store::open(StoreConfig { levels, ..simulated(&disk) }).await;
    let error = error.expect_err("two steps at once");
    let source = error.source().expect("a cause").to_string();
    assert!(source.contains(&format!("from {STATE_LEVEL} on")), "{source}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_belong_to_the_level_is_not_proposed() {
    let disk = FaultyDisk::in_memory();
    let (store, reign) = bootstrapped_at(simulated(&disk), 1).await;
    let before = store.snapshot().revision;
    let command = Command::Archive { reign, jobs: Vec::new() };
    let error = store.propose(command, SOON).await.expect_err("too early");
    assert!(error.had_no_effect());
    let ProposeError::NotPermitted(why) = &error else { panic!("{}", chain(&error)) };
    assert_eq!((why.needs, why.level), (3, 1));
    submit_one(&store, reign, 1).await.expect("what belongs to it is");
    assert_eq!(store.snapshot().revision.0, before.0 + 1, "nothing else is in the log");
}

#[tokio::test(start_paused = true)]
async fn every_holder_says_what_it_knows_and_one_that_is_off_says_nothing() {
    let (mut cluster, _, leader) = mixed(5).await;
    let expected = [(1, Some(STATE_LEVELS)), (2, Some(STATE_LEVELS)), (3, Some(OLD))]
        .map(|(number, levels)| (node(number), levels));
    assert_eq!(leader.survey_levels().await, BTreeMap::from(expected));
    let off = if leader.node() == node(2) { node(1) } else { node(2) };
    cluster.kill(off);
    assert_eq!(leader.survey_levels().await[&off], None);
    // One that comes back with an older program is seen anew.
    cluster.levels.insert(off, OLD);
    cluster.start(off).await;
    assert_eq!(leader.survey_levels().await[&off], Some(OLD));
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_program_does_not_know_the_level_gets_no_log() {
    let (mut cluster, reign) = TestCluster::at_level(3, 6, OFTEN, BEFORE, BTreeMap::new()).await;
    let leader = cluster.leader_but(&[node(3)]).await;
    let rest = BTreeSet::from([node(1), node(2)]);
    leader.change_voters(rest, SOON).await.expect("the third votes no more");
    leader.remove_learner(node(3), SOON).await.expect("the third leaves");
    raise(&leader, reign).await;
    cluster.levels = third_is_old();
    cluster.kill(node(3));
    cluster.start_anew(node(3)).await;
    let error = leader.add_learner(node(3), SOON).await.expect_err("it is refused");
    let text = chain(&error);
    assert!(text.contains(&format!("knows state levels {OLD}")), "{text}");
    assert!(text.contains(&format!("the log is at state level {STATE_LEVEL}")), "{text}");
    assert!(!leader.members().learners.contains(&node(3)));
    cluster.kill(node(3));
    let error = leader.add_learner(node(3), SOON).await.expect_err("nor one that is silent");
    assert!(chain(&error).contains("does not say which state levels"), "{}", chain(&error));
    leader.propose(submit(reign, 9), SOON).await.expect("the others go on");
}

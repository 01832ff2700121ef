//! The leader dies while the level rises: before and after each flush, of the entry and of the
//! mark beside the log.

use std::time::Duration;

use gantry_engine::state::{Applied, Command, NEXT_LEVEL, NEXT_LEVELS, STATE_LEVEL};
use gantry_runtime::simulate;
use gantry_tests::{CrashPlan, MachineNumber, SimCluster, ops};

/// Long enough for anything to be committed.
const SOON: Duration = Duration::from_secs(60);

const LEADER: MachineNumber = MachineNumber(1);
const OTHERS: [MachineNumber; 2] = [MachineNumber(2), MachineNumber(3)];

fn plan(at: Option<usize>) -> CrashPlan {
    CrashPlan { victim: LEADER, at, acts_itself: true }
}

async fn risen(cluster: &SimCluster) {
    let risen = |cluster: &SimCluster| {
        let leader = cluster.leader().and_then(|leader| cluster.store_of(leader));
        leader.is_some_and(|store| store.snapshot().level == NEXT_LEVEL)
    };
    cluster.wait_until("the level has risen", risen).await;
}

/// What belongs to the new level is taken, and the level does not rise again.
async fn assert_at_next(cluster: &SimCluster) {
    // The reign in the state may be that of before the crash for a moment.
    for _ in 0..100 {
        let Some(store) = cluster.leader().and_then(|leader| cluster.store_of(leader)) else {
            tokio::time::sleep(SOON / 100).await;
            continue;
        };
        let trial = Command::Trial { reign: store.snapshot().reign, value: 3 };
        if store.propose(trial, SOON).await.is_ok_and(|done| done.applied == Applied::Done) {
            let state = store.snapshot();
            assert_eq!((state.level, state.trial), (NEXT_LEVEL, 3));
            return;
        }
        tokio::time::sleep(SOON / 100).await;
    }
    panic!("nobody takes what belongs to the next level");
}

/// Lets the level rise, over the death of the leader if it is to die at a point; the points that it
/// passed. What belongs to the level is taken then, and jobs go on.
async fn rise(cluster: &mut SimCluster, at: Option<usize>) -> Vec<String> {
    if at.is_some() {
        cluster.wait_until("it dies", |cluster| cluster.is_down(LEADER)).await;
    } else {
        risen(cluster).await;
    }
    let (points, fired) = cluster.disarm();
    assert_eq!(fired, at.is_some());
    if fired {
        cluster.restart(LEADER).await;
        risen(cluster).await;
    }
    assert_at_next(cluster).await;
    cluster.client().done(ops::create("web1", LEADER)).await;
    points
}

/// A leader alone, started with the next version; the points that it passed until the level was up.
fn alone(at: Option<usize>) -> Vec<String> {
    simulate(async {
        let mut cluster = SimCluster::new(21, 1).await;
        assert_eq!(cluster.state().level, STATE_LEVEL);
        cluster.install(LEADER, NEXT_LEVELS);
        cluster.restart_into(plan(at)).await;
        let points = rise(&mut cluster, at).await;
        cluster.assert_all_well().await;
        points
    })
}

#[test]
fn of_a_leader_alone() {
    let points = alone(None);
    // Takeover and rise, two flushes each at least, and the mark: each before and after.
    assert!(points.len() >= 6, "{points:?}");
    for at in 0..points.len() {
        assert_eq!(alone(Some(at)), points[..=at]);
    }
}

/// Hands leadership to the first machine, and waits for its reign.
async fn lead_again(cluster: &SimCluster) {
    let node = cluster.node(LEADER);
    cluster.wait_until("somebody leads", |cluster| cluster.leader().is_some()).await;
    let leader = cluster.leader().expect("just now");
    let store = cluster.store_of(leader).expect("it leads");
    store.transfer_leadership(node, SOON).await.expect("handed over");
    cluster
        .wait_until("it reigns", |cluster| {
            cluster.leader() == Some(LEADER) && cluster.state().master == Some(node)
        })
        .await;
}

/// A leader of three that dies while the level rises, and another takes over.
fn of_three(at: Option<usize>) -> Vec<String> {
    simulate(async {
        let mut cluster = SimCluster::with_pool(22, 3, 3).await;
        cluster.until_holders(3, 0).await;
        for upgraded in [OTHERS[0], LEADER] {
            cluster.install(upgraded, NEXT_LEVELS);
            cluster.restart(upgraded).await;
        }
        lead_again(&cluster).await;
        cluster.arm(plan(at));
        cluster.install(OTHERS[1], NEXT_LEVELS);
        cluster.restart(OTHERS[1]).await;
        rise(&mut cluster, at).await
    })
}

#[test]
fn of_one_of_three_holders() {
    let points = of_three(None);
    // The rise and the mark, each before and after its flush.
    assert!(points.len() >= 4, "{points:?}");
    for at in 0..points.len() {
        assert_eq!(of_three(Some(at)), points[..=at]);
    }
}

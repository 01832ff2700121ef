//! Real nodes over QUIC: what runs on the network thread, and what must not hold it up.

use std::sync::mpsc;
use std::time::Duration;

use gantry_runtime::{QuickNode, SpawnOptions, Thread};
use gantry_wire::AskError;

use crate::rig::*;

/// Longest wait for another thread. Only a failure takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

fn on(thread: Thread) -> SpawnOptions {
    SpawnOptions { thread, ..SpawnOptions::default() }
}

/// Two nodes that know each other.
fn pair(dir: &std::path::Path) -> (QuickNode, QuickNode) {
    let near = QuickNode::start(dir, 1).expect("starts");
    let far = QuickNode::start(dir, 2).expect("starts");
    near.know(2, far.addr);
    (near, far)
}

#[tokio::test]
async fn a_busy_user_actor_does_not_hold_up_the_network() {
    let dir = tempfile::tempdir().expect("a directory");
    let (near, far) = pair(&dir.path().join("nodes"));
    let (busy, _) = probe(&far.system, "/probe/busy", on(Thread::Worker(0)));
    let (_control, _) = probe(&far.system, "/probe/control", on(Thread::Control));
    let (release, released) = mpsc::channel::<()>();
    busy.act(move |_, _| {
        let _let_go = released.recv_timeout(PATIENCE);
    })
    .expect("room");
    let node = QuickNode::node_id(2);
    let control = near.system.remote::<Note>(node, path("/probe/control"));
    for n in 1..=100 {
        assert_eq!(control.ask(note("x"), PATIENCE).await, Ok(n), "while the other is busy");
    }
    // What waits for the busy one is told the truth at its deadline.
    let late = near.system.remote::<Note>(node, path("/probe/busy"));
    let outcome = late.ask(note("x"), Duration::from_millis(100)).await;
    assert!(matches!(outcome, Err(AskError::NotStarted(_))), "{outcome:?}");
    release.send(()).expect("it still blocks");
    let outcome = late.ask(note("y"), PATIENCE).await;
    assert_eq!(outcome, Ok(1), "what was not started has not happened");
    for node in [near, far] {
        assert!(node.system.shutdown(PATIENCE).await);
        node.system.platform().stop();
    }
}

#[tokio::test]
async fn all_four_outcomes_arrive_over_quic() {
    let dir = tempfile::tempdir().expect("a directory");
    let (near, far) = pair(&dir.path().join("nodes"));
    let (_probe, _) = probe(&far.system, "/probe/1", on(Thread::Control));
    let node = QuickNode::node_id(2);
    let short = Duration::from_millis(100);
    let done = near.system.remote::<Note>(node, path("/probe/1")).ask(note("x"), PATIENCE).await;
    assert_eq!(done, Ok(1));
    let nobody = near.system.remote::<Note>(node, path("/probe/2")).ask(note("x"), PATIENCE).await;
    assert!(matches!(nobody, Err(AskError::NotDelivered(_))), "{nobody:?}");
    let hold = near.system.remote::<Hold>(node, path("/probe/1")).ask(Hold(2_000), short);
    let behind = near.system.remote::<Note>(node, path("/probe/1")).ask(note("x"), short);
    let (hold, behind) = tokio::join!(hold, behind);
    assert!(matches!(hold, Err(AskError::Unknown(_))), "it had started: {hold:?}");
    assert!(matches!(behind, Err(AskError::NotStarted(_))), "it waited: {behind:?}");
    let broken = near.system.remote::<Break>(node, path("/probe/1"));
    let broken = broken.ask(Break("boom".into()), PATIENCE).await;
    let expected = AskError::Unknown("the handler panicked: boom".into());
    assert_eq!(broken, Err(expected), "a panic is told to who asked");
    for node in [near, far] {
        assert!(node.system.shutdown(PATIENCE).await);
        node.system.platform().stop();
    }
}

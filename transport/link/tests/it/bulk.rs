//! Bulk transfers: what the suite cannot show on both links.

use std::time::Duration;

use bytes::Bytes;
use gantry_link::conformance::{Recorder, Taken, take_transfers};
use gantry_link::sim::{SimConfig, SimLink, SimNetwork};
use gantry_link::{BulkError, BulkOpen, BulkRefusal, BulkStream, Link};
use gantry_wire::{Access, BootId, NodeId, Role};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::rig::raw::{self, Greeting, RawFrame};
use crate::rig::{QuicRig, new_boot};

const PATIENCE: Duration = Duration::from_secs(10);

const BULK_DONE_CODE: u64 = 11;

/// How long nothing may move. Written down a second time: a change of the first must be meant.
const IDLE: Duration = Duration::from_secs(30);

/// More than a transfer holds under way.
const FLOOD_BYTES: usize = 32 * 1024 * 1024;

fn idle() -> BulkError {
    BulkError::Idle { ms: 30_000 }
}

/// Two simulated nodes, and both ends of a transfer between them.
async fn simulated() -> ([SimLink; 2], [BulkStream; 2]) {
    let network = SimNetwork::new(1, SimConfig::default());
    let ids = [1, 2].map(|n| NodeId(Uuid::from_u128(n)));
    let start = |node: NodeId| network.start(node, Role::Node, BootId(node.0), Recorder::new());
    let links = ids.map(start);
    links[0].know(ids[1], vec![network.addr(ids[1])]);
    let mut taken: Taken = take_transfers(&links[1], "volume", Access::Peer);
    let open = BulkOpen { kind: "volume".into(), header: Bytes::new() };
    let ours = links[0].open_bulk(ids[1], open).await.expect("it is taken");
    let (.., theirs) = taken.recv().await.expect("it came");
    (links, [ours, theirs])
}

#[tokio::test(start_paused = true)]
async fn a_reader_to_whom_nothing_comes_gives_up() {
    let (_links, [mut ours, mut theirs]) = simulated().await;
    let start = Instant::now();
    assert_eq!(theirs.reader.read().await, Err(idle()));
    assert_eq!(start.elapsed(), IDLE);
    // The judgement is the reader's: what comes later is still whole.
    ours.writer.write(Bytes::from_static(b"late")).await.expect("it takes it");
    assert_eq!(theirs.reader.read().await, Ok(Some(Bytes::from_static(b"late"))));
}

#[tokio::test(start_paused = true)]
async fn a_writer_from_whom_nothing_is_taken_gives_up() {
    let (_links, [mut ours, theirs]) = simulated().await;
    let start = Instant::now();
    let written = ours.writer.write(vec![0; FLOOD_BYTES].into()).await;
    assert_eq!(written, Err(idle()));
    assert!(start.elapsed() >= IDLE, "{:?}", start.elapsed());
    assert_eq!(ours.writer.finish().await, Err(idle()), "nor is its end taken");
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_moves_now_and_then_is_not_idle() {
    let (_links, [mut ours, mut theirs]) = simulated().await;
    let send = async {
        for n in 0..5 {
            sleep(IDLE - Duration::from_secs(1)).await;
            ours.writer.write(vec![n].into()).await?;
        }
        ours.writer.finish().await
    };
    let receive = async {
        let mut came = Vec::new();
        while let Some(bytes) = theirs.reader.read().await? {
            came.extend_from_slice(&bytes);
        }
        Ok::<_, BulkError>(came)
    };
    let (sent, came) = tokio::join!(send, receive);
    assert_eq!((sent, came), (Ok(()), Ok(vec![0, 1, 2, 3, 4])));
}

#[tokio::test]
async fn who_is_refused_and_stays_is_closed_when_it_has_heard_why() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let endpoint = raw::dialer(Some(&rig.issue(Role::Node, QuicRig::node_id(1))));
    let connection = raw::connect(&endpoint, ours.local_addr()).await;
    let start = Instant::now();
    let bulk = RawFrame::bulk(QuicRig::node_id(1), new_boot(), "picture");
    let mut answer = raw::say_hello(&connection, &bulk).await;
    let Greeting::BulkReply { refusal, .. } = raw::read_greeting(&mut answer).await else {
        panic!("no reply to a bulk hello");
    };
    assert_eq!(refusal, Some(BulkRefusal::UnknownKind { kind: "picture".to_owned() }));
    // It does not close, as an honest opener would.
    let (code, _) = timeout(PATIENCE, raw::closed_with(&connection)).await.expect("closed");
    assert_eq!(code, BULK_DONE_CODE);
    let linger = Duration::from_secs(5);
    assert!(start.elapsed() < linger / 2, "its place was held for {:?}", start.elapsed());
}

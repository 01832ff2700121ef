//! The QUIC link against peers that are wrong, broken, hostile or dead.

use std::sync::Arc;
use std::time::Duration;

use crate::rig::raw::{self, Greeting, RawFrame, RawLane};
use crate::rig::{QuicRig, new_boot, now_unix_s};
use bytes::Bytes;
use gantry_link::conformance::{Recorder, Rig, await_event, envelope};
use gantry_link::identity::{CertificateAuthority, ClusterUuid};
use gantry_link::quic::{LinkIdentity, QuicLink};
use gantry_link::{Answer, Certainty, Inbound, Link, Peer, PeerEvent};
use gantry_wire::{AskError, Envelope, NodeId, NotDelivered, Role};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

const HELLO_TIMEOUT_CODE: u64 = 5;
const HELLO_REFUSED_CODE: u64 = 6;
const BAD_FRAME_CODE: u64 = 7;

fn another_cluster() -> CertificateAuthority {
    let cluster = ClusterUuid(Uuid::from_u128(0xc2));
    CertificateAuthority::create(cluster, now_unix_s()).expect("authority")
}

fn admin_id() -> NodeId {
    NodeId(Uuid::from_u128(0xad))
}

/// Why an ask to `node` could not be delivered.
async fn why_unreachable(link: &QuicLink, node: NodeId) -> String {
    match link.ask(node, envelope("/echo", "x", 1500)).await {
        Err(AskError::NotDelivered(NotDelivered::Unreachable { reason, .. })) => reason,
        other => panic!("must not be delivered: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_of_another_cluster_is_refused_with_the_reason() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let theirs = another_cluster().issue_new(Role::Node, QuicRig::node_id(1).0, now_unix_s());
    let at_theirs = Recorder::new();
    let stranger = QuicLink::start(rig.config(theirs.expect("issues"), at_theirs.clone()));
    let stranger = stranger.expect("starts");
    ours.know(QuicRig::node_id(1), vec![stranger.local_addr()]);
    let reason = why_unreachable(&ours, QuicRig::node_id(1)).await;
    assert!(reason.contains("is of cluster"), "{reason}");
    assert!(at_theirs.asked().is_empty());
}

#[tokio::test]
async fn a_client_of_another_cluster_is_refused() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let theirs = another_cluster().issue_new(Role::Node, QuicRig::node_id(1).0, now_unix_s());
    let endpoint = raw::dialer(Some(&theirs.expect("issues")));
    // In TLS 1.3 the client believes to be connected; it learns at its first read.
    let connection = raw::connect(&endpoint, ours.local_addr()).await;
    let end = timeout(PATIENCE, connection.closed()).await.expect("it is closed");
    assert!(matches!(end, quinn::ConnectionError::ConnectionClosed(_)), "by TLS: {end}");
    assert!(ours.peers().is_empty());
}

#[tokio::test]
async fn a_forged_certificate_of_our_cluster_is_refused() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let forger = CertificateAuthority::create(rig.authority.cluster(), now_unix_s());
    let forged = forger.expect("authority").issue_new(Role::Candidate, Uuid::nil(), now_unix_s());
    let endpoint = raw::dialer(Some(&forged.expect("issues")));
    let connection = raw::connect(&endpoint, ours.local_addr()).await;
    let end = timeout(PATIENCE, connection.closed()).await.expect("it is closed");
    assert!(matches!(end, quinn::ConnectionError::ConnectionClosed(_)), "by TLS: {end}");
}

#[tokio::test]
async fn an_admin_cannot_pose_as_a_server() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let endpoint = raw::acceptor(&rig.issue(Role::Admin, QuicRig::node_id(1)));
    let addr = endpoint.local_addr().expect("bound");
    drop(tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            drop(incoming.await);
        }
    }));
    ours.know(QuicRig::node_id(1), vec![addr]);
    let reason = why_unreachable(&ours, QuicRig::node_id(1)).await;
    assert!(reason.contains("role admin"), "{reason}");
}

#[tokio::test]
async fn another_node_at_the_address_is_refused_with_both_names() {
    let rig = QuicRig::new();
    let (ours, at_other) = (rig.start_node(0, Recorder::new()), Recorder::new());
    let other = rig.start_node(1, at_other.clone());
    let wanted = QuicRig::node_id(7);
    ours.know(wanted, vec![other.local_addr()]);
    let reason = why_unreachable(&ours, wanted).await;
    let (found, wanted) = (QuicRig::node_id(1).to_string(), wanted.to_string());
    assert!(reason.contains(&found) && reason.contains(&wanted), "{reason}");
    assert!(at_other.asked().is_empty());
}

#[tokio::test]
async fn a_node_id_that_is_not_in_the_certificate_is_refused() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    for credentials in
        [rig.issue(Role::Node, QuicRig::node_id(1)), rig.issue(Role::Admin, admin_id())]
    {
        let endpoint = raw::dialer(Some(&credentials));
        let connection = raw::connect(&endpoint, ours.local_addr()).await;
        let hello = RawFrame::hello(QuicRig::node_id(5), new_boot());
        let _answer = raw::say_hello(&connection, &hello).await;
        let (code, reason) =
            timeout(PATIENCE, raw::closed_with(&connection)).await.expect("closed");
        assert_eq!(code, HELLO_REFUSED_CODE);
        assert!(reason.contains("node id"), "{reason}");
    }
    assert!(ours.peers().is_empty());
}

#[tokio::test]
async fn a_hello_without_a_common_version_is_refused_with_both_lists() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let endpoint = raw::dialer(Some(&rig.issue(Role::Node, QuicRig::node_id(1))));
    let connection = raw::connect(&endpoint, ours.local_addr()).await;
    let mut hello = RawFrame::hello(QuicRig::node_id(1), new_boot());
    if let RawFrame::Greeting(Greeting::Hello { versions, .. }) = &mut hello {
        *versions = vec![77];
    }
    let _answer = raw::say_hello(&connection, &hello).await;
    let (code, reason) = timeout(PATIENCE, raw::closed_with(&connection)).await.expect("closed");
    assert_eq!(code, HELLO_REFUSED_CODE);
    assert!(reason.contains("77") && reason.contains("[2]"), "{reason}");
}

#[tokio::test]
async fn a_peer_that_never_says_hello_is_closed_and_never_up() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let mut events = ours.events();
    let endpoint = raw::dialer(Some(&rig.issue(Role::Node, QuicRig::node_id(1))));
    let connection = raw::connect(&endpoint, ours.local_addr()).await;
    let (code, _) = timeout(PATIENCE, raw::closed_with(&connection)).await.expect("closed");
    assert_eq!(code, HELLO_TIMEOUT_CODE);
    assert!(events.try_recv().is_err(), "it was never a peer");
}

/// A hostile node with a genuine certificate, connected to `ours`.
async fn hostile(rig: &QuicRig, ours: &QuicLink) -> (quinn::Endpoint, quinn::Connection) {
    let endpoint = raw::dialer(Some(&rig.issue(Role::Node, QuicRig::node_id(1))));
    let connection = raw::connect(&endpoint, ours.local_addr()).await;
    let hello = RawFrame::hello(QuicRig::node_id(1), new_boot());
    let mut answer = raw::say_hello(&connection, &hello).await;
    assert!(matches!(raw::read_greeting(&mut answer).await, Greeting::HelloReply { .. }));
    (endpoint, connection)
}

/// Sends `bytes` on a lane; the stream must be closed, and another one must work.
async fn only_that_stream_is_closed(bytes: &[u8]) {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let (_endpoint, connection) = hostile(&rig, &ours).await;
    let (mut send, mut recv) = raw::open_lane(&connection, RawLane::User).await;
    // Writing may already be refused when the first part was enough.
    drop(send.write_all(bytes).await);
    let stopped = timeout(PATIENCE, send.stopped()).await.expect("in time").expect("connected");
    assert_eq!(stopped.map(quinn::VarInt::into_inner), Some(BAD_FRAME_CODE));
    let read = timeout(PATIENCE, recv.read_chunk(1, true)).await.expect("in time");
    assert!(matches!(read, Err(quinn::ReadError::Reset(_))), "{read:?}");

    let (mut send, mut recv) = raw::open_lane(&connection, RawLane::User).await;
    let ask = RawFrame::Ask { id: 5, path: "/echo", name: "any", body: "still here" };
    send.write_all(&ask.to_bytes()).await.expect("writes");
    let reply = timeout(PATIENCE, raw::read_bytes(&mut recv)).await.expect("in time");
    assert_eq!(reply, [&[4, 5], "still here".as_bytes()].concat());
    assert_eq!(ours.peers().len(), 1, "the peer itself is still connected");
}

#[tokio::test]
async fn garbage_closes_only_its_stream() {
    only_that_stream_is_closed(&[0, 0, 0, 4, 0xc1, 0xc1, 0xc1, 0xc1]).await;
}

#[tokio::test]
async fn an_oversized_length_closes_only_its_stream() {
    only_that_stream_is_closed(&[0xff, 0xff, 0xff, 0xff]).await;
}

#[tokio::test]
async fn a_frame_in_the_wrong_place_closes_only_its_stream() {
    let hello = RawFrame::hello(QuicRig::node_id(1), new_boot());
    only_that_stream_is_closed(&hello.to_bytes()).await;
}

#[tokio::test]
async fn a_megabyte_of_empty_maps_closes_only_its_stream() {
    let mut bytes = (1024_u32 * 1024).to_be_bytes().to_vec();
    // What became of ask 5, as the codec would tell it.
    bytes.extend([5, 5, 0xdd, 0x00, 0x0f, 0xff, 0xf9]);
    bytes.resize(4 + 1024 * 1024, 0x80);
    only_that_stream_is_closed(&bytes).await;
}

#[tokio::test]
async fn a_megabyte_of_nested_arrays_closes_only_its_stream() {
    let mut bytes = (1024_u32 * 1024).to_be_bytes().to_vec();
    bytes.extend([5, 5]);
    bytes.resize(4 + 1024 * 1024, 0x91);
    only_that_stream_is_closed(&bytes).await;
}

#[tokio::test]
async fn a_path_in_a_slot_that_was_never_filled_closes_only_its_stream() {
    only_that_stream_is_closed(&[0, 0, 0, 5, 3, 9, 0, 77, 0]).await;
}

/// A node made of plain bytes that `ours` dials, up to the answered hello.
async fn raw_node(rig: &QuicRig, ours: &QuicLink) -> (quinn::Endpoint, quinn::Connection) {
    let endpoint = raw::acceptor(&rig.issue(Role::Node, QuicRig::node_id(1)));
    ours.know(QuicRig::node_id(1), vec![endpoint.local_addr().expect("bound")]);
    // Dialing is on demand.
    ours.tell(QuicRig::node_id(1), envelope("/echo", "first", 10_000)).expect("accepted");
    let connection = endpoint.accept().await.expect("dialed").await.expect("connects");
    let (mut send, mut recv) = connection.accept_bi().await.expect("hello stream");
    assert!(matches!(raw::read_greeting(&mut recv).await, Greeting::Hello { .. }));
    let reply = RawFrame::Greeting(Greeting::HelloReply {
        version: 2,
        cluster: rig.authority.cluster(),
        node: QuicRig::node_id(1),
        boot: new_boot(),
        features: Vec::new(),
    });
    send.write_all(&reply.to_bytes()).await.expect("writes");
    (endpoint, connection)
}

/// The next lane that the dialing side opens.
async fn next_lane(
    connection: &quinn::Connection,
) -> (RawLane, quinn::SendStream, quinn::RecvStream) {
    let accepted = timeout(PATIENCE, connection.accept_bi()).await.expect("in time");
    let (send, mut recv) = accepted.expect("a stream");
    (raw::read_lane(&mut recv).await, send, recv)
}

#[tokio::test]
async fn a_bad_answer_makes_sent_asks_unknown_and_the_lane_is_opened_again() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let (_endpoint, connection) = raw_node(&rig, &ours).await;
    let mut lanes = [next_lane(&connection).await, next_lane(&connection).await];
    let ask = ours.ask(QuicRig::node_id(1), envelope("/locks", "x", 10_000));
    let (_, send, recv) =
        lanes.iter_mut().find(|(lane, ..)| matches!(lane, RawLane::Control)).expect("one of two");
    let _id = raw::read_ask(recv).await;
    send.write_all(&[0, 0, 0, 1, 0xc1]).await.expect("writes");
    let outcome = timeout(PATIENCE, ask).await.expect("in time");
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
    let (again, ..) = next_lane(&connection).await;
    assert!(matches!(again, RawLane::Control), "the same lane, on a new stream");
}

#[tokio::test]
async fn a_control_message_does_not_wait_behind_a_stalled_user_lane() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let (_endpoint, connection) = raw_node(&rig, &ours).await;
    let mut lanes = [next_lane(&connection).await, next_lane(&connection).await];
    // The user lane is never read, so flow control stops it.
    for _ in 0..20 {
        let bulk = envelope("/echo", vec![0; 1024 * 1024], 20_000);
        ours.tell(QuicRig::node_id(1), bulk).expect("accepted");
    }
    let ask = ours.ask(QuicRig::node_id(1), envelope("/locks", "now", 10_000));
    let (_, send, recv) =
        lanes.iter_mut().find(|(lane, ..)| matches!(lane, RawLane::Control)).expect("one of two");
    let id = timeout(PATIENCE, raw::read_ask(recv)).await.expect("it overtakes");
    let reply = RawFrame::Reply { id, body: b"granted".to_vec() };
    send.write_all(&reply.to_bytes()).await.expect("writes");
    assert_eq!(timeout(PATIENCE, ask).await.expect("in time"), Ok(Bytes::from("granted")));
}

#[tokio::test]
async fn a_peer_that_does_not_read_fills_its_queue_and_then_is_refused() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let (_endpoint, connection) = raw_node(&rig, &ours).await;
    let _lanes = [next_lane(&connection).await, next_lane(&connection).await];
    let refused = (0..100).find_map(|_| {
        let bulk = envelope("/echo", vec![0; 1024 * 1024], 20_000);
        ours.tell(QuicRig::node_id(1), bulk).err()
    });
    assert!(matches!(refused, Some(NotDelivered::MailboxFull(_))), "{refused:?}");
}

#[tokio::test]
async fn joiners_beyond_the_limit_are_refused_and_others_are_not() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let mut held = Vec::new();
    for n in 0..=64 {
        let link = QuicLink::client(
            LinkIdentity::Joiner { authority: rig.authority.fingerprint() },
            new_boot(),
            Recorder::new(),
        );
        let link = link.expect("starts");
        let connected = link.connect(vec![ours.local_addr()]).await;
        assert_eq!(connected.is_ok(), n < 64, "joiner {n}: {connected:?}");
        if let Err(refused) = connected {
            assert!(refused.to_string().contains("too many"), "{refused}");
        }
        held.push(link);
    }
    let identity = LinkIdentity::certified(rig.issue(Role::Admin, admin_id()));
    let admin = QuicLink::client(identity, new_boot(), Recorder::new()).expect("starts");
    admin.connect(vec![ours.local_addr()]).await.expect("an operator gets in");
}

#[tokio::test]
async fn a_restart_on_the_same_port_is_noticed_within_a_second() {
    let rig = QuicRig::new();
    let a = rig.start_node(0, Recorder::new());
    let b = rig.start_node(1, Recorder::new());
    a.know(QuicRig::node_id(1), vec![b.local_addr()]);
    a.ask(QuicRig::node_id(1), envelope("/echo", "x", 5000)).await.expect("connects");
    let in_flight = a.ask(QuicRig::node_id(1), envelope("/never", "", 60_000));
    let mut events = a.events();
    let old = b.boot();
    rig.crash(1).await;
    // The new process knows nobody and says nothing by itself.
    let again = rig.start_node(1, Recorder::new());
    let start = Instant::now();
    let up = |event: &PeerEvent| matches!(event, PeerEvent::Up(peer) if peer.boot == again.boot());
    let seen = await_event(&mut events, "the new boot", up).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let gone = |event: &PeerEvent| {
        matches!(event, PeerEvent::Down { boot, certainty, .. }
            if *boot == old && *certainty == Certainty::Gone)
    };
    assert!(seen.iter().any(gone), "{seen:?}");
    let outcome = timeout(PATIENCE, in_flight).await.expect("resolved");
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
}

#[tokio::test]
async fn an_older_boot_does_not_come_back_over_a_newer_one() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let credentials = rig.issue(Role::Node, QuicRig::node_id(1));
    let hello_of = |boot| RawFrame::hello(QuicRig::node_id(1), boot);
    let (old, new) = (new_boot(), new_boot());
    let endpoint = raw::dialer(Some(&credentials));
    let mut held = Vec::new();
    for boot in [old, new] {
        let connection = raw::connect(&endpoint, ours.local_addr()).await;
        held.push(connection.clone());
        let mut answer = raw::say_hello(&connection, &hello_of(boot)).await;
        assert!(matches!(raw::read_greeting(&mut answer).await, Greeting::HelloReply { .. }));
        assert_eq!(ours.peers()[0].boot, boot);
    }
    let late = raw::connect(&endpoint, ours.local_addr()).await;
    let _answer = raw::say_hello(&late, &hello_of(old)).await;
    let (_, reason) = timeout(PATIENCE, raw::closed_with(&late)).await.expect("closed");
    assert!(reason.contains("newer"), "{reason}");
    assert_eq!(ours.peers()[0].boot, new);
}

/// Panics at tells; answers asks like a recorder.
struct Brittle(Arc<Recorder>);

impl Inbound for Brittle {
    fn tell(&self, _from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        panic!("cannot take {}", envelope.message);
    }

    fn ask(&self, from: &Peer, envelope: Envelope, answer: Answer) {
        self.0.ask(from, envelope, answer);
    }
}

#[tokio::test]
async fn a_panicking_receiver_costs_its_connection_and_nothing_more() {
    let rig = QuicRig::new();
    let a = rig.start_node(0, Recorder::new());
    let b = rig.start_node(1, Arc::new(Brittle(Recorder::new())));
    a.know(QuicRig::node_id(1), vec![b.local_addr()]);
    let echo = || a.ask(QuicRig::node_id(1), envelope("/echo", "x", 5000));
    echo().await.expect("connects");
    let mut events = a.events();
    a.tell(QuicRig::node_id(1), envelope("/any", "boom", 5000)).expect("accepted");
    let silent =
        |event: &PeerEvent| matches!(event, PeerEvent::Down { certainty: Certainty::Silent, .. });
    await_event(&mut events, "the end of the connection", silent).await;
    assert!(echo().await.is_ok(), "the next connection works");
}

#[tokio::test]
async fn the_port_is_taken_is_told() {
    let rig = QuicRig::new();
    let ours = rig.start_node(0, Recorder::new());
    let mut config = rig.config(rig.issue(Role::Node, QuicRig::node_id(1)), Recorder::new());
    config.bind = ours.local_addr();
    let refused = QuicLink::start(config).map(|_| ()).expect_err("taken");
    assert!(refused.to_string().contains(&ours.local_addr().to_string()), "{refused}");
    drop(Arc::clone(&ours));
}

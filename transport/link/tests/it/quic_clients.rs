//! Commands, joiners and renewal over the QUIC link.

use std::time::Duration;

use crate::rig::{QuicRig, new_boot, now_unix_s};
use bytes::Bytes;
use gantry_link::conformance::{Recorder, await_event, envelope};
use gantry_link::identity::{CertificateAuthority, Fingerprint, JoinToken, NodeKey, Trust};
use gantry_link::quic::{LinkIdentity, QuicLink, RefuseInbound};
use gantry_link::{Link, PeerEvent};
use gantry_wire::{AskError, NodeId, NotDelivered, Role};
use std::sync::Arc;
use uuid::Uuid;

fn client(identity: LinkIdentity, inbound: Arc<Recorder>) -> QuicLink {
    QuicLink::client(identity, new_boot(), inbound).expect("starts")
}

fn admin_of(rig: &QuicRig) -> LinkIdentity {
    LinkIdentity::certified(rig.issue(Role::Admin, NodeId(Uuid::from_u128(0xad))))
}

#[tokio::test]
async fn a_command_asks_a_node_it_knows_only_by_address() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    for (role, identity) in [
        (Role::Admin, admin_of(&rig)),
        (Role::Reader, LinkIdentity::certified(rig.issue(Role::Reader, QuicRig::node_id(9)))),
    ] {
        let command =
            QuicLink::client(identity, new_boot(), Arc::new(RefuseInbound)).expect("starts");
        let peer = command.connect(vec![node.local_addr()]).await.expect("connects");
        assert_eq!((peer.node, peer.boot), (QuicRig::node_id(0), node.boot()));
        let reply = command.ask(peer.node, envelope("/echo", "hi", 5000)).await;
        assert_eq!(reply, Ok(Bytes::from("hi")));
        let seen = node.peers().into_iter().find(|peer| peer.boot == command.boot());
        assert_eq!(seen.map(|peer| (peer.role, peer.node)), Some((role, command.this_node())));
    }
}

#[tokio::test]
async fn commands_with_one_certificate_do_not_disturb_each_other() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let commands: Vec<_> = (0..3).map(|_| client(admin_of(&rig), Recorder::new())).collect();
    for command in &commands {
        command.connect(vec![node.local_addr()]).await.expect("connects");
    }
    assert_eq!(node.peers().len(), 3);
    for command in &commands {
        let reply = command.ask(QuicRig::node_id(0), envelope("/echo", "hi", 5000)).await;
        assert_eq!(reply, Ok(Bytes::from("hi")));
    }
}

#[tokio::test]
async fn a_node_tells_a_command_over_the_connection_that_the_command_made() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let at_command = Recorder::new();
    let command = client(admin_of(&rig), at_command.clone());
    command.connect(vec![node.local_addr()]).await.expect("connects");
    node.tell(command.this_node(), envelope("/progress", "42 %", 5000)).expect("accepted");
    at_command.wait_for_tells(1).await;
    let reply = node.ask(command.this_node(), envelope("/echo", "?", 5000)).await;
    assert_eq!(reply, Ok(Bytes::from("?")));
}

#[tokio::test]
async fn a_command_that_ended_is_unknown_again() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let mut events = node.events();
    let command = client(admin_of(&rig), Recorder::new());
    command.connect(vec![node.local_addr()]).await.expect("connects");
    command.close(Duration::from_secs(5)).await;
    await_event(&mut events, "its end", |e| matches!(e, PeerEvent::Down { .. })).await;
    let told = node.tell(command.this_node(), envelope("/progress", "", 5000));
    assert!(matches!(told, Err(NotDelivered::Unreachable { .. })), "{told:?}");
}

#[tokio::test]
async fn a_joiner_finds_the_cluster_by_its_token_and_comes_back_as_a_node() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let addrs = vec![node.local_addr()];
    let token = JoinToken::new(rig.authority.fingerprint(), [7; 32], addrs).expect("token");
    let token: JoinToken = token.to_string().parse().expect("parses");

    let joiner = client(LinkIdentity::joiner(&token), Recorder::new());
    let peer = joiner.connect(token.addrs.clone()).await.expect("connects");
    assert_eq!(peer.node, QuicRig::node_id(0));
    let shown = joiner.ask(peer.node, envelope("/echo", token.secret().to_vec(), 5000)).await;
    assert_eq!(shown, Ok(Bytes::from(token.secret().to_vec())));
    assert_eq!(node.peers()[0].role, Role::Joiner);
    let large = joiner.tell(peer.node, envelope("/echo", vec![0; 70_000], 5000));
    assert!(matches!(large, Err(NotDelivered::TooLarge { .. })), "{large:?}");

    let key = NodeKey::generate().expect("key");
    let request = key.request().expect("request");
    let id = QuicRig::node_id(1);
    let chain = rig.authority.issue(&request, Role::Node, id.0, now_unix_s()).expect("issues");
    let credentials = key.certified(chain).expect("fits");
    let member = QuicLink::start(rig.config(credentials, Recorder::new())).expect("starts");
    member.know(peer.node, token.addrs.clone());
    member.ask(peer.node, envelope("/echo", "hi", 5000)).await.expect("is a node now");
    assert!(node.peers().iter().any(|peer| peer.node == id && peer.role == Role::Node));
}

#[tokio::test]
async fn a_joiner_refuses_a_server_with_another_authority() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let authority = Fingerprint([0; 32]);
    let joiner = client(LinkIdentity::Joiner { authority }, Recorder::new());
    let refused = joiner.connect(vec![node.local_addr()]).await.expect_err("not that authority");
    let source = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains(&authority.to_string()), "{refused}: {source}");
}

#[tokio::test]
async fn connect_goes_on_to_the_next_address() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let command = client(admin_of(&rig), Recorder::new());
    let addrs = vec![crate::rig::loopback(9), node.local_addr()];
    assert_eq!(command.connect(addrs).await.expect("the second").node, QuicRig::node_id(0));
    assert!(command.connect(Vec::new()).await.is_err());
}

#[tokio::test]
async fn a_command_accepts_no_connections() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let at_command = Recorder::new();
    let command = client(admin_of(&rig), at_command.clone());
    let addr = crate::rig::loopback(command.local_addr().port());
    node.know(command.this_node(), vec![addr]);
    let outcome = node.ask(command.this_node(), envelope("/echo", "", 700)).await;
    let unreachable =
        matches!(outcome, Err(AskError::NotDelivered(NotDelivered::Unreachable { .. })));
    assert!(unreachable, "{outcome:?}");
    assert!(at_command.asked().is_empty());
}

#[tokio::test]
async fn rotation_keeps_who_is_trusted_and_closes_who_is_not() {
    let rig = QuicRig::new();
    let (a, b) = (rig.start_node(0, Recorder::new()), rig.start_node(1, Recorder::new()));
    a.know(QuicRig::node_id(1), vec![b.local_addr()]);
    let echo = || a.ask(QuicRig::node_id(1), envelope("/echo", "x", 3000));
    echo().await.expect("connects");

    let cluster = rig.authority.cluster();
    let next = CertificateAuthority::create(cluster, now_unix_s()).expect("authority");
    let both = Trust {
        cluster,
        authorities: vec![rig.authority.certificate().clone(), next.certificate().clone()],
        retiring: None,
    };
    let certified = |by: &CertificateAuthority, n, trust: &Trust| LinkIdentity::Certified {
        credentials: by.issue_new(Role::Node, QuicRig::node_id(n).0, now_unix_s()).expect("issues"),
        trust: trust.clone(),
    };
    let mut events = a.events();
    a.renew(&certified(&next, 0, &both), now_unix_s()).expect("renews");
    echo().await.expect("the connection goes on");
    assert!(events.try_recv().is_err(), "nobody was disconnected");

    a.renew(&certified(&next, 0, &next.trust()), now_unix_s()).expect("renews");
    await_event(&mut events, "the old certificate's end", |e| matches!(e, PeerEvent::Down { .. }))
        .await;
    let outcome = a.ask(QuicRig::node_id(1), envelope("/echo", "x", 700)).await;
    assert!(outcome.is_err(), "b is of the old authority: {outcome:?}");
    b.renew(&certified(&next, 1, &next.trust()), now_unix_s()).expect("renews");
    echo().await.expect("both are of the new one");

    let another = certified(&next, 5, &next.trust());
    assert!(a.renew(&another, now_unix_s()).is_err(), "a link stays who it is");
}

#[tokio::test]
async fn both_ends_of_a_connection_count_what_goes_over_it() {
    let rig = QuicRig::new();
    let node = rig.start_node(0, Recorder::new());
    let command = client(admin_of(&rig), Recorder::new());
    command.connect(vec![node.local_addr()]).await.expect("connects");
    let body = "x".repeat(10_000);
    let reply = command.ask(QuicRig::node_id(0), envelope("/echo", body, 5000)).await;
    assert_eq!(reply.map(|reply| reply.len()), Ok(10_000));
    for link in [&command as &dyn Link, node.as_ref()] {
        let traffic = link.traffic();
        let [one] = traffic.as_slice() else { panic!("one connection: {traffic:?}") };
        let counts = one.counts.expect("this link counts");
        assert!(counts.sent_bytes > 10_000 && counts.received_bytes > 10_000, "{counts:?}");
        assert!(counts.rtt > Duration::ZERO && counts.streams >= 1, "{counts:?}");
    }
}

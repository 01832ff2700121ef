//! An authority that was replaced while nodes were off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_link::conformance::{Recorder, Taken, await_event, envelope, take_transfers};
use gantry_link::identity::{CertificateAuthority, Credentials, NodeKey, Retiring, Trust};
use gantry_link::quic::{LinkIdentity, QuicLink};
use gantry_link::{BulkError, BulkOpen, BulkStream, Link, PeerEvent};
use gantry_wire::{Access, AskError, NodeId, NotDelivered, Role};
use tokio::time::timeout;

use crate::rig::raw::{self, RawFrame};
use crate::rig::{QuicRig, new_boot, now_unix_s};

const PATIENCE: Duration = Duration::from_secs(10);

const UNTRUSTED_CODE: u64 = 9;

/// The cluster's old authority is the rig's; this one has taken its place.
struct Rotation {
    rig: QuicRig,
    next: CertificateAuthority,
}

impl Rotation {
    fn new() -> Self {
        let rig = QuicRig::new();
        let next = CertificateAuthority::create(rig.authority.cluster(), now_unix_s());
        Self { rig, next: next.expect("authority") }
    }

    /// Of the new authority, with the certificate that the old one made for it.
    fn issue(&self, role: Role, node: NodeId) -> Credentials {
        let key = NodeKey::generate().expect("a key");
        let csr = key.request().expect("a request");
        let mut chain = self.next.issue(&csr, role, node.0, now_unix_s()).expect("issued");
        let cross = self.rig.authority.cross_certify(&self.next, now_unix_s()).expect("signed");
        chain.insert(1, cross.to_vec());
        key.certified(chain).expect("for this key")
    }

    /// Believes the new one, and of these nodes the old one.
    fn trust(&self, pending: &[usize]) -> Trust {
        let nodes: BTreeSet<NodeId> = pending.iter().map(|n| QuicRig::node_id(*n)).collect();
        let authority = self.rig.authority.certificate().clone();
        Trust { retiring: Some(Retiring { authority, nodes }), ..self.next.trust() }
    }

    /// Node 0, rotated.
    fn rotated(&self, pending: &[usize]) -> Arc<QuicLink> {
        let node = self.rig.start_node(0, Recorder::new());
        self.rotate(&node, self.trust(pending));
        node
    }

    /// Lets node 0 have and believe what is new.
    fn rotate(&self, node: &QuicLink, trust: Trust) {
        let identity = LinkIdentity::Certified {
            credentials: self.issue(Role::Candidate, QuicRig::node_id(0)),
            trust,
        };
        node.renew(&identity, now_unix_s()).expect("usable");
    }

    fn sleeper(&self, n: usize, to: &QuicLink) -> Arc<QuicLink> {
        self.sleeper_with(n, to, Recorder::new())
    }

    fn sleeper_with(&self, n: usize, to: &QuicLink, inbound: Arc<Recorder>) -> Arc<QuicLink> {
        let node = self.rig.start_node(n, inbound);
        node.know(QuicRig::node_id(0), vec![to.local_addr()]);
        node
    }
}

fn role_at(link: &QuicLink, n: usize) -> Option<Role> {
    let peer = link.peers().into_iter().find(|peer| peer.node == QuicRig::node_id(n));
    peer.map(|peer| peer.role)
}

// covers: K14
#[tokio::test]
async fn a_node_that_slept_believes_the_new_authority_and_is_believed_as_lapsed() {
    let rotation = Rotation::new();
    let master = rotation.rotated(&[1]);
    let sleeper = rotation.sleeper(1, &master);
    let echo = || sleeper.ask(QuicRig::node_id(0), envelope("/echo", "x", 5000));
    assert_eq!(echo().await, Ok(Bytes::from("x")));
    assert_eq!(role_at(&master, 1), Some(Role::Lapsed));

    let mut events = sleeper.events();
    let renewed = LinkIdentity::Certified {
        credentials: rotation.issue(Role::Node, QuicRig::node_id(1)),
        trust: rotation.next.trust(),
    };
    sleeper.renew(&renewed, now_unix_s()).expect("usable");
    await_event(&mut events, "the end of the old", |e| matches!(e, PeerEvent::Down { .. })).await;
    assert_eq!(echo().await, Ok(Bytes::from("x")));
    assert_eq!(role_at(&master, 1), Some(Role::Node));
}

#[tokio::test]
async fn a_lapsed_node_is_answered_and_told_nothing() {
    let rotation = Rotation::new();
    let master = rotation.rotated(&[1]);
    let inbound = Recorder::new();
    let sleeper = rotation.sleeper_with(1, &master, inbound.clone());
    // This one waits for a connection.
    master.know(QuicRig::node_id(1), vec![sleeper.local_addr()]);
    let waits = tokio::spawn(master.ask(QuicRig::node_id(1), envelope("/echo", "early", 20_000)));
    let echo = || sleeper.ask(QuicRig::node_id(0), envelope("/echo", "x", 5000));
    assert_eq!(echo().await, Ok(Bytes::from("x")));
    assert_eq!(role_at(&master, 1), Some(Role::Lapsed));
    let told = master.tell(QuicRig::node_id(1), envelope("/echo", "told", 5000));
    let asked = master.ask(QuicRig::node_id(1), envelope("/echo", "asked", 5000)).await;
    for refused in
        [waits.await.expect("no panic").map(drop), asked.map(drop), told.map_err(Into::into)]
    {
        match refused {
            Err(AskError::NotDelivered(NotDelivered::Unreachable { reason, .. })) => {
                assert!(reason.contains("has to renew"), "{reason}");
            }
            other => panic!("it must be refused with the reason: {other:?}"),
        }
    }
    assert_eq!(echo().await, Ok(Bytes::from("x")), "answers still reach it");
    assert!(inbound.asked().is_empty() && inbound.told().is_empty(), "nothing came");

    let renewed = LinkIdentity::Certified {
        credentials: rotation.issue(Role::Node, QuicRig::node_id(1)),
        trust: rotation.next.trust(),
    };
    let mut events = sleeper.events();
    sleeper.renew(&renewed, now_unix_s()).expect("usable");
    await_event(&mut events, "the end of the old", |e| matches!(e, PeerEvent::Down { .. })).await;
    assert_eq!(echo().await, Ok(Bytes::from("x")), "it comes back");
    let asked = master.ask(QuicRig::node_id(1), envelope("/echo", "x", 5000)).await;
    assert_eq!(asked, Ok(Bytes::from("x")), "it has renewed");
}

#[tokio::test]
async fn the_old_authority_is_believed_of_nobody_else() {
    let rotation = Rotation::new();
    let master = rotation.rotated(&[1]);
    let other = rotation.sleeper(2, &master);
    other.ask(QuicRig::node_id(0), envelope("/echo", "x", 700)).await.expect_err("not pending");
    // Not of an operator, even one with the id of that node.
    let admin = rotation.rig.issue(Role::Admin, QuicRig::node_id(1));
    let admin = LinkIdentity::certified(admin);
    let command = QuicLink::client(admin, new_boot(), Recorder::new()).expect("starts");
    if command.connect(vec![master.local_addr()]).await.is_ok() {
        let refused = command.ask(QuicRig::node_id(0), envelope("/echo", "x", 700)).await;
        refused.expect_err("its certificate is not accepted");
    }
    assert_eq!(master.peers(), []);
}

#[tokio::test]
async fn nobody_dials_a_node_by_the_old_authority() {
    let rotation = Rotation::new();
    let master = rotation.rotated(&[1]);
    let sleeper = rotation.rig.start_node(1, Recorder::new());
    master.know(QuicRig::node_id(1), vec![sleeper.local_addr()]);
    let asked = master.ask(QuicRig::node_id(1), envelope("/echo", "x", 700)).await;
    asked.expect_err("it has to come and renew");
}

#[tokio::test]
async fn another_certificate_of_the_same_authority_disturbs_no_connection() {
    let rig = QuicRig::new();
    let (a, b) = (rig.start_node(0, Recorder::new()), rig.start_node(1, Recorder::new()));
    a.know(QuicRig::node_id(1), vec![b.local_addr()]);
    let echo = || a.ask(QuicRig::node_id(1), envelope("/echo", "x", 5000));
    echo().await.expect("connects");
    let mut events = b.events();
    let another = rig.issue(Role::Node, QuicRig::node_id(0));
    let shown = another.chain()[0].clone();
    a.renew(&LinkIdentity::certified(another), now_unix_s()).expect("usable");
    echo().await.expect("the connection lives");
    assert!(events.try_recv().is_err(), "nobody was disconnected");

    // Whoever connects now is shown the new one.
    let asker = rig.start_node(2, Recorder::new());
    asker.know(QuicRig::node_id(0), vec![a.local_addr()]);
    asker.ask(QuicRig::node_id(0), envelope("/echo", "x", 5000)).await.expect("connects");
    assert_eq!(asker.shown_by(QuicRig::node_id(0)).first(), Some(&shown.to_vec()));
}

/// A transfer from one to the other, both ends.
async fn transfer(from: &QuicLink, to: &QuicLink) -> [BulkStream; 2] {
    let mut taken: Taken = take_transfers(to, "volume", Access::Peer);
    from.know(to.this_node(), vec![to.local_addr()]);
    let open = BulkOpen { kind: "volume".into(), header: Bytes::new() };
    let ours = from.open_bulk(to.this_node(), open).await.expect("it is taken");
    let theirs = timeout(PATIENCE, taken.recv()).await.expect("in time").expect("it came").2;
    [ours, theirs]
}

async fn cut_reason(stream: &mut BulkStream) -> String {
    match timeout(PATIENCE, stream.reader.read()).await {
        Ok(Err(BulkError::Cut { reason })) => reason,
        other => panic!("not cut: {other:?}"),
    }
}

// covers: K14
#[tokio::test]
async fn transfers_made_before_a_rotation_are_closed_whoever_opened_them() {
    let rotation = Rotation::new();
    let [master, other] = [0, 1].map(|n| rotation.rig.start_node(n, Recorder::new()));
    let mut opened = transfer(&master, &other).await;
    let mut taken = transfer(&other, &master).await;
    rotation.rotate(&master, rotation.trust(&[]));
    for [theirs, ours] in [&mut opened, &mut taken].map(|[a, b]| [b, a]) {
        let told = [cut_reason(theirs).await, cut_reason(ours).await];
        assert!(told.iter().all(|why| why.contains("not accepted any more")), "{told:?}");
    }
}

#[tokio::test]
async fn a_transfer_of_two_who_are_still_believed_goes_on() {
    let rig = QuicRig::new();
    let [a, b] = [0, 1].map(|n| rig.start_node(n, Recorder::new()));
    let [mut ours, mut theirs] = transfer(&a, &b).await;
    for (link, n) in [(&a, 0), (&b, 1)] {
        let another = LinkIdentity::certified(rig.issue(Role::Node, QuicRig::node_id(n)));
        link.renew(&another, now_unix_s()).expect("usable");
    }
    ours.writer.write(Bytes::from_static(b"all of it")).await.expect("it goes on");
    let read = async { timeout(PATIENCE, theirs.reader.read()).await.expect("in time") };
    let (finished, came) = tokio::join!(ours.writer.finish(), read);
    assert_eq!((finished, came), (Ok(()), Ok(Some(Bytes::from_static(b"all of it")))));
}

#[tokio::test]
async fn a_handshake_that_a_rotation_overtakes_is_judged_by_it() {
    let rotation = Rotation::new();
    let master = rotation.rig.start_node(0, Recorder::new());
    let _volumes = take_transfers(master.as_ref(), "volume", Access::Peer);
    let endpoint = raw::dialer(Some(&rotation.rig.issue(Role::Node, QuicRig::node_id(1))));
    let node = QuicRig::node_id(1);
    let late = [RawFrame::hello(node, new_boot()), RawFrame::bulk(node, new_boot(), "volume")];
    let mut connections = Vec::new();
    for _ in &late {
        connections.push(raw::connect(&endpoint, master.local_addr()).await);
    }
    // Nobody is pending: nothing of the old one is believed.
    rotation.rotate(&master, rotation.next.trust());
    for (connection, hello) in connections.iter().zip(&late) {
        let _answer = raw::say_hello(connection, hello).await;
        let (code, words) = timeout(PATIENCE, raw::closed_with(connection)).await.expect("closed");
        assert_eq!((code, words.contains("not accepted any more")), (UNTRUSTED_CODE, true));
    }
}

//! What every link promises of bulk data.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gantry_wire::{Access, NodeId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Pair, Rig, within};
use crate::bulk::{BulkAcceptor, BulkError, BulkOpen, BulkRate, BulkRefusal, BulkStream};
use crate::contract::{Link, Peer};
use crate::limits::BULK_OPEN_MAX;

const MIB: usize = 1024 * 1024;

/// Slow enough that a transfer lasts while other things happen.
const SLOW: u64 = 4 * MIB as u64;

/// Checks every promise with nodes of its own, from number `first`.
pub(super) async fn check(rig: &dyn Rig, first: usize) {
    bytes_arrive_in_both_directions(&Pair::start(rig, first).await).await;
    refusals(&Pair::start(rig, first + 2).await).await;
    messages_are_not_delayed_and_the_rate_is_kept(&Pair::start(rig, first + 4).await).await;
    giving_up(&Pair::start(rig, first + 6).await).await;
    death(&Pair::start(rig, first + 8).await).await;
    no_more_than_so_many(&Pair::start(rig, first + 10).await).await;
}

/// Hands every transfer to the test, but those with the header `no`.
struct Taker {
    access: Access,
    taken: mpsc::UnboundedSender<(NodeId, Bytes, BulkStream)>,
}

impl BulkAcceptor for Taker {
    fn access(&self) -> Access {
        self.access
    }

    fn check(&self, _from: &Peer, header: &Bytes) -> Result<(), String> {
        if header == "no" { Err("not today".to_owned()) } else { Ok(()) }
    }

    fn accept(&self, from: &Peer, header: Bytes, stream: BulkStream) {
        // A test that has ended wants none.
        drop(self.taken.send((from.node, header, stream)));
    }
}

/// Transfers as they come: from whom, with which header.
pub type Taken = mpsc::UnboundedReceiver<(NodeId, Bytes, BulkStream)>;

/// Takes every transfer of a kind but those with the header `no`.
pub fn take_transfers(link: &dyn Link, kind: &str, access: Access) -> Taken {
    let (taken, all) = mpsc::unbounded_channel();
    link.accept_bulk(kind, Arc::new(Taker { access, taken }));
    all
}

async fn open(pair: &Pair<'_>, kind: &'static str, header: &'static str) -> Opened {
    let open = BulkOpen { kind: kind.into(), header: header.into() };
    within("a bulk transfer to open", pair.a.open_bulk(pair.b_id(), open)).await
}

type Opened = Result<BulkStream, BulkError>;

/// A transfer from a to b, both ends.
async fn opened(pair: &Pair<'_>, header: &'static str) -> (BulkStream, BulkStream) {
    let mut taken = take_transfers(pair.b.as_ref(), "volume", Access::Peer);
    let ours = open(pair, "volume", header).await.expect("it is taken");
    let (from, told, theirs) = within("the transfer at b", taken.recv()).await.expect("it came");
    assert_eq!((from, told), (pair.a_id(), Bytes::from_static(header.as_bytes())));
    (ours, theirs)
}

async fn read_all(stream: &mut BulkStream) -> Result<Vec<u8>, BulkError> {
    let mut all = Vec::new();
    while let Some(bytes) = within("bulk data", stream.reader.read()).await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

async fn bytes_arrive_in_both_directions(pair: &Pair<'_>) {
    let (mut ours, mut theirs) = opened(pair, "disk 7").await;
    let image: Vec<u8> = (0..5 * MIB + 17).map(|n| (n % 251) as u8).collect();
    let (sent, answer) = (Bytes::from(image.clone()), Bytes::from_static(b"checked"));
    let near = async {
        ours.writer.write(sent).await.expect("it takes them");
        ours.writer.finish().await.expect("all of it arrives");
        assert_eq!(ours.writer.write(Bytes::new()).await, Err(BulkError::Finished));
        read_all(&mut ours).await.expect("the answer")
    };
    let far = async {
        let came = read_all(&mut theirs).await.expect("the image");
        theirs.writer.write(answer.clone()).await.expect("it takes the answer");
        theirs.writer.finish().await.expect("the answer arrives");
        came
    };
    let (back, came) = tokio::join!(near, far);
    assert!(came == image, "{} of {} bytes, or others", came.len(), image.len());
    assert_eq!(back, answer);
}

async fn refusals(pair: &Pair<'_>) {
    let node = pair.b_id().to_string();
    let _volumes = take_transfers(pair.b.as_ref(), "volume", Access::Peer);
    let _logs = take_transfers(pair.b.as_ref(), "log", Access::Consensus);
    let refused = |why| BulkError::Refused { node: node.clone(), why };
    let kind = || "picture".to_owned();
    let unknown = open(pair, "picture", "").await.expect_err("nobody takes it");
    assert_eq!(unknown, refused(BulkRefusal::UnknownKind { kind: kind() }));
    let declined = open(pair, "volume", "no").await.expect_err("declined");
    assert_eq!(declined, refused(BulkRefusal::Declined { reason: "not today".to_owned() }));
    let forbidden = open(pair, "log", "").await.expect_err("only for holders of the log");
    let (role, kind) = ("node".to_owned(), "log".to_owned());
    assert_eq!(forbidden, refused(BulkRefusal::Forbidden { role, kind }));
    let stranger = NodeId(uuid::Uuid::from_u128(0xdead));
    let nobody = BulkOpen { kind: "volume".into(), header: Bytes::new() };
    let unreachable = pair.a.open_bulk(stranger, nobody).await.expect_err("not known");
    assert!(matches!(unreachable, BulkError::Unreachable { .. }), "{unreachable}");
    let large = BulkOpen { kind: "volume".into(), header: vec![0; MIB].into() };
    let large = pair.a.open_bulk(pair.b_id(), large).await.expect_err("too large");
    assert_eq!(large, BulkError::HeaderTooLarge { bytes: MIB });
    assert!(pair.echo(b"after").await.is_ok(), "messages do not suffer");
}

async fn messages_are_not_delayed_and_the_rate_is_kept(pair: &Pair<'_>) {
    const BYTES: usize = 3 * MIB;
    pair.a.set_bulk_rate(BulkRate::new(SLOW).expect("fast enough"));
    let (mut ours, mut theirs) = opened(pair, "").await;
    pair.echo(b"connect").await.expect("connects");
    let start = Instant::now();
    let waits = Mutex::new(Vec::new());
    let transfer = async {
        let send = async {
            ours.writer.write(vec![1; BYTES].into()).await?;
            ours.writer.finish().await
        };
        let (sent, came) = tokio::join!(send, read_all(&mut theirs));
        sent.expect("sent");
        assert_eq!(came.expect("read").len(), BYTES);
        start.elapsed()
    };
    let asks = async {
        loop {
            let asked = Instant::now();
            pair.echo(b"meanwhile").await.expect("an echo");
            waits.lock().unwrap_or_else(PoisonError::into_inner).push(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let took = tokio::select! {
        biased;
        took = transfer => took,
        () = asks => Duration::ZERO,
    };
    let at_rate = Duration::from_millis(BYTES as u64 * 1000 / SLOW);
    // One chunk and a burst are free.
    assert!(took >= at_rate * 9 / 10, "faster than its rate: {took:?} for {at_rate:?}");
    let waits = waits.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (n, longest) = (waits.len(), waits.into_iter().max().unwrap_or_default());
    assert!(n >= 10, "only {n} asks while bulk data was sent");
    assert!(longest < at_rate / 2, "an ask waited {longest:?} behind bulk data");
}

fn is_cut(result: &Result<Vec<u8>, BulkError>) -> bool {
    matches!(result, Err(BulkError::Cut { .. }))
}

async fn giving_up(pair: &Pair<'_>) {
    let (mut ours, mut theirs) = opened(pair, "").await;
    ours.writer.write(Bytes::from_static(b"half")).await.expect("it takes it");
    drop(ours);
    let read = read_all(&mut theirs).await;
    assert!(is_cut(&read), "half a transfer is none: {read:?}");

    let (mut ours, theirs) = opened(pair, "").await;
    drop(theirs);
    let write = async {
        loop {
            ours.writer.write(vec![0; MIB].into()).await?;
        }
    };
    let written: Result<(), BulkError> = within("a write to who gave up", write).await;
    assert!(matches!(written, Err(BulkError::Cut { .. })), "{written:?}");
}

async fn death(pair: &Pair<'_>) {
    let (mut ours, theirs) = opened(pair, "").await;
    ours.writer.write(Bytes::from_static(b"half")).await.expect("it takes it");
    let start = Instant::now();
    pair.rig.crash(pair.b_number).await;
    let read = read_all(&mut ours).await;
    assert!(is_cut(&read), "{read:?}");
    assert!(start.elapsed() <= pair.rig.silence() + super::GRACE, "{:?}", start.elapsed());
    let mut theirs = theirs;
    let read = read_all(&mut theirs).await;
    assert!(is_cut(&read), "at the dead end too: {read:?}");
}

async fn no_more_than_so_many(pair: &Pair<'_>) {
    let mut taken = take_transfers(pair.b.as_ref(), "volume", Access::Peer);
    let mut held = Vec::new();
    for n in 0..BULK_OPEN_MAX {
        let ours = open(pair, "volume", "").await;
        let ours = ours.unwrap_or_else(|error| panic!("transfer {n} of the limit: {error}"));
        held.push((ours, within("the transfer at b", taken.recv()).await.expect("it came")));
    }
    let beyond = open(pair, "volume", "").await.expect_err("beyond the limit");
    let why = BulkRefusal::Busy { open: BULK_OPEN_MAX };
    assert_eq!(beyond, BulkError::Refused { node: pair.b_id().to_string(), why });
    assert!(pair.echo(b"meanwhile").await.is_ok(), "messages do not suffer");

    drop(held.pop());
    let mut ours = open(pair, "volume", "").await.expect("the place of one that is over is free");
    let (.., mut theirs) = within("the transfer at b", taken.recv()).await.expect("it came");
    ours.writer.write(Bytes::from_static(b"used")).await.expect("it takes them");
    let (finished, came) = tokio::join!(ours.writer.finish(), read_all(&mut theirs));
    assert_eq!((finished, came), (Ok(()), Ok(b"used".to_vec())));
}

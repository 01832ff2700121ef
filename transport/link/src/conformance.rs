//! What every [`Link`] must do, as a suite that each implementation passes.
//!
//! [`check`] panics with a sentence at the first broken promise. An implementation brings a [`Rig`]
//! that starts and kills nodes; the suite brings the traffic. It uses tokio's time only, so it runs
//! in real time and in a paused runtime alike.

mod bulk;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use gantry_wire::{ActorPath, AskError, BootId, Envelope, FRAME_BYTES_MAX, NodeId, NotDelivered};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout};

pub use bulk::{Taken, take_transfers};

use crate::answer::Answer;
use crate::contract::{Certainty, Inbound, Link, Peer, PeerEvent};
use crate::hello::{FEATURES, protocol_version};

/// How long anything in the suite may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// The deadline of asks that are meant to succeed.
const ASK_DEADLINE_MS: u32 = 10_000;

/// The deadline of asks that are meant to run into it.
const SHORT_DEADLINE_MS: u32 = 400;

/// How long after its deadline an ask may end.
const GRACE: Duration = Duration::from_millis(1500);

/// Starts and kills nodes for the suite. Nodes are numbered; each has one id and one address for
/// ever, and a new boot at each start.
pub trait Rig: Sync {
    /// Starts a node, or starts it again after it ended.
    fn start(&self, node: usize, inbound: Arc<dyn Inbound>) -> BoxFuture<'_, Arc<dyn Link>>;

    /// Kills it without a goodbye; ends when it is dead.
    fn crash(&self, node: usize) -> BoxFuture<'_, ()>;

    /// Its id.
    fn id(&self, node: usize) -> NodeId;

    /// Its address, known once it was started.
    fn addr(&self, node: usize) -> SocketAddr;

    /// An address at which nothing answers.
    fn dead_addr(&self) -> SocketAddr;

    /// How long after a kill a peer is silent at the latest.
    fn silence(&self) -> Duration;
}

/// Checks every promise, one after the other, each with nodes of its own.
pub async fn check(rig: &dyn Rig) {
    order_and_at_most_once(&Pair::start(rig, 0).await).await;
    asks_and_replies(&Pair::start(rig, 2).await).await;
    both_dial_at_once(&Pair::start(rig, 4).await).await;
    unknown_and_dead_peers(&Pair::start(rig, 6).await).await;
    deadlines(&Pair::start(rig, 8).await).await;
    sizes(&Pair::start(rig, 10).await).await;
    goodbye(&Pair::start(rig, 12).await).await;
    forgetting(&Pair::start(rig, 14).await).await;
    silence(&Pair::start(rig, 16).await).await;
    restart(&Pair::start(rig, 18).await).await;
    bulk::check(rig, 20).await;
}

/// An inbound that records tells and answers asks by the first segment of their path: `echo` gives
/// the body back, `never` begins and does not answer, `queued` does not even begin, `dropped` gives
/// its answer up, `huge` answers with more than a frame, `absent` refuses.
pub struct Recorder {
    told: watch::Sender<Vec<Bytes>>,
    asked: Mutex<Vec<Bytes>>,
    /// Kept for as long as it lives, so that nobody hears that they are gone.
    unanswered: Mutex<Vec<Answer>>,
}

impl Recorder {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            told: watch::Sender::new(Vec::new()),
            asked: Mutex::default(),
            unanswered: Mutex::default(),
        })
    }

    /// The bodies of all tells so far, in the order in which they came.
    #[must_use]
    pub fn told(&self) -> Vec<Bytes> {
        self.told.borrow().clone()
    }

    /// The bodies of all asks so far, in the order in which they came.
    #[must_use]
    pub fn asked(&self) -> Vec<Bytes> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many tells have come.
    pub async fn wait_for_tells(&self, n_tells: usize) {
        let mut told = self.told.subscribe();
        let came = told.wait_for(|told| told.len() >= n_tells);
        within("the tells to arrive", came).await.expect("the recorder outlives its waiters");
    }
}

impl Inbound for Recorder {
    fn tell(&self, _from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        self.told.send_modify(|told| told.push(envelope.body));
        Ok(())
    }

    fn ask(&self, _from: &Peer, envelope: Envelope, answer: Answer) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(envelope.body.clone());
        match envelope.to.kind() {
            "echo" => answer.send(Ok(envelope.body)),
            "huge" => answer.send(Ok(Bytes::from(vec![0; FRAME_BYTES_MAX + 1]))),
            kind @ ("never" | "queued") => {
                // What has started is another outcome than what only waits.
                let _started = kind == "never" && answer.begin();
                self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            }
            "dropped" => drop(answer),
            _ => answer.refuse(NotDelivered::NoSuchActor(envelope.to.to_string())),
        }
    }
}

/// A message for the suite's recorder.
#[must_use]
pub fn envelope(path: &str, body: impl Into<Bytes>, deadline_ms: u32) -> Envelope {
    let to = ActorPath::new(path).expect("the suite's paths are valid");
    Envelope::new(to, "conformance".into(), body.into(), deadline_ms)
}

/// Waits for the event that `wanted` accepts, and gives back all that came, it last.
pub async fn await_event(
    events: &mut broadcast::Receiver<PeerEvent>,
    what: &str,
    wanted: impl Fn(&PeerEvent) -> bool,
) -> Vec<PeerEvent> {
    let mut seen = Vec::new();
    let wait = async {
        loop {
            let event = events.recv().await.expect("the link outlives its subscribers");
            let found = wanted(&event);
            seen.push(event);
            if found {
                return;
            }
        }
    };
    match timeout(PATIENCE, wait).await {
        Ok(()) => seen,
        Err(_) => panic!("waited in vain for {what}; saw {seen:?}"),
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Two nodes that know each other.
struct Pair<'a> {
    rig: &'a dyn Rig,
    a: Arc<dyn Link>,
    b: Arc<dyn Link>,
    at_a: Arc<Recorder>,
    at_b: Arc<Recorder>,
    b_number: usize,
}

impl<'a> Pair<'a> {
    async fn start(rig: &'a dyn Rig, first: usize) -> Self {
        let (at_a, at_b) = (Recorder::new(), Recorder::new());
        let a = rig.start(first, at_a.clone()).await;
        let b = rig.start(first + 1, at_b.clone()).await;
        a.know(rig.id(first + 1), vec![rig.addr(first + 1)]);
        b.know(rig.id(first), vec![rig.addr(first)]);
        Self { rig, a, b, at_a, at_b, b_number: first + 1 }
    }

    fn a_id(&self) -> NodeId {
        self.a.this_node()
    }

    fn b_id(&self) -> NodeId {
        self.b.this_node()
    }

    async fn echo(&self, body: &'static [u8]) -> Result<Bytes, AskError> {
        let ask = self.a.ask(self.b_id(), envelope("/echo", body, ASK_DEADLINE_MS));
        within("an echo", ask).await
    }
}

async fn order_and_at_most_once(pair: &Pair<'_>) {
    const N: u32 = 600;
    let body = |n: u32| Bytes::copy_from_slice(&n.to_be_bytes());
    let mut asks = Vec::new();
    for n in 0..N {
        let tell = envelope("/echo", body(n), ASK_DEADLINE_MS);
        pair.a.tell(pair.b_id(), tell).expect("a tell to a known peer is accepted");
        asks.push(pair.a.ask(pair.b_id(), envelope("/echo", body(n), ASK_DEADLINE_MS)));
    }
    let replies = within("all echoes", join_all(asks)).await;
    for (n, reply) in (0..N).zip(replies) {
        assert_eq!(reply.as_ref(), Ok(&body(n)), "an ask gets its own reply");
    }
    pair.at_b.wait_for_tells(N as usize).await;
    let expected: Vec<Bytes> = (0..N).map(body).collect();
    assert_eq!(pair.at_b.told(), expected, "tells arrive once, in order");
    assert_eq!(pair.at_b.asked(), expected, "asks arrive once, in order");
}

async fn asks_and_replies(pair: &Pair<'_>) {
    let mut events = pair.a.events();
    assert_eq!(pair.echo(b"hello").await, Ok(Bytes::from_static(b"hello")));
    let up = PeerEvent::Up(Peer {
        node: pair.b_id(),
        role: pair.a.peers()[0].role,
        boot: pair.b.boot(),
        addr: pair.rig.addr(pair.b_number),
        version: protocol_version(),
        features: FEATURES.iter().map(ToString::to_string).collect(),
    });
    await_event(&mut events, "b to be up", |event| *event == up).await;
    assert_eq!(pair.a.peers().len(), 1, "one peer, however many messages");
    assert_eq!(pair.a.peers()[0].boot, pair.b.boot());
    assert_eq!(pair.b.peers()[0].node, pair.a_id(), "the accepting side knows who it is");

    let refused = pair.a.ask(pair.b_id(), envelope("/absent", "", ASK_DEADLINE_MS)).await;
    let expected = AskError::NotDelivered(NotDelivered::NoSuchActor("/absent".to_owned()));
    assert_eq!(refused, Err(expected), "an outcome of the receiver arrives as it is");

    let back = pair.b.ask(pair.a_id(), envelope("/echo", "back", ASK_DEADLINE_MS)).await;
    assert_eq!(back, Ok(Bytes::from_static(b"back")), "the connection serves both directions");
}

async fn both_dial_at_once(pair: &Pair<'_>) {
    const N: usize = 50;
    let mut asks = Vec::new();
    for _ in 0..N {
        asks.push(pair.a.ask(pair.b_id(), envelope("/echo", "ab", ASK_DEADLINE_MS)));
        asks.push(pair.b.ask(pair.a_id(), envelope("/echo", "ba", ASK_DEADLINE_MS)));
    }
    for reply in within("asks in both directions", join_all(asks)).await {
        assert!(reply.is_ok(), "{reply:?}");
    }
    assert_eq!((pair.at_a.asked().len(), pair.at_b.asked().len()), (N, N));
    assert_eq!((pair.a.peers().len(), pair.b.peers().len()), (1, 1));
}

async fn unknown_and_dead_peers(pair: &Pair<'_>) {
    let is_unreachable = |outcome: &Result<Bytes, AskError>| {
        matches!(outcome, Err(AskError::NotDelivered(NotDelivered::Unreachable { .. })))
    };
    let stranger = NodeId(uuid::Uuid::from_u128(0xdead));
    let message = || envelope("/echo", "x", SHORT_DEADLINE_MS);
    let told = pair.a.tell(stranger, message());
    assert!(matches!(told, Err(NotDelivered::Unreachable { .. })), "{told:?}");
    let start = Instant::now();
    let asked = pair.a.ask(stranger, message()).await;
    assert!(is_unreachable(&asked), "{asked:?}");
    assert!(start.elapsed() < Duration::from_millis(u64::from(SHORT_DEADLINE_MS)), "at once");

    pair.a.know(stranger, vec![pair.rig.dead_addr()]);
    let asked = within("an ask to a dead address", pair.a.ask(stranger, message())).await;
    assert!(is_unreachable(&asked), "nothing was sent, so nothing is unknown: {asked:?}");
    assert!(start.elapsed() < Duration::from_millis(u64::from(SHORT_DEADLINE_MS)) + GRACE);
    assert!(pair.echo(b"others").await.is_ok(), "other peers do not suffer");
}

async fn deadlines(pair: &Pair<'_>) {
    pair.echo(b"connect").await.expect("connects");
    let start = Instant::now();
    let ask = pair.a.ask(pair.b_id(), envelope("/never", "", SHORT_DEADLINE_MS));
    let outcome = within("a deadline", ask).await;
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "it was delivered: {outcome:?}");
    let deadline = Duration::from_millis(u64::from(SHORT_DEADLINE_MS));
    assert!(start.elapsed() >= deadline, "not before the deadline");
    assert!(start.elapsed() < deadline + GRACE, "soon after the deadline");
    let queued = pair.a.ask(pair.b_id(), envelope("/queued", "", SHORT_DEADLINE_MS));
    let outcome = within("a deadline in the queue", queued).await;
    assert!(matches!(outcome, Err(AskError::NotStarted(_))), "it never began: {outcome:?}");
    let dropped = pair.a.ask(pair.b_id(), envelope("/dropped", "", ASK_DEADLINE_MS));
    let outcome = within("an answer that is given up", dropped).await;
    assert!(matches!(outcome, Err(AskError::NotStarted(_))), "it never began: {outcome:?}");
    assert!(pair.echo(b"after").await.is_ok(), "later asks do not suffer");
}

async fn sizes(pair: &Pair<'_>) {
    let big = Bytes::from(vec![7; 1024 * 1024]);
    let echo = pair.a.ask(pair.b_id(), envelope("/echo", big.clone(), ASK_DEADLINE_MS));
    assert_eq!(within("a megabyte there and back", echo).await, Ok(big.clone()));
    pair.a.tell(pair.b_id(), envelope("/echo", big.clone(), ASK_DEADLINE_MS)).expect("accepted");
    pair.at_b.wait_for_tells(1).await;
    assert_eq!(pair.at_b.told(), [big]);

    let huge = || envelope("/echo", vec![0; FRAME_BYTES_MAX + 1], ASK_DEADLINE_MS);
    let told = pair.a.tell(pair.b_id(), huge());
    assert!(matches!(told, Err(NotDelivered::TooLarge { .. })), "{told:?}");
    let asked = pair.a.ask(pair.b_id(), huge()).await;
    let too_large = matches!(asked, Err(AskError::NotDelivered(NotDelivered::TooLarge { .. })));
    assert!(too_large, "{asked:?}");

    let asked = pair.a.ask(pair.b_id(), envelope("/huge", "", ASK_DEADLINE_MS));
    let outcome = within("a reply that is too large", asked).await;
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "the handler ran: {outcome:?}");
    assert!(pair.echo(b"after").await.is_ok(), "later asks do not suffer");
}

fn is_down(event: &PeerEvent, of: BootId, with: Certainty) -> bool {
    matches!(event, PeerEvent::Down { boot, certainty, .. } if *boot == of && *certainty == with)
}

/// An ask that has reached its handler and is not answered.
async fn ask_in_flight(pair: &Pair<'_>) -> BoxFuture<'static, Result<Bytes, AskError>> {
    let before = pair.at_b.asked().len();
    let ask = pair.a.ask(pair.b_id(), envelope("/never", "", 60_000));
    // A later echo on the same lane proves that the one before it has arrived.
    pair.echo(b"after it").await.expect("echo");
    assert_eq!(pair.at_b.asked().len(), before + 2);
    ask
}

async fn goodbye(pair: &Pair<'_>) {
    let mut events = pair.a.events();
    let in_flight = ask_in_flight(pair).await;
    for n in 0..100_u8 {
        let tell = envelope("/echo", vec![n], ASK_DEADLINE_MS);
        pair.b.tell(pair.a_id(), tell).expect("accepted");
    }
    within("the close", pair.b.close(Duration::from_secs(5))).await;
    let boot = pair.b.boot();
    await_event(&mut events, "b to be gone", |e| is_down(e, boot, Certainty::Gone)).await;
    let outcome = within("an ask to who said goodbye", in_flight).await;
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
    let told: Vec<Bytes> = (0..100_u8).map(|n| Bytes::from(vec![n])).collect();
    assert_eq!(pair.at_a.told(), told, "what was accepted before the close has arrived");
    assert!(pair.a.peers().is_empty());

    let told = pair.b.tell(pair.a_id(), envelope("/echo", "", ASK_DEADLINE_MS));
    assert!(matches!(told, Err(NotDelivered::Stopped(_))), "{told:?}");
    let asked = pair.b.ask(pair.a_id(), envelope("/echo", "", ASK_DEADLINE_MS)).await;
    let stopped = matches!(asked, Err(AskError::NotDelivered(NotDelivered::Stopped(_))));
    assert!(stopped, "{asked:?}");
}

async fn forgetting(pair: &Pair<'_>) {
    pair.echo(b"connect").await.expect("connects");
    let mut events = pair.b.events();
    pair.a.forget(pair.b_id());
    let boot = pair.a.boot();
    let ended = |event: &PeerEvent| {
        matches!(event, PeerEvent::Down { boot: of, certainty, .. }
            if *of == boot && *certainty == Certainty::Silent)
    };
    await_event(&mut events, "a to be down at b, not gone", ended).await;
    let told = pair.a.tell(pair.b_id(), envelope("/echo", "", ASK_DEADLINE_MS));
    // b may have come back to see whether a lives; then it is connected, and not unknown.
    let refused = matches!(told, Err(NotDelivered::Unreachable { .. }));
    assert!(refused || !pair.a.peers().is_empty(), "{told:?}");
}

async fn silence(pair: &Pair<'_>) {
    let mut events = pair.a.events();
    let in_flight = ask_in_flight(pair).await;
    let boot = pair.b.boot();
    let start = Instant::now();
    pair.rig.crash(pair.b_number).await;
    let seen = await_event(
        &mut events,
        "b to be silent",
        |e| matches!(e, PeerEvent::Down { boot: of, .. } if *of == boot),
    );
    let seen = seen.await;
    let last = seen.last().expect("one at least");
    assert!(is_down(last, boot, Certainty::Silent), "nobody proved that it is gone: {last:?}");
    assert!(start.elapsed() <= pair.rig.silence() + GRACE, "{:?}", start.elapsed());
    let outcome = within("an ask to the dead", in_flight).await;
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
}

async fn restart(pair: &Pair<'_>) {
    let mut events = pair.a.events();
    let in_flight = ask_in_flight(pair).await;
    let old = pair.b.boot();
    pair.rig.crash(pair.b_number).await;
    let at_b = Recorder::new();
    let b = pair.rig.start(pair.b_number, at_b.clone()).await;
    assert_ne!(b.boot(), old);
    // Nothing is asked of it: a must find out by itself, or by b's first message.
    b.know(pair.a_id(), vec![pair.rig.addr(pair.b_number - 1)]);
    b.tell(pair.a_id(), envelope("/echo", "again", ASK_DEADLINE_MS)).expect("accepted");
    let up = |event: &PeerEvent| matches!(event, PeerEvent::Up(peer) if peer.boot == b.boot());
    let seen = await_event(&mut events, "the new boot", up).await;
    assert!(seen.iter().any(|e| is_down(e, old, Certainty::Gone)), "the old is gone: {seen:?}");
    let outcome = within("an ask to the old boot", in_flight).await;
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
    let ask = pair.a.ask(b.this_node(), envelope("/echo", "new", ASK_DEADLINE_MS));
    assert_eq!(within("an echo of the new boot", ask).await, Ok(Bytes::from_static(b"new")));
    assert_eq!(at_b.asked(), [Bytes::from_static(b"new")], "asks to the old boot stay there");
}

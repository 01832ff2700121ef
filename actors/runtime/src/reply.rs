//! The way back of an ask: [`Reply`] at the handler, [`Ask`] at the asker, one slot between them.
//!
//! The slot knows how far the message has come, so that whoever ends the conversation (the handler,
//! the asker's timer, a panic, a stop) can say truthfully which of the four outcomes it is. An
//! asker that gives up takes nothing out of the queue: only a passed deadline does.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gantry_link::Answer;
use gantry_wire::{AskError, CodecError, ErrorChain, NotDelivered};
use tokio::time::{Instant, Sleep};

use crate::platform::NodeGate;

const QUEUED: u8 = 0;
const STARTED: u8 = 1;
const ENDED: u8 = 2;

/// What the two ends share.
pub(crate) struct Slot<R> {
    stage: AtomicU8,
    asker_waits: AtomicBool,
    state: Mutex<SlotState<R>>,
}

struct SlotState<R> {
    answer: Option<Result<R, AskError>>,
    waker: Option<Waker>,
}

impl<R> Slot<R> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            stage: AtomicU8::new(QUEUED),
            asker_waits: AtomicBool::new(true),
            state: Mutex::new(SlotState { answer: None, waker: None }),
        })
    }

    fn advance(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn resolve(&self, answer: Result<R, AskError>) {
        let waker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.answer = Some(answer);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The right to answer one ask, once. For a tell it is a sink.
///
/// Dropped unsent, the asker learns that the outcome is unknown.
#[must_use = "dropping a reply tells the asker that the outcome is unknown"]
pub struct Reply<R: Send + 'static> {
    way: Way<R>,
}

/// Where an answer goes.
enum Way<R> {
    /// Nowhere: a tell, or answered.
    Sink,
    Local(Arc<Slot<R>>),
    /// Boxed: every letter has room for a way back, most have none or a local one.
    Remote(Box<RemoteWay<R>>),
}

/// The way to an asker on another node: no slot, no future and no task between the handler and the
/// link's queue.
pub(crate) struct RemoteWay<R> {
    pub(crate) answer: Answer,
    pub(crate) encode: fn(&R) -> Result<Bytes, CodecError>,
    /// A crashed node says nothing, not even that its handlers are gone.
    pub(crate) gate: Option<Arc<NodeGate>>,
}

impl<R> RemoteWay<R> {
    fn send(self, result: Result<R, AskError>) {
        let Self { answer, encode, gate } = self;
        if gate.is_some_and(|gate| gate.is_crashed()) {
            return answer.silence();
        }
        let encoded = result.and_then(|value| {
            encode(&value).map_err(|error| {
                // The effect may have happened; only its description cannot travel.
                let why = ErrorChain(&error).to_string();
                AskError::Unknown(format!("its answer cannot be sent: {why}"))
            })
        });
        answer.send(encoded);
    }
}

impl<R: Send + 'static> Reply<R> {
    /// The reply of a tell: nobody listens.
    pub fn sink() -> Self {
        Self { way: Way::Sink }
    }

    pub(crate) fn to(slot: Arc<Slot<R>>) -> Self {
        Self { way: Way::Local(slot) }
    }

    pub(crate) fn remote(way: RemoteWay<R>) -> Self {
        Self { way: Way::Remote(Box::new(way)) }
    }

    /// The link's answer back, of a message that no mailbox took.
    pub(crate) fn into_answer(mut self) -> Option<Answer> {
        match self.take() {
            Way::Remote(way) => Some(way.answer),
            Way::Local(_) | Way::Sink => None,
        }
    }

    fn take(&mut self) -> Way<R> {
        std::mem::replace(&mut self.way, Way::Sink)
    }

    /// Answers.
    pub fn send(mut self, value: R) {
        match self.take() {
            Way::Sink => {}
            Way::Local(slot) => {
                slot.stage.store(ENDED, Ordering::Release);
                slot.resolve(Ok(value));
            }
            Way::Remote(way) => way.send(Ok(value)),
        }
    }

    /// Whether somebody still waits for the answer.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match &self.way {
            Way::Sink => false,
            Way::Local(slot) => slot.asker_waits.load(Ordering::Acquire),
            Way::Remote(way) => way.answer.is_wanted(),
        }
    }

    /// The message's turn has come at `now`: whether it may start.
    pub(crate) fn begin(&mut self, now: Instant, deadline: Option<Instant>) -> bool {
        let late = deadline.is_some_and(|deadline| now >= deadline);
        let begun = !late
            && match &self.way {
                Way::Sink => return true,
                Way::Local(slot) => slot.advance(QUEUED, STARTED),
                Way::Remote(way) => way.answer.begin(),
            };
        if !begun {
            self.refuse("its deadline passed in the queue");
        }
        begun
    }

    /// Ends the conversation of a message that was never started.
    fn refuse(&mut self, why: &str) {
        let refusal = || Err(AskError::NotStarted(why.to_owned()));
        match self.take() {
            Way::Sink => {}
            Way::Local(slot) if slot.advance(QUEUED, ENDED) => slot.resolve(refusal()),
            // Its asker has given up and knows why.
            Way::Local(_) => {}
            Way::Remote(way) => way.send(refusal()),
        }
    }
}

impl<R: Send + 'static> Drop for Reply<R> {
    fn drop(&mut self) {
        let way = self.take();
        let has_started = match &way {
            Way::Sink => return,
            Way::Local(slot) => slot.stage.load(Ordering::Acquire) != QUEUED,
            Way::Remote(way) => way.answer.has_started(),
        };
        if !has_started {
            self.way = way;
            let why = ending_reason().unwrap_or_else(|| "the actor stopped before its turn".into());
            self.refuse(&why);
        } else if std::thread::panicking() && in_turn() {
            // The panic's text is not known while it unwinds: the turn that catches it says it.
            UNANSWERED.with_borrow_mut(|list| list.push(Box::new(way)));
        } else {
            let why = ending_reason().unwrap_or_else(|| "handler ended without an answer".into());
            Box::new(way).unknown(why);
        }
    }
}

impl<R: Send + 'static> std::fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("wanted", &self.is_wanted()).finish()
    }
}

/// A way back whose reply type is forgotten.
trait Unanswered {
    fn unknown(self: Box<Self>, why: String);
}

impl<R> Unanswered for Way<R> {
    fn unknown(self: Box<Self>, why: String) {
        let unknown = Err(AskError::Unknown(why));
        match *self {
            Self::Sink => {}
            Self::Local(slot) => {
                slot.stage.store(ENDED, Ordering::Release);
                slot.resolve(unknown);
            }
            Self::Remote(way) => way.send(unknown),
        }
    }
}

thread_local! {
    /// Replies dropped by the panic that unwinds through a turn of this thread.
    static UNANSWERED: RefCell<Vec<Box<dyn Unanswered>>> = const { RefCell::new(Vec::new()) };
    /// Why replies are being dropped just now.
    static ENDING: RefCell<Option<String>> = const { RefCell::new(None) };
    static TURNS: Cell<u32> = const { Cell::new(0) };
}

fn ending_reason() -> Option<String> {
    ENDING.try_with(|reason| reason.borrow().clone()).ok().flatten()
}

fn in_turn() -> bool {
    TURNS.try_with(|turns| turns.get() > 0).unwrap_or(false)
}

/// Runs `f`; replies that are dropped meanwhile carry `reason`.
pub(crate) fn ending_with<T>(reason: &str, f: impl FnOnce() -> T) -> T {
    /// Puts the former reason back, also when `f` panics.
    struct Restore(Option<String>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ENDING.set(self.0.take());
        }
    }
    let _restore = Restore(ENDING.replace(Some(reason.to_owned())));
    f()
}

/// Runs code of an actor; a panic becomes its text, also for the askers it leaves behind.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    TURNS.set(TURNS.get() + 1);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    TURNS.set(TURNS.get() - 1);
    match outcome {
        Ok(value) => Ok(value),
        Err(payload) => {
            let text = panic_text(payload.as_ref());
            // A payload may panic in its own destructor; that one has no one left to tell.
            drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload))));
            for way in UNANSWERED.take() {
                way.unknown(format!("the handler panicked: {text}"));
            }
            Err(text)
        }
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    /// Longest text kept of a panic. It travels to every asker and into the log; a whole structure
    /// printed by an assertion would flood both. Lower would cut ordinary messages.
    const TEXT_BYTES_MAX: usize = 1024;
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

/// An ask on its way; resolves to the reply or to one of the other three outcomes.
///
/// It has been sent when you hold this; polling only waits. Dropping it gives up waiting and
/// nothing else.
#[must_use = "the answer is lost unless this is awaited"]
pub struct Ask<R: Send + 'static>(AskState<R>);

/// Reads an encoded answer.
type Decode<R> = fn(&[u8]) -> Result<R, AskError>;

enum AskState<R> {
    Failed(AskError),
    Local(LocalAsk<R>),
    /// The link's answer, and how to read it.
    Remote(BoxFuture<'static, Result<Bytes, AskError>>, Decode<R>),
    Done,
}

struct LocalAsk<R> {
    slot: Arc<Slot<R>>,
    deadline: Instant,
    patience: Patience,
}

/// The timer of a local ask is armed late: most answers are there after one turn of the scheduler,
/// and arming a timer costs more than the whole rest of the ask.
enum Patience {
    Fresh,
    Yielded,
    Armed(Pin<Box<Sleep>>),
}

impl<R: Send + 'static> Ask<R> {
    pub(crate) fn failed(error: impl Into<AskError>) -> Self {
        Self(AskState::Failed(error.into()))
    }

    pub(crate) fn local(slot: Arc<Slot<R>>, deadline: Instant) -> Self {
        Self(AskState::Local(LocalAsk { slot, deadline, patience: Patience::Fresh }))
    }

    pub(crate) fn remote(
        answer: BoxFuture<'static, Result<Bytes, AskError>>,
        decode: Decode<R>,
    ) -> Self {
        Self(AskState::Remote(answer, decode))
    }

    /// Why it was refused at once, if it was.
    #[must_use]
    pub fn refusal(&self) -> Option<&NotDelivered> {
        match &self.0 {
            AskState::Failed(AskError::NotDelivered(why)) => Some(why),
            _ => None,
        }
    }
}

impl<R: Send + 'static> Unpin for Ask<R> {}

impl<R: Send + 'static> Future for Ask<R> {
    type Output = Result<R, AskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answer = match &mut this.0 {
            AskState::Local(ask) => std::task::ready!(ask.poll(cx)),
            AskState::Remote(answer, decode) => {
                std::task::ready!(answer.as_mut().poll(cx)).and_then(|body| decode(&body))
            }
            AskState::Failed(error) => Err(error.clone()),
            AskState::Done => Err(AskError::Unknown("polled after it was answered".into())),
        };
        this.0 = AskState::Done;
        Poll::Ready(answer)
    }
}

impl<R> LocalAsk<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, AskError>> {
        if matches!(self.patience, Patience::Fresh) {
            self.patience = Patience::Yielded;
            // It is polled again in any case: nobody needs to wake it before.
            if self.slot.stage.load(Ordering::Acquire) != ENDED {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if let Some(answer) = self.take_or_register(cx) {
            return Poll::Ready(answer);
        }
        match &mut self.patience {
            Patience::Fresh | Patience::Yielded => {
                self.patience = Patience::Armed(Box::pin(tokio::time::sleep_until(self.deadline)));
            }
            Patience::Armed(_) => {}
        }
        let Patience::Armed(timer) = &mut self.patience else { return Poll::Pending };
        std::task::ready!(timer.as_mut().poll(cx));
        Poll::Ready(self.give_up())
    }

    fn take_or_register(&self, cx: &Context<'_>) -> Option<Result<R, AskError>> {
        let mut state = self.slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = state.answer.take() {
            return Some(answer);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        None
    }

    /// The deadline passed: whether it had started decides what that means.
    fn give_up(&self) -> Result<R, AskError> {
        self.slot.asker_waits.store(false, Ordering::Release);
        if self.slot.advance(QUEUED, ENDED) {
            return Err(AskError::NotStarted("its deadline passed in the queue".into()));
        }
        let mut state = self.slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        let late = || Err(AskError::Unknown("no answer before the deadline".into()));
        state.answer.take().unwrap_or_else(late)
    }
}

impl<R> Drop for LocalAsk<R> {
    fn drop(&mut self) {
        self.slot.asker_waits.store(false, Ordering::Release);
    }
}

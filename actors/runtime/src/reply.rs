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

use futures_util::future::BoxFuture;
use gantry_wire::{AskError, NotDelivered};
use tokio::time::{Instant, Sleep};

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
    slot: Option<Arc<Slot<R>>>,
}

impl<R: Send + 'static> Reply<R> {
    /// The reply of a tell: nobody listens.
    pub fn sink() -> Self {
        Self { slot: None }
    }

    pub(crate) fn to(slot: Arc<Slot<R>>) -> Self {
        Self { slot: Some(slot) }
    }

    /// Answers.
    pub fn send(mut self, value: R) {
        if let Some(slot) = self.slot.take() {
            slot.stage.store(ENDED, Ordering::Release);
            slot.resolve(Ok(value));
        }
    }

    /// Whether somebody still waits for the answer.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.asker_waits.load(Ordering::Acquire))
    }

    /// The message's turn has come at `now`: whether it may start.
    pub(crate) fn begin(&mut self, now: Instant, deadline: Option<Instant>) -> bool {
        let late = deadline.is_some_and(|deadline| now >= deadline);
        let Some(slot) = &self.slot else { return !late };
        if late {
            self.refuse("its deadline passed in the queue");
            return false;
        }
        if slot.advance(QUEUED, STARTED) {
            return true;
        }
        self.slot = None;
        false
    }

    /// Ends the conversation of a message that was never started.
    fn refuse(&mut self, why: &str) {
        if let Some(slot) = self.slot.take()
            && slot.advance(QUEUED, ENDED)
        {
            slot.resolve(Err(AskError::NotStarted(why.to_owned())));
        }
    }
}

impl<R: Send + 'static> Drop for Reply<R> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        if slot.advance(QUEUED, ENDED) {
            let why = ending_reason().unwrap_or_else(|| "the actor stopped before its turn".into());
            slot.resolve(Err(AskError::NotStarted(why)));
        } else if std::thread::panicking() && in_turn() {
            // The panic's text is not known while it unwinds: the turn that catches it says it.
            UNANSWERED.with_borrow_mut(|list| list.push(slot));
        } else {
            let why = ending_reason().unwrap_or_else(|| "handler ended without an answer".into());
            slot.unknown(why);
        }
    }
}

impl<R: Send + 'static> std::fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("wanted", &self.is_wanted()).finish()
    }
}

/// A slot whose reply type is forgotten.
trait Unanswered {
    fn unknown(&self, why: String);
}

impl<R> Unanswered for Slot<R> {
    fn unknown(&self, why: String) {
        self.stage.store(ENDED, Ordering::Release);
        self.resolve(Err(AskError::Unknown(why)));
    }
}

thread_local! {
    /// Replies dropped by the panic that unwinds through a turn of this thread.
    static UNANSWERED: RefCell<Vec<Arc<dyn Unanswered>>> = const { RefCell::new(Vec::new()) };
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
            for slot in UNANSWERED.take() {
                slot.unknown(format!("the handler panicked: {text}"));
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

enum AskState<R> {
    Failed(AskError),
    Local(LocalAsk<R>),
    Remote(BoxFuture<'static, Result<R, AskError>>),
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

    pub(crate) fn remote(answer: BoxFuture<'static, Result<R, AskError>>) -> Self {
        Self(AskState::Remote(answer))
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
            AskState::Remote(answer) => std::task::ready!(answer.as_mut().poll(cx)),
            AskState::Failed(error) => Err(error.clone()),
            AskState::Done => Err(AskError::Unknown("polled after it was answered".into())),
        };
        this.0 = AskState::Done;
        Poll::Ready(answer)
    }
}

impl<R> LocalAsk<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, AskError>> {
        if let Some(answer) = self.take_or_register(cx) {
            return Poll::Ready(answer);
        }
        match &mut self.patience {
            Patience::Fresh => {
                self.patience = Patience::Yielded;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Patience::Yielded => {
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

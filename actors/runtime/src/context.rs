//! What an actor can do from inside a turn.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{AbortHandle, LocalBoxFuture, abortable};
use futures_util::stream::FuturesUnordered;
use gantry_wire::ActorPath;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::delivery::{Delivery, TELL_DEADLINE, Terms, instant_after};
use crate::mailbox::Mailbox;
use crate::names::NameId;
use crate::platform::{BlockingClass, BlockingError};
use crate::reference::LocalRef;
use crate::system::System;

/// Futures and timers that one actor may have at work. Beyond it the actor takes no further
/// messages until one is done, so its mailbox fills and its senders hear *full*. Lower would stall
/// an actor that fans out to every guest of a node; higher lets one actor hold that much more
/// memory.
pub const TASKS_MAX: usize = 4096;

type Continuation<A> = Box<dyn FnOnce(&mut A, &mut Context<A>)>;

/// A future that is done, and what its actor does then.
pub(crate) struct Step<A: Actor> {
    pub(crate) name: NameId,
    pub(crate) terms: Terms,
    pub(crate) run: Continuation<A>,
}

type Task<A> = LocalBoxFuture<'static, Option<Step<A>>>;

/// The actor's side of the runtime. Valid for one run of the actor: a panic drops it with all the
/// futures and timers in it.
pub struct Context<A: Actor> {
    mailbox: Arc<Mailbox<A>>,
    system: System,
    /// Made when it is first looked at, or came with a message: most actors are idle.
    delivery: OnceCell<Box<Delivery>>,
    /// Whether it says nothing but the deadline.
    is_plain: bool,
    deadline: Instant,
    pub(crate) tasks: Option<FuturesUnordered<Task<A>>>,
    pub(crate) holds: VecDeque<Task<A>>,
    pub(crate) stop: bool,
}

impl<A: Actor> Context<A> {
    pub(crate) fn new(mailbox: Arc<Mailbox<A>>, system: System) -> Self {
        Self {
            mailbox,
            system,
            delivery: OnceCell::new(),
            is_plain: true,
            deadline: Instant::now(),
            tasks: None,
            holds: VecDeque::new(),
            stop: false,
        }
    }

    /// Where this actor lives.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.mailbox.facts.path
    }

    /// A ref to this actor.
    #[must_use]
    pub fn local(&self) -> LocalRef<A> {
        LocalRef::new(self.mailbox.clone())
    }

    /// The system it lives in.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// What came with the message being handled. In a continuation: with the message that started
    /// the work.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        self.delivery.get_or_init(|| Box::new(Delivery::local(self.deadline)))
    }

    /// Runs `future` beside the actor and `then` on it. Other messages are handled meanwhile. Both
    /// are dropped when the actor stops or fails.
    pub fn spawn_then<F, T>(&mut self, future: F, then: T)
    where
        F: Future + 'static,
        T: FnOnce(&mut A, F::Output, &mut Self) + 'static,
    {
        let step = self.step(NameId::THEN, future, then);
        self.add(Box::pin(step.map(Some)));
    }

    /// Runs `future` and then `then`, and handles no other message until that is done; nor do other
    /// continuations and timers of this actor run. Several holds run in the order given.
    pub fn hold_then<F, T>(&mut self, future: F, then: T)
    where
        F: Future + 'static,
        T: FnOnce(&mut A, F::Output, &mut Self) + 'static,
    {
        let step = self.step(NameId::HOLD, future, then);
        self.holds.push_back(Box::pin(step.map(Some)));
    }

    /// Runs `then` after `wait`, unless the handle is dropped before.
    pub fn after<T>(&mut self, wait: Duration, then: T) -> TimerHandle
    where
        T: FnOnce(&mut A, &mut Self) + 'static,
    {
        let until = instant_after(Instant::now(), wait);
        let sleep = tokio::time::sleep_until(until);
        let step = self.step(NameId::TIMER, sleep, move |actor, (), ctx| then(actor, ctx));
        let (step, abort) = abortable(step);
        self.add(Box::pin(step.map(Result::ok)));
        TimerHandle { abort: Some(abort) }
    }

    /// Runs `work` on the bounded pool of its class; never on an actor's thread. `name` is what the
    /// watchdog and the log call it. Waits for a place in the pool at most until the deadline of
    /// the message being handled.
    pub fn blocking<T, W>(
        &self,
        class: BlockingClass,
        name: &'static str,
        work: W,
    ) -> impl Future<Output = Result<T, BlockingError>> + Send + use<A, T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let path = self.path().clone();
        let platform = self.system.platform().clone();
        let until = self.deadline;
        async move { platform.blocking(class, name, path.as_str(), until, work).await }
    }

    /// Stops this actor after the current turn. What is queued is *not started*.
    pub fn stop(&mut self) {
        self.stop = true;
    }

    fn step<F, T>(
        &self,
        name: NameId,
        future: F,
        then: T,
    ) -> impl Future<Output = Step<A>> + 'static + use<A, F, T>
    where
        F: Future + 'static,
        T: FnOnce(&mut A, F::Output, &mut Self) + 'static,
    {
        let terms = self.terms();
        // An async block would keep room for the future twice, as what it captured and as what it
        // waits for, and each block around it twice that.
        future.map(move |out| {
            let run: Continuation<A> = Box::new(move |actor, ctx| then(actor, out, ctx));
            Step { name, terms, run }
        })
    }

    fn add(&mut self, task: Task<A>) {
        self.tasks.get_or_insert_with(FuturesUnordered::new).push(task);
    }

    /// Whether it may start another message.
    pub(crate) fn has_room(&self) -> bool {
        self.tasks.as_ref().is_none_or(|tasks| tasks.len() < TASKS_MAX)
    }

    /// Enters what came with a letter, or what a continuation was made under.
    pub(crate) fn enter(&mut self, terms: Terms, now: Instant) {
        self.deadline = terms.deadline.unwrap_or(now + TELL_DEADLINE);
        match terms.extra {
            Some(delivery) => {
                self.delivery = OnceCell::from(delivery);
                self.is_plain = false;
            }
            None => self.leave(),
        }
    }

    /// Forgets what came with the last message but the deadline.
    fn leave(&mut self) {
        if let Some(delivery) = self.delivery.get_mut() {
            if self.is_plain {
                delivery.deadline = self.deadline;
            } else {
                **delivery = Delivery::local(self.deadline);
            }
        }
        self.is_plain = true;
    }

    /// What a continuation of the present turn works under.
    fn terms(&self) -> Terms {
        let extra = if self.is_plain { None } else { self.delivery.get().cloned() };
        Terms { deadline: Some(self.deadline), extra }
    }

    /// Drops everything that belongs to one run of the actor.
    pub(crate) fn clear(&mut self) {
        self.tasks = None;
        self.holds = VecDeque::new();
        self.stop = false;
        self.leave();
    }
}

/// A timer that is cancelled when this is dropped.
#[must_use = "a timer is cancelled when its handle is dropped; detach() lets it run"]
#[derive(Debug)]
pub struct TimerHandle {
    abort: Option<AbortHandle>,
}

impl TimerHandle {
    /// Lets the timer run without a handle; it still dies with the actor.
    pub fn detach(mut self) {
        self.abort = None;
    }
}

impl Drop for TimerHandle {
    fn drop(&mut self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }
}

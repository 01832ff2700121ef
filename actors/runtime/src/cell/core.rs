//! The machine of one actor: takes letters, runs turns, catches panics, restarts, ends.
//!
//! ```text
//!        factory + started                       stop, passivated
//!  New ────────────────────▶ Up ──────────────────────────────────▶ Ended
//!   │ panic                  │  ▲                                     ▲
//!   ▼        panic, escalated│  │ back-off over, siblings before done │ limit passed, stop
//!  Down ◀────────────────────┘  │                                     │
//!   └───────────────────────────┴─────────────────────────────────────┘
//! ```
//!
//! It knows nothing of actix: it is polled with a waker, and that is all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::LocalBoxFuture;
use tokio::time::{Instant, Sleep};

use super::turn_clock::TurnClock;
use super::{Opened, Seat};
use crate::actor::Actor;
use crate::context::{Context, Step};
use crate::mailbox::{Asleep, Batch, Fetched, Mailbox, Orders, Queued, SLOTS_KEPT};
use crate::names::NameId;
use crate::platform::Pulse;
use crate::reply::{catch, ending_with};
use crate::supervision::{RestartHistory, Supervision, Verdict};
use crate::system::{Ending, System};

/// Turns before the thread is given to others. Lower costs a trip through the scheduler more often;
/// higher lets one flooded actor delay its neighbours by that many handlers.
const TURNS_PER_POLL: u32 = 128;

/// Makes the actor, on its thread, again at each restart.
type Factory<A> = Box<dyn Fn() -> A + Send>;

/// One actor and all that belongs to it.
pub(crate) struct Core<A: Actor> {
    mailbox: Arc<Mailbox<A>>,
    system: System,
    factory: Factory<A>,
    /// `None` is the default: most actors have it, and most are idle.
    supervision: Option<Box<Supervision>>,
    /// Boxed, because few actors ever fail.
    history: Option<Box<RestartHistory>>,
    context: Context<A>,
    phase: Phase<A>,
    /// Taken out of the mailbox, not yet started.
    batch: Batch<A>,
    /// The mailbox wakes it when something comes, since the batch was taken.
    is_parked: bool,
    clock: TurnClock,
    passivation: Option<Box<Passivation>>,
    /// What the watch sees of the thread it runs on.
    pulse: Arc<Pulse>,
}

enum Phase<A> {
    New,
    Up(A),
    Down(Down),
    Ended,
}

/// How an actor lives on, and when it does not.
pub(crate) struct Lifetime {
    pub(crate) supervision: Supervision,
    pub(crate) passivate_after: Option<Duration>,
}

/// Waiting to be made again.
struct Down {
    wait: LocalBoxFuture<'static, ()>,
    /// Kept until it is made again: the siblings after it wait for that.
    seat: Option<Seat>,
}

struct Passivation {
    after: Duration,
    idle_since: Instant,
    timer: Pin<Box<Sleep>>,
    /// The time passed while there was work; it begins anew when there is none.
    waits_for_work: bool,
}

/// What a step of the machine leads to.
enum Next {
    Again,
    Sleep(Asleep),
    /// It sleeps already.
    Asleep,
    /// Let others run, then go on.
    Yield,
    End(Ending),
}

impl<A: Actor> Core<A> {
    pub(crate) fn new(
        mailbox: Arc<Mailbox<A>>,
        system: System,
        factory: impl Fn() -> A + Send + 'static,
        lifetime: Lifetime,
        pulse: Arc<Pulse>,
    ) -> Self {
        let Lifetime { supervision, passivate_after } = lifetime;
        let passivation = passivate_after.map(|after| {
            let idle_since = Instant::now();
            let timer = Box::pin(tokio::time::sleep_until(idle_since + after));
            Box::new(Passivation { after, idle_since, timer, waits_for_work: false })
        });
        Self {
            context: Context::new(mailbox.clone(), system.clone()),
            clock: TurnClock::new(mailbox.facts.pace),
            is_parked: false,
            mailbox,
            system,
            factory: Box::new(factory),
            supervision: (supervision != Supervision::default()).then(|| Box::new(supervision)),
            history: None,
            phase: Phase::New,
            batch: Batch::new(),
            passivation,
            pulse,
        }
    }

    /// Runs until there is nothing to do, or others should run. Ready when the actor has ended.
    pub(crate) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.occupy(NameId::BETWEEN);
        let polled = self.run(cx);
        self.pulse.end();
        polled
    }

    /// Tells the watch what the thread is about to do.
    fn occupy(&self, name: NameId) {
        self.pulse.begin(self.mailbox.facts.order, name);
    }

    fn run(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.clock.resume();
        let mut turns_left = TURNS_PER_POLL;
        loop {
            let next = match self.obey() {
                Some(next) => next,
                None => self.step(cx, &mut turns_left),
            };
            match next {
                Next::Again => {}
                Next::Sleep(asleep) => {
                    self.is_parked = false;
                    if self.mailbox.park(asleep, cx.waker()) {
                        return Poll::Pending;
                    }
                }
                Next::Asleep => return Poll::Pending,
                Next::Yield => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Next::End(ending) => {
                    self.end(ending);
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Follows what it was told past its queue.
    fn obey(&mut self) -> Option<Next> {
        if !self.mailbox.interrupted() {
            return None;
        }
        let Orders { stop, fail, down } = *self.mailbox.orders()?;
        if let Some(why) = stop {
            return Some(Next::End(Ending::Stopped(why)));
        }
        if let Some(text) = fail {
            return Some(self.fail("child", text));
        }
        if let Some(seat) = down {
            self.drop_actor("restarted together with a sibling");
            self.go_down(Duration::ZERO, Some(seat));
        }
        Some(Next::Again)
    }

    fn step(&mut self, cx: &mut TaskContext<'_>, turns_left: &mut u32) -> Next {
        match &mut self.phase {
            Phase::New => self.make(None),
            Phase::Down(down) => match down.wait.as_mut().poll(cx) {
                Poll::Pending => Next::Sleep(Asleep::ForOrders),
                Poll::Ready(()) => {
                    let seat = down.seat.take();
                    self.make(Some(seat))
                }
            },
            Phase::Up(_) => self.step_up(cx, turns_left),
            // Polled after its end, which nobody does; to end again is harmless.
            Phase::Ended => Next::End(Ending::Stopped("ended".into())),
        }
    }

    fn step_up(&mut self, cx: &mut TaskContext<'_>, turns_left: &mut u32) -> Next {
        if self.context.stop {
            return Next::End(Ending::Stopped("it stopped itself".into()));
        }
        if let Some(next) = self.poll_hold(cx) {
            return next;
        }
        let wants_letters = self.context.has_room();
        if wants_letters && *turns_left > 0 {
            match self.fetch(cx) {
                Fetched::Letters => {
                    *turns_left -= 1;
                    return self.handle_one();
                }
                Fetched::Asleep if self.waits_for_letters_only() => return Next::Asleep,
                Fetched::Asleep => {}
                Fetched::Orders => return Next::Again,
            }
        }
        if let Some(next) = self.poll_tasks(cx) {
            // A flood of either kind of work must not starve the other: both count.
            *turns_left = turns_left.saturating_sub(1);
            return next;
        }
        if *turns_left == 0 {
            return Next::Yield;
        }
        if let Some(next) = self.poll_passivation(cx) {
            return next;
        }
        Next::Sleep(if wants_letters { Asleep::ForMessages } else { Asleep::ForOrders })
    }

    /// Nothing but a letter or an order can give it something to do.
    fn waits_for_letters_only(&self) -> bool {
        self.context.tasks.is_none() && self.passivation.is_none()
    }

    /// Looks whether there is a letter to open. `Asleep`, where it waits for other things too, says
    /// only that there is none just now.
    fn fetch(&mut self, cx: &TaskContext<'_>) -> Fetched {
        if !self.batch.is_empty() {
            return Fetched::Letters;
        }
        let was_parked = std::mem::take(&mut self.is_parked);
        if self.waits_for_letters_only() {
            if was_parked {
                self.batch.shrink_to(SLOTS_KEPT);
                return Fetched::Asleep;
            }
            let (fetched, is_parked) = self.mailbox.take_and_park(&mut self.batch, cx.waker());
            self.is_parked = is_parked && fetched == Fetched::Letters;
            return fetched;
        }
        if self.mailbox.take(&mut self.batch) { Fetched::Letters } else { Fetched::Asleep }
    }

    fn handle_one(&mut self) -> Next {
        let Some(Queued { cost_bytes, name, has_deadline, letter }) = self.batch.pop_front() else {
            return Next::Again;
        };
        self.mailbox.settle(cost_bytes);
        let now = if has_deadline { self.clock.fresh() } else { self.clock.now() };
        self.turn(name, move |actor, ctx| letter.open(actor, ctx, now))
    }

    /// `None` when nothing is held.
    fn poll_hold(&mut self, cx: &mut TaskContext<'_>) -> Option<Next> {
        let hold = self.context.holds.front_mut()?;
        self.pulse.begin(self.mailbox.facts.order, NameId::HOLD);
        Some(match catch(|| hold.as_mut().poll(cx)) {
            Ok(Poll::Pending) => {
                self.clock.forget();
                Next::Sleep(Asleep::ForOrders)
            }
            Ok(Poll::Ready(step)) => {
                self.context.holds.pop_front();
                step.map_or(Next::Again, |step| self.continue_with(step))
            }
            Err(text) => self.fail(NameId::HOLD.as_str(), text),
        })
    }

    /// `None` when no future of this actor is ready.
    fn poll_tasks(&mut self, cx: &mut TaskContext<'_>) -> Option<Next> {
        let tasks = self.context.tasks.as_mut()?;
        self.pulse.begin(self.mailbox.facts.order, NameId::THEN);
        match catch(|| Pin::new(tasks).poll_next(cx)) {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(Some(step))) => {
                Some(step.map_or(Next::Again, |step| self.continue_with(step)))
            }
            Ok(Poll::Ready(None)) => {
                self.context.tasks = None;
                None
            }
            Err(text) => Some(self.fail(NameId::THEN.as_str(), text)),
        }
    }

    fn continue_with(&mut self, step: Step<A>) -> Next {
        let Step { name, terms, run } = step;
        // What was polled took its time.
        self.clock.forget();
        self.context.enter(terms, self.clock.now());
        self.turn(name, |actor, ctx| {
            run(actor, ctx);
            Opened::Handled
        })
    }

    /// Runs code of the actor; a panic fails it.
    fn turn(&mut self, name: NameId, run: impl FnOnce(&mut A, &mut Context<A>) -> Opened) -> Next {
        match self.timed(name, run) {
            None | Some(Ok(())) => Next::Again,
            Some(Err(text)) => self.fail(name.as_str(), text),
        }
    }

    /// Runs code of the actor, if it is up, and records that. A letter that came too late is no
    /// turn.
    fn timed(
        &mut self,
        name: NameId,
        run: impl FnOnce(&mut A, &mut Context<A>) -> Opened,
    ) -> Option<Result<(), String>> {
        let Phase::Up(actor) = &mut self.phase else { return None };
        self.pulse.begin(self.mailbox.facts.order, name);
        let flight = &self.mailbox.facts.flight;
        flight.begin(name, self.clock.now_us(flight));
        let context = &mut self.context;
        let outcome = catch(|| run(actor, context));
        if outcome == Ok(Opened::TooLate) {
            flight.cancel();
            return Some(Ok(()));
        }
        let ends_group = self.batch.front().is_none_or(|next| next.name != name);
        flight.end(name, self.clock.end_turn(ends_group));
        if let Some(passivation) = &mut self.passivation {
            passivation.idle_since = self.clock.now();
        }
        Some(outcome.map(|_| ()))
    }

    /// Makes the actor: the first time, or again (`seat` is given back when it is done).
    fn make(&mut self, again: Option<Option<Seat>>) -> Next {
        self.mailbox.facts.set_down(false);
        self.occupy(NameId::STARTED);
        let made = match catch(&self.factory) {
            Ok(actor) => actor,
            Err(text) => return self.fail("factory", text),
        };
        self.phase = Phase::Up(made);
        self.context.enter(crate::delivery::Terms::PLAIN, Instant::now());
        self.clock.forget();
        let next = self.turn(NameId::STARTED, |actor, ctx| {
            actor.started(ctx);
            Opened::Handled
        });
        if again.is_some() && matches!(self.phase, Phase::Up(_)) {
            self.mailbox.facts.flight.note_restart();
            self.system.actor_restarted(&self.mailbox.facts);
        }
        drop(again);
        next
    }

    fn supervision(&self) -> Supervision {
        self.supervision.as_deref().copied().unwrap_or_default()
    }

    /// A panic, or a child's failure that escalated here.
    fn fail(&mut self, during: &'static str, text: String) -> Next {
        self.system.actor_failed(&self.mailbox.facts, during, &text);
        self.drop_actor(&format!("the actor failed in {during}: {text}"));
        self.clock.forget();
        let supervision = self.supervision();
        let history = self.history.get_or_insert_default();
        match history.fail(Instant::now(), &supervision) {
            Verdict::GiveUp => Next::End(Ending::GaveUp { text }),
            Verdict::Restart(wait) => {
                let seat =
                    self.system.take_siblings_down(&self.mailbox.facts, supervision.strategy);
                self.go_down(wait, seat);
                Next::Again
            }
        }
    }

    fn go_down(&mut self, wait: Duration, seat: Option<Seat>) {
        self.mailbox.facts.set_down(true);
        let turn = seat.as_ref().map(Seat::turn);
        let wait = Box::pin(async move {
            tokio::time::sleep(wait).await;
            if let Some(turn) = turn {
                turn.await;
            }
        });
        self.phase = Phase::Down(Down { wait, seat });
    }

    /// Drops the actor with its futures; whoever waits for it learns `reason`.
    fn drop_actor(&mut self, reason: &str) {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        let context = &mut self.context;
        let dropped = ending_with(reason, || {
            let futures = catch(|| context.clear());
            let actor = catch(|| drop(phase));
            futures.and(actor)
        });
        if let Err(text) = dropped {
            let path = self.mailbox.facts.path.as_str();
            tracing::error!(path, text, "an actor panicked while it was dropped");
        }
    }

    /// Its idle time is over: end it, unless a message came meanwhile.
    fn poll_passivation(&mut self, cx: &mut TaskContext<'_>) -> Option<Next> {
        let has_work = self.context.tasks.is_some();
        let passivation = self.passivation.as_mut()?;
        if passivation.waits_for_work {
            if has_work {
                return None;
            }
            passivation.waits_for_work = false;
            passivation.timer.as_mut().reset(Instant::now() + passivation.after);
        }
        if passivation.timer.as_mut().poll(cx).is_pending() {
            return None;
        }
        if has_work {
            // Without another timer: thousands that follow a guest each would wake for nothing.
            passivation.waits_for_work = true;
            return None;
        }
        let due = passivation.idle_since + passivation.after;
        let now = Instant::now();
        if now < due {
            passivation.timer.as_mut().reset(due);
            return Some(Next::Again);
        }
        self.run_stopping();
        self.drop_actor("passivated");
        if self.system.passivate(&*self.mailbox) {
            return Some(Next::End(Ending::Passivated));
        }
        // A message came while it was stopping: it lives on, made afresh.
        if let Some(passivation) = &mut self.passivation {
            passivation.timer.as_mut().reset(now + passivation.after);
        }
        Some(self.make(None))
    }

    fn run_stopping(&mut self) {
        self.clock.forget();
        let stopped = self.timed(NameId::STOPPING, |actor, ctx| {
            actor.stopping(ctx);
            Opened::Handled
        });
        if let Some(Err(text)) = stopped {
            self.system.actor_failed(&self.mailbox.facts, NameId::STOPPING.as_str(), &text);
        }
    }

    /// The end: closes the gate, answers everybody who still waits, and is forgotten.
    fn end(&mut self, how: Ending) {
        let why = how.to_string();
        let queued = self.mailbox.close(&why);
        self.run_stopping();
        self.drop_actor(&format!("the actor ended: {why}"));
        self.discard(queued, &why);
        self.system.actor_ended(&self.mailbox.facts, how, self.supervision().escalation);
    }

    /// Letters that will never start.
    fn discard(&mut self, queued: Batch<A>, why: &str) {
        drop(self.mailbox.orders());
        let reason = format!("the actor stopped before its turn: {why}");
        for Queued { cost_bytes, letter, .. } in
            std::mem::replace(&mut self.batch, Batch::new()).into_iter().chain(queued)
        {
            self.mailbox.settle(cost_bytes);
            if let Err(text) = ending_with(&reason, || catch(|| drop(letter))) {
                tracing::error!(text, "a message panicked while it was dropped");
            }
        }
    }
}

impl<A: Actor> Drop for Core<A> {
    /// Dropped without an end: its thread or simulated node is gone. No code of the actor runs but
    /// its destructors.
    fn drop(&mut self) {
        if matches!(self.phase, Phase::Ended) && self.mailbox.is_closed() {
            return;
        }
        let how = Ending::Stopped("its thread ended".into());
        let why = how.to_string();
        let queued = self.mailbox.close(&why);
        self.drop_actor(&why);
        self.discard(queued, &why);
        self.system.actor_ended(&self.mailbox.facts, how, self.supervision().escalation);
    }
}

//! The mailbox: what senders and the actor share. Bounded in messages and in bytes, without a way
//! round it.
//!
//! actix's own mailbox is not used for messages: its bound is per sender and `do_send` ignores it.
//! Here one lock decides: is the gate open, is there room, must the actor be woken. Room is counted
//! until a message *starts*; the actor publishes what it has started in two words that only it
//! writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use gantry_wire::{ActorPath, IncarnationId, NotDelivered};
use tokio::time::Instant;

use crate::actor::Actor;
use crate::cell::{Letter, Seat};
use crate::flight::Flight;
use crate::names::NameId;
use crate::platform::Pace;
use crate::protocol::Protocol;
use crate::segments::Segments;
use crate::system::{SpawnOptions, Thread};

/// Messages a mailbox holds by default. A node with 1,000 guests reports to one actor in bursts of
/// about that size; lower would refuse those, higher lets one stuck actor hoard.
pub const MAILBOX_MESSAGES: usize = 4096;

/// Bytes a mailbox holds by default. Two of the largest frames fit, so the largest message is never
/// undeliverable to an idle actor; higher multiplies by the number of actors on a node.
pub const MAILBOX_BYTES: usize = 2 * gantry_wire::FRAME_BYTES_MAX;

/// Slots that an empty queue keeps. Bursts beyond give their memory back when they are over; lower
/// would allocate on every small burst, higher costs 16 bytes per slot in each idle actor.
pub(crate) const SLOTS_KEPT: usize = 16;

/// Largest letter, whatever its mailbox may hold. What is charged for one is kept in four bytes;
/// frames, and so remote messages, are smaller by far.
const LETTER_BYTES_MAX: usize = u32::MAX as usize;

/// How much a mailbox may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Messages that have not started.
    pub messages: usize,
    /// Their bytes, as [`gantry_wire::Message::cost_bytes`] counts them.
    pub bytes: usize,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self { messages: MAILBOX_MESSAGES, bytes: MAILBOX_BYTES }
    }
}

/// Why a mailbox did not take a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    TooLarge {
        bytes: usize,
        bytes_max: usize,
    },
    /// Stopped for good; a new actor may live at the path by now.
    Stopped(Arc<str>),
    /// The sender believes in another incarnation.
    OtherIncarnation {
        here: IncarnationId,
    },
}

impl Refusal {
    pub(crate) fn outcome(self, path: &ActorPath) -> NotDelivered {
        match self {
            Self::Full => NotDelivered::MailboxFull(path.to_string()),
            Self::TooLarge { bytes, bytes_max } => NotDelivered::TooLarge { bytes, bytes_max },
            Self::Stopped(why) => NotDelivered::Stopped(format!("{path}: {why}")),
            Self::OtherIncarnation { here } => {
                NotDelivered::Moved(format!("{path} is incarnation {} here", here.0))
            }
        }
    }
}

/// What an actor is told past its queue.
pub(crate) struct Orders {
    pub(crate) stop: Option<String>,
    pub(crate) fail: Option<String>,
    pub(crate) down: Option<Seat>,
}

/// What everybody may know of an actor, whatever its type.
pub(crate) struct Facts {
    pub(crate) path: ActorPath,
    pub(crate) kind: &'static str,
    pub(crate) parent: Option<ActorPath>,
    pub(crate) incarnation: Option<IncarnationId>,
    /// Place in the order of spawning; unique in the system.
    pub(crate) order: u64,
    pub(crate) limits: MailboxLimits,
    pub(crate) thread: Thread,
    pub(crate) flight: Flight,
    pub(crate) pace: Pace,
    started: AtomicU64,
    started_bytes: AtomicU64,
    down: AtomicBool,
}

impl Facts {
    pub(crate) fn new(
        path: ActorPath,
        kind: &'static str,
        order: u64,
        options: &SpawnOptions,
        epoch: Instant,
        pace: Pace,
    ) -> Self {
        Self {
            path,
            kind,
            parent: options.parent.clone(),
            incarnation: options.incarnation,
            order,
            limits: options.mailbox,
            thread: options.thread,
            flight: Flight::new(epoch),
            pace,
            started: AtomicU64::new(0),
            started_bytes: AtomicU64::new(0),
            down: AtomicBool::new(false),
        }
    }

    /// Why a sender that believes in `expected` is wrong. An actor without an incarnation is not an
    /// entity that moves, and takes everything.
    pub(crate) fn other_incarnation(&self, expected: Option<IncarnationId>) -> Option<Refusal> {
        let here = self.incarnation?;
        (expected? != here).then_some(Refusal::OtherIncarnation { here })
    }

    /// Whether it waits to be made again.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }
}

/// The shared half of an actor.
pub(crate) struct Mailbox<A: Actor> {
    pub(crate) facts: Facts,
    pub(crate) protocol: Arc<Protocol<A>>,
    queue: Mutex<Queue<A>>,
    /// Set when orders wait; looked at before every turn.
    interrupt: AtomicBool,
}

/// A letter, and what is to be known of it without opening it.
pub(crate) struct Queued<A: Actor> {
    /// What was charged for it.
    pub(crate) cost_bytes: u32,
    pub(crate) name: NameId,
    pub(crate) has_deadline: bool,
    pub(crate) letter: Box<dyn Letter<A>>,
}

/// Letters in the order of their turns.
pub(crate) type Batch<A> = Segments<Queued<A>>;

struct Queue<A: Actor> {
    letters: Batch<A>,
    admitted: u64,
    admitted_bytes: u64,
    closed: Option<Arc<str>>,
    /// Whom to wake, and for what.
    waker: Option<Waker>,
    asleep: Asleep,
    orders: Option<Box<Orders>>,
}

/// What an actor that is not running waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asleep {
    /// It runs, or will look again by itself.
    No,
    /// Messages and orders.
    ForMessages,
    /// Orders only: it holds, or is down.
    ForOrders,
}

/// What looking into the mailbox led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// There is something to do.
    Letters,
    /// There is nothing, and whoever brings something wakes the actor.
    Asleep,
    /// There are orders to follow first.
    Orders,
}

impl<A: Actor> Mailbox<A> {
    pub(crate) fn new(facts: Facts, protocol: Arc<Protocol<A>>) -> Self {
        Self {
            facts,
            protocol,
            queue: Mutex::new(Queue {
                letters: Segments::new(),
                admitted: 0,
                admitted_bytes: 0,
                closed: None,
                waker: None,
                asleep: Asleep::No,
                orders: None,
            }),
            interrupt: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<A>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a letter, or gives it back with the reason.
    pub(crate) fn push<L: Letter<A> + 'static>(
        &self,
        letter: Box<L>,
    ) -> Result<(), (Refusal, Box<L>)> {
        let (bytes, limits) = (letter.cost_bytes(), self.facts.limits);
        let bytes_max = limits.bytes.min(LETTER_BYTES_MAX);
        if bytes > bytes_max {
            return Err((Refusal::TooLarge { bytes, bytes_max }, letter));
        }
        let (cost, cost_bytes) = (bytes as u64, bytes as u32);
        let (name, has_deadline) = (letter.name(), letter.has_deadline());
        let mut queue = self.lock();
        if let Some(why) = &queue.closed {
            return Err((Refusal::Stopped(why.clone()), letter));
        }
        let messages = queue.admitted - self.facts.started.load(Ordering::Acquire);
        let bytes = queue.admitted_bytes - self.facts.started_bytes.load(Ordering::Acquire);
        if messages >= limits.messages as u64 || bytes + cost > limits.bytes as u64 {
            return Err((Refusal::Full, letter));
        }
        queue.admitted += 1;
        queue.admitted_bytes += cost;
        queue.letters.push_back(Queued { cost_bytes, name, has_deadline, letter });
        if queue.asleep == Asleep::ForMessages {
            queue.wake();
        }
        Ok(())
    }

    /// Moves everything queued into `batch`, which is empty.
    pub(crate) fn take(&self, batch: &mut Batch<A>) -> bool {
        self.lock().take(batch)
    }

    /// As [`Mailbox::take`], and says whether the actor sleeps from then on, under the same lock:
    /// whoever brings something wakes it, also while it works on what it has taken. So one that
    /// waits for nothing else may sleep after that without looking again.
    pub(crate) fn take_and_park(&self, batch: &mut Batch<A>, waker: &Waker) -> (Fetched, bool) {
        let mut queue = self.lock();
        let has_letters = queue.take(batch);
        let is_parked = queue.park(Asleep::ForMessages, waker);
        let fetched = match (has_letters, is_parked) {
            (true, _) => Fetched::Letters,
            (false, true) => Fetched::Asleep,
            (false, false) => Fetched::Orders,
        };
        (fetched, is_parked)
    }

    /// A letter has left the queue for good. Called by the actor's thread only.
    pub(crate) fn settle(&self, cost_bytes: u32) {
        let cost_bytes = u64::from(cost_bytes);
        let started = self.facts.started.load(Ordering::Relaxed);
        let bytes = self.facts.started_bytes.load(Ordering::Relaxed);
        self.facts.started_bytes.store(bytes + cost_bytes, Ordering::Release);
        self.facts.started.store(started + 1, Ordering::Release);
    }

    /// The actor wants to sleep until what `asleep` says. Refused when that is already there.
    pub(crate) fn park(&self, asleep: Asleep, waker: &Waker) -> bool {
        self.lock().park(asleep, waker)
    }

    /// Closes the gate if nothing is queued. What was accepted is never lost to passivation.
    pub(crate) fn close_if_empty(&self, why: &str) -> bool {
        let mut queue = self.lock();
        let idle = queue.letters.is_empty() && queue.orders.is_none();
        if idle {
            queue.closed = Some(why.into());
        }
        idle
    }

    /// Closes the gate and gives out what was queued.
    pub(crate) fn close(&self, why: &str) -> Batch<A> {
        let mut queue = self.lock();
        queue.closed.get_or_insert_with(|| why.into());
        queue.waker = None;
        queue.asleep = Asleep::No;
        std::mem::replace(&mut queue.letters, Segments::new())
    }

    /// Whether orders wait: one load, for every turn.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Acquire)
    }

    /// Takes the orders.
    pub(crate) fn orders(&self) -> Option<Box<Orders>> {
        let mut queue = self.lock();
        self.interrupt.store(false, Ordering::Release);
        queue.orders.take()
    }

    /// Changes the orders and wakes the actor; `None` when it has stopped.
    pub(crate) fn order(&self, change: impl FnOnce(&mut Orders)) -> Option<()> {
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return None;
        }
        let empty = || Box::new(Orders { stop: None, fail: None, down: None });
        change(queue.orders.get_or_insert_with(empty));
        self.interrupt.store(true, Ordering::Release);
        queue.wake();
        Some(())
    }

    /// What has not started: messages and bytes.
    pub(crate) fn depth(&self) -> (u64, u64) {
        let queue = self.lock();
        let started = self.facts.started.load(Ordering::Acquire);
        let started_bytes = self.facts.started_bytes.load(Ordering::Acquire);
        (queue.admitted - started, queue.admitted_bytes - started_bytes)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }
}

impl<A: Actor> Queue<A> {
    fn take(&mut self, batch: &mut Batch<A>) -> bool {
        // Whoever looks is not asleep, whatever has woken it.
        self.asleep = Asleep::No;
        std::mem::swap(&mut self.letters, batch);
        !batch.is_empty()
    }

    fn park(&mut self, asleep: Asleep, waker: &Waker) -> bool {
        if self.orders.is_some() || asleep == Asleep::ForMessages && !self.letters.is_empty() {
            return false;
        }
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        self.asleep = asleep;
        if self.letters.is_empty() {
            self.letters.shrink_to(SLOTS_KEPT);
        }
        true
    }

    /// Under the lock: waking only marks the task, it runs nothing here.
    fn wake(&mut self) {
        if self.asleep != Asleep::No {
            self.asleep = Asleep::No;
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }
}

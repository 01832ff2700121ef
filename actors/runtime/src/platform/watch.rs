//! The watch over the platform's threads: what occupies one for too long is named while it does.
//!
//! Each thread that runs actors has a [`Pulse`], written by the actors and tasks on it: two plain
//! stores per turn. A thread of its own reads all of them several times a second. What it has seen
//! in the same turn for [`STUCK_AFTER`] it tells to the log, and to the systems that listen. It
//! looks at blocking work too. Deliberately absent: any way to end what is stuck (nothing can end a
//! thread), and simulated nodes, in which no turn takes time.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::PlatformError;
use super::blocking::Watchdog;
use crate::names::NameId;

/// How long one turn may occupy a thread before it is named. Actors on that thread wait as long,
/// and the network thread is called silent by its peers after [`gantry_link::quic::PEER_SILENCE`]:
/// it has to be named well before. Lower cries at a page fault on a busy machine, higher explains a
/// stall only after its effects were felt.
pub const STUCK_AFTER: Duration = Duration::from_millis(500);

/// How often the watch looks. A turn is named at the latest this much after [`STUCK_AFTER`]; more
/// often wakes an idle machine for nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const WATCH_THREAD: &str = "gantry-watch";

const NAME_BITS: u32 = 16;

/// What one thread does just now.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Number of the actor and name of the turn; zero between turns.
    doing: AtomicU64,
    /// How many turns have begun. Written by its thread only.
    turns: AtomicU64,
}

impl Pulse {
    /// A turn begins: of the actor with that number, or of a task (zero).
    pub(crate) fn begin(&self, actor: u64, name: NameId) {
        self.turns.store(self.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.doing.store(actor << NAME_BITS | name.bits(), Ordering::Relaxed);
    }

    /// The thread is given to others.
    pub(crate) fn end(&self) {
        self.doing.store(0, Ordering::Relaxed);
    }

    fn reading(&self) -> Reading {
        let doing = self.doing.load(Ordering::Relaxed);
        Reading { doing, turn: self.turns.load(Ordering::Relaxed) }
    }
}

/// A future whose polls are seen by the watch.
pub(super) struct Pulsing<F> {
    pub(super) future: F,
    pub(super) pulse: Arc<Pulse>,
    pub(super) name: NameId,
}

impl<F: Future + Unpin> Future for Pulsing<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.pulse.begin(0, self.name);
        let polled = Pin::new(&mut self.future).poll(cx);
        self.pulse.end();
        polled
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Reading {
    doing: u64,
    turn: u64,
}

/// Something that occupies a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    /// Number of the actor; zero for a task.
    pub(crate) actor: u64,
    /// Wire name of its message, name of its continuation, or source file of the task.
    pub(crate) during: &'static str,
    /// Since when at the latest.
    pub(crate) since: Instant,
    /// For how long at least.
    pub(crate) took: Duration,
    pub(crate) word: Word,
}

/// Which time it is that something is named for the same turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is stuck.
    First,
    /// It still is.
    Again,
    /// It has gone on meanwhile.
    Over,
}

/// Whoever knows actors by their numbers.
pub(crate) trait StuckListener: Send + Sync {
    /// Whether the actor is known here and was named.
    fn stuck(&self, stuck: Stuck) -> bool;
}

/// What the watch has seen of one thread.
struct Seen {
    reading: Reading,
    since: Instant,
    /// Named again at twice the time, so that a hang does not fill the log.
    name_after: Duration,
}

impl Seen {
    fn stuck(&self, took: Duration, word: Word) -> Stuck {
        let doing = self.reading.doing;
        let during = NameId::from_bits(doing).as_str();
        Stuck { actor: doing >> NAME_BITS, during, since: self.since, took, word }
    }
}

/// The judgement of the watch, without its thread.
struct Judge(Vec<Seen>);

impl Judge {
    fn new(n_threads: usize, now: Instant) -> Self {
        let idle = Reading { doing: 0, turn: 0 };
        let seen = || Seen { reading: idle, since: now, name_after: STUCK_AFTER };
        Self((0..n_threads).map(|_| seen()).collect())
    }

    /// What is to be said of a thread that reads like this.
    fn look(&mut self, thread: usize, reading: Reading, now: Instant) -> Option<Stuck> {
        let seen = self.0.get_mut(thread)?;
        let took = now.saturating_duration_since(seen.since);
        if reading != seen.reading {
            let was_named = seen.name_after > STUCK_AFTER;
            let before =
                std::mem::replace(seen, Seen { reading, since: now, name_after: STUCK_AFTER });
            return was_named.then(|| before.stuck(took, Word::Over));
        }
        if reading.doing == 0 || took < seen.name_after {
            return None;
        }
        let word = if seen.name_after > STUCK_AFTER { Word::Again } else { Word::First };
        seen.name_after *= 2;
        Some(seen.stuck(took, word))
    }
}

/// What the watching thread looks at.
pub(super) struct Overseer {
    pub(super) pulses: Vec<Arc<Pulse>>,
    pub(super) blocking: Arc<Watchdog>,
    pub(super) listeners: Arc<Listeners>,
}

/// The systems of a platform; those that are gone are forgotten.
#[derive(Default)]
pub(super) struct Listeners {
    next: AtomicU64,
    all: Mutex<BTreeMap<u64, Weak<dyn StuckListener>>>,
}

impl Listeners {
    pub(super) fn add(&self, listener: Weak<dyn StuckListener>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| known.strong_count() > 0);
        all.insert(self.next.fetch_add(1, Ordering::Relaxed), listener);
    }

    fn tell(&self, stuck: Stuck) {
        let all: Vec<_> =
            self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let known = all.iter().filter_map(Weak::upgrade).any(|listener| listener.stuck(stuck));
        if !known {
            let Stuck { during, took, word, .. } = stuck;
            let (took_ms, is_over) = (took.as_millis() as u64, word == Word::Over);
            tracing::warn!(during, took_ms, is_over, "a task occupies a thread");
        }
    }
}

impl Overseer {
    /// Starts the watch. It ends when what is returned is dropped.
    pub(super) fn start(self) -> Result<mpsc::Sender<()>, PlatformError> {
        let (alive, gone) = mpsc::channel();
        let thread = std::thread::Builder::new().name(WATCH_THREAD.into());
        let started = thread.spawn(move || self.run(&gone));
        drop(
            started
                .map_err(|source| PlatformError::Thread { name: WATCH_THREAD.into(), source })?,
        );
        Ok(alive)
    }

    fn run(self, gone: &mpsc::Receiver<()>) {
        let mut judge = Judge::new(self.pulses.len(), Instant::now());
        while gone.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            let now = Instant::now();
            for (thread, pulse) in self.pulses.iter().enumerate() {
                if let Some(stuck) = judge.look(thread, pulse.reading(), now) {
                    self.listeners.tell(stuck);
                }
            }
            self.blocking.look();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::intern;

    fn reading(pulse: &Pulse) -> Reading {
        pulse.reading()
    }

    #[tokio::test(start_paused = true)]
    async fn one_long_turn_is_named_once_per_doubling_and_when_it_is_over() {
        let (pulse, start) = (Pulse::default(), Instant::now());
        let mut judge = Judge::new(1, start);
        pulse.begin(7, intern("watch-test"));
        assert_eq!(judge.look(0, reading(&pulse), start), None);
        let at = |n: u32| start + STUCK_AFTER * n;
        let during = "watch-test";
        let named = Stuck { actor: 7, during, since: start, took: STUCK_AFTER, word: Word::First };
        assert_eq!(judge.look(0, reading(&pulse), at(1)), Some(named));
        assert_eq!(judge.look(0, reading(&pulse), at(1)), None, "said already");
        let again = Stuck { took: STUCK_AFTER * 2, word: Word::Again, ..named };
        assert_eq!(judge.look(0, reading(&pulse), at(2)), Some(again));
        pulse.end();
        let over = Stuck { took: STUCK_AFTER * 3, word: Word::Over, ..named };
        assert_eq!(judge.look(0, reading(&pulse), at(3)), Some(over));
    }

    #[tokio::test(start_paused = true)]
    async fn many_short_turns_of_one_actor_are_not_stuck() {
        let (pulse, start) = (Pulse::default(), Instant::now());
        let mut judge = Judge::new(1, start);
        for n in 0..10 {
            pulse.begin(7, intern("watch-test"));
            assert_eq!(judge.look(0, reading(&pulse), start + STUCK_AFTER * n), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_thread_is_not_stuck() {
        let (pulse, start) = (Pulse::default(), Instant::now());
        let mut judge = Judge::new(1, start);
        for n in 0..10 {
            assert_eq!(judge.look(0, reading(&pulse), start + STUCK_AFTER * n), None);
        }
    }
}

//! Blocking work: bounded pools by class, with a watchdog that names what takes long.
//!
//! Real work runs on threads that are not actors' threads. Simulated work runs inline after a
//! latency drawn from the seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::PlatformError;
use super::random::Random;

/// What kind of blocking work it is; each has threads and a queue of its own, so that stuck
/// commands do not stop the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockingClass {
    /// Reading, writing and syncing files.
    Disk,
    /// Waiting for an external command.
    Command,
    /// Short system calls: reading `/proc`, a lookup.
    Quick,
}

/// How much of one class may be at work and waiting.
struct Limits {
    /// At work at once. Fewer starve parallel jobs, more only queue in the kernel.
    threads: usize,
    /// Waiting beyond that. Lower refuses honest bursts, higher lets work pile up that will be
    /// late.
    waiting: usize,
    /// When the watchdog speaks. Lower cries at ordinary work, higher leaves a hang unexplained.
    slow: Duration,
    /// Longest simulated latency.
    latency_max: Duration,
}

impl BlockingClass {
    const ALL: [Self; 3] = [Self::Disk, Self::Command, Self::Quick];

    fn limits(self) -> Limits {
        match self {
            Self::Disk => Limits {
                threads: 4,
                waiting: 256,
                slow: Duration::from_secs(5),
                latency_max: Duration::from_millis(10),
            },
            Self::Command => Limits {
                threads: 32,
                waiting: 512,
                slow: Duration::from_secs(60),
                latency_max: Duration::from_millis(200),
            },
            Self::Quick => Limits {
                threads: 4,
                waiting: 1024,
                slow: Duration::from_secs(1),
                latency_max: Duration::from_millis(2),
            },
        }
    }
}

/// Why blocking work has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// Too much waits already. It was not started.
    #[error("cannot start {name}: {waiting} others wait for the {class:?} pool")]
    Busy {
        /// The work.
        name: &'static str,
        /// The pool.
        class: BlockingClass,
        /// How many.
        waiting: usize,
    },
    /// No place was free before the deadline. It was not started.
    #[error("did not start {name}: no place in the {class:?} pool before the deadline")]
    NotStarted {
        /// The work.
        name: &'static str,
        /// The pool.
        class: BlockingClass,
    },
    /// It panicked; what it did until then is not known.
    #[error("{name} panicked: {text}")]
    Panicked {
        /// The work.
        name: &'static str,
        /// The panic's text.
        text: String,
    },
    /// The platform ended first; whether it ran is not known.
    #[error("the platform ended while {name} was at work")]
    Ended {
        /// The work.
        name: &'static str,
    },
}

/// What is asked of the pools, beside the work.
pub(super) struct Ticket<'a> {
    pub(super) class: BlockingClass,
    pub(super) name: &'static str,
    pub(super) who: &'a str,
    pub(super) until: Instant,
}

struct Pool {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// All pools of one platform.
pub(super) struct Pools {
    pools: BTreeMap<BlockingClass, Pool>,
    watchdog: Arc<Watchdog>,
    /// Only its blocking threads are used. `None` when simulated.
    runtime: Option<Runtime>,
}

impl Drop for Pools {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Work that hangs must not hang the process.
            runtime.shutdown_background();
        }
    }
}

/// Counts one waiter as long as it lives.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pools {
    fn empty(runtime: Option<Runtime>) -> Self {
        let pool = |class: BlockingClass| Pool {
            places: Arc::new(Semaphore::new(class.limits().threads)),
            waiting: Arc::default(),
        };
        let pools = BlockingClass::ALL.into_iter().map(|class| (class, pool(class))).collect();
        Self { pools, watchdog: Arc::default(), runtime }
    }

    pub(super) fn real() -> Result<Self, PlatformError> {
        let threads = BlockingClass::ALL.iter().map(|class| class.limits().threads).sum();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_name("gantry-blocking")
            .max_blocking_threads(threads)
            .build()
            .map_err(|source| PlatformError::EventLoop {
                name: "gantry-blocking".into(),
                source,
            })?;
        Ok(Self::empty(Some(runtime)))
    }

    pub(super) fn simulated() -> Self {
        Self::empty(None)
    }

    /// For the watch, which looks at it.
    pub(super) fn watchdog(&self) -> Arc<Watchdog> {
        self.watchdog.clone()
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        simulated: Option<&Random>,
        ticket: Ticket<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let Ticket { class, name, who, until } = ticket;
        let limits = class.limits();
        let pool = &self.pools[&class];
        let waiting = pool.waiting.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiting(pool.waiting.clone());
        if pool.places.available_permits() == 0 && waiting >= limits.waiting {
            return Err(BlockingError::Busy { name, class, waiting });
        }
        let place = tokio::time::timeout_at(until, pool.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(BlockingError::NotStarted { name, class }) };
        drop(waiter);
        let watch = self.watchdog.watch(name, who, limits.slow);
        let Some(runtime) = &self.runtime else {
            let latency_us = limits.latency_max.as_micros() as u64;
            let latency = simulated.map_or(0, |random| random.below(latency_us));
            tokio::time::sleep(Duration::from_micros(latency)).await;
            let result = crate::reply::catch(work);
            drop((watch, place));
            return result.map_err(|text| BlockingError::Panicked { name, text });
        };
        let done = runtime.handle().spawn_blocking(move || {
            // Held by the work, not by who waits for it: giving up frees no thread.
            let _held = (watch, place);
            crate::reply::catch(work)
        });
        match done.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(text)) => Err(BlockingError::Panicked { name, text }),
            Err(_) => Err(BlockingError::Ended { name }),
        }
    }
}

/// Knows what is at work and since when, and warns.
#[derive(Default)]
pub(super) struct Watchdog {
    next: AtomicU64,
    at_work: Mutex<BTreeMap<u64, AtWork>>,
}

struct AtWork {
    name: &'static str,
    who: String,
    since: Instant,
    /// Warned again at twice the time, so that a hang does not fill the log.
    warn_after: Duration,
}

/// Forgets the work when dropped, and says how long it took if that was worth a warning.
struct Watch {
    watchdog: Arc<Watchdog>,
    number: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut at_work = self.watchdog.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let _done = at_work.remove(&self.number);
    }
}

impl Watchdog {
    fn watch(self: &Arc<Self>, name: &'static str, who: &str, slow: Duration) -> Watch {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let since = Instant::now();
        let entry = AtWork { name, who: who.to_owned(), since, warn_after: slow };
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(number, entry);
        Watch { watchdog: self.clone(), number }
    }

    /// Warns about what takes too long; says how many that are.
    pub(super) fn look(&self) -> usize {
        let mut n_slow = 0;
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for work in at_work.values_mut() {
            let took = now.saturating_duration_since(work.since);
            if took >= work.warn_after {
                n_slow += 1;
                work.warn_after *= 2;
                let (name, who) = (work.name, work.who.as_str());
                let took_ms = took.as_millis() as u64;
                tracing::warn!(name, actor = who, took_ms, "blocking work takes long");
            }
        }
        n_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_warns_once_per_doubling() {
        let watchdog = Arc::new(Watchdog::default());
        let watch = watchdog.watch("fsync", "/store", Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(watchdog.look(), 0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(watchdog.look(), 1);
        assert_eq!(watchdog.look(), 0, "said already");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(watchdog.look(), 1);
        drop(watch);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(watchdog.look(), 0);
    }
}

//! The platform: threads, time, randomness and blocking pools, real or simulated.
//!
//! The only place that may read a clock, start a thread or draw a random number. Everything above
//! works the same on both; the simulated one runs a node on the caller's thread and tokio's paused
//! clock, from one seed.

mod blocking;
mod clock;
mod pace;
mod random;
mod real;
mod sim;
mod watch;

use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Weak};

use futures_util::future::{AbortHandle, abortable};
use tokio::time::Instant;

pub use blocking::{BlockingClass, BlockingError};
pub use clock::Clock;
pub(crate) use pace::{Pace, Tick, tick_length};
pub use real::{PlatformError, RealConfig};
pub use sim::{SimNode, simulate};
pub use watch::STUCK_AFTER;
pub(crate) use watch::{Pulse, Stuck, StuckListener, Word};

use blocking::Pools;
use random::Random;
use real::RealThreads;
pub(crate) use sim::NodeGate;
use watch::{Listeners, Pulsing};

use crate::names::intern;

/// Work handed to a thread.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs actors: an arbiter, or a simulated node.
pub(crate) struct Lane {
    way: LaneWay,
    pulse: Arc<Pulse>,
}

enum LaneWay {
    Arbiter(actix_rt::ArbiterHandle),
    Simulated(tokio::sync::mpsc::UnboundedSender<Job>),
}

impl Lane {
    fn new(way: LaneWay) -> Self {
        Self { way, pulse: Arc::default() }
    }

    /// What the watch sees of it.
    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Hands over a job; `false` when the thread has ended.
    ///
    /// The queue behind is not bounded: what goes in are spawns, which are bounded by
    /// [`crate::ACTORS_MAX`], and tasks of the runtime.
    pub(crate) fn run(&self, job: Job) -> bool {
        match &self.way {
            LaneWay::Arbiter(arbiter) => arbiter.spawn_fn(job),
            LaneWay::Simulated(jobs) => jobs.send(job).is_ok(),
        }
    }
}

/// Where one node runs. A handle: clones are the same platform.
#[derive(Clone)]
pub struct Platform {
    inner: Arc<Inner>,
}

struct Inner {
    control: Lane,
    workers: Vec<Lane>,
    clock: Clock,
    random: Random,
    pools: Pools,
    listeners: Arc<Listeners>,
    /// They end when the last handle is dropped.
    threads: Option<RealThreads>,
    gate: Option<Arc<NodeGate>>,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_simulated() { "simulated" } else { "real" };
        f.debug_struct("Platform").field("kind", &kind).finish_non_exhaustive()
    }
}

/// A future at work on a platform. Dropping this changes nothing.
#[derive(Clone, Debug)]
pub struct TaskHandle {
    abort: AbortHandle,
}

impl TaskHandle {
    /// Drops the future at its next turn.
    pub fn abort(&self) {
        self.abort.abort();
    }
}

impl Platform {
    /// Time, as this node sees it.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Whether it is simulated.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.inner.gate.is_some()
    }

    /// How its time passes.
    pub(crate) fn pace(&self) -> Pace {
        if self.is_simulated() { Pace::Simulated } else { Pace::Real }
    }

    /// A random number: from the operating system's source, or from the seed.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.inner.random.next_u64()
    }

    /// Fills `bytes` with randomness from the same source.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.inner.random.fill(bytes);
    }

    /// A random (version 4) UUID from the same source.
    #[must_use]
    pub fn random_uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.fill_random(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// The event loop of the control thread, which is the network thread too: a link that runs on
    /// it needs no hop to a control actor and back. `None` when simulated.
    #[must_use]
    pub fn network(&self) -> Option<tokio::runtime::Handle> {
        self.inner.threads.as_ref().map(|threads| threads.network().clone())
    }

    /// Runs a future on the control thread. It ends with the platform, or when aborted. Should one
    /// of its polls take long, the watch names the file that this was called from.
    #[track_caller]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let name = intern(Location::caller().file());
        let (future, abort) = abortable(future);
        let pulse = self.inner.control.pulse.clone();
        let future = Pulsing { future: Box::pin(future), pulse, name };
        let accepted = self.inner.control.run(Box::new(move || {
            tokio::task::spawn_local(async move {
                // Aborted or done is the same to the platform.
                let _aborted = future.await;
            });
        }));
        if !accepted {
            tracing::debug!("a task was dropped: its thread has ended");
        }
        TaskHandle { abort }
    }

    /// Runs `work` on the pool of `class`. `name` and `who` are what the watchdog says of it. Waits
    /// for a place at most until `until`.
    ///
    /// # Errors
    /// When the pool is full, no place is free in time, the work panics or the platform ends.
    pub async fn blocking<T: Send + 'static>(
        &self,
        class: BlockingClass,
        name: &'static str,
        who: &str,
        until: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let simulated = self.is_simulated().then_some(&self.inner.random);
        self.inner.pools.run(simulated, blocking::Ticket { class, name, who, until }, work).await
    }

    /// Ends the threads of a real platform: what still lives on them is dropped, its askers learn
    /// that the outcome is unknown. For the end of a process, after [`crate::System::shutdown`].
    /// A simulated node ends by [`SimNode::crash`].
    pub fn stop(&self) {
        if let Some(threads) = &self.inner.threads {
            threads.stop();
        }
    }

    /// Whether the simulated node runs; a real one has no such gate.
    pub(crate) fn gate(&self) -> Option<Arc<NodeGate>> {
        self.inner.gate.clone()
    }

    /// Tells `listener` what occupies a thread for too long.
    pub(crate) fn listen(&self, listener: Weak<dyn StuckListener>) {
        self.inner.listeners.add(listener);
    }

    pub(crate) fn control(&self) -> &Lane {
        &self.inner.control
    }

    pub(crate) fn worker(&self, n: usize) -> &Lane {
        match self.inner.workers.len() {
            0 => &self.inner.control,
            workers => &self.inner.workers[n % workers],
        }
    }
}

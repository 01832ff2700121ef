//! The simulated platform: each node is a task group on the caller's thread.
//!
//! A node has its own `LocalSet`, polled as one future. Not polling it pauses the node, dropping it
//! crashes the node: every actor, timer and task of it is gone in between two polls, as after a
//! power cut. Time is tokio's paused clock; [`simulate`] makes a runtime that has one.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::blocking::Pools;
use super::clock::Clock;
use super::random::Random;
use super::{Inner, Job, Lane, LaneWay, Platform};

const RUNNING: u8 = 0;
const PAUSED: u8 = 1;
const CRASHED: u8 = 2;

/// Whether a node runs; shared by its platform, its handle and its task group.
pub(crate) struct NodeGate {
    state: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl NodeGate {
    pub(crate) fn is_crashed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CRASHED
    }

    fn set(&self, to: u8) {
        // A crash is for ever.
        let from_any = |state| (state != CRASHED).then_some(to);
        let changed = self.state.try_update(Ordering::AcqRel, Ordering::Acquire, from_any);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if changed.is_ok()
            && let Some(waker) = waker
        {
            waker.wake();
        }
    }
}

/// A simulated node, seen from outside: its power switch and its clock.
#[derive(Clone)]
pub struct SimNode {
    gate: Arc<NodeGate>,
    clock: Clock,
}

impl std::fmt::Debug for SimNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimNode").field("crashed", &self.is_crashed()).finish_non_exhaustive()
    }
}

impl SimNode {
    /// Cuts the power: no further code of the node runs but destructors. Cut it off the simulated
    /// network too, which otherwise goes on delivering to nobody.
    pub fn crash(&self) {
        self.gate.set(CRASHED);
    }

    /// Stops scheduling it, as a stopped virtual machine or a process under a debugger. Its timers
    /// are late when it resumes.
    pub fn pause(&self) {
        self.gate.set(PAUSED);
    }

    /// Lets it run again.
    pub fn resume(&self) {
        self.gate.set(RUNNING);
    }

    /// Whether it has crashed.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.gate.is_crashed()
    }

    /// Makes its wall clock jump by so many microseconds, either way. Monotonic time goes on.
    pub fn jump_clock(&self, offset_us: i64) {
        self.clock.jump(offset_us);
    }
}

impl Platform {
    /// A simulated node; everything random in it comes from `seed`.
    ///
    /// # Panics
    /// When called outside a `LocalSet` on a paused clock: use [`simulate`].
    #[must_use]
    pub fn simulated(seed: u64) -> Self {
        let gate = Arc::new(NodeGate { state: AtomicU8::new(RUNNING), waker: Mutex::new(None) });
        let (jobs, queue) = mpsc::unbounded_channel();
        let node = LocalSet::new();
        node.spawn_local(run_jobs(queue));
        tokio::task::spawn_local(NodeGroup { node: Some(node), gate: gate.clone() });
        let inner = Inner {
            control: Lane::new(LaneWay::Simulated(jobs)),
            workers: Vec::new(),
            clock: Clock::simulated(),
            random: Random::seeded(seed),
            pools: Pools::simulated(),
            listeners: Arc::default(),
            threads: None,
            gate: Some(gate),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The switch of this node; `None` on a real platform.
    #[must_use]
    pub fn sim_node(&self) -> Option<SimNode> {
        let gate = self.inner.gate.clone()?;
        Some(SimNode { gate, clock: self.inner.clock.clone() })
    }
}

async fn run_jobs(mut queue: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = queue.recv().await {
        job();
    }
    // The last handle is gone, its actors are not: they live until the simulation ends.
    std::future::pending::<()>().await;
}

/// All tasks of one node, as one future.
struct NodeGroup {
    node: Option<LocalSet>,
    gate: Arc<NodeGate>,
}

impl Future for NodeGroup {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        *this.gate.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        match this.gate.state.load(Ordering::Acquire) {
            CRASHED => {
                this.node = None;
                Poll::Ready(())
            }
            PAUSED => Poll::Pending,
            _ => match &mut this.node {
                Some(node) => Pin::new(node).poll(cx),
                None => Poll::Ready(()),
            },
        }
    }
}

/// Runs a simulation: one thread, a paused clock that jumps to the next timer when nothing is
/// ready. The same future with the same seeds does the same things in the same order.
///
/// # Panics
/// When the operating system refuses an event loop.
pub fn simulate<F: Future>(simulation: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("an event loop without sockets needs nothing from the system");
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, simulation);
    drop(local);
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

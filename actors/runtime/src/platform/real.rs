//! The real platform: actix arbiters, one thread each.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use super::blocking::Pools;
use super::clock::Clock;
use super::random::Random;
use super::watch::{Listeners, Overseer};
use super::{Inner, Lane, LaneWay, Platform};

/// Most worker threads. Actors do no heavy work themselves, so more threads than cores only add
/// hops between them; the bound is for a mistyped number.
const WORKERS_MAX: usize = 256;

/// How many threads a real platform has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealConfig {
    /// Name of the control thread, as the system shows it.
    pub control: String,
    /// Worker threads beside it; with none the control thread does everything.
    pub workers: usize,
}

impl Default for RealConfig {
    fn default() -> Self {
        Self { control: "gantry-control".into(), workers: 1 }
    }
}

/// Why a real platform did not come up.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The operating system refused a thread.
    #[error("cannot start thread {name}")]
    Thread {
        /// Its name.
        name: String,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// A thread could not make its event loop.
    #[error("cannot make the event loop of thread {name}")]
    EventLoop {
        /// The thread.
        name: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// More than a sane number of workers.
    #[error("{workers} worker threads asked for, at most {WORKERS_MAX} are possible")]
    TooManyWorkers {
        /// The number.
        workers: usize,
    },
}

/// The threads; dropping it stops them.
pub(super) struct RealThreads {
    system: actix_rt::System,
    control: Option<JoinHandle<()>>,
    network: tokio::runtime::Handle,
    /// The watch ends when this is dropped.
    _watch: mpsc::Sender<()>,
}

impl RealThreads {
    /// The event loop of the control thread.
    pub(super) fn network(&self) -> &tokio::runtime::Handle {
        &self.network
    }

    pub(super) fn stop(&self) {
        self.system.stop();
    }
}

impl Drop for RealThreads {
    fn drop(&mut self) {
        self.stop();
        // Not joined: the last handle may be dropped on the very thread that ends here.
        drop(self.control.take());
    }
}

struct Started {
    system: actix_rt::System,
    network: tokio::runtime::Handle,
    control: actix_rt::ArbiterHandle,
    workers: Vec<actix_rt::ArbiterHandle>,
}

impl Platform {
    /// Real threads, real time, the system's randomness.
    ///
    /// # Errors
    /// When the operating system refuses a thread or an event loop.
    pub fn real(config: RealConfig) -> Result<Self, PlatformError> {
        let RealConfig { control: name, workers } = config;
        if workers > WORKERS_MAX {
            return Err(PlatformError::TooManyWorkers { workers });
        }
        let (tell, started) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.clone());
        let control = thread
            .spawn({
                let name = name.clone();
                move || control_thread(&name, workers, &tell)
            })
            .map_err(|source| PlatformError::Thread { name: name.clone(), source })?;
        let Started { system, network, control: control_arbiter, workers } =
            started.recv().unwrap_or_else(|_| {
                let source = std::io::Error::other("the thread ended while it started");
                Err(PlatformError::EventLoop { name, source })
            })?;
        let lane = |arbiter| Lane::new(LaneWay::Arbiter(arbiter));
        let control_lane = lane(control_arbiter);
        let workers: Vec<Lane> = workers.into_iter().map(lane).collect();
        let lanes = std::iter::once(&control_lane).chain(&workers);
        let pulses = lanes.map(|lane| lane.pulse().clone()).collect();
        let (pools, listeners) = (Pools::real()?, Arc::new(Listeners::default()));
        let overseer =
            Overseer { pulses, blocking: pools.watchdog(), listeners: listeners.clone() };
        let watch = overseer.start()?;
        let threads = RealThreads { system, control: Some(control), network, _watch: watch };
        let inner = Inner {
            control: control_lane,
            workers,
            clock: Clock::real(),
            random: Random::Real,
            pools,
            listeners,
            threads: Some(threads),
            gate: None,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn event_loop() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Runs the actix system and its own arbiter until the platform is dropped.
fn control_thread(
    name: &str,
    n_workers: usize,
    tell: &mpsc::Sender<Result<Started, PlatformError>>,
) {
    let runtime = match event_loop() {
        Ok(runtime) => runtime,
        Err(source) => {
            let error = PlatformError::EventLoop { name: name.to_owned(), source };
            return drop(tell.send(Err(error)));
        }
    };
    let network = runtime.handle().clone();
    let runner = actix_rt::System::with_tokio_rt(|| runtime);
    let system = actix_rt::System::current();
    let workers: std::io::Result<Vec<_>> = (0..n_workers)
        .map(|_| actix_rt::Arbiter::try_with_tokio_rt(event_loop).map(|arbiter| arbiter.handle()))
        .collect();
    let started = workers
        .map(|workers| Started { control: system.arbiter().clone(), system, network, workers })
        .map_err(|source| PlatformError::Thread { name: "worker".into(), source });
    let failed = started.is_err();
    if tell.send(started).is_err() || failed {
        return;
    }
    if let Err(error) = runner.run() {
        tracing::error!(%error, "the control thread ended with an error");
    }
}

//! The node side as a whole: started and stopped by the daemon.

use std::sync::Arc;
use std::time::Duration;

use gantry_host::{Blocking, BlockingLost};
use gantry_model::errors::Fault;
use gantry_model::node_calls::node_path;
use gantry_runtime::{BlockingClass, Platform, SpawnError, SpawnOptions, System};
use gantry_wire::NotDelivered;
use tokio::sync::watch;

use crate::actors::{NodeActor, Readiness, activator};
use crate::config::NodeConfig;
use crate::env::NodeEnv;
use crate::feed::FeedEvent;
use crate::journal::{Journal, JournalError, Medium};

/// How long the node may take to find its guests. A thousand of them are asked in some seconds.
/// Lower fails the start of a busy node after a reboot; higher hides a hypervisor that hangs.
pub const ADOPT_DEADLINE: Duration = Duration::from_secs(60);

/// How long opening the journal may take: milliseconds, or seconds when it has to be repaired.
const OPEN_DEADLINE: Duration = Duration::from_secs(60);

/// How long blocking work of a backend waits for a thread. Copies of images occupy threads for
/// minutes; lower fails a disk that would only have to wait, higher hides a storage that hangs.
const BACKEND_WAIT: Duration = Duration::from_secs(30 * 60);

/// Why the node side did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be used.
    #[error("could not open the intent journal")]
    Journal(#[source] JournalError),
    /// No thread for it.
    #[error("could not open the intent journal at {0:?}: no thread to do it on")]
    NoThread(Medium),
    /// The node's actor was refused.
    #[error("could not start the node's actor")]
    Spawn(#[source] SpawnError),
    /// Guests of an earlier run could not be looked for.
    #[error("could not find the guests of an earlier run within {ADOPT_DEADLINE:?}")]
    Adopt(#[source] Fault),
    /// A hypervisor did not answer at all.
    #[error("no answer within {ADOPT_DEADLINE:?} on the guests of an earlier run")]
    AdoptHangs,
}

/// The running node side. Dropping it changes nothing: the actors belong to the system.
pub struct NodeSide {
    system: System,
    env: Arc<NodeEnv>,
}

impl std::fmt::Debug for NodeSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeSide").field("node", &self.env.node).finish_non_exhaustive()
    }
}

impl NodeSide {
    /// Opens the journal, adopts the guests that run, and then takes calls.
    ///
    /// # Errors
    /// When the journal cannot be used or the guests cannot be found: a node that does not know
    /// what it did or what it runs must not act.
    pub async fn start(system: &System, config: NodeConfig) -> Result<Self, StartError> {
        let journal = open_journal(system.platform(), config.journal.clone()).await?;
        let env = NodeEnv::new(system, config, Arc::new(journal));
        let (readiness, ready) = watch::channel(Readiness::Adopting);
        let path = node_path(env.node);
        let actor_env = Arc::clone(&env);
        let make = move || NodeActor::new(Arc::clone(&actor_env), readiness.clone());
        let actor = system.spawn(path.clone(), SpawnOptions::default(), make);
        // Set once: the env is made here.
        let _unset = env.node_actor.set(actor.map_err(StartError::Spawn)?);
        if let Err(error) = until_ready(ready).await {
            system.stop_and_wait(&path, OPEN_DEADLINE).await;
            return Err(error);
        }
        system.set_activator("instance", activator(Arc::clone(&env)));
        Ok(Self { system: system.clone(), env })
    }

    /// Reports to the leader at once, whoever it is now, and waits at most `patience` until it has
    /// taken a report; says whether it has. Before that, lists show the guests of this node as
    /// those of one that does not answer.
    pub async fn report(&self, patience: Duration) -> bool {
        let mut reported = self.env.reported.subscribe();
        let Some(actor) = self.env.node_actor.get() else { return false };
        // Refused only by an actor that ends; then there is nothing to wait for.
        let asked = actor.act(|node, ctx| node.feed(FeedEvent::Reconnected, ctx)).is_ok();
        asked && tokio::time::timeout(patience, reported.wait_for(|done| *done)).await.is_ok()
    }

    /// Begins no call any more, waits for those at work, at most `grace`, and stops the actors of
    /// this node. Guests go on running. A call that is not over by then is an open intent.
    pub async fn shutdown(self, grace: Duration) {
        self.env.close();
        self.system.set_activator("instance", |_, path| {
            Err(NotDelivered::Stopped(format!("{path}: the node shuts down")))
        });
        if tokio::time::timeout(grace, self.env.calls_over()).await.is_err() {
            tracing::warn!("calls are still at work; they will be looked into at the next start");
        }
        // Its children end with it.
        self.system.stop_and_wait(node_path(self.env.node), grace).await;
    }
}

async fn open_journal(platform: &Platform, medium: Medium) -> Result<Journal, StartError> {
    let until = platform.clock().now() + OPEN_DEADLINE;
    let place = medium.clone();
    let open = move || Journal::open_on(place);
    let opened = platform.blocking(BlockingClass::Disk, "open the journal", "node", until, open);
    opened.await.map_err(|_| StartError::NoThread(medium))?.map_err(StartError::Journal)
}

async fn until_ready(mut ready: watch::Receiver<Readiness>) -> Result<(), StartError> {
    let is_ready = |readiness: &Readiness| matches!(readiness, Readiness::Ready);
    let waited = tokio::time::timeout(ADOPT_DEADLINE, ready.wait_for(is_ready)).await;
    if matches!(waited, Ok(Ok(_))) {
        return Ok(());
    }
    drop(waited);
    let last = ready.borrow().clone();
    Err(match last {
        Readiness::NotYet(fault) => StartError::Adopt(fault),
        Readiness::Adopting | Readiness::Ready => StartError::AdoptHangs,
    })
}

/// Blocking work of hypervisors and storages on the pools of the platform: threads on a real node,
/// inline in a simulation.
#[derive(Clone, Debug)]
pub struct PlatformBlocking {
    platform: Platform,
}

impl PlatformBlocking {
    /// On the pools of this platform.
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

impl Blocking for PlatformBlocking {
    fn run(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> futures_util::future::BoxFuture<'static, Result<(), BlockingLost>> {
        let platform = self.platform.clone();
        Box::pin(async move {
            let until = platform.clock().now() + BACKEND_WAIT;
            let done = platform.blocking(BlockingClass::Command, "backend", "node", until, work);
            done.await.map_err(|error| {
                tracing::warn!(%error, "blocking work of a backend was lost");
                BlockingLost
            })
        })
    }
}

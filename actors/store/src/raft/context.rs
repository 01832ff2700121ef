//! What belongs to one node: its randomness and its tasks.
//!
//! A task-local, not a thread-local: simulated nodes share a thread. Every task that Raft spawns
//! inherits it, so that a node can be ended as a whole, as a crash does.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::{AbortHandle, JoinHandle};

use crate::config::Home;

tokio::task_local! {
    static CURRENT: Arc<NodeContext>;
}

/// Tasks remembered before those that have ended are forgotten. Lower sweeps more often, higher
/// keeps more dead handles; a node has some dozen live ones.
const TASKS_BEFORE_SWEEP: usize = 256;

/// What belongs to one node.
#[derive(Debug)]
pub(crate) struct NodeContext {
    rng: Mutex<StdRng>,
    tasks: Mutex<Vec<AbortHandle>>,
    ended: AtomicBool,
    home: Home,
}

impl NodeContext {
    pub(crate) fn new(seed: u64, home: Home) -> Arc<Self> {
        Arc::new(Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            tasks: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
            home,
        })
    }

    /// The node that the running task belongs to.
    pub(crate) fn current() -> Arc<Self> {
        CURRENT.try_with(Arc::clone).expect("raft's tasks are spawned inside a node context")
    }

    /// Runs a future as a part of this node.
    pub(crate) fn enter<F: Future>(self: Arc<Self>, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// Spawns a task that ends with this node.
    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(CURRENT.scope(self.clone(), future));
        let mut tasks = self.tasks();
        if tasks.len() >= TASKS_BEFORE_SWEEP {
            tasks.retain(|task| !task.is_finished());
        }
        tasks.push(task.abort_handle());
        if self.ended.load(Ordering::Acquire) {
            task.abort();
        }
        task
    }

    /// Runs work that blocks: elsewhere where there is an elsewhere, otherwise here and now.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<T> {
        match self.home {
            Home::OwnThread => {
                tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)
            }
            Home::Caller => Ok(work()),
        }
    }

    /// Ends all tasks where they stand.
    pub(crate) fn abort(&self) {
        self.ended.store(true, Ordering::Release);
        for task in self.tasks().drain(..) {
            task.abort();
        }
    }

    pub(super) fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

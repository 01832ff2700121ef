//! The handle that everybody else holds: [`Store`].
//!
//! Actors of the master propose and read through it, the daemon passes requests of peers to it.
//! Deliberately absent: what a command means (the engine's state decides that).

mod levels;
mod members;
mod moments;
mod propose;
mod reading;

pub use moments::{CommitMoment, CommitWatcher};
pub use propose::{BOOTSTRAP_WAIT, Committed};
pub use reading::Snapshot;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gantry_model::ids::NodeUuid;
use tokio::sync::watch;

use crate::config::{Clock, RaftTransport, StoreConfig};
use crate::error::{OpenError, StoreError};
use crate::forms::{RaftAnswer, RaftReply, RaftRequest, WIRE_VERSION, WIRE_VERSION_OLDEST};
use crate::history::History;
use crate::leadership::Leadership;
use crate::raft::brake::Brake;
use crate::raft::comparison::Points;
use crate::raft::context::NodeContext;
use crate::raft::inbound::{self, Incoming};
use crate::raft::log_store::LogShared;
use crate::raft::machine::Published;
use crate::raft::node::{self, OwnThread};
use crate::raft::types::Raft;

/// Longest wait at shutdown for the log's writer: it has at most one transaction in hand. Lower
/// leaves the file open on a slow disk, higher delays the end of a daemon whose disk hangs.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);

/// The replicated log and the state it leads to. A clone is the same store. When the last clone is
/// dropped the store ends as if the process had been killed; [`Store::shutdown`] ends it in order.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeUuid,
    clock: Clock,
    raft: Raft,
    log: Arc<LogShared>,
    published: Arc<Published>,
    context: Arc<NodeContext>,
    brake: Arc<Brake>,
    transport: Arc<dyn RaftTransport>,
    incoming: Incoming,
    points: Arc<Points>,
    history: Arc<History>,
    leadership: Arc<watch::Sender<Leadership>>,
    /// Held from the stamp of an entry until it is in the queue: times in the log never go back.
    order: tokio::sync::Mutex<()>,
    writer_ended: watch::Receiver<bool>,
    threads: Mutex<Vec<OwnThread>>,
    commit_watcher: OnceLock<CommitWatcher>,
}

impl Store {
    /// Opens the store; an empty directory becomes an empty store.
    ///
    /// A node that is its only voter leads when this returns, and everything that it ever
    /// acknowledged is applied. Otherwise the state may lag until a leader is heard of.
    ///
    /// # Errors
    /// When the files cannot be used, are corrupt, of another version or of another node.
    pub async fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let node = node::start(&config).await?;
        let inner = Inner {
            node: config.node,
            clock: config.clock,
            raft: node.raft,
            log: node.log,
            published: node.published,
            context: node.context,
            brake: node.brake,
            transport: config.transport,
            incoming: Incoming::default(),
            points: node.points,
            history: node.history,
            leadership: node.leadership,
            order: tokio::sync::Mutex::new(()),
            writer_ended: node.writer_ended,
            threads: Mutex::new(node.threads),
            commit_watcher: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeUuid {
        self.inner.node
    }

    /// Whether there is a log with members.
    #[must_use]
    pub fn is_initialised(&self) -> bool {
        self.inner.log.is_initialised()
    }

    /// Why nothing is written any more: the disk has failed, the state was found to differ from
    /// that of the other holders, or the log has reached a level that this program does not know.
    /// What was applied until then can still be read.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.inner.failure()
    }

    /// How many transactions of the log the disk has flushed since the store was opened, and how
    /// long they took together. Every change waits for one.
    #[must_use]
    pub fn flushes(&self) -> (u64, Duration) {
        self.inner.log.flushes()
    }

    /// Whether this node leads, and whom it follows otherwise.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.subscribe()
    }

    /// Handles a request of another holder of the log. Always answers; what cannot be handled is
    /// refused with a reason.
    pub async fn handle(&self, request: RaftRequest) -> RaftReply {
        let inner = &self.inner;
        let version = request.version;
        let answer = if !(WIRE_VERSION_OLDEST..=WIRE_VERSION).contains(&version) {
            Err(format!("version {version} is not {WIRE_VERSION_OLDEST} to {WIRE_VERSION}"))
        } else if request.to != inner.node {
            Err(format!("this is node {}, not {}", inner.node, request.to))
        } else if let Some(halt) = inner.log.halted() {
            Err(halt.to_string())
        } else {
            let at = inbound::Receiver {
                raft: &inner.raft,
                incoming: &inner.incoming,
                points: &inner.points,
                history: &inner.history,
                node: &inner.context,
                brake: &inner.brake,
            };
            inner.context.clone().enter(inbound::handle(&at, request.call)).await
        };
        let answer = answer.unwrap_or_else(|reason| {
            tracing::debug!(from = %request.from, reason, "refused a request");
            RaftAnswer::Refused { reason }
        });
        RaftReply { version, answer }
    }

    /// Ends the store in order: what is queued is written, the files are closed.
    ///
    /// # Errors
    /// When the disk does not come to an end.
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        if let Err(error) = inner.context.clone().enter(inner.raft.shutdown()).await {
            tracing::error!(%error, "raft ended badly");
        }
        let mut ended = inner.writer_ended.clone();
        let waited = tokio::time::timeout(SHUTDOWN_WAIT, ended.wait_for(|ended| *ended)).await;
        if waited.is_err() {
            return Err(StoreError::Timeout { what: "the log's writer", deadline: SHUTDOWN_WAIT });
        }
        inner.end();
        Ok(())
    }

    /// Ends the store at once, as a crash does: nothing that is queued is written.
    pub fn abort(&self) {
        self.inner.end();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("node", &self.inner.node).finish_non_exhaustive()
    }
}

impl Inner {
    fn failure(&self) -> Option<String> {
        use openraft::async_runtime::WatchReceiver;
        use openraft::errors::Fatal;
        self.log.failure().or_else(|| match &self.raft.metrics().borrow_watched().running_state {
            Err(Fatal::StorageError(error)) => Some(error.to_string()),
            Err(Fatal::Panicked | Fatal::Stopped) | Ok(()) => None,
        })
    }

    fn end(&self) {
        self.context.abort();
        self.leadership.send_replace(Leadership::Stopped);
        self.log.file().close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        drop(threads);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

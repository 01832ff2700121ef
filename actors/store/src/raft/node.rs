//! Starting and ending one node's Raft, on its own threads or on the caller's.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use openraft::SnapshotPolicy;
use tokio::sync::{mpsc, oneshot, watch};

use super::brake::Brake;
use super::comparison::{Comparison, Point, Points};
use super::context::NodeContext;
use super::log_store::{LogShared, LogStore};
use super::machine::{Machine, MachineParts, Published};
use super::network::Network;
use super::types::Raft;
use super::writer::{self, WriteOrder};
use crate::config::{
    APPEND_ENTRIES_MAX, DiskKind, Home, RECOVERY_WAIT, SNAPSHOT_TIMEOUT, StoreConfig,
};
use crate::disk::level_file::LevelFile;
use crate::disk::log_file::LogFile;
use crate::disk::snapshot_file::SnapshotFile;
use crate::disk::{DIVERGED_FILE, Disk, DiskError, RealDisk};
use crate::error::OpenError;
use crate::forms::SnapshotHead;
use crate::history::{Fetcher, History};
use crate::leadership::{self, Leadership};
use crate::level::LevelError;

const RAFT_THREAD: &str = "gantry-raft";
const LOG_THREAD: &str = "gantry-log";

/// A started node.
pub(crate) struct Node {
    pub(crate) raft: Raft,
    pub(crate) log: Arc<LogShared>,
    pub(crate) published: Arc<Published>,
    pub(crate) points: Arc<Points>,
    pub(crate) history: Arc<History>,
    pub(crate) context: Arc<NodeContext>,
    pub(crate) brake: Arc<Brake>,
    /// Turns true when the log's writer has ended and the file is closed.
    pub(crate) writer_ended: watch::Receiver<bool>,
    pub(crate) leadership: Arc<watch::Sender<Leadership>>,
    pub(crate) threads: Vec<OwnThread>,
}

/// A thread that ends when told to, or when this is dropped.
pub(crate) struct OwnThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OwnThread {
    /// Ends it and waits until it has ended, unless it is the calling one.
    pub(crate) fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the store panicked");
        }
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a node where the configuration wants it.
pub(crate) async fn start(config: &StoreConfig) -> Result<Node, OpenError> {
    let context = NodeContext::new(config.seed, config.home);
    match config.home {
        Home::Caller => context.clone().enter(start_here(config.clone(), context)).await,
        Home::OwnThread => start_apart(config, context).await,
    }
}

async fn start_apart(config: &StoreConfig, context: Arc<NodeContext>) -> Result<Node, OpenError> {
    let (started, starting) = oneshot::channel();
    let own = config.clone();
    let thread = spawn_runtime(RAFT_THREAD, move |stopped| {
        context.clone().enter(async move {
            let result = start_here(own, context).await;
            if started.send(result).is_ok() {
                // Ends when the other side is dropped; nothing is ever sent.
                let _dropped = stopped.await;
            }
        })
    })?;
    let result = starting.await.unwrap_or_else(|_| {
        let reason = "its thread ended while it started".to_owned();
        Err(OpenError::Raft { dir: config.dir.clone(), reason })
    });
    // The raft thread goes first: it feeds the log's.
    result.map(|mut node| {
        node.threads.insert(0, thread);
        node
    })
}

/// Runs a future on a runtime of its own on a thread of its own.
fn spawn_runtime<F: Future<Output = ()>>(
    name: &'static str,
    run: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
) -> Result<OwnThread, OpenError> {
    let failed = |source| OpenError::Thread { name, source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name(name.into())
        .spawn(move || runtime.block_on(run(stopped)))
        .map_err(failed)?;
    Ok(OwnThread { stop: Some(stop), thread: Some(thread) })
}

/// What the disk of a node has, opened and checked.
struct Files {
    disk: Arc<dyn Disk>,
    level_file: Arc<LevelFile>,
    log: Arc<LogShared>,
    snapshots: SnapshotFile,
    kept: Option<SnapshotHead>,
    history: Arc<History>,
}

fn open_files(config: &StoreConfig) -> Result<Files, OpenError> {
    let levels = config.levels;
    let on_disk = |source| on_disk(config, source);
    let disk = open_disk(config).map_err(on_disk)?;
    check_not_diverged(disk.as_ref(), &config.dir)?;
    let level_file = Arc::new(LevelFile::open(disk.clone()).map_err(on_disk)?);
    if let Some(source) = LevelError::of(level_file.level(), levels) {
        return Err(OpenError::Level { dir: config.dir.clone(), source });
    }
    let (file, marks) = LogFile::open(disk.as_ref(), config.node, levels).map_err(on_disk)?;
    let (snapshots, kept) = SnapshotFile::open(disk.clone(), levels).map_err(on_disk)?;
    check_no_gap(marks.purged.map(|p| p.index), kept.as_ref().map(|k| k.last.index))
        .map_err(on_disk)?;
    let history = open_history(disk.as_ref(), kept.as_ref()).map_err(on_disk)?;
    let log = Arc::new(LogShared::new(file, disk.clone(), marks, levels, level_file.clone()));
    Ok(Files { disk, level_file, log, snapshots, kept, history })
}

fn on_disk(config: &StoreConfig, source: DiskError) -> OpenError {
    let dir = config.dir.clone();
    match source.level_error(config.levels) {
        Some(source) => OpenError::Level { dir, source },
        None => OpenError::Disk { dir, source },
    }
}

async fn start_here(config: StoreConfig, context: Arc<NodeContext>) -> Result<Node, OpenError> {
    let in_raft = |reason: String| OpenError::Raft { dir: config.dir.clone(), reason };
    let raft_config = raft_config(&config)?;
    let Files { disk, level_file, log, snapshots, kept, history } = open_files(&config)?;
    let published = Published::new();
    let (points, waiting) = Points::new(config.compaction.snapshot_every);
    let parts = MachineParts {
        published: published.clone(),
        snapshots: Arc::new(snapshots),
        log: log.clone(),
        points: points.clone(),
        history: history.clone(),
        node: context.clone(),
        levels: config.levels,
        level_file: level_file.clone(),
    };
    let machine = Machine::new(kept, parts).map_err(|source| on_disk(&config, source))?;
    let (orders, queue) = writer::queue();
    let (writer_ended, threads) = start_writer(config.home, &context, log.clone(), queue)?;
    let store = LogStore::new(log.clone(), orders);
    let network = Network { this: config.node, transport: config.transport.clone() };
    let raft = Raft::new(config.node, Arc::new(raft_config), network, store, machine)
        .await
        .map_err(|e| in_raft(e.to_string()))?;
    let leadership = leadership::watch_raft(&raft, &context);
    let brake = Arc::new(Brake {
        raft: raft.clone(),
        log: log.clone(),
        disk,
        level_file,
        levels: config.levels,
        node: context.clone(),
        leadership: leadership.clone(),
    });
    let node = Node {
        raft,
        log,
        published,
        points,
        history,
        context,
        brake,
        writer_ended,
        leadership,
        threads,
    };
    watch_others(&config, &node, waiting);
    elect_sole_voter(&node.raft, &config).await.map_err(in_raft)?;
    Ok(node)
}

/// Starts the writer of the log: what tells that it has ended, and its thread if it has one.
fn start_writer(
    home: Home,
    context: &Arc<NodeContext>,
    log: Arc<LogShared>,
    queue: mpsc::Receiver<WriteOrder>,
) -> Result<(watch::Receiver<bool>, Vec<OwnThread>), OpenError> {
    let (ended, writer_ended) = watch::channel(false);
    let writing = async move {
        writer::run(log, queue).await;
        ended.send_replace(true);
    };
    let threads = match home {
        Home::Caller => {
            context.spawn(writing);
            Vec::new()
        }
        // It ends by itself when nobody can order any more, never in the middle of a transaction.
        Home::OwnThread => vec![spawn_runtime(LOG_THREAD, move |_stopped| writing)?],
    };
    Ok((writer_ended, threads))
}

/// Starts what a node asks of the other holders: their states' hashes, and history that it lacks.
fn watch_others(config: &StoreConfig, node: &Node, waiting: mpsc::Receiver<Point>) {
    let comparison = Comparison {
        this: config.node,
        points: node.points.clone(),
        raft: node.raft.clone(),
        transport: config.transport.clone(),
        node: node.context.clone(),
        brake: node.brake.clone(),
    };
    node.context.spawn(comparison.run(waiting));
    let fetcher = Fetcher {
        this: config.node,
        history: node.history.clone(),
        raft: node.raft.clone(),
        transport: config.transport.clone(),
        node: node.context.clone(),
    };
    node.context.spawn(fetcher.run());
}

/// A state that was found to be wrong is not served again.
fn check_not_diverged(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let dir = dir.to_owned();
    match disk.read(DIVERGED_FILE) {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => {
            let reason = String::from_utf8_lossy(&reason).into_owned();
            Err(OpenError::Diverged { dir, reason })
        }
        Err(error) => {
            let source = DiskError::io("read", DIVERGED_FILE, error);
            Err(OpenError::Disk { dir, source })
        }
    }
}

fn open_history(disk: &dyn Disk, kept: Option<&SnapshotHead>) -> Result<Arc<History>, DiskError> {
    let files = disk.open_history().map_err(|e| DiskError::io("open", "the history", e))?;
    let counted = kept.map(|kept| kept.state.history.clone()).unwrap_or_default();
    History::open(files, &counted).map(Arc::new)
}

/// A purged log without the snapshot that covers it is not a log: entries are missing.
fn check_no_gap(purged: Option<u64>, kept: Option<u64>) -> Result<(), DiskError> {
    match (purged, kept) {
        (Some(purged), kept) if kept.is_none_or(|kept| kept < purged) => {
            let detail = match kept {
                Some(kept) => format!("it ends at entry {kept}, the log begins after {purged}"),
                None => format!("it is missing, the log begins after entry {purged}"),
            };
            Err(DiskError::corrupt("the snapshot", detail))
        }
        _ => Ok(()),
    }
}

fn open_disk(config: &StoreConfig) -> Result<Arc<dyn Disk>, DiskError> {
    match &config.disk {
        DiskKind::Backend(disk) => Ok(disk.clone()),
        DiskKind::Real => {
            let dir = config.dir.display().to_string();
            let disk = RealDisk::new(&config.dir).map_err(|e| DiskError::io("make", &dir, e))?;
            Ok(Arc::new(disk))
        }
    }
}

fn raft_config(config: &StoreConfig) -> Result<openraft::Config, OpenError> {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let timing = config.timing;
    openraft::Config {
        cluster_name: "gantry".into(),
        heartbeat_interval: millis(timing.heartbeat),
        election_timeout_min: millis(timing.election_min),
        election_timeout_max: millis(timing.election_max),
        install_snapshot_timeout: millis(SNAPSHOT_TIMEOUT),
        max_payload_entries: APPEND_ENTRIES_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.compaction.snapshot_every),
        max_in_snapshot_log_to_keep: config.compaction.keep,
        // Beyond what is kept a snapshot is the only way.
        replication_lag_threshold: config.compaction.snapshot_every + config.compaction.keep,
        enable_pre_vote: Some(true),
        // A restarted leader stands for election like everybody: its lease is gone.
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        ..openraft::Config::default()
    }
    .validate()
    .map_err(|e| OpenError::Timing { reason: e.to_string() })
}

/// A node that is the only voter needs nobody's consent: it leads at once, and what it has
/// acknowledged before is applied again before anybody looks.
async fn elect_sole_voter(raft: &Raft, config: &StoreConfig) -> Result<(), String> {
    let voters = raft
        .with_raft_state(|state| {
            state.membership_state.effective().voter_ids().collect::<BTreeSet<_>>()
        })
        .await
        .map_err(|e| e.to_string())?;
    if voters != BTreeSet::from([config.node]) {
        return Ok(());
    }
    raft.trigger().elect(false).await.map_err(|e| e.to_string())?;
    if let Err(error) = raft.wait_for_recovery(Some(RECOVERY_WAIT)).await {
        tracing::warn!(%error, "the log is not wholly applied yet");
    }
    Ok(())
}

//! The log of a node, before it is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_engine::state::{InitCluster, STATE_LEVELS};
use gantry_model::ids::NodeUuid;
use gantry_model::levels::Levels;
use gantry_model::units::Timestamp;
use gantry_runtime::Platform;
use gantry_store::{
    Compaction, DiskKind, Home, RaftReply, RaftRequest, RaftTiming, RaftTransport, Store,
    StoreConfig, TransportError,
};

use crate::error::DaemonError;

/// Where the log is, and who works on it.
#[derive(Clone)]
pub struct LogParts {
    /// Its directory; only a name where the disk is not the real one.
    pub dir: PathBuf,
    /// Where bytes are kept.
    pub disk: DiskKind,
    /// Which thread it runs on.
    pub home: Home,
    /// Which state levels it is used with: those of this program, or less, as an older one has.
    pub levels: Levels,
}

impl LogParts {
    /// Files in a directory, a thread of its own.
    #[must_use]
    pub fn real(dir: PathBuf) -> Self {
        Self { dir, disk: DiskKind::Real, home: Home::OwnThread, levels: STATE_LEVELS }
    }

    /// Makes this node the first holder of a new log, and `first` its first entry.
    ///
    /// # Errors
    /// When there is a cluster in it already, or the disk fails.
    pub async fn bootstrap(
        &self,
        node: NodeUuid,
        platform: &Platform,
        first: InitCluster,
    ) -> Result<(), DaemonError> {
        let config = self.store_config(node, platform, Arc::new(Alone));
        let store = Store::open(config).await.map_err(DaemonError::part("make the log"))?;
        let done = store.bootstrap(first).await;
        let done = done.map_err(DaemonError::part("write the first entry"));
        let closed = store.shutdown().await.map_err(DaemonError::part("close the log"));
        done.and(closed)
    }

    /// On the platform's clock and randomness.
    pub(crate) fn store_config(
        &self,
        node: NodeUuid,
        platform: &Platform,
        transport: Arc<dyn RaftTransport>,
    ) -> StoreConfig {
        let clock = platform.clock().clone();
        StoreConfig {
            dir: self.dir.clone(),
            node,
            clock: Arc::new(move || Timestamp(u64::try_from(clock.wall_us()).unwrap_or_default())),
            transport,
            disk: self.disk.clone(),
            home: self.home,
            timing: RaftTiming::default(),
            compaction: Compaction::default(),
            levels: self.levels,
            seed: platform.random_u64(),
        }
    }
}

/// The transport of a log with one holder: there is nobody to talk to.
struct Alone;

impl RaftTransport for Alone {
    fn send(
        &self,
        _to: NodeUuid,
        _request: RaftRequest,
        _timeout: Duration,
    ) -> BoxFuture<'static, Result<RaftReply, TransportError>> {
        Box::pin(async {
            Err(TransportError::Unreachable { reason: "this is the only holder".into() })
        })
    }
}

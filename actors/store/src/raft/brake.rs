//! Stopping a replica for good.
//!
//! A replica whose state is wrong, or whose program does not know what it was sent, applies, votes,
//! serves and proposes nothing any more, and leaves a mark on its disk by which the next start is
//! refused too. Used by the comparison of states and by what comes in from the others; the state
//! machine halts the log itself and lets Raft end by the error that it returns.

use std::sync::Arc;

use gantry_model::levels::Levels;
use tokio::sync::watch;

use super::context::NodeContext;
use super::log_store::LogShared;
use super::types::Raft;
use crate::disk::level_file::LevelFile;
use crate::disk::{DIVERGED_FILE, Disk, DiskError};
use crate::leadership::Leadership;
use crate::level::LevelError;

/// Why a store has stopped for good although its disk works.
#[derive(Clone, Debug)]
pub(crate) enum Halt {
    /// Its state is not that of the other holders.
    Diverged(Arc<str>),
    /// Its program does not know the level of the log.
    Level(LevelError),
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Diverged(reason) => f.write_str(reason),
            Self::Level(error) => error.fmt(f),
        }
    }
}

/// What it takes to stop a replica.
pub(crate) struct Brake {
    pub(crate) raft: Raft,
    pub(crate) log: Arc<LogShared>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) level_file: Arc<LevelFile>,
    pub(crate) levels: Levels,
    pub(crate) node: Arc<NodeContext>,
    pub(crate) leadership: Arc<watch::Sender<Leadership>>,
}

impl Brake {
    /// This node takes no part any more.
    pub(crate) async fn stop(&self, halt: Halt) {
        self.log.halt(halt.clone());
        let (disk, level_file) = (self.disk.clone(), self.level_file.clone());
        let marking = move || match halt {
            Halt::Diverged(reason) => disk
                .replace(DIVERGED_FILE, reason.as_bytes())
                .map_err(|e| DiskError::io("replace", DIVERGED_FILE, e)),
            Halt::Level(error) => level_file.reached(error.needs()),
        };
        match self.node.blocking(marking).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "why it stops could not be noted on disk"),
            Err(error) => tracing::error!(%error, "why it stops could not be noted on disk"),
        }
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "raft ended badly");
        }
        self.leadership.send_replace(Leadership::Stopped);
    }

    /// Stops if an error says that this program is not for what it was sent; says whether it does.
    pub(crate) async fn stop_if_unknown(&self, error: &DiskError) -> Option<LevelError> {
        let unknown = error.level_error(self.levels)?;
        self.stop(Halt::Level(unknown.clone())).await;
        Some(unknown)
    }
}

//! What can go wrong while a node is set up or runs.

use gantry_model::errors::Fault;

use crate::state_dir::StateDirError;

/// Why a node could not be set up, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory.
    #[error("use the state directory")]
    StateDir(#[from] StateDirError),
    /// There is no node in the state directory.
    #[error("{} belongs to no cluster", state_dir.display())]
    NotANode {
        /// The directory.
        state_dir: std::path::PathBuf,
    },
    /// Wrong input; names the field.
    #[error("{0}")]
    Input(String),
    /// The cluster refused.
    #[error("{attempted}")]
    Refused {
        /// What was attempted.
        attempted: &'static str,
        /// Its answer.
        #[source]
        fault: Fault,
    },
    /// A part could not be started, or failed.
    #[error("{attempted}")]
    Part {
        /// What was attempted.
        attempted: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DaemonError {
    /// Says what was attempted when a part failed.
    pub(crate) fn part<E>(attempted: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Part { attempted, source: source.into() }
    }
}

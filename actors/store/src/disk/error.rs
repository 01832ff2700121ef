//! How a disk fails.

use gantry_model::levels::Levels;

use crate::level::LevelError;

/// Why the files of a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The disk refused.
    #[error("cannot {action} {file}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The log file refused.
    #[error("cannot {action} the log")]
    Log {
        /// What was attempted.
        action: &'static str,
        /// What redb said.
        #[source]
        source: Box<redb::Error>,
    },
    /// Another process has the log open.
    #[error("the log is in use by another process")]
    InUse,
    /// What is there is not what was written.
    #[error("{what} is corrupt: {detail}")]
    Corrupt {
        /// Which part: `log record 17`, `snapshot`.
        what: String,
        /// What gives it away.
        detail: String,
    },
    /// Written by another version of the program.
    #[error("{file} has format {found}, this program reads {known}")]
    UnknownVersion {
        /// Which file.
        file: &'static str,
        /// Its version.
        found: u32,
        /// The version that is known.
        known: u32,
    },
    /// The program does not know the level that it is of.
    #[error("{what} is not for this program")]
    Level {
        /// Which part: `the snapshot`.
        what: &'static str,
        /// What is not known.
        #[source]
        source: LevelError,
    },
    /// An entry that is whole, and says something that this program has no word for.
    #[error("log entry {index} is none that this program knows: {detail}")]
    UnknownEntry {
        /// Which.
        index: u64,
        /// What the codec said.
        detail: String,
    },
    /// The files belong to another node.
    #[error("the log belongs to node {found}, this is {this}")]
    WrongNode {
        /// Whose they are.
        found: String,
        /// Who opened them.
        this: String,
    },
    /// A value cannot be written.
    #[error("cannot encode {what}")]
    Encode {
        /// Which value.
        what: String,
        /// What the codec said.
        #[source]
        source: gantry_wire::CodecError,
    },
    /// The file has been closed: the store has ended.
    #[error("the log has been closed")]
    Closed,
    /// An earlier write failed; nothing is written any more.
    #[error("the disk failed before: {reason}")]
    Failed {
        /// What it said then.
        reason: String,
    },
}

impl DiskError {
    /// What it says about levels, if it does.
    pub(crate) fn level_error(&self, levels: Levels) -> Option<LevelError> {
        let known = levels.newest;
        match self {
            Self::Level { source, .. } => Some(source.clone()),
            Self::UnknownEntry { index, detail } => {
                let (what, detail) = (format!("log entry {index}"), detail.clone());
                Some(LevelError::Unreadable { what, known, detail })
            }
            // Checksums have been checked before: a newer program has written it.
            Self::UnknownVersion { file, found, known: format } if found > format => {
                let detail = format!("it has format {found}, this program reads {format}");
                Some(LevelError::Unreadable { what: (*file).to_owned(), known, detail })
            }
            _ => None,
        }
    }

    /// For a failed access to a file.
    pub(crate) fn io(action: &'static str, file: &str, source: std::io::Error) -> Self {
        Self::Io { action, file: file.to_owned(), source }
    }

    /// For a failed transaction of the log.
    pub(crate) fn log(action: &'static str, source: impl Into<redb::Error>) -> Self {
        match source.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(detail) => Self::Corrupt { what: "the log file".into(), detail },
            source => Self::Log { action, source: Box::new(source) },
        }
    }

    /// For something that is not what was written.
    pub(crate) fn corrupt(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), detail: detail.into() }
    }
}

impl From<DiskError> for std::io::Error {
    fn from(error: DiskError) -> Self {
        Self::other(error)
    }
}

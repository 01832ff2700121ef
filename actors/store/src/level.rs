//! What this program knows of the log: the levels it was opened with, and what is beyond them.
//!
//! Everything that is read from a disk or from another holder passes here before it becomes an
//! entry or a state. Deliberately absent: what belongs to which level (the engine says that), and
//! how a replica stops ([`crate::raft`]).

use gantry_engine::state::Entry;
use gantry_model::levels::Levels;
use gantry_wire::ErrorChain;

use crate::disk::DiskError;

/// The program of this node does not know the state level that the log is at, or something in it.
/// Nothing is guessed: the store stops, and is not opened again by a program that knows no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// The log is of a newer program.
    #[error(
        "this program knows state levels up to {known}, the log is at {found}: upgrade this \
         node's gantry"
    )]
    TooNew {
        /// The level of the log.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// The log is of an older program, whose rules are not in this one any more.
    #[error(
        "this program knows state levels from {known} on, the log is at {found}: run the gantry \
         that this node had before until the level has risen"
    )]
    TooOld {
        /// The level of the log.
        found: u32,
        /// The oldest that is known.
        known: u32,
    },
    /// It was written by a newer program, and says something that this one has no word for.
    #[error(
        "this program knows state levels up to {known} and cannot read {what} ({detail}): \
         upgrade this node's gantry"
    )]
    Unreadable {
        /// What: `log entry 17`.
        what: String,
        /// The newest level that is known.
        known: u32,
        /// What the codec said.
        detail: String,
    },
}

impl LevelError {
    /// What is wrong with a state at `level` for a program that knows `levels`, if anything. Before
    /// its first entry a state has no level.
    pub(crate) fn of(level: u32, levels: Levels) -> Option<Self> {
        if level > levels.newest {
            Some(Self::TooNew { found: level, known: levels.newest })
        } else if level != 0 && level < levels.lowest {
            Some(Self::TooOld { found: level, known: levels.lowest })
        } else {
            None
        }
    }

    /// The level that a program must know to get further than this one did.
    pub(crate) fn needs(&self) -> u32 {
        match self {
            Self::TooNew { found, .. } | Self::TooOld { found, .. } => *found,
            Self::Unreadable { known, .. } => known + 1,
        }
    }
}

/// Reads an entry that is whole.
///
/// # Errors
/// When it is not one that a program with these levels knows: it cannot be decoded, or belongs to a
/// later level although it can.
pub(crate) fn known_entry(index: u64, encoded: &[u8], levels: Levels) -> Result<Entry, DiskError> {
    let unknown = |detail: String| DiskError::UnknownEntry { index, detail };
    let entry: Entry =
        gantry_wire::decode(encoded).map_err(|e| unknown(ErrorChain(&e).to_string()))?;
    let needs = entry.command.level();
    if needs > levels.newest {
        return Err(unknown(format!("{} belongs to state level {needs}", entry.command.kind())));
    }
    Ok(entry)
}

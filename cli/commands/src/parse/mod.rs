//! The small languages of option values: sizes, times, key=value lists, disks, filters.
//!
//! Pure functions from text to values of the model. Whatever they refuse, they say what was given
//! and what is accepted.

pub mod disk;
pub mod duration;
pub mod filter;
pub mod keyval;
pub mod nic;
pub mod node_pair;
pub(crate) mod number;
pub mod params;
pub mod size;
pub mod template;
pub mod words;

/// Who notices in Ganeti that a value is wrong, which decides its exit code and first words (C200,
/// C213).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticedBy {
    /// Its option parser: the usage, and 2.
    OptionParser,
    /// Whoever takes lists of keys apart: an unknown or wrong parameter name, and 1.
    Keys,
    /// Whoever compares the keys of a list with those that there are: a parameter error, and 1.
    Types,
    /// The command, reading what a list says: a failed prerequisite, and 1.
    Command,
}

/// A text that is not what an option takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct ParseError {
    /// The option or key.
    pub what: String,
    /// What was given.
    pub given: String,
    /// What is accepted.
    pub expected: &'static str,
    /// Who would notice.
    pub noticed_by: NoticedBy,
}

impl ParseError {
    pub(crate) fn new(what: impl Into<String>, given: &str, expected: &'static str) -> Self {
        Self {
            what: what.into(),
            given: given.chars().take(80).collect(),
            expected,
            noticed_by: NoticedBy::OptionParser,
        }
    }

    /// A key that a list has twice.
    pub(crate) fn duplicate(key: &str) -> Self {
        Self { noticed_by: NoticedBy::Keys, ..Self::new("key", key, "given only once") }
    }

    /// A key that a list cannot have; `expected` are those that it can.
    pub(crate) fn unknown_key(what: String, key: &str, expected: &'static str) -> Self {
        Self { noticed_by: NoticedBy::Types, ..Self::new(what, key, expected) }
    }

    /// The same as part of what a command reads out of an option.
    #[must_use]
    pub(crate) fn in_command(self) -> Self {
        match self.noticed_by {
            NoticedBy::Keys | NoticedBy::Types => self,
            NoticedBy::OptionParser | NoticedBy::Command => {
                Self { noticed_by: NoticedBy::Command, ..self }
            }
        }
    }

    fn sentence(&self) -> String {
        let Self { what, given, expected, .. } = self;
        match self.noticed_by {
            NoticedBy::Keys => format!("Duplicate key '{given}'"),
            NoticedBy::Types => format!("Unknown parameter '{given}' of {what}: it has {expected}"),
            NoticedBy::OptionParser | NoticedBy::Command => {
                format!("{what}: {given:?} is not {expected}")
            }
        }
    }
}

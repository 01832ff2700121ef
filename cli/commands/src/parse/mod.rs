//! The small languages of option values: sizes, times, key=value lists, disks, filters.
//!
//! Pure functions from text to values of the model. Whatever they refuse, they say what was given
//! and what is accepted.

pub mod disk;
pub mod duration;
pub mod filter;
pub mod keyval;
pub mod nic;
pub mod params;
pub mod size;
pub mod words;

/// A text that is not what an option takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {given:?} is not {expected}")]
pub struct ParseError {
    /// The option or key.
    pub what: String,
    /// What was given.
    pub given: String,
    /// What is accepted.
    pub expected: &'static str,
}

impl ParseError {
    pub(crate) fn new(what: impl Into<String>, given: &str, expected: &'static str) -> Self {
        Self { what: what.into(), given: given.chars().take(80).collect(), expected }
    }
}

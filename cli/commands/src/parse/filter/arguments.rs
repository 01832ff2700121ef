//! Whether the arguments of a list are names, globs or a filter (C211).

use gantry_model::ids::JobId;
use gantry_model::query::{Filter, FilterValue, Pattern, PatternError};

use super::error::FilterError;
use super::grammar::parse_filter;

/// Characters of which a single argument that has one is a filter. No name has one.
const FILTER_CHARS: &[char] = &[
    '\t', '\n', '\u{b}', '\u{c}', '\r', ' ', '!', '"', '\'', '(', ')', '/', '<', '=', '>', '\\',
    '~',
];

/// Characters of which a name that has one stands for several.
const GLOB_CHARS: &[char] = &['*', '?'];

/// Which rows are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These, each of which must exist; none is all.
    Names(Vec<String>),
    /// Those that a filter wants, which may be none.
    Filter(Filter),
}

/// What rows are named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// Names, or globs of names.
    Name,
    /// Numbers of jobs.
    JobId,
}

/// Why arguments cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// `--filter` with several arguments, or none.
    #[error("Exactly one argument must be given as a filter")]
    NotOne,
    /// It is no filter.
    #[error("the filter cannot be read")]
    Filter(#[source] FilterError),
    /// It is no number of a job.
    #[error("Invalid job ID passed: {0:?} is no whole number from 0 on")]
    NoJobId(String),
    /// It is no glob that can be used.
    #[error("the pattern {glob:?} cannot be used")]
    Glob {
        /// What was given.
        glob: String,
        /// Why not.
        #[source]
        source: PatternError,
    },
}

/// Reads the arguments: with `is_filter` one filter, otherwise one filter if it cannot be a name,
/// otherwise names.
///
/// # Errors
/// When a filter is none, or there are several; when a name cannot be one.
pub fn wanted(args: &[String], is_filter: bool, by: NamedBy) -> Result<Wanted, WantedError> {
    match args {
        [text] if is_filter || text.contains(FILTER_CHARS) => {
            return parse_filter(text).map(Wanted::Filter).map_err(WantedError::Filter);
        }
        _ if is_filter => return Err(WantedError::NotOne),
        _ => {}
    }
    match by {
        NamedBy::JobId => match args.iter().find(|arg| arg.parse::<JobId>().is_err()) {
            Some(bad) => Err(WantedError::NoJobId(bad.chars().take(80).collect())),
            None => Ok(Wanted::Names(args.to_vec())),
        },
        NamedBy::Name if args.iter().any(|arg| arg.contains(GLOB_CHARS)) => {
            let parts: Result<Vec<Filter>, _> = args.iter().map(|arg| named(arg)).collect();
            parts.map(|parts| Wanted::Filter(Filter::Any(parts)))
        }
        NamedBy::Name => Ok(Wanted::Names(args.to_vec())),
    }
}

fn named(arg: &str) -> Result<Filter, WantedError> {
    const FIELD: &str = "name";
    if !arg.contains(GLOB_CHARS) {
        return Ok(Filter::equal(FIELD, FilterValue::Text(arg.to_owned())));
    }
    let refused = |source| WantedError::Glob { glob: arg.to_owned(), source };
    let pattern = Pattern::of_glob(arg).map_err(refused)?;
    Ok(Filter::Matches { field: FIELD.to_owned(), pattern })
}

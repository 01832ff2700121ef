//! The language of filters as people type it (C211): from text to a [`Filter`].
//!
//! ```text
//! filter    = all, { "or", all } ;
//! all       = negated, { "and", negated } ;
//! negated   = "not", negated | "(", filter, ")" | condition ;
//! condition = field, [ operator, value | ("=~" | "!~"), pattern | ("=*" | "!*"), quoted ]
//!           | value, [ "not" ], "in", field ;
//! field     = letter, { letter | digit | "_" | "/" | "." } ;
//! value     = [ "+" | "-" ], digit, { digit } | quoted ;
//! quoted    = text between ' or ", kept as it stands, backslashes too ;
//! pattern   = [ "m" ], text between two of one of / # ^ |, { letter of the flags "s" and "i" } ;
//! ```
//!
//! What is accepted and what it becomes is Ganeti's, down to the backslash that is taken from
//! before any character of a pattern (write `\\d` for a digit). Words are whole words: `notname` is
//! a field. Every error has a place in the text. Nothing here recurses deeper than
//! [`FILTER_DEPTH_MAX`](gantry_model::query::FILTER_DEPTH_MAX).
//!
//! [`Filter`]: gantry_model::query::Filter

mod arguments;
mod error;
#[cfg(test)]
mod fuzz;
mod grammar;
mod lexer;
#[cfg(test)]
mod tests;

pub use arguments::{NamedBy, Wanted, WantedError, wanted};
pub use error::FilterError;
pub use grammar::parse_filter;

/// Longest text of a filter. Lower refuses what a script puts together from many names; higher is
/// read only to be refused, because no filter within the limits of its parts is as long.
pub const FILTER_INPUT_BYTES_MAX: usize = 64 * 1024;

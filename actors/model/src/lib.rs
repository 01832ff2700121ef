//! The vocabulary of a cluster: ids, units, objects, opcodes, node calls, messages, errors.
//!
//! Values only: everything here can be copied, compared, encoded and printed. Deliberately absent:
//! async, I/O, clocks, actors, and every decision (those are in `engine` and in the logical units).

#[cfg(all(feature = "next-version", not(debug_assertions)))]
compile_error!("the feature `next-version` is for tests and never part of a release");

pub mod deltas;
pub mod errors;
pub mod facts;
pub mod ids;
pub mod jobs;
pub mod levels;
pub mod locks;
pub mod messages;
pub mod names;
pub mod node_calls;
pub mod objects;
pub mod opcodes;
pub mod params;
pub mod plan;
pub mod query;
pub mod report;
pub mod search_paths;
pub mod steps;
pub mod tags;
pub mod transitions;
pub mod trust;
pub mod units;

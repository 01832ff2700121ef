//! How results are written: tables, trees, times, JSON.
//!
//! Programs read this output, so tables and trees are Ganeti's byte for byte. Deliberately absent:
//! anything that decides what is shown.

pub mod cells;
pub mod info;
pub mod json;
pub mod python;
mod roman;
pub mod table;
pub mod time;

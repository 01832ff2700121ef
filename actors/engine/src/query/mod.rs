//! Tables from the state and the picture: what `gnt-* list` shows (rows C206–C208).
//!
//! [`Picture`] is what the nodes have reported; [`table`] fills the columns asked for. Adding a
//! column is one line in the table of its resource. Deliberately absent: widths, units and headers
//! on a terminal, which are the command's.

mod cluster;
mod filter;
mod instance;
mod job;
mod lock;
mod nice_sort;
mod node;
mod picture;
mod sightings;
mod table;
mod tags;

pub use filter::{CompareAs, FilterCheck, FilterField};
pub use picture::{NodePicture, Picture};
pub use sightings::Sightings;
pub use table::{Asked, Live, Names, fields, table};
pub use tags::search_tags;

#[cfg(test)]
mod tests;

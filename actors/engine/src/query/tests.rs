//! Tests of tables and of the picture they are made from.

mod columns;
mod filter_meaning;
mod filters;
mod pictures;
mod sightings;
mod statuses;
mod tag_search;
mod view;

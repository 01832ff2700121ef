//! Tests of tables and of the picture they are made from.

mod columns;
mod pictures;
mod sightings;
mod statuses;
mod view;

//! Tests of tables and of the picture they are made from.

mod columns;
mod pictures;
mod statuses;
mod view;

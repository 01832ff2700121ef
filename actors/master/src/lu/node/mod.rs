//! Units on nodes.

mod add;
mod remove;

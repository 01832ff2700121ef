//! Units on nodes.

mod add;
mod remove;

pub(crate) use add::check_terms;

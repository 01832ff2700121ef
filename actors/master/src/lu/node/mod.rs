//! Units on nodes.

mod add;
mod modify;
mod promoted;
mod remove;

pub(crate) use add::check_terms;
pub(crate) use promoted::Promoted;

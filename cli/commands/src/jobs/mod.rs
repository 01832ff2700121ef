//! Jobs as commands use them: submit, wait and tell, one or many.

mod many;
mod one;
mod plan;
mod progress;
mod status_line;

pub(crate) use many::{Submitted, end_many, run_many};
pub(crate) use one::run_one;
pub(crate) use progress::{JobEnd, failure_of, follow, is_success};
pub(crate) use status_line::Place;

//! Units for tests.

mod delay;
#[cfg(feature = "next-version")]
mod next;

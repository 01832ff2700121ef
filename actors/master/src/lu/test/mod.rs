//! Units for tests.

mod delay;

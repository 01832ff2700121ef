//! The serial console of a guest as the instance actor offers it: output by offset, input in order.
//!
//! Owns the ring of output and the task that fills it. Deliberately absent: terminals, escape
//! sequences, and who may look (the messages' access class says that).

mod pump;
mod ring;

pub(crate) use pump::{Console, INPUT_BYTES_MAX};
pub use ring::{CONSOLE_RING_BYTES, ConsoleRing};

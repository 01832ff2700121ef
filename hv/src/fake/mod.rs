//! Guests that are only records, in a world outside of every agent.
//!
//! A shipped backend, chosen by configuration: simulations, tests and the demo run on it. Its world
//! ([`FakeWorld`]) is shared by several nodes and survives the crash of any agent. It lets happen
//! what a real machine would let happen (a guest on two nodes, an old epoch after a new one) and
//! records it as a violation. Its guests behave like the [tiny guest](crate::guest), except that
//! they do not tick. It reads no clock but tokio's and starts no task.

mod hypervisor;
mod world;

pub use hypervisor::FakeHypervisor;
pub use world::{FakeEffect, FakeRunning, FakeWorld};

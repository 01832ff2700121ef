//! Disks that are only records, in a world outside of every agent.
//!
//! A shipped backend, chosen by configuration: simulations, tests and the demo run on it. Its world
//! ([`FakeStore`]) is shared by several nodes and survives the crash of any agent. It lets happen
//! what real storage would let happen (the same disk made on two nodes, a disk removed under a
//! guest) and records it as a violation. Images are real files; of their content only the name is
//! kept.

mod storage;
mod world;

pub use storage::FakeStorage;
pub use world::{FakeDisk, FakeStore, FakeStoreEffect};

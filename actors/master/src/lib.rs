//! The leader's side: cluster, lock and job actors, and the logical units.
//!
//! It owns who drives the pure machines of `engine` while this node is the master. Started by the
//! daemon when the store says that this node leads, stopped when it does not. Deliberately absent:
//! hypervisors, storage, files and processes; whatever happens on a node is asked of its actors.

mod cluster_actor;
mod cluster_key;
mod context;
mod expected;
mod holders;
mod job_actor;
mod lock_actor;
mod lock_waits;
pub mod lu;
mod reign;
mod wishes;

pub use context::{CertificateSigner, MasterConfig, SignError};
pub use lock_waits::{LockWaits, LockWaitsSeen};
pub use reign::{Master, StartError};

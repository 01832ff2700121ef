//! The wiring: a node as a library, and what the command line does to the machine it runs on.
//!
//! It owns: the state directory ([`StateDir`]), making a cluster ([`init`]) and joining one
//! ([`join`]), a running node ([`RunningNode`]), the demo. The binary calls it through
//! [`LocalMachine`]; an embedder uses the parts. Deliberately absent: any decision of the cluster.

mod backends;
mod demo;
mod error;
mod init;
mod join;
mod logging;
mod machine;
mod membership;
mod raft_carrier;
mod router;
mod running;
mod signer;
mod state_dir;
mod store_config;

pub use demo::{DemoOptions, Say, demo};
pub use error::{DaemonError, chain};
pub use init::{InitOptions, init};
pub use join::join;
pub use machine::LocalMachine;
pub use running::{Ending, NodeOptions, RunningNode};
pub use state_dir::{NodeFile, StateDir, StateDirError};

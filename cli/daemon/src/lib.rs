//! The wiring: a node as a library, and what the command line does to the machine it runs on.
//!
//! It owns: the state directory ([`StateDir`]), making a cluster ([`init`]) and joining one
//! ([`join`]), the wiring of a node ([`Assembly`]) and a running one ([`RunningNode`]), the demo.
//! The binary calls it through [`LocalMachine`]; an embedder uses the parts. Deliberately absent:
//! any decision of the cluster.

mod assembly;
mod backends;
mod certificates;
mod command_log;
mod crash;
mod demo;
mod doctor;
mod error;
mod init;
mod join;
mod local_access;
mod log_parts;
mod logging;
mod machine;
mod membership;
mod metrics;
mod raft_carrier;
mod renewal;
mod router;
mod running;
mod service;
mod signer;
mod state_dir;

pub use assembly::{Assembly, CandidateParts, NodeParts};
pub use demo::{DemoOptions, Say, demo};
pub use error::DaemonError;
pub use init::{InitOptions, init};
pub use join::join;
pub use local_access::LocalGroups;
pub use log_parts::LogParts;
pub use machine::LocalMachine;
pub use running::{Ending, NodeOptions, RunningNode};
pub use signer::Keyring;
pub use state_dir::{NodeFile, StateDir, StateDirError};

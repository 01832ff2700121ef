//! The Raft library, wholly inside: its types never leave this module.
//!
//! It owns the glue: an async runtime whose randomness is ours, the log and state machine over
//! [`crate::disk`], the network over [`crate::RaftTransport`]. Called by [`crate::handle`] only.

pub(crate) mod brake;
pub(crate) mod comparison;
pub(crate) mod context;
pub(crate) mod convert;
pub(crate) mod inbound;
pub(crate) mod log_store;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod node;
mod runtime;
pub(crate) mod types;
mod watch;
mod writer;

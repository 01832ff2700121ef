//! A typed client: for embedders, the command line and the gateway.
//!
//! A [`Client`] sends messages to the actors of a cluster by path, through one [`Transport`]: the
//! socket of the daemon on this machine ([`LocalTransport`]), QUIC to any daemon
//! ([`Client::connect`]), or a function in the same process ([`InProcess`]). Any node
//! takes any message; the node that is asked passes it on. The client owns patience: which failures
//! are worth another attempt, under which request id, and for how long.
//!
//! Anybody may use it. Deliberately absent: the runtime and its actors, opcodes' meaning, text for
//! people, and any decision about retries of messages that are not idempotent.
//!
#![doc = include_str!("guide.md")]
#![doc = "```no_run"]
#![doc = include_str!("../examples/submit_and_watch.rs")]
#![doc = "```"]
#![doc = include_str!("guide_end.md")]

mod client;
mod endpoint;
mod error;
mod in_process;
mod issue;
mod local;
mod patience;
mod quic;
mod transport;
mod watch;

pub use client::{Client, RequestIds};
pub use endpoint::{ADMIN_FILE, ClientConfig, ENDPOINT_FILE};
pub use error::ClientError;
pub use in_process::InProcess;
pub use issue::IssuedCertificate;
pub use local::{LocalTransport, SOCKET_FILE};
pub use patience::{
    ATTEMPT_TIMEOUT, BACKOFF_FIRST, BACKOFF_MAX, CONNECT_TIMEOUT, READ_PATIENCE, SUBMIT_PATIENCE,
    WATCH_PATIENCE,
};
pub use quic::QuicTransport;
pub use transport::Transport;
pub use watch::JobWatch;

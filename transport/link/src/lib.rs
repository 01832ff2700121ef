//! Links between nodes: QUIC with mutual TLS, and a simulated one with the same meaning; and the
//! local link, by which commands on a node's own machine reach it.
//!
//! A link moves [`Envelope`](gantry_wire::Envelope)s between processes that have identities. It
//! owns connections, the hello, frames, bulk streams, identities (keys and certificates) and what
//! is known about the life of peers. It knows no message type and no opcode: what an envelope means
//! is decided by the [`Inbound`] that the runtime gives it.
//!
#![doc = include_str!("guide.md")]

mod answer;
mod asking;
mod bulk;
pub mod conformance;
mod contract;
mod frame;
mod hello;
pub mod identity;
mod limits;
pub mod local;
pub mod quic;
pub mod sim;

pub use answer::Answer;
pub use bulk::{
    BULK_FEATURE, BULK_RATE_DEFAULT, BulkAcceptor, BulkError, BulkOpen, BulkRate, BulkRateError,
    BulkReader, BulkRefusal, BulkStream, BulkWriter,
};
pub use contract::{
    Certainty, Features, Inbound, Link, Peer, PeerEvent, PeerTraffic, TrafficCounts,
};
pub use hello::protocol_version;

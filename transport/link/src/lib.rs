//! Links between nodes: QUIC with mutual TLS, and a simulated one with the same meaning.
//!
//! A link moves [`Envelope`](gantry_wire::Envelope)s between processes that have identities. It
//! owns connections, the hello, frames, identities (keys and certificates) and what is known about
//! the life of peers. It knows no message type and no opcode: what an envelope means is decided by
//! the [`Inbound`] that the runtime gives it.

mod asking;
pub mod conformance;
mod contract;
mod frame;
mod hello;
pub mod identity;
mod limits;
pub mod quic;
pub mod sim;

pub use contract::{Certainty, Inbound, Link, Peer, PeerEvent};
pub use hello::protocol_version;

//! The vocabulary of messages between actors, wherever they live.
//!
//! It owns: [`ActorPath`], the [`Message`] trait with its wire name and access class, the
//! [`Envelope`] that every message travels in, the four [outcomes](AskError) of an ask, the one
//! codec ([`encode`], [`decode`]), and [`ErrorChain`]. Both `link` (which moves envelopes) and
//! `model` (which names the messages of a cluster) build on it; that is why it is a crate of its
//! own.
//!
//! Deliberately absent: sockets, clocks, async, actors, and anything about virtualization.

mod access;
mod codec;
mod envelope;
mod error_chain;
mod message;
mod name;
mod outcome;
mod path;

pub use access::{Access, Role};
pub use codec::{
    CodecError, DEPTH_MAX, ELEMENTS_MAX, EMPTY_CONTAINERS_MAX, FRAME_BYTES_MAX, decode, encode,
    encode_bytes,
};
pub use envelope::{
    BootId, Envelope, Fence, HOPS_MAX, IncarnationId, NodeId, RequestId, SpanId, TraceContext,
    TraceId,
};
pub use error_chain::ErrorChain;
pub use message::Message;
pub use name::{WIRE_NAME_BYTES_MAX, WireName};
pub use outcome::{AskError, NotDelivered};
pub use path::{ActorPath, PATH_BYTES_MAX, PathError};

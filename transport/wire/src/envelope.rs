//! The envelope: everything that travels beside a message.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ActorPath, Role, WireName};

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_newtype! {
    /// A node of a cluster as the transport knows it; the id in its certificate. Commands have ids
    /// of the same shape, made for one connection.
    NodeId
}
uuid_newtype! {
    /// One run of one daemon: made at its start. A new one says that every actor of the old is
    /// gone.
    BootId
}
uuid_newtype! {
    /// Names one request for ever: the same id sent again gets the first answer again.
    RequestId
}
uuid_newtype! {
    /// All work that one command caused has one.
    TraceId
}

/// One unit of work inside a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SpanId(pub u64);

/// How often an entity has moved: a sender with an older number gets *not delivered: moved*.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct IncarnationId(pub u64);

/// Where a message stands in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceContext {
    /// The whole command.
    pub trace: TraceId,
    /// The work that sent this message.
    pub parent: SpanId,
}

/// Fencing tokens. The transport carries them, the place of the effect compares them. The two are
/// never compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fence {
    /// Log index of the takeover entry of the leader that sends.
    pub reign: u64,
    /// How often the sending job has been placed.
    pub attempt: u64,
}

/// Most nodes that may pass one message on. Two are needed (the node a command talks to, then the
/// leader, then the entity's node); one more leaves room for a leader that changed meanwhile. More
/// would only let a routing loop live longer.
pub const HOPS_MAX: u8 = 3;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The receiver.
    pub to: ActorPath,
    /// [`crate::Message::WIRE_NAME`].
    pub message: WireName,
    /// The encoded message.
    pub body: Bytes,
    /// How long the sender will still wait, in milliseconds, counted from sending. The receiver
    /// drops work whose time is over before it starts.
    pub deadline_ms: u32,
    /// Position in a trace, where there is one.
    pub trace: Option<TraceContext>,
    /// Idempotency key, where the sender may repeat the message.
    pub request: Option<RequestId>,
    /// Fencing tokens, where the message causes an effect.
    pub fence: Option<Fence>,
    /// Incarnation of the receiver that the sender believes in.
    pub incarnation: Option<IncarnationId>,
    /// Role of the peer that this message came from first, set by a node that passes it on.
    /// Believed only from peers that are nodes.
    pub origin: Option<Role>,
    /// How many nodes have passed it on; at most [`HOPS_MAX`].
    pub hops: u8,
}

impl Envelope {
    /// One with nothing beside what every message has.
    #[must_use]
    pub fn new(to: ActorPath, message: WireName, body: Bytes, deadline_ms: u32) -> Self {
        Self {
            to,
            message,
            body,
            deadline_ms,
            trace: None,
            request: None,
            fence: None,
            incarnation: None,
            origin: None,
            hops: 0,
        }
    }

    /// Bytes that this envelope is charged in queues: its body and the fixed part.
    #[must_use]
    pub fn cost_bytes(&self) -> usize {
        self.body.len() + self.message.len() + self.to.as_str().len() + size_of::<Self>()
    }
}

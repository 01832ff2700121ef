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

impl RequestId {
    /// The requests of one command are numbered in their last bytes.
    const NUMBER_BYTES: usize = 2;

    /// The `number`-th request of a command whose ids begin with `base`.
    #[must_use]
    pub fn numbered(base: Uuid, number: u16) -> Self {
        let mut bytes = base.into_bytes();
        let at = bytes.len() - Self::NUMBER_BYTES;
        bytes[at..].copy_from_slice(&number.to_be_bytes());
        Self(Uuid::from_bytes(bytes))
    }
}

impl From<RequestId> for TraceId {
    /// The trace of the command that made a request. It follows from the id, which the log has, so
    /// that whoever goes on with a job after a crash knows the trace, too.
    fn from(request: RequestId) -> Self {
        Self(RequestId::numbered(request.0, 0).0)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_of_one_command_differ_and_have_one_trace() {
        let base = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        let (one, other) = (RequestId::numbered(base, 1), RequestId::numbered(base, 2));
        assert_ne!(one, other);
        assert_eq!(TraceId::from(one), TraceId::from(other));
        let stranger = RequestId::numbered(Uuid::from_u128(7 << 64), 1);
        assert_ne!(TraceId::from(one), TraceId::from(stranger));
    }
}

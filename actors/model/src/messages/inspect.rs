//! What people ask a node about its inside: the last turns of its actors, its connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::units::Timestamp;

/// Most turns in one answer: all that 300 actors remember. Lower cuts what led to a fault, higher
/// makes an answer that nobody reads.
pub const FLIGHT_ROWS_MAX: u32 = 10_000;

/// Asks a node for the last turns of its actors, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryFlight {
    /// Only those of the actor at this path.
    pub path: Option<String>,
    /// So many at most; no more than [`FLIGHT_ROWS_MAX`].
    pub limit: u32,
}

/// One turn of an actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlightRow {
    /// When it began, by the clock of its node.
    pub at: Timestamp,
    /// The actor.
    pub path: String,
    /// The message or continuation.
    pub message: String,
    /// How long it took, in nanoseconds. Zero for some turns of a burst, see the flight recorder.
    pub took_ns: u64,
}

/// Asks a node for its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueryLinks {}

/// The connections of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkTable {
    /// What time it is there.
    pub now: Timestamp,
    /// One row for each connected peer, by its id.
    pub rows: Vec<LinkRow>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkRow {
    /// Id of the peer; a command has one of its own for each connection.
    pub peer: String,
    /// Its role.
    pub role: String,
    /// Where its packets come from.
    pub address: String,
    /// The version of the protocol that both speak.
    pub version: u16,
    /// What has gone over it, where the link counts.
    pub counts: Option<LinkCounts>,
}

/// What has gone over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkCounts {
    /// Since when it stands.
    pub since: Timestamp,
    /// The time to the peer and back, in microseconds.
    pub rtt_us: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets of ours that were lost.
    pub lost_packets: u64,
    /// Streams that messages have used so far; more than two mean that some broke.
    pub streams: u64,
}

super::messages! {
    QueryFlight = "node.query-flight", Read, Result<Vec<FlightRow>, Fault>;
    QueryLinks = "node.query-links", Read, Result<LinkTable, Fault>;
}

//! What is said to node, instance and disk actors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::facts::{Fact, FactQuery};
use crate::ids::{JobAttempt, JobId, KeyGeneration, NodeUuid, ReignId};
use crate::node_calls::{CallOutcome, NodeCall};
use crate::steps::{StepId, StepResult};
use crate::units::{Millis, Timestamp};

/// A node call on its way. Sent to the path of [`NodeCall::target`].
///
/// The receiver journals the intent, acts, journals the result, answers. The same `step` again
/// gives the recorded result again, or is resolved by the call's `recover`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallNode {
    /// Names the effect.
    pub step: StepId,
    /// The leader's reign; one older than the highest seen is refused.
    pub reign: ReignId,
    /// Which placement of the job; one older than seen for this job is refused.
    pub attempt: JobAttempt,
    /// All jobs below this are settled: what the journal holds of them may go.
    pub settled_below: JobId,
    /// The effect.
    pub call: NodeCall,
}

/// A new leader takes over a node before it resumes a job there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstallReign {
    /// The new reign; persisted before the answer.
    pub reign: ReignId,
    /// Steps whose end the leader wants to know.
    pub steps: Vec<StepId>,
}

/// The reign is installed: nothing of an older one will be begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReignInstalled {
    /// What the journal knows of the steps: the result, or `None` if it is not over.
    pub results: Vec<(StepId, Option<StepResult>)>,
}

/// The leader makes itself known, and says whether the node is to hold the log. Asked again, the
/// node says how far it has come: one that has to change starts its actors anew, and answers
/// nothing meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowMaster {
    /// Its reign; one older than the highest seen is refused.
    pub reign: ReignId,
    /// Who leads.
    pub master: NodeUuid,
    /// Where its daemon listens, `host:port`.
    pub address: String,
    /// Whether the node is to hold the log.
    pub hold_log: bool,
}

/// How far a node has come with what [`FollowMaster`] wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogHeld {
    /// It holds the log now.
    pub holds: bool,
    /// The newest cluster key that it has.
    pub key: Option<KeyGeneration>,
}

/// Asks for facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatherFacts {
    /// The questions.
    pub queries: Vec<FactQuery>,
}

/// Reads what a guest has written to its serial console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadConsole {
    /// From this offset; offsets count all bytes since the guest was adopted.
    pub offset: u64,
    /// How long to wait if there is nothing yet.
    pub wait: Millis,
}

/// A piece of a console's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleChunk {
    /// Offset of the first byte; higher than asked for if older bytes are gone.
    pub offset: u64,
    /// The bytes; may be none.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub bytes: Vec<u8>,
    /// There is no guest: nothing will come after these bytes.
    pub closed: bool,
}

/// Writes to the serial console of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WriteConsole {
    /// The bytes.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub bytes: Vec<u8>,
}

/// A live actor, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActorRow {
    /// Node that it lives on.
    pub node: String,
    /// Its path.
    pub path: String,
    /// Messages waiting.
    pub mailbox: u64,
    /// Messages handled.
    pub handled: u64,
    /// Restarts.
    pub restarts: u64,
    /// The slowest message kind and its microseconds.
    pub slowest: Option<(String, u64)>,
    /// How many of its turns have held their thread for too long.
    #[serde(default)]
    pub stalls: u64,
    /// The last of them.
    #[serde(default)]
    pub last_stall: Option<StallRow>,
}

/// A turn of an actor that held its thread for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StallRow {
    /// The message or continuation.
    pub during: String,
    /// When it began.
    pub since: Timestamp,
    /// How long it took, or has taken so far.
    pub took: Millis,
    /// It is over.
    pub is_over: bool,
}

super::messages! {
    CallNode = "node.call", Peer, Result<CallOutcome, Fault>;
    InstallReign = "node.install-reign", Peer, Result<ReignInstalled, Fault>;
    FollowMaster = "node.follow-master", Consensus, Result<LogHeld, Fault>;
    GatherFacts = "node.gather-facts", Peer, Result<Vec<Fact>, Fault>;
    ReadConsole = "instance.read-console", Read, Result<ConsoleChunk, Fault>;
    WriteConsole = "instance.write-console", Operate, Result<(), Fault>;
}

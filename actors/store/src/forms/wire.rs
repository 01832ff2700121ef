//! What the holders of the log say to each other.

use bytes::Bytes;
use gantry_model::ids::NodeUuid;
use gantry_model::levels::Levels;
use gantry_wire::{Access, Message};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LogIdForm, RecordForm, VoteForm};

/// A request of one holder of the log to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RaftRequest {
    /// That of the call, [`RaftCall::version`].
    pub version: u32,
    /// Who asks.
    pub from: NodeUuid,
    /// Who is meant; another refuses.
    pub to: NodeUuid,
    /// What is asked.
    pub call: RaftCall,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RaftCall {
    /// Vote for me.
    Vote(VoteCall),
    /// Would you vote for me? Changes nothing.
    PreVote(VoteCall),
    /// Append these entries; without any it is a heartbeat.
    Append(AppendCall),
    /// Take this piece of a snapshot.
    InstallSnapshot(SnapshotCall),
    /// Stand for election now: the leader gives way.
    TransferLeader(TransferCall),
    /// Which hash did your state have after that entry?
    StateHash(StateHashCall),
    /// Which records of the history are before that one?
    History(HistoryCall),
    /// Which state levels does your program know?
    Levels(LevelsCall),
}

impl RaftRequest {
    /// A request in the version of its call.
    #[must_use]
    pub fn new(from: NodeUuid, to: NodeUuid, call: RaftCall) -> Self {
        Self { version: call.version(), from, to, call }
    }
}

impl RaftCall {
    /// Since which version of the messages it is there and means what it means.
    #[must_use]
    pub fn version(&self) -> u32 {
        match self {
            Self::Vote(_)
            | Self::PreVote(_)
            | Self::Append(_)
            | Self::InstallSnapshot(_)
            | Self::TransferLeader(_)
            | Self::StateHash(_)
            | Self::History(_) => 3,
            Self::Levels(_) => 4,
        }
    }
}

/// A reply of one holder of the log to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RaftReply {
    /// That of the request.
    pub version: u32,
    /// What is answered.
    pub answer: RaftAnswer,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RaftAnswer {
    /// To a vote or a pre-vote.
    Vote(VoteAnswer),
    /// To an append.
    Append(AppendAnswer),
    /// To a piece of a snapshot.
    Snapshot(SnapshotAnswer),
    /// To a transfer.
    Transfer(TransferAnswer),
    /// To a question for a hash.
    StateHash(StateHashAnswer),
    /// A piece of the history.
    History(HistoryAnswer),
    /// What the program knows.
    Levels(LevelsAnswer),
    /// Not handled: wrong receiver, another version, not understood, or stopped.
    Refused {
        /// Why, for people.
        reason: String,
    },
}

/// Asks for a vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoteCall {
    /// The vote that is asked for.
    pub vote: VoteForm,
    /// The candidate's last entry.
    pub last: Option<LogIdForm>,
    /// Whether the leader itself told the candidate to stand.
    pub leadership_transfer: bool,
}

/// Answers a request for a vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoteAnswer {
    /// The voter's vote now.
    pub vote: VoteForm,
    /// Whether it is granted.
    pub granted: bool,
    /// The voter's last entry.
    pub last: Option<LogIdForm>,
}

/// Appends entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppendCall {
    /// The leader's vote.
    pub vote: VoteForm,
    /// The entry before the first one sent.
    pub prev: Option<LogIdForm>,
    /// The entries.
    pub entries: Vec<RecordForm>,
    /// The last entry known to be committed.
    pub commit: Option<LogIdForm>,
}

/// Answers an append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppendAnswer {
    /// All are in the log.
    Success,
    /// Those up to this one are in the log.
    Partial(Option<LogIdForm>),
    /// The entry before the first one is not there.
    Conflict,
    /// A higher vote was seen: the sender leads no more.
    HigherVote(VoteForm),
}

/// Names one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotId {
    /// The last entry in it.
    pub last: LogIdForm,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub digest: String,
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotCall {
    /// The leader's vote.
    pub vote: VoteForm,
    /// Of which snapshot.
    pub snapshot: SnapshotId,
    /// Where the piece begins.
    pub offset: u64,
    /// The piece.
    #[schemars(with = "Vec<u8>")]
    pub data: Bytes,
}

/// Answers a piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotAnswer {
    /// The receiver's vote now.
    pub vote: VoteForm,
    /// Where the next piece must begin; equal to the size when it is installed.
    pub next: u64,
}

/// Hands leadership over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransferCall {
    /// The present leader's vote.
    pub vote: VoteForm,
    /// Who shall lead.
    pub to: NodeUuid,
    /// What it must have in its log.
    pub last: Option<LogIdForm>,
}

/// Answers a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferAnswer {
    /// It stands for election.
    Accepted,
    /// Its vote is another meanwhile.
    VoteChanged(VoteForm),
    /// It does not have the log yet; this is its last entry.
    LogNotFlushed(Option<LogIdForm>),
}

/// Asks for the hash of the receiver's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateHashCall {
    /// After the entry of this index.
    pub index: u64,
}

/// Answers a question for a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateHashAnswer {
    /// The hash, hexadecimal; none if the receiver is not there yet, or does not know any more.
    pub hash: Option<String>,
}

/// Asks for a piece of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryCall {
    /// The piece ends before this position.
    pub before: u64,
}

/// A piece of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryAnswer {
    /// Position of the first record.
    pub first: u64,
    /// The chain before it.
    pub chain: String,
    /// The encoded records; none if the sender does not have them.
    #[schemars(with = "Vec<Vec<u8>>")]
    pub records: Vec<Bytes>,
    /// Where its history begins, if it has all from there to where the piece was to end.
    pub lowest: Option<u64>,
}

/// Asks which state levels the receiver's program knows. Answered by the very process that would
/// apply the entries, out of nothing that is stored: what is answered holds for as long as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelsCall {}

/// Says which state levels a program knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelsAnswer {
    /// Those.
    pub levels: Levels,
}

impl Message for RaftRequest {
    const WIRE_NAME: &'static str = "raft.request";
    const ACCESS: Access = Access::Consensus;
    type Reply = RaftReply;

    fn cost_bytes(&self) -> usize {
        let payload = match &self.call {
            RaftCall::Append(call) => call.entries.iter().map(RecordForm::cost_bytes).sum(),
            RaftCall::InstallSnapshot(call) => call.data.len(),
            RaftCall::Vote(_)
            | RaftCall::PreVote(_)
            | RaftCall::TransferLeader(_)
            | RaftCall::StateHash(_)
            | RaftCall::History(_)
            | RaftCall::Levels(_) => 0,
        };
        size_of::<Self>() + payload
    }
}

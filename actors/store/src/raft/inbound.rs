//! Requests from the other holders of the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gantry_model::levels::Levels;
use gantry_wire::ErrorChain;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};

use super::brake::Brake;
use super::comparison::Points;
use super::context::NodeContext;
use super::convert;
use super::machine::meta_of;
use super::types::{Config, Raft, Snapshot};
use crate::config::{APPEND_ENTRIES_MAX, SNAPSHOT_BYTES_MAX, SNAPSHOT_CHUNK_BYTES};
use crate::disk::DiskError;
use crate::disk::checksum::{file_sum, hex};
use crate::disk::snapshot_codec;
use crate::forms::{
    AppendAnswer, AppendCall, LevelsAnswer, LevelsCall, RaftAnswer, RaftCall, SnapshotAnswer,
    SnapshotCall, SnapshotId, StateHashAnswer, TransferAnswer, TransferCall, VoteAnswer, VoteCall,
    VoteForm,
};
use crate::history::History;

/// What has come in of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Incoming(Mutex<Option<Pieces>>);

#[derive(Debug)]
struct Pieces {
    id: SnapshotId,
    vote: VoteForm,
    bytes: Vec<u8>,
}

/// What requests are handled with.
pub(crate) struct Receiver<'a> {
    pub(crate) raft: &'a Raft,
    pub(crate) incoming: &'a Incoming,
    pub(crate) points: &'a Points,
    pub(crate) history: &'a Arc<History>,
    pub(crate) node: &'a NodeContext,
    pub(crate) brake: &'a Brake,
}

/// Handles a request; the reason when it could not be.
pub(crate) async fn handle(at: &Receiver<'_>, call: RaftCall) -> Result<RaftAnswer, String> {
    let Receiver { raft, points, history, node, .. } = *at;
    match call {
        RaftCall::Vote(call) => {
            let response = raft.vote(vote_request(&call)).await.map_err(|e| e.to_string())?;
            Ok(RaftAnswer::Vote(vote_answer(&response)))
        }
        RaftCall::PreVote(call) => {
            let response = raft.pre_vote(vote_request(&call)).await.map_err(|e| e.to_string())?;
            Ok(RaftAnswer::Vote(vote_answer(&response)))
        }
        RaftCall::Append(call) => append(at, call).await.map(RaftAnswer::Append),
        RaftCall::InstallSnapshot(call) => install(at, call).await.map(RaftAnswer::Snapshot),
        RaftCall::Levels(LevelsCall {}) => {
            Ok(RaftAnswer::Levels(LevelsAnswer { levels: at.brake.levels }))
        }
        RaftCall::TransferLeader(call) => transfer(raft, &call).await.map(RaftAnswer::Transfer),
        RaftCall::History(call) => {
            let history = history.clone();
            let read = node.blocking(move || history.chunk_before(call.before)).await;
            let answer =
                read.map_err(|e| e.to_string())?.map_err(|e| ErrorChain(&e).to_string())?;
            Ok(RaftAnswer::History(answer))
        }
        RaftCall::StateHash(call) => {
            Ok(RaftAnswer::StateHash(StateHashAnswer { hash: points.hash_at(call.index) }))
        }
    }
}

fn vote_request(call: &VoteCall) -> VoteRequest<Config> {
    let last = call.last.map(convert::log_id);
    let mut request = VoteRequest::new(convert::vote(call.vote), last);
    request.leadership_transfer = call.leadership_transfer;
    request
}

fn vote_answer(response: &VoteResponse<Config>) -> VoteAnswer {
    VoteAnswer {
        vote: convert::vote_form(&response.vote),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(convert::log_id_form),
    }
}

async fn append(at: &Receiver<'_>, call: AppendCall) -> Result<AppendAnswer, String> {
    if call.entries.len() as u64 > APPEND_ENTRIES_MAX {
        return Err(format!("{} entries exceed {APPEND_ENTRIES_MAX}", call.entries.len()));
    }
    let known = |record| convert::log_entry(record, at.brake.levels);
    let entries = match call.entries.into_iter().map(known).collect::<Result<Vec<_>, _>>() {
        Ok(entries) => entries,
        Err(error) => return Err(at.refuse(&error).await),
    };
    let request = AppendEntriesRequest {
        vote: convert::vote(call.vote),
        prev_log_id: call.prev.map(convert::log_id),
        entries,
        leader_commit: call.commit.map(convert::log_id),
    };
    let response = at.raft.append_entries(request).await.map_err(|e| e.to_string())?;
    Ok(match response {
        AppendEntriesResponse::Success => AppendAnswer::Success,
        AppendEntriesResponse::PartialSuccess(upto) => {
            AppendAnswer::Partial(upto.as_ref().map(convert::log_id_form))
        }
        AppendEntriesResponse::Conflict => AppendAnswer::Conflict,
        AppendEntriesResponse::HigherVote(vote) => {
            AppendAnswer::HigherVote(convert::vote_form(&vote))
        }
    })
}

async fn transfer(raft: &Raft, call: &TransferCall) -> Result<TransferAnswer, String> {
    let last = call.last.map(convert::log_id);
    let request = TransferLeaderRequest::new(convert::vote(call.vote), call.to, last);
    match raft.handle_transfer_leader(request).await.map_err(|e| e.to_string())? {
        Ok(()) => Ok(TransferAnswer::Accepted),
        Err(TransferLeaderError::VoteChanged { actual, .. }) => {
            Ok(TransferAnswer::VoteChanged(convert::vote_form(&actual)))
        }
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
            Ok(TransferAnswer::LogNotFlushed(actual.as_ref().map(convert::log_id_form)))
        }
    }
}

async fn install(at: &Receiver<'_>, call: SnapshotCall) -> Result<SnapshotAnswer, String> {
    let Receiver { raft, incoming, node, .. } = *at;
    let theirs = convert::vote(call.vote);
    let ours = raft.with_raft_state(|state| *state.vote_ref()).await.map_err(|e| e.to_string())?;
    if ours > theirs {
        return Ok(SnapshotAnswer { vote: convert::vote_form(&ours), next: 0 });
    }
    let id = call.snapshot.clone();
    let size_bytes = id.size_bytes;
    let vote = call.vote;
    let Some(bytes) = incoming.add(call)? else {
        return Ok(SnapshotAnswer { vote, next: incoming.next() });
    };
    let levels = at.brake.levels;
    let checked = node.blocking(move || check(&id, bytes, levels)).await;
    let snapshot = match checked.map_err(|e| e.to_string())? {
        Ok(snapshot) => snapshot,
        Err(error) => return Err(at.refuse(&error).await),
    };
    let installed =
        raft.install_full_snapshot(theirs, snapshot).await.map_err(|e| e.to_string())?;
    Ok(SnapshotAnswer { vote: convert::vote_form(&installed.vote), next: size_bytes })
}

/// Whether what has come in is what was announced.
fn check(id: &SnapshotId, snapshot: Bytes, levels: Levels) -> Result<Snapshot, DiskError> {
    if hex(&file_sum(&snapshot)) != id.digest {
        let detail = "it does not have the digest it was announced with";
        return Err(DiskError::corrupt("the snapshot", detail));
    }
    let head = snapshot_codec::decode_head(&snapshot, levels)?;
    let meta = meta_of(&head)?;
    Ok(Snapshot { meta, snapshot })
}

impl Receiver<'_> {
    /// Why something that came in is not taken; if this program is not for it, this is its end.
    async fn refuse(&self, error: &DiskError) -> String {
        match self.brake.stop_if_unknown(error).await {
            Some(unknown) => unknown.to_string(),
            None => ErrorChain(error).to_string(),
        }
    }
}

impl Incoming {
    /// Adds a piece; gives the whole when it was the last.
    fn add(&self, call: SnapshotCall) -> Result<Option<Bytes>, String> {
        let id = call.snapshot;
        if id.size_bytes > SNAPSHOT_BYTES_MAX || call.data.len() > SNAPSHOT_CHUNK_BYTES {
            return Err(format!(
                "a snapshot of {} bytes in pieces of {} exceeds the limits",
                id.size_bytes,
                call.data.len()
            ));
        }
        let mut slot = self.lock();
        let pieces = match slot.take() {
            Some(begun) if call.offset > 0 && begun.id == id && begun.vote == call.vote => begun,
            // A new one, the same from its beginning, or the middle of one that is not known.
            Some(_) | None => Pieces { id: id.clone(), vote: call.vote, bytes: Vec::new() },
        };
        let pieces = slot.insert(pieces);
        let n_bytes = pieces.bytes.len() as u64;
        let end = n_bytes + call.data.len() as u64;
        if call.offset != n_bytes || call.data.is_empty() || end > id.size_bytes {
            // Out of order, or a repetition: the sender goes on where this ends.
            if call.offset != n_bytes {
                pieces.bytes.clear();
            }
            return Ok(None);
        }
        pieces.bytes.extend(&call.data);
        if end < id.size_bytes {
            return Ok(None);
        }
        Ok(slot.take().map(|pieces| pieces.bytes.into()))
    }

    fn next(&self) -> u64 {
        self.lock().as_ref().map_or(0, |pieces| pieces.bytes.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pieces>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use gantry_model::ids::NodeUuid;

    use super::*;
    use crate::forms::LogIdForm;

    const WHOLE: &[u8] = b"a snapshot in three pieces";

    fn piece(term: u64, range: std::ops::Range<usize>) -> SnapshotCall {
        SnapshotCall {
            vote: VoteForm { term, node: NodeUuid(uuid::Uuid::nil()), committed: true },
            snapshot: SnapshotId {
                last: LogIdForm { term: 1, index: 9 },
                size_bytes: WHOLE.len() as u64,
                digest: String::new(),
            },
            offset: range.start as u64,
            data: Bytes::from_static(&WHOLE[range]),
        }
    }

    #[test]
    fn pieces_in_order_make_the_whole() {
        let incoming = Incoming::default();
        assert_eq!(incoming.add(piece(1, 0..10)), Ok(None));
        assert_eq!(incoming.next(), 10);
        assert_eq!(incoming.add(piece(1, 10..20)), Ok(None));
        let whole = incoming.add(piece(1, 20..WHOLE.len()));
        assert_eq!(whole, Ok(Some(Bytes::from_static(WHOLE))));
        assert_eq!(incoming.next(), 0, "nothing is kept of it");
    }

    #[test]
    fn a_gap_or_another_leader_begins_anew() {
        let incoming = Incoming::default();
        assert_eq!(incoming.add(piece(1, 0..10)), Ok(None));
        assert_eq!(incoming.add(piece(1, 15..20)), Ok(None));
        assert_eq!(incoming.next(), 0);
        assert_eq!(incoming.add(piece(1, 0..10)), Ok(None));
        assert_eq!(incoming.add(piece(2, 10..20)), Ok(None));
        assert_eq!(incoming.next(), 0);
        assert_eq!(incoming.add(piece(2, 0..WHOLE.len())), Ok(Some(Bytes::from_static(WHOLE))));
    }

    #[test]
    fn what_exceeds_the_limits_is_refused_before_anything_is_kept() {
        let incoming = Incoming::default();
        let mut huge = piece(1, 0..10);
        huge.snapshot.size_bytes = SNAPSHOT_BYTES_MAX + 1;
        assert!(incoming.add(huge).is_err());
        assert_eq!(incoming.next(), 0);
    }
}

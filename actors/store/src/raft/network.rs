//! Requests to the other holders of the log.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_model::ids::NodeUuid;
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, RaftNetworkFactory, RaftNetworkV2};

use super::convert;
use super::types::{Config, Snapshot, Vote};
use crate::config::{
    APPEND_TIMEOUT, RaftTransport, SNAPSHOT_CHUNK_BYTES, SNAPSHOT_RESTARTS_MAX, SNAPSHOT_TIMEOUT,
    TransportError,
};
use crate::disk::checksum::{file_sum, hex};
use crate::forms::{
    AppendAnswer, AppendCall, RaftAnswer, RaftCall, RaftRequest, SnapshotAnswer, SnapshotCall,
    SnapshotId, TransferAnswer, TransferCall, VoteAnswer, VoteCall,
};

type RpcError = RPCError<Config>;

/// Makes one [`Peer`] per purpose and peer.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) this: NodeUuid,
    pub(crate) transport: Arc<dyn RaftTransport>,
}

impl RaftNetworkFactory<Config> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeUuid, _node: &EmptyNode) -> Peer {
        Peer { this: self.this, target, transport: self.transport.clone() }
    }
}

/// The way to one other holder of the log.
pub(crate) struct Peer {
    this: NodeUuid,
    target: NodeUuid,
    transport: Arc<dyn RaftTransport>,
}

impl Peer {
    async fn call(
        &self,
        action: RPCTypes,
        call: RaftCall,
        timeout: Duration,
    ) -> Result<RaftAnswer, RpcError> {
        let request = RaftRequest::new(self.this, self.target, call);
        let version = request.version;
        let reply = self.transport.send(self.target, request, timeout).await;
        let (id, target) = (self.this, self.target);
        match reply {
            Ok(reply) if reply.version != version => {
                let text = format!("version {} is not {version}", reply.version);
                Err(RPCError::Unreachable(Unreachable::from_string(text)))
            }
            Ok(reply) => match reply.answer {
                // Asking again at once would be refused again.
                RaftAnswer::Refused { reason } => {
                    tracing::debug!(%target, reason, "a holder of the log refused a request");
                    Err(RPCError::Unreachable(Unreachable::from_string(reason)))
                }
                answer => Ok(answer),
            },
            Err(TransportError::Timeout) => {
                Err(RPCError::Timeout(Timeout { action, id, target, timeout }))
            }
            Err(error @ TransportError::Unreachable { .. }) => {
                Err(RPCError::Unreachable(Unreachable::new(&error)))
            }
            Err(error @ TransportError::BadReply { .. }) => {
                Err(RPCError::Network(NetworkError::new(&error)))
            }
        }
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<Config>,
        option: &RPCOption,
        wrap: impl FnOnce(VoteCall) -> RaftCall,
    ) -> Result<VoteResponse<Config>, RpcError> {
        let call = wrap(VoteCall {
            vote: convert::vote_form(&request.vote),
            last: request.last_log_id.as_ref().map(convert::log_id_form),
            leadership_transfer: request.leadership_transfer,
        });
        match self.call(RPCTypes::Vote, call, option.hard_ttl()).await? {
            RaftAnswer::Vote(VoteAnswer { vote, granted, last }) => {
                let last = last.map(convert::log_id);
                Ok(VoteResponse::new(convert::vote(vote), last, granted))
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn send_piece(
        &self,
        vote: &Vote,
        id: &SnapshotId,
        offset: u64,
        data: Bytes,
    ) -> Result<SnapshotAnswer, RpcError> {
        let vote = convert::vote_form(vote);
        let call = SnapshotCall { vote, snapshot: id.clone(), offset, data };
        let call = RaftCall::InstallSnapshot(call);
        match self.call(RPCTypes::InstallSnapshot, call, SNAPSHOT_TIMEOUT).await? {
            RaftAnswer::Snapshot(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    async fn send_snapshot(
        &self,
        vote: &Vote,
        snapshot: &Snapshot,
    ) -> Result<SnapshotResponse<Config>, RpcError> {
        let Some(last) = &snapshot.meta.last_log_id else {
            return Err(RPCError::Network(NetworkError::from_string("the snapshot is empty")));
        };
        let data = &snapshot.snapshot;
        let id = SnapshotId {
            last: convert::log_id_form(last),
            size_bytes: data.len() as u64,
            digest: hex(&file_sum(data)),
        };
        let mut offset = 0;
        let mut n_restarts = 0;
        while n_restarts <= SNAPSHOT_RESTARTS_MAX {
            let end = (offset + SNAPSHOT_CHUNK_BYTES).min(data.len());
            let answer = self.send_piece(vote, &id, offset as u64, data.slice(offset..end)).await?;
            let theirs = convert::vote(answer.vote);
            if theirs > *vote || answer.next == id.size_bytes {
                return Ok(SnapshotResponse::new(theirs));
            }
            if answer.next == end as u64 {
                offset = end;
            } else {
                // The receiver lost what it had.
                offset = 0;
                n_restarts += 1;
            }
        }
        let text = format!("{} takes no snapshot", self.target);
        Err(RPCError::Network(NetworkError::from_string(text)))
    }
}

fn unexpected(answer: &RaftAnswer) -> RpcError {
    let kind = match answer {
        RaftAnswer::Vote(_) => "vote",
        RaftAnswer::Append(_) => "append",
        RaftAnswer::Snapshot(_) => "snapshot",
        RaftAnswer::Transfer(_) => "transfer",
        RaftAnswer::StateHash(_) => "state hash",
        RaftAnswer::History(_) => "history",
        RaftAnswer::Levels(_) => "levels",
        RaftAnswer::Refused { .. } => "refused",
    };
    RPCError::Network(NetworkError::from_string(format!("{kind} is the answer to something else")))
}

impl RaftNetworkV2<Config> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Config>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Config>, RpcError> {
        let timeout = if request.entries.is_empty() { option.hard_ttl() } else { APPEND_TIMEOUT };
        let call = RaftCall::Append(AppendCall {
            vote: convert::vote_form(&request.vote),
            prev: request.prev_log_id.as_ref().map(convert::log_id_form),
            entries: request.entries.iter().map(convert::record_form).collect(),
            commit: request.leader_commit.as_ref().map(convert::log_id_form),
        });
        match self.call(RPCTypes::AppendEntries, call, timeout).await? {
            RaftAnswer::Append(answer) => Ok(match answer {
                AppendAnswer::Success => AppendEntriesResponse::Success,
                AppendAnswer::Partial(upto) => {
                    AppendEntriesResponse::PartialSuccess(upto.map(convert::log_id))
                }
                AppendAnswer::Conflict => AppendEntriesResponse::Conflict,
                AppendAnswer::HigherVote(vote) => {
                    AppendEntriesResponse::HigherVote(convert::vote(vote))
                }
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Config>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config>, RpcError> {
        self.ask_vote(request, &option, RaftCall::Vote).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Config>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config>, RpcError> {
        self.ask_vote(request, &option, RaftCall::PreVote).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Config>, StreamingError<Config>> {
        let cancel = std::pin::pin!(cancel);
        let sending = std::pin::pin!(self.send_snapshot(&vote, &snapshot));
        match futures_util::future::select(cancel, sending).await {
            futures_util::future::Either::Left((closed, _)) => Err(closed.into()),
            futures_util::future::Either::Right((sent, _)) => Ok(sent?),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Config>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Config>, RpcError> {
        let call = RaftCall::TransferLeader(TransferCall {
            vote: convert::vote_form(request.from_leader()),
            to: *request.to_node_id(),
            last: request.last_log_id().map(convert::log_id_form),
        });
        match self.call(RPCTypes::TransferLeader, call, option.hard_ttl()).await? {
            RaftAnswer::Transfer(answer) => Ok(match answer {
                TransferAnswer::Accepted => Ok(()),
                TransferAnswer::VoteChanged(actual) => Err(TransferLeaderError::VoteChanged {
                    expected: *request.from_leader(),
                    actual: convert::vote(actual),
                }),
                TransferAnswer::LogNotFlushed(actual) => Err(TransferLeaderError::LogNotFlushed {
                    expected: request.last_log_id().copied(),
                    actual: actual.map(convert::log_id),
                }),
            }),
            other => Err(unexpected(&other)),
        }
    }
}

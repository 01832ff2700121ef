//! The tasks of a lane: one stream that is read, and written in batches.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use gantry_wire::{Envelope, NotDelivered, Role};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::cell::{PeerCell, Queued};
use super::close_code::CloseCode;
use super::hub::Hub;
use super::inbound_asks::{InboundAsks, Origin};
use super::session::Session;
use crate::asking::deadline_of;
use crate::frame::{
    FRAME_BYTES_MAX, Frame, FrameError, FrameReader, FrameWriter, Lane, UNPROVEN_FRAME_BYTES_MAX,
};
use crate::limits::{HELLO_TIMEOUT, LANE_REOPEN_PAUSE, READ_CHUNK_BYTES};

/// Why a lane's stream is not used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneEnd {
    #[error("the peer sent a bad frame")]
    Frame(#[from] FrameError),
    #[error("reading failed")]
    Read(#[from] ReadError),
    #[error("writing failed")]
    Write(#[from] WriteError),
    #[error("the peer finished the stream")]
    Finished,
    #[error("the peer did not say in time what the stream is for")]
    Late,
    #[error("the stream was replaced")]
    Replaced,
}

/// Everything that the tasks of one lane need.
struct LaneRun {
    hub: Arc<Hub>,
    cell: Arc<PeerCell>,
    session: Arc<Session>,
    lane: Lane,
    generation: u64,
    stop: CancellationToken,
}

/// The dialing side of a lane: opens its stream, and another one whenever that breaks.
pub(super) async fn keep_lane(
    hub: Arc<Hub>,
    cell: Arc<PeerCell>,
    session: Arc<Session>,
    lane: Lane,
) {
    loop {
        let opened = tokio::select! {
            biased;
            () = session.stop.cancelled() => return,
            opened = session.connection.open_bi() => opened,
        };
        let Ok((send, recv)) = opened else { return };
        let run = LaneRun::begin(hub.clone(), cell.clone(), session.clone(), lane);
        let first = Frame::Lane(lane).to_bytes().expect("a number can be encoded").into();
        let reader = FrameReader::new(FRAME_BYTES_MAX);
        run.run(send, recv, reader, first).await;
        let is_over = session.stop.is_cancelled()
            || session.connection.close_reason().is_some()
            || session.goodbye_seen.load(Ordering::Relaxed);
        if is_over {
            return;
        }
        sleep(LANE_REOPEN_PAUSE).await;
    }
}

/// The accepting side of both lanes.
pub(super) async fn accept_lanes(hub: Arc<Hub>, cell: Arc<PeerCell>, session: Arc<Session>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = session.stop.cancelled() => return,
            accepted = session.connection.accept_bi() => accepted,
        };
        let Ok((send, recv)) = accepted else { return };
        let (hub, cell, session) = (hub.clone(), cell.clone(), session.clone());
        let (tasks, all) = (session.tasks.clone(), hub.tasks.clone());
        all.spawn(tasks.track_future(accept_lane(hub, cell, session, send, recv)));
    }
}

async fn accept_lane(
    hub: Arc<Hub>,
    cell: Arc<PeerCell>,
    session: Arc<Session>,
    mut send: SendStream,
    mut recv: RecvStream,
) {
    let limit = match session.peer.role {
        Role::Joiner => UNPROVEN_FRAME_BYTES_MAX,
        _ => FRAME_BYTES_MAX,
    };
    let mut reader = FrameReader::new(limit);
    let first = async {
        match read_frame(&mut recv, &mut reader).await? {
            Frame::Lane(lane) => Ok(lane),
            other => Err(LaneEnd::Frame(FrameError::Unexpected { frame: other.kind() })),
        }
    };
    match timeout(HELLO_TIMEOUT, first).await {
        Ok(Ok(lane)) => {
            LaneRun::begin(hub, cell, session, lane).run(send, recv, reader, BytesMut::new()).await;
        }
        Ok(Err(end)) => end_stream(&session, &end, &mut send, &mut recv),
        Err(_) => end_stream(&session, &LaneEnd::Late, &mut send, &mut recv),
    }
}

/// Reads until one whole frame is there.
pub(super) async fn read_frame(
    recv: &mut RecvStream,
    reader: &mut FrameReader,
) -> Result<Frame, LaneEnd> {
    loop {
        if let Some(frame) = reader.next_frame()? {
            return Ok(frame);
        }
        match recv.read_chunk(READ_CHUNK_BYTES, true).await? {
            Some(chunk) => reader.extend(&chunk.bytes),
            None => {
                reader.finish()?;
                return Err(LaneEnd::Finished);
            }
        }
    }
}

fn end_stream(session: &Session, end: &LaneEnd, send: &mut SendStream, recv: &mut RecvStream) {
    if let LaneEnd::Frame(error) = end {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(
            peer = %session.peer.node, role = %session.peer.role, addr = %session.peer.addr,
            error = %error, cause, "closing a stream"
        );
    }
    let code = match end {
        LaneEnd::Frame(_) => CloseCode::BadFrame,
        LaneEnd::Late => CloseCode::HelloTimeout,
        LaneEnd::Replaced => CloseCode::Superseded,
        // The other side ended it.
        LaneEnd::Read(_) | LaneEnd::Write(_) | LaneEnd::Finished => return,
    };
    // Either may be closed already; then there is nothing left to say.
    drop(recv.stop(code.number()));
    drop(send.reset(code.number()));
}

impl Drop for LaneRun {
    fn drop(&mut self) {
        // Whoever takes messages must not panic. If it does, no half of a connection may stay
        // behind that looks alive and reads nothing.
        if std::thread::panicking() {
            let code = CloseCode::ReceiverFailed.number();
            self.session.connection.close(code, b"the receiver of a message panicked");
        }
    }
}

impl LaneRun {
    fn begin(hub: Arc<Hub>, cell: Arc<PeerCell>, session: Arc<Session>, lane: Lane) -> Self {
        let (generation, stop) = session.begin_lane(lane);
        cell.lane_broke(session.id, lane, "its stream was replaced");
        Self { hub, cell, session, lane, generation, stop }
    }

    /// Runs until the stream ends one way or other.
    async fn run(
        self,
        mut send: SendStream,
        mut recv: RecvStream,
        reader: FrameReader,
        first: BytesMut,
    ) {
        let end = {
            let mut read = pin!(self.read(&mut recv, reader));
            let mut write = pin!(self.write(&mut send, first));
            tokio::select! {
                biased;
                end = &mut read => match end {
                    // It has read our goodbye; the proof of that is still to come.
                    LaneEnd::Finished if self.cell.is_closing() => write.await,
                    other => other,
                },
                end = &mut write => match end {
                    // What came before the connection was lost is still taken.
                    LaneEnd::Write(WriteError::ConnectionLost(_)) => read.await,
                    other => other,
                },
            }
        };
        end_stream(&self.session, &end, &mut send, &mut recv);
        if self.session.is_current(self.lane, self.generation) {
            let reason = match std::error::Error::source(&end) {
                Some(cause) => format!("{end}: {cause}"),
                None => end.to_string(),
            };
            self.cell.lane_broke(self.session.id, self.lane, &reason);
        }
    }

    async fn read(&self, recv: &mut RecvStream, mut reader: FrameReader) -> LaneEnd {
        loop {
            // One reading for all that has come together.
            let now = Instant::now();
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => {
                        if let Err(end) = self.take(frame, now) {
                            return end.into();
                        }
                    }
                    Ok(None) => break,
                    Err(end) => return end.into(),
                }
            }
            // A peer that floods must not keep the thread from everybody else.
            tokio::task::consume_budget().await;
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => return LaneEnd::Replaced,
                read = recv.read_chunk(READ_CHUNK_BYTES, true) => read,
            };
            match read {
                Ok(Some(chunk)) => reader.extend(&chunk.bytes),
                Ok(None) => {
                    return reader.finish().map_or_else(LaneEnd::from, |()| LaneEnd::Finished);
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Gives one frame to whom it concerns.
    fn take(&self, frame: Frame, now: Instant) -> Result<(), FrameError> {
        let peer = &self.session.peer;
        match frame {
            Frame::Tell(envelope) => {
                let (to, message) = (envelope.to.clone(), envelope.message.clone());
                if let Err(reason) = self.hub.inbound.tell(peer, envelope) {
                    tracing::debug!(peer = %peer.node, %to, %message, %reason, "tell not accepted");
                }
            }
            Frame::Ask { id, envelope } => self.take_ask(id, envelope, now),
            Frame::Reply { id, result } => self.cell.complete(self.session.id, id, result),
            Frame::Goodbye => self.session.goodbye_seen.store(true, Ordering::Relaxed),
            Frame::Hello(_)
            | Frame::HelloReply(_)
            | Frame::HelloRefused(_)
            | Frame::Bulk(_)
            | Frame::BulkReply(_)
            | Frame::Lane(_) => {
                return Err(FrameError::Unexpected { frame: frame.kind() });
            }
        }
        Ok(())
    }

    fn take_ask(&self, id: u64, envelope: Envelope, now: Instant) {
        let origin = Origin { lane: self.lane, generation: self.generation };
        let deadline = deadline_of(&envelope, now);
        if let Some(answer) = InboundAsks::begin(&self.session, origin, id, deadline) {
            self.hub.inbound.ask(&self.session.peer, envelope, answer);
        }
    }

    async fn write(&self, send: &mut SendStream, mut out: BytesMut) -> LaneEnd {
        let mut batch = Vec::new();
        let mut writer = FrameWriter::new();
        loop {
            self.session.take_replies(self.lane, self.generation, &mut out);
            if !self.cell.next_batch(self.session.id, self.lane, &mut batch) {
                return LaneEnd::Replaced;
            }
            for queued in batch.drain(..) {
                self.encode(&mut writer, &queued, &mut out);
            }
            if !out.is_empty() {
                // What is left of the buffer takes the next batch.
                let batch = out.split().freeze();
                if let Err(error) = send.write_chunk(batch).await {
                    return error.into();
                }
            } else if self.cell.is_drained(self.lane) {
                return self.say_goodbye(send).await;
            } else {
                self.session.woken(self.lane).await;
            }
        }
    }

    fn encode(&self, writer: &mut FrameWriter, queued: &Queued, out: &mut BytesMut) {
        let Queued { ask, envelope, .. } = queued;
        let Err(error) = writer.append_envelope(*ask, envelope, out) else { return };
        let Some(id) = *ask else {
            return tracing::warn!(peer = %self.cell.node, %error, "a tell cannot be sent");
        };
        let outcome = NotDelivered::NotUnderstood {
            path: envelope.to.to_string(),
            message: envelope.message.to_string(),
            reason: format!("cannot be sent: {error}"),
        };
        self.cell.complete(self.session.id, id, Err(outcome.into()));
    }

    /// The last frame, and proof that it arrived; then nothing more is written.
    async fn say_goodbye(&self, send: &mut SendStream) -> LaneEnd {
        let goodbye = Frame::Goodbye.to_bytes().expect("a word can be encoded");
        if let Err(error) = send.write_chunk(goodbye).await {
            return error.into();
        }
        // Fails only when the stream is closed already, which `stopped` tells as well.
        drop(send.finish());
        match send.stopped().await {
            Ok(_) => {
                self.session.goodbyes_sent.add_permits(1);
                LaneEnd::Write(self.session.connection.closed().await.into())
            }
            Err(_) => LaneEnd::Finished,
        }
    }
}

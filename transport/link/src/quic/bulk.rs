//! Bulk transfers over QUIC: a connection for each, from its hello to its end.
//!
//! ```text
//! opener    dials, one stream, a bulk hello (kind, header) ─────▶  acceptor
//!           ◀──── a reply: taken, or refused and why
//!           then plain bytes in both directions on that stream; each side finishes its own
//!           the opener closes the connection when it has done with both halves
//! ```

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_wire::NodeId;
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, StoppedError, WriteError};
use tokio::time::timeout;

use super::close_code::CloseCode;
use super::handshake::{Refusal, certified_name, identify, remote_addr};
use super::hub::{Hub, Seat};
use super::lane::read_frame;
use super::tls::server_name;
use super::transfers::Line;
use crate::bulk::{
    BULK_FEATURE, BulkError, BulkOpen, BulkRefusal, BulkSink, BulkSource, BulkStream, check_header,
};
use crate::contract::Peer;
use crate::frame::{Frame, FrameReader, UNPROVEN_FRAME_BYTES_MAX};
use crate::hello::{BulkHello, BulkReply, PROTOCOL_VERSIONS, common_features, newest_common};
use crate::limits::{BULK_LINGER, BULK_OPEN_MAX, BULK_OPEN_TIMEOUT, READ_CHUNK_BYTES};

/// One transfer; its connection ends when both halves are dropped.
struct Transfer {
    line: Arc<Line>,
    hub: Weak<Hub>,
    id: u64,
    is_opener: bool,
    /// Everything that the other side wrote was read.
    read_all: AtomicBool,
    /// Taken while the transfer lives, where transfers are counted.
    _seat: Option<Seat>,
}

impl Transfer {
    fn begin(hub: &Arc<Hub>, line: Arc<Line>, seat: Option<Seat>) -> Arc<Self> {
        let id = hub.transfers.keep(line.clone());
        if let Some(words) = hub.outdated(&line.connection, &line.tls) {
            line.end(CloseCode::Untrusted, words, "certificates changed while it was opened");
        }
        Arc::new(Self {
            line,
            hub: Arc::downgrade(hub),
            id,
            is_opener: seat.is_none(),
            read_all: AtomicBool::new(false),
            _seat: seat,
        })
    }

    fn close(&self) {
        let code = match self.read_all.load(Ordering::Relaxed) {
            true => CloseCode::BulkDone,
            false => CloseCode::BulkGivenUp,
        };
        self.line.connection.close(code.number(), b"the transfer has ended");
    }

    /// What the loss of the connection is to whoever reads or writes.
    fn cut(&self, cause: &ConnectionError) -> BulkError {
        match (cause, self.line.ended()) {
            (ConnectionError::ApplicationClosed(close), _)
                if CloseCode::from_number(close.error_code) == Some(CloseCode::BulkGivenUp) =>
            {
                given_up()
            }
            (ConnectionError::LocallyClosed, Some(why)) => {
                BulkError::Cut { reason: why.to_owned() }
            }
            (other, _) => BulkError::Cut { reason: other.to_string() },
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade() else { return self.close() };
        hub.transfers.forget(self.id);
        if self.is_opener {
            return self.close();
        }
        // The opener closes it. Our last words on the stream must not be lost before that.
        let connection = self.line.connection.clone();
        hub.tasks.spawn(async move {
            drop(timeout(BULK_LINGER, connection.closed()).await);
            connection.close(CloseCode::BulkDone.number(), b"the transfer has ended");
        });
    }
}

// ---- opening ------------------------------------------------------------------------------

/// Opens a transfer to a peer that is known; on the network thread.
pub(super) async fn open(
    hub: Arc<Hub>,
    node: NodeId,
    open: BulkOpen,
) -> Result<BulkStream, BulkError> {
    check_header(&open)?;
    let unreachable = |reason: String| BulkError::Unreachable { node: node.to_string(), reason };
    let cell = hub.cell(node).ok_or_else(|| unreachable("it is not known".to_owned()))?;
    let session = cell.session();
    if session.as_ref().is_some_and(|session| !session.peer.features.has(BULK_FEATURE)) {
        return Err(unreachable("it does not speak of bulk data".to_owned()));
    }
    // Where messages go is a good address, whatever was said before.
    let addrs = session.map(|session| session.peer.addr).into_iter().chain(cell.addrs());
    let mut failure = "it has no address".to_owned();
    for addr in addrs {
        match timeout(BULK_OPEN_TIMEOUT, open_at(&hub, addr, node, &open)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(Failure::Refused(why))) => {
                return Err(BulkError::Refused { node: node.to_string(), why });
            }
            Ok(Err(Failure::Unreachable(reason))) => failure = format!("{addr}: {reason}"),
            Err(_) => failure = format!("{addr}: no answer in time"),
        }
    }
    Err(unreachable(failure))
}

enum Failure {
    Unreachable(String),
    Refused(BulkRefusal),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Unreachable(error.to_string())
    }
}

async fn open_at(
    hub: &Arc<Hub>,
    addr: SocketAddr,
    node: NodeId,
    open: &BulkOpen,
) -> Result<BulkStream, Failure> {
    let refuse = |reason: &str| Failure::Unreachable(reason.to_owned());
    let endpoint = hub.endpoint().ok_or_else(|| refuse("the link is closed"))?;
    let (config, tls) = hub.client_config();
    let connecting = endpoint.connect_with(config, addr, &server_name(Some(node)))?;
    let connection = connecting.await?;
    if certified_name(&connection).is_none_or(|(name, _)| name.node() != node) {
        connection.close(CloseCode::HelloRefused.number(), b"another node was meant");
        return Err(refuse("another node answers there"));
    }
    let (mut send, mut recv) = connection.open_bi().await?;
    let hello = BulkHello {
        versions: PROTOCOL_VERSIONS.to_vec(),
        cluster: hub.cluster,
        node: hub.node,
        boot: hub.boot,
        features: vec![BULK_FEATURE.to_owned()],
        kind: open.kind.clone(),
        header: open.header.clone(),
    };
    send.write_chunk(Frame::Bulk(hello).to_bytes()?).await?;
    let mut reader = FrameReader::new(UNPROVEN_FRAME_BYTES_MAX);
    let reply = match read_frame(&mut recv, &mut reader).await {
        Ok(Frame::BulkReply(reply)) => reply,
        Ok(other) => return Err(refuse(&format!("{} frame instead of a reply", other.kind()))),
        Err(end) => match connection.close_reason() {
            Some(ConnectionError::ApplicationClosed(close)) => {
                return Err(refuse(&String::from_utf8_lossy(&close.reason)));
            }
            _ => return Err(end.into()),
        },
    };
    if let Some(why) = reply.refusal {
        connection.close(CloseCode::BulkDone.number(), b"refused");
        return Err(Failure::Refused(why));
    }
    let transfer = Transfer::begin(hub, Line::new(connection, tls), None);
    Ok(stream(hub, &transfer, send, recv, reader.into_rest()))
}

// ---- accepting ----------------------------------------------------------------------------

/// Takes a connection whose first frame was a bulk hello.
pub(super) async fn accept(
    hub: &Arc<Hub>,
    line: Arc<Line>,
    (mut send, recv): (SendStream, RecvStream),
    (hello, rest): (BulkHello, Bytes),
) -> Result<(), Refusal> {
    let connection = &line.connection;
    let refuse = |reason: &str| Refusal(CloseCode::HelloRefused, reason.to_owned());
    let version = newest_common(PROTOCOL_VERSIONS, &hello.versions)
        .ok_or_else(|| refuse("no common protocol version"))?;
    if hello.cluster.is_some() && hello.cluster != hub.cluster {
        return Err(refuse("this is another cluster"));
    }
    let (role, node) = identify(hub, connection, hello.boot);
    if node != hello.node || node == hub.node {
        return Err(refuse("the node id does not fit the certificate"));
    }
    let features = common_features(&hello.features);
    let addr = remote_addr(connection);
    let peer = Peer { node, role, boot: hello.boot, addr, version, features };
    let open = BulkOpen { kind: hello.kind, header: hello.header };
    let admitted = hub.acceptors.admit(&peer, &open).and_then(|acceptor| {
        let seat = hub.bulk_seat().ok_or(BulkRefusal::Busy { open: BULK_OPEN_MAX })?;
        Ok((acceptor, seat))
    });
    let refusal = admitted.as_ref().err().cloned();
    let reply = Frame::BulkReply(BulkReply { version, refusal }).to_bytes();
    let lost = |_| refuse("connection lost before the reply");
    send.write_chunk(reply.expect("a reply is small")).await.map_err(lost)?;
    match admitted {
        Ok((acceptor, seat)) => {
            let transfer = Transfer::begin(hub, line, Some(seat));
            let stream = stream(hub, &transfer, send, recv, rest);
            acceptor.accept(&peer, open.header, stream);
        }
        Err(why) => {
            tracing::warn!(peer = %node, %role, kind = %open.kind, %why, "bulk data refused");
            drop(send.finish());
            // The opener closes it when it has read why; whoever does not holds a place among the
            // half-open no longer than it takes to say so.
            let heard = async {
                tokio::select! {
                    biased;
                    heard = send.stopped() => drop(heard),
                    cause = connection.closed() => drop(cause),
                }
            };
            drop(timeout(BULK_LINGER, heard).await);
            connection.close(CloseCode::BulkDone.number(), b"refused");
        }
    }
    Ok(())
}

// ---- the halves ---------------------------------------------------------------------------

fn stream(
    hub: &Hub,
    transfer: &Arc<Transfer>,
    send: SendStream,
    recv: RecvStream,
    rest: Bytes,
) -> BulkStream {
    let sink = QuicSink { send, is_finished: false, transfer: transfer.clone() };
    let source = QuicSource { recv, rest, is_over: false, transfer: transfer.clone() };
    BulkStream::new(sink, source, hub.bulk_limiter.clone())
}

struct QuicSink {
    send: SendStream,
    is_finished: bool,
    transfer: Arc<Transfer>,
}

impl BulkSink for QuicSink {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BulkError>> {
        async move {
            self.send.write_chunk(chunk).await.map_err(|error| match error {
                WriteError::Stopped(_) => given_up(),
                WriteError::ConnectionLost(cause) => self.transfer.cut(&cause),
                WriteError::ClosedStream => BulkError::Finished,
                other => BulkError::Cut { reason: other.to_string() },
            })
        }
        .boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), BulkError>> {
        async move {
            self.send.finish().map_err(|_| BulkError::Finished)?;
            self.is_finished = true;
            match self.send.stopped().await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(given_up()),
                // It has read everything, and closed before its word of that left.
                Err(StoppedError::ConnectionLost(ConnectionError::ApplicationClosed(close)))
                    if CloseCode::from_number(close.error_code) == Some(CloseCode::BulkDone) =>
                {
                    Ok(())
                }
                Err(StoppedError::ConnectionLost(cause)) => Err(self.transfer.cut(&cause)),
                Err(other) => Err(BulkError::Cut { reason: other.to_string() }),
            }
        }
        .boxed()
    }
}

impl Drop for QuicSink {
    fn drop(&mut self) {
        if !self.is_finished {
            // Otherwise quinn would finish it, and half a file look like a whole one.
            drop(self.send.reset(CloseCode::BulkGivenUp.number()));
        }
    }
}

struct QuicSource {
    recv: RecvStream,
    /// What came together with the hello.
    rest: Bytes,
    is_over: bool,
    transfer: Arc<Transfer>,
}

impl BulkSource for QuicSource {
    fn read(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, BulkError>> {
        async move {
            if !self.rest.is_empty() {
                return Ok(Some(std::mem::take(&mut self.rest)));
            }
            match self.recv.read_chunk(READ_CHUNK_BYTES, true).await {
                Ok(Some(chunk)) => Ok(Some(chunk.bytes)),
                Ok(None) => {
                    self.is_over = true;
                    self.transfer.read_all.store(true, Ordering::Relaxed);
                    Ok(None)
                }
                Err(ReadError::Reset(_)) => Err(given_up()),
                Err(ReadError::ConnectionLost(cause)) => Err(self.transfer.cut(&cause)),
                Err(other) => Err(BulkError::Cut { reason: other.to_string() }),
            }
        }
        .boxed()
    }
}

impl Drop for QuicSource {
    fn drop(&mut self) {
        if !self.is_over {
            drop(self.recv.stop(CloseCode::BulkGivenUp.number()));
        }
    }
}

fn given_up() -> BulkError {
    BulkError::Cut { reason: "the other end gave it up".to_owned() }
}

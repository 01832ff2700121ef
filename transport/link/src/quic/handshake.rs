//! From a TLS connection to a session: the hello, on either side.

use std::net::SocketAddr;
use std::sync::Arc;

use gantry_wire::{BootId, NodeId, Role};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::bulk;
use super::cell::{Admission, PeerCell};
use super::close_code::CloseCode;
use super::hub::Hub;
use super::lane::{LaneEnd, read_frame};
use super::rivalry::Verdict;
use super::session::Session;
use super::tls::{Tls, server_name};
use super::transfers::Line;
use crate::contract::Peer;
use crate::frame::{Frame, FrameReader, UNPROVEN_FRAME_BYTES_MAX};
use crate::hello::{
    FEATURES, Hello, HelloReply, PROTOCOL_VERSIONS, common_features, derived_node_id, newest_common,
};
use crate::identity::{PeerName, peer_name_of};
use crate::limits::{DIAL_TIMEOUT, HELLO_TIMEOUT};

/// Why a peer could not be reached at one address.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
    /// There is no address to try.
    #[error("no address to dial")]
    NoAddress,
    /// The address cannot be dialed from this socket.
    #[error("cannot dial {addr}")]
    Address {
        /// The address.
        addr: SocketAddr,
        /// What is wrong with it.
        #[source]
        source: quinn::ConnectError,
    },
    /// Nobody answered in time.
    #[error("no answer from {addr} within {} ms", DIAL_TIMEOUT.as_millis())]
    Timeout {
        /// The address.
        addr: SocketAddr,
    },
    /// The connection failed, or one side refused the other's certificate.
    #[error("connection to {addr} failed")]
    Connection {
        /// The address.
        addr: SocketAddr,
        /// What QUIC or TLS said.
        #[source]
        source: ConnectionError,
    },
    /// The peer answered, and the hello came to nothing.
    #[error("hello with {addr} failed: {reason}")]
    Hello {
        /// The address.
        addr: SocketAddr,
        /// Why.
        reason: String,
    },
    /// Another connection to the same peer is used instead.
    #[error("another connection to {addr} is used instead")]
    Duplicate {
        /// The address.
        addr: SocketAddr,
    },
}

impl DialError {
    /// The error with its cause, on one line.
    pub(super) fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

/// Who is at the other end according to its certificate. `None`: it showed none.
pub(super) fn certified_name(
    connection: &Connection,
) -> Option<(PeerName, Vec<CertificateDer<'static>>)> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    // The verifier has read it before; a name that cannot be read is no name.
    let name = peer_name_of(chain.first()?).ok()?;
    Some((name, *chain))
}

// ---- the dialing side ---------------------------------------------------------------------

/// Dials one address. `expected` is the node that must be there, where that is known.
pub(super) async fn dial(
    hub: &Arc<Hub>,
    addr: SocketAddr,
    expected: Option<NodeId>,
) -> Result<Arc<Session>, DialError> {
    match timeout(DIAL_TIMEOUT, dial_patiently(hub, addr, expected)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(DialError::Timeout { addr }),
    }
}

async fn dial_patiently(
    hub: &Arc<Hub>,
    addr: SocketAddr,
    expected: Option<NodeId>,
) -> Result<Arc<Session>, DialError> {
    let endpoint = hub.endpoint().ok_or(DialError::Closed)?;
    let (config, tls) = hub.client_config();
    let connection = endpoint
        .connect_with(config, addr, &server_name(expected))
        .map_err(|source| DialError::Address { addr, source })?
        .await
        .map_err(|source| DialError::Connection { addr, source })?;
    let refuse = |reason: &str| {
        connection.close(CloseCode::HelloRefused.number(), reason.as_bytes());
        DialError::Hello { addr, reason: reason.to_owned() }
    };
    let (name, _) = certified_name(&connection).ok_or_else(|| refuse("no certificate"))?;
    let node = name.node();
    if node == hub.node {
        return Err(refuse("that is this node itself"));
    }
    let cell = hub.cell_or_new(node);
    let attempt = Attempt { cell: &cell, dial: hub.next_dial() };
    let accepted = cell.begin_dial(attempt.dial).map_err(|verdict| {
        let (code, reason) = refusal(verdict);
        connection.close(code.number(), reason.as_bytes());
        DialError::Duplicate { addr }
    })?;
    let hello = Hello {
        versions: PROTOCOL_VERSIONS.to_vec(),
        cluster: hub.cluster,
        node: hub.node,
        boot: hub.boot,
        features: FEATURES.iter().map(ToString::to_string).collect(),
        dial: attempt.dial,
        accepted,
    };
    let reply = exchange_hello(&connection, hello)
        .await
        .map_err(|end| hello_failure(addr, &connection, &end))?;
    if reply.node != node || reply.cluster != name.cluster {
        return Err(refuse("the hello does not fit the certificate"));
    }
    if !PROTOCOL_VERSIONS.contains(&reply.version) {
        return Err(refuse("the answer names a version that was not offered"));
    }
    let peer = Peer {
        node,
        role: name.role,
        boot: reply.boot,
        addr: remote_addr(&connection),
        version: reply.version,
        features: common_features(&reply.features),
    };
    let made = (connection.clone(), tls);
    let session = Arc::new(Session::new(hub.next_session(), peer, made, None));
    match cell.admit_dialed(attempt.dial, &session) {
        Admission::Admitted { replaced } => {
            hub.begin_session(&cell, &session, replaced.as_deref(), true);
            Ok(session)
        }
        Admission::Refused(verdict) => {
            let (code, reason) = refusal(verdict);
            connection.close(code.number(), reason.as_bytes());
            Err(DialError::Duplicate { addr })
        }
    }
}

/// A dial whose hello was sent; forgotten in any way, it does not count any more.
struct Attempt<'a> {
    cell: &'a PeerCell,
    dial: u64,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.cell.dial_failed(self.dial);
    }
}

async fn exchange_hello(connection: &Connection, hello: Hello) -> Result<HelloReply, LaneEnd> {
    let (mut send, mut recv) =
        connection.open_bi().await.map_err(quinn::WriteError::ConnectionLost)?;
    let bytes = Frame::Hello(hello).to_bytes().expect("a hello is small");
    send.write_chunk(bytes).await?;
    let mut reader = FrameReader::new(UNPROVEN_FRAME_BYTES_MAX);
    match read_frame(&mut recv, &mut reader).await? {
        Frame::HelloReply(reply) => Ok(reply),
        other => Err(crate::frame::FrameError::Unexpected { frame: other.kind() }.into()),
    }
}

/// The best word for why a hello came to nothing: what the peer said when it closed.
fn hello_failure(addr: SocketAddr, connection: &Connection, end: &LaneEnd) -> DialError {
    match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(close)) => {
            let reason = String::from_utf8_lossy(&close.reason).into_owned();
            match CloseCode::from_number(close.error_code) {
                Some(CloseCode::Duplicate) => DialError::Duplicate { addr },
                _ => DialError::Hello { addr, reason },
            }
        }
        Some(source) => DialError::Connection { addr, source },
        None => {
            connection.close(CloseCode::HelloRefused.number(), b"not a hello reply");
            DialError::Hello { addr, reason: end.to_string() }
        }
    }
}

// ---- the accepting side -------------------------------------------------------------------

/// Takes a connection that somebody began, up to its session.
pub(super) async fn accept(hub: Arc<Hub>, incoming: quinn::Incoming) {
    let (addr, tls) = (incoming.remote_address(), hub.tls());
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return tracing::debug!(%addr, %error, "connection refused"),
    };
    let connection = match timeout(HELLO_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::warn!(%addr, %error, "handshake failed"),
        Err(_) => return tracing::warn!(%addr, "handshake took too long"),
    };
    let greeted = match timeout(HELLO_TIMEOUT, first_frame(&connection)).await {
        Ok(Ok((Frame::Hello(hello), _, (send, _)))) => {
            accept_hello(&hub, (&connection, tls), send, hello).await
        }
        Ok(Ok((Frame::Bulk(hello), reader, streams))) => {
            let line = Line::new(connection.clone(), tls);
            bulk::accept(&hub, line, streams, (hello, reader.into_rest())).await
        }
        Ok(Ok((other, ..))) => {
            let reason = format!("{} frame instead of a hello", other.kind());
            Err(Refusal(CloseCode::HelloRefused, reason))
        }
        Ok(Err(refused)) => Err(refused),
        Err(_) => Err(Refusal(CloseCode::HelloTimeout, "no hello in time".to_owned())),
    };
    let Err(refused) = greeted else { return };
    tracing::warn!(%addr, reason = refused.1, "peer refused");
    connection.close(refused.0.number(), refused.1.as_bytes());
}

/// The code and the words with which a connection is closed.
pub(super) struct Refusal(pub(super) CloseCode, pub(super) String);

/// What the dialing side says first: what the connection is for.
async fn first_frame(
    connection: &Connection,
) -> Result<(Frame, FrameReader, (SendStream, RecvStream)), Refusal> {
    let lost = |_| Refusal(CloseCode::HelloRefused, "connection lost before the hello".to_owned());
    let (send, mut recv) = connection.accept_bi().await.map_err(lost)?;
    let mut reader = FrameReader::new(UNPROVEN_FRAME_BYTES_MAX);
    match read_frame(&mut recv, &mut reader).await {
        Ok(frame) => Ok((frame, reader, (send, recv))),
        Err(end) => Err(Refusal(CloseCode::BadFrame, format!("not a hello: {end}"))),
    }
}

async fn accept_hello(
    hub: &Arc<Hub>,
    (connection, tls): (&Connection, Arc<Tls>),
    mut send: SendStream,
    hello: Hello,
) -> Result<(), Refusal> {
    let refuse = |reason: String| Refusal(CloseCode::HelloRefused, reason);
    let version = newest_common(PROTOCOL_VERSIONS, &hello.versions).ok_or_else(|| {
        refuse(format!("no common protocol version: {PROTOCOL_VERSIONS:?}, {:?}", hello.versions))
    })?;
    let cluster = hub.cluster.ok_or_else(|| refuse("this end accepts nobody".to_owned()))?;
    if hello.cluster.is_some_and(|theirs| theirs != cluster) {
        return Err(refuse(format!("this is cluster {cluster}")));
    }
    let (role, node) = identify(hub, connection, hello.boot);
    if node != hello.node || node == hub.node {
        return Err(refuse("the node id does not fit the certificate".to_owned()));
    }
    let seat = hub.seat_for(role).ok_or_else(|| {
        Refusal(CloseCode::TooBusy, format!("too many peers of role {role} are connected"))
    })?;
    let features = common_features(&hello.features);
    let agreed = features.names().map(str::to_owned).collect();
    let addr = remote_addr(connection);
    let peer = Peer { node, role, boot: hello.boot, addr, version, features };
    let id = hub.next_session();
    let session = Arc::new(Session::new(id, peer, (connection.clone(), tls), Some(seat)));
    let cell = hub.cell_or_new(node);
    let replaced = match cell.admit_accepted(&hello, &session) {
        Admission::Admitted { replaced } => replaced,
        Admission::Refused(verdict) => {
            hub.retire(&cell, role);
            let (code, reason) = refusal(verdict);
            return Err(Refusal(code, reason.to_owned()));
        }
    };
    let (node, boot) = (hub.node, hub.boot);
    let reply = HelloReply { version, cluster, node, boot, features: agreed };
    hub.begin_session(&cell, &session, replaced.as_deref(), false);
    let bytes = Frame::HelloReply(reply).to_bytes().expect("a reply is small");
    // A failure ends the connection, which ends the session.
    drop(send.write_chunk(bytes).await);
    drop(send.finish());
    Ok(())
}

pub(super) fn identify(hub: &Hub, connection: &Connection, boot: BootId) -> (Role, NodeId) {
    match certified_name(connection) {
        Some((name, chain)) if name.is_node() => (hub.tls().role_of(&name, &chain), name.node()),
        Some((name, chain)) => {
            let own = chain.first().map(AsRef::as_ref);
            (name.role, derived_node_id(own, boot))
        }
        None => (Role::Joiner, derived_node_id(None, boot)),
    }
}

fn refusal(verdict: Verdict) -> (CloseCode, &'static str) {
    match verdict {
        Verdict::Stale => {
            (CloseCode::Superseded, "a newer process or connection has this identity")
        }
        Verdict::Duplicate | Verdict::Accept => {
            (CloseCode::Duplicate, "another connection is used instead")
        }
    }
}

/// As people write it, also where the socket serves both families.
pub(super) fn remote_addr(connection: &Connection) -> SocketAddr {
    let addr = connection.remote_address();
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

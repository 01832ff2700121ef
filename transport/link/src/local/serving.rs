//! One connection of a command, on the daemon's side.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::BytesMut;
use gantry_wire::{AskError, Envelope, NotDelivered, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::LocalCredentials;
use super::listener::Shared;
use crate::answer::{Answer, Stage, WayBack, expire, give_up};
use crate::asking::{AskResult, deadline_of};
use crate::contract::Peer;
use crate::frame::{
    FRAME_BYTES_MAX, Frame, FrameError, FrameReader, UNPROVEN_FRAME_BYTES_MAX, append_reply_bounded,
};
use crate::hello::{
    Hello, HelloRefused, HelloReply, PROTOCOL_VERSIONS, derived_node_id, newest_common,
};
use crate::limits::{
    ASK_GRACE, DEADLINE_TICK, HELLO_TIMEOUT, INBOUND_ASKS_PER_PEER_MAX, READ_CHUNK_BYTES,
    REPLY_QUEUE_BYTES_MAX,
};

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the command sent a bad frame")]
    Frame(#[from] FrameError),
    #[error("the connection failed")]
    Stream(#[from] std::io::Error),
    #[error("the command has ended")]
    Finished,
}

/// What becomes of one connection; never more than that of it.
pub(super) async fn serve(
    shared: Arc<Shared>,
    stream: UnixStream,
    who: LocalCredentials,
    verdict: Result<Role, String>,
) {
    let (mut read, mut write) = stream.into_split();
    let mut reader = FrameReader::new(UNPROVEN_FRAME_BYTES_MAX);
    let greeting = async {
        let role = match verdict {
            Ok(role) => role,
            Err(reason) => return refuse(&mut write, reason).await,
        };
        match next_frame(&mut read, &mut reader).await? {
            Frame::Hello(hello) => greet(&shared, &mut write, &hello, role).await,
            other => Err(FrameError::Unexpected { frame: other.kind() }.into()),
        }
    };
    let peer = match timeout(HELLO_TIMEOUT, greeting).await {
        Ok(Ok(Some(peer))) => peer,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return tracing::debug!(%who, %error, "no hello on the local socket"),
        Err(_) => return tracing::debug!(%who, "no hello in time on the local socket"),
    };
    // What has come with the hello is the beginning of the next frames.
    let mut frames = FrameReader::new(FRAME_BYTES_MAX);
    frames.extend(&reader.into_rest());
    let session = Arc::new(Session { shared, peer, state: Mutex::default(), wake: Notify::new() });
    let end = tokio::select! {
        biased;
        end = session.write(&mut write) => end,
        end = session.read(&mut read, frames) => end,
        () = session.keep_time() => return,
    };
    match end {
        End::Finished => {}
        error => tracing::debug!(%who, error = %gantry_wire::ErrorChain(&error),
            "a local connection ended"),
    }
}

async fn refuse(write: &mut OwnedWriteHalf, reason: String) -> Result<Option<Peer>, End> {
    let refused = Frame::HelloRefused(HelloRefused { reason });
    write.write_all(&refused.to_bytes().expect("a text can be encoded")).await?;
    Ok(None)
}

async fn greet(
    shared: &Shared,
    write: &mut OwnedWriteHalf,
    hello: &Hello,
    role: Role,
) -> Result<Option<Peer>, End> {
    let Some(version) = newest_common(PROTOCOL_VERSIONS, &hello.versions) else {
        let theirs = &hello.versions;
        let reason = format!("no common protocol version: {PROTOCOL_VERSIONS:?}, {theirs:?}");
        return refuse(write, reason).await;
    };
    let (cluster, node, boot) = (shared.cluster, shared.node, shared.boot);
    let reply = HelloReply { version, cluster, node, boot, features: Vec::new() };
    let reply = Frame::HelloReply(reply).to_bytes().expect("a reply is small");
    write.write_all(&reply).await?;
    let peer = Peer {
        // Made here, so that no command can pose as a node.
        node: derived_node_id(Some(b"local"), hello.boot),
        role,
        boot: hello.boot,
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        version,
        features: std::iter::empty().collect(),
    };
    Ok(Some(peer))
}

async fn next_frame(read: &mut OwnedReadHalf, reader: &mut FrameReader) -> Result<Frame, End> {
    loop {
        if let Some(frame) = reader.next_frame()? {
            return Ok(frame);
        }
        let mut buffer = [0; 4096];
        match read.read(&mut buffer).await? {
            0 => return Err(End::Finished),
            n => reader.extend(&buffer[..n]),
        }
    }
}

/// A connection that has had its hello.
struct Session {
    shared: Arc<Shared>,
    peer: Peer,
    state: Mutex<State>,
    /// There is something to write.
    wake: Notify,
}

#[derive(Default)]
struct State {
    asks: BTreeMap<u64, Arc<LocalAsk>>,
    replies: BytesMut,
}

/// An ask that is worked on.
struct LocalAsk {
    stage: Stage,
    session: Weak<Session>,
    id: u64,
    deadline: Instant,
}

impl WayBack for LocalAsk {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn put(&self, result: AskResult) {
        // Without a session nobody can be told.
        if let Some(session) = self.session.upgrade() {
            session.reply(self.id, result);
        }
    }

    fn forget(&self) {
        if let Some(session) = self.session.upgrade() {
            drop(session.lock().asks.remove(&self.id));
        }
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self, id: u64, result: AskResult) {
        let mut state = self.lock();
        let ended = state.asks.remove(&id);
        append_reply_bounded(id, result, REPLY_QUEUE_BYTES_MAX, &mut state.replies);
        drop(state);
        drop(ended);
        self.wake.notify_one();
    }

    async fn read(self: &Arc<Self>, read: &mut OwnedReadHalf, mut frames: FrameReader) -> End {
        let mut buffer = vec![0; READ_CHUNK_BYTES];
        loop {
            let now = Instant::now();
            loop {
                match frames.next_frame() {
                    Ok(Some(frame)) => {
                        if let Err(error) = self.take(frame, now) {
                            return error.into();
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return error.into(),
                }
            }
            // A command that floods must not keep the thread from everybody else.
            tokio::task::consume_budget().await;
            match read.read(&mut buffer).await {
                Ok(0) => return frames.finish().map_or_else(End::from, |()| End::Finished),
                Ok(n) => frames.extend(&buffer[..n]),
                Err(error) => return error.into(),
            }
        }
    }

    fn take(self: &Arc<Self>, frame: Frame, now: Instant) -> Result<(), FrameError> {
        match frame {
            Frame::Tell(envelope) => {
                let (to, message) = (envelope.to.clone(), envelope.message.clone());
                if let Err(reason) = self.shared.inbound.tell(&self.peer, envelope) {
                    tracing::debug!(%to, %message, %reason, "local tell not accepted");
                }
                Ok(())
            }
            Frame::Ask { id, envelope } => {
                self.take_ask(id, envelope, now);
                Ok(())
            }
            other => Err(FrameError::Unexpected { frame: other.kind() }),
        }
    }

    fn take_ask(self: &Arc<Self>, id: u64, envelope: Envelope, now: Instant) {
        let (session, deadline) = (Arc::downgrade(self), deadline_of(&envelope, now));
        let ask = Arc::new(LocalAsk { stage: Stage::default(), session, id, deadline });
        let mut state = self.lock();
        let n_asks = state.asks.len();
        let is_taken = n_asks < INBOUND_ASKS_PER_PEER_MAX && !state.asks.contains_key(&id);
        if is_taken {
            state.asks.insert(id, ask.clone());
        } else {
            let full = format!("the link ({n_asks} asks of this command are being worked on)");
            let refusal = AskError::from(NotDelivered::MailboxFull(full));
            append_reply_bounded(id, Err(refusal), REPLY_QUEUE_BYTES_MAX, &mut state.replies);
        }
        drop(state);
        match is_taken {
            true => self.shared.inbound.ask(&self.peer, envelope, Answer::new(ask)),
            false => self.wake.notify_one(),
        }
    }

    async fn write(&self, write: &mut OwnedWriteHalf) -> End {
        loop {
            let batch = std::mem::take(&mut self.lock().replies);
            if batch.is_empty() {
                self.wake.notified().await;
            } else if let Err(error) = write.write_all(&batch).await {
                return error.into();
            }
        }
    }

    /// Looks at the deadlines of the asks, all of them together. Never ends.
    async fn keep_time(&self) {
        loop {
            sleep(DEADLINE_TICK).await;
            let now = Instant::now();
            let late: Vec<Arc<LocalAsk>> = {
                let state = self.lock();
                state.asks.values().filter(|ask| ask.deadline <= now).cloned().collect()
            };
            for ask in late {
                if ask.deadline + ASK_GRACE <= now {
                    give_up(ask.as_ref());
                } else {
                    expire(ask.as_ref());
                }
            }
        }
    }
}

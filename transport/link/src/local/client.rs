//! A command's side: one connection to the daemon of this machine.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_wire::{AskError, BootId, Envelope, NotDelivered};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::fits;
use crate::asking::{AskBook, AskResult, AtDeadline, WaitingAsk, deadline_of};
use crate::frame::{FRAME_BYTES_MAX, Frame, FrameReader, FrameWriter, UNPROVEN_FRAME_BYTES_MAX};
use crate::hello::{Hello, HelloReply, PROTOCOL_VERSIONS, derived_node_id};
use crate::limits::{ASKS_PER_PEER_MAX, READ_CHUNK_BYTES, SEND_QUEUE_BYTES_MAX};

/// Why there is no connection to the daemon of this machine.
#[derive(Debug, thiserror::Error)]
pub enum LocalDialError {
    /// Nobody listens there: there is no socket, or its daemon is gone.
    #[error("nobody listens on {}", path.display())]
    Absent {
        /// The socket.
        path: PathBuf,
    },
    /// The system does not let this user connect, or has no room for another connection.
    #[error("cannot use the socket {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The daemon refused this process.
    #[error("the daemon on {} refused: {reason}", path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The daemon did not answer, ended meanwhile, or said something else than a hello.
    #[error("no hello on {}: {reason}", path.display())]
    NoHello {
        /// The socket.
        path: PathBuf,
        /// What was noticed.
        reason: String,
    },
}

/// A connection to the daemon of this machine. Dropped, it ends.
pub struct LocalClient {
    path: PathBuf,
    daemon_pid: Option<u32>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    writer: Option<FrameWriter>,
    out: BytesMut,
    asks: BTreeMap<u64, oneshot::Sender<AskResult>>,
    last_id: u64,
    /// Why there is no connection any more.
    lost: Option<String>,
}

impl LocalClient {
    /// Connects and waits for the daemon's hello, at most for `patience`. The connection lives on
    /// the event loop of the caller.
    ///
    /// # Errors
    /// When nobody listens, or the daemon refuses or does not answer.
    pub async fn connect(
        path: &Path,
        boot: BootId,
        patience: Duration,
    ) -> Result<Self, LocalDialError> {
        let no_hello = |reason: String| LocalDialError::NoHello { path: path.to_owned(), reason };
        let (stream, rest) = timeout(patience, dial(path, boot))
            .await
            .map_err(|_| no_hello(format!("none within {} ms", patience.as_millis())))??;
        let pid = stream.peer_cred().ok().and_then(|cred| cred.pid());
        let daemon_pid = pid.and_then(|pid| u32::try_from(pid).ok());
        let shared = Arc::new(Shared::default());
        shared.lock().writer = Some(FrameWriter::new());
        let task = tokio::spawn(run(shared.clone(), stream, rest));
        Ok(Self { path: path.to_owned(), daemon_pid, shared, task })
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that listens, as the kernel knows it: whoever bound the socket.
    #[must_use]
    pub fn daemon_pid(&self) -> Option<u32> {
        self.daemon_pid
    }

    /// Whether the connection stands, as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.lock().lost.is_none()
    }

    /// Sends a message and waits for the encoded reply, at most until its deadline. It is queued by
    /// this call.
    pub fn ask(&self, envelope: &Envelope) -> BoxFuture<'static, Result<Bytes, AskError>> {
        match begin_ask(&self.shared, envelope) {
            Ok(waiting) => waiting.outcome().boxed(),
            Err(refusal) => std::future::ready(Err(refusal.into())).boxed(),
        }
    }
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.lose("the connection was closed");
    }
}

async fn dial(path: &Path, boot: BootId) -> Result<(UnixStream, Bytes), LocalDialError> {
    let absent = || LocalDialError::Absent { path: path.to_owned() };
    let no_hello = |reason: String| LocalDialError::NoHello { path: path.to_owned(), reason };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::ConnectionRefused => absent(),
        // A daemon that ends leaves those behind that it has not accepted yet.
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => no_hello(source.to_string()),
        _ => LocalDialError::Socket { path: path.to_owned(), source },
    };
    if !fits(path) {
        return Err(absent());
    }
    let mut stream = UnixStream::connect(path).await.map_err(failed)?;
    let hello = Hello {
        versions: PROTOCOL_VERSIONS.to_vec(),
        cluster: None,
        node: derived_node_id(Some(b"local"), boot),
        boot,
        features: Vec::new(),
        dial: 1,
        accepted: None,
    };
    let hello = Frame::Hello(hello).to_bytes().expect("a hello is small");
    // Who is refused is told so without having been listened to: the answer says more than this.
    let sent = stream.write_all(&hello).await;
    let mut reader = FrameReader::new(UNPROVEN_FRAME_BYTES_MAX);
    loop {
        match reader.next_frame().map_err(|error| no_hello(error.to_string()))? {
            Some(Frame::HelloReply(HelloReply { version, .. }))
                if PROTOCOL_VERSIONS.contains(&version) =>
            {
                return Ok((stream, reader.into_rest()));
            }
            Some(Frame::HelloRefused(refused)) => {
                let reason = refused.reason;
                return Err(LocalDialError::Refused { path: path.to_owned(), reason });
            }
            Some(other) => return Err(no_hello(format!("a {} instead", other.kind()))),
            None => {}
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) => return Err(no_hello("the daemon closed the connection".to_owned())),
            Ok(n) => reader.extend(&buffer[..n]),
            // A daemon that is killed has not read what was sent.
            Err(error) => return Err(no_hello(sent.err().unwrap_or(error).to_string())),
        }
    }
}

fn begin_ask(shared: &Arc<Shared>, envelope: &Envelope) -> Result<WaitingAsk, NotDelivered> {
    let deadline = deadline_of(envelope, Instant::now());
    let (tell, outcome) = oneshot::channel();
    let mut state = shared.lock();
    if let Some(reason) = &state.lost {
        let (node, reason) = ("of this machine".to_owned(), reason.clone());
        return Err(NotDelivered::Unreachable { node, reason });
    }
    if state.asks.len() >= ASKS_PER_PEER_MAX || state.out.len() >= SEND_QUEUE_BYTES_MAX {
        return Err(NotDelivered::MailboxFull("the local connection".to_owned()));
    }
    let State { writer, out, asks, last_id, .. } = &mut *state;
    let id = *last_id + 1;
    let writer = writer.get_or_insert_with(FrameWriter::new);
    writer.append_envelope(Some(id), envelope, out).map_err(|error| {
        NotDelivered::NotUnderstood {
            path: envelope.to.to_string(),
            message: envelope.message.to_string(),
            reason: format!("cannot be sent: {error}"),
        }
    })?;
    *last_id = id;
    asks.insert(id, tell);
    drop(state);
    shared.wake.notify_one();
    Ok(WaitingAsk { book: shared.clone(), id, outcome, deadline })
}

impl AskBook for Shared {
    fn at_deadline(&self, _id: u64) -> AtDeadline {
        // Bytes are on their way to the kernel from the moment they are queued.
        AtDeadline::Sent
    }

    fn abandon(&self, id: u64) {
        drop(self.lock().asks.remove(&id));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is no connection any more; nobody knows what became of what was asked.
    fn lose(&self, reason: &str) {
        let mut state = self.lock();
        state.lost.get_or_insert_with(|| reason.to_owned());
        let asks = std::mem::take(&mut state.asks);
        drop(state);
        for tell in asks.into_values() {
            // Who asked may have stopped waiting.
            drop(tell.send(Err(AskError::Unknown(reason.to_owned()))));
        }
    }

    async fn write(&self, write: &mut OwnedWriteHalf) -> String {
        loop {
            let batch = std::mem::take(&mut self.lock().out);
            if batch.is_empty() {
                self.wake.notified().await;
            } else if let Err(error) = write.write_all(&batch).await {
                return format!("writing to the daemon failed: {error}");
            }
        }
    }

    async fn read(&self, read: &mut OwnedReadHalf, rest: &[u8]) -> String {
        let mut frames = FrameReader::new(FRAME_BYTES_MAX);
        frames.extend(rest);
        let mut buffer = vec![0; READ_CHUNK_BYTES];
        loop {
            match frames.next_frame() {
                Ok(Some(Frame::Reply { id, result })) => {
                    if let Some(tell) = self.lock().asks.remove(&id) {
                        drop(tell.send(result));
                    }
                    continue;
                }
                Ok(Some(other)) => return format!("the daemon sent a {}", other.kind()),
                Ok(None) => {}
                Err(error) => return format!("the daemon sent a bad frame: {error}"),
            }
            match read.read(&mut buffer).await {
                Ok(0) => return "the daemon closed the connection".to_owned(),
                Ok(n) => frames.extend(&buffer[..n]),
                Err(error) => return format!("reading from the daemon failed: {error}"),
            }
        }
    }
}

async fn run(shared: Arc<Shared>, stream: UnixStream, rest: Bytes) {
    let (mut read, mut write) = stream.into_split();
    let reason = tokio::select! {
        biased;
        reason = shared.read(&mut read, &rest) => reason,
        reason = shared.write(&mut write) => reason,
    };
    shared.lose(&reason);
}

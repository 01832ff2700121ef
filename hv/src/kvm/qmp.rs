//! A client of QEMU's machine protocol: JSON objects, one per line.
//!
//! One task owns the connection; requests are matched to answers by id, events go to a channel.
//! Tolerant: unknown fields, events and versions pass. Strict: a line that is too long, or not
//! JSON, ends the connection with an error that every waiting request gets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// Longest line taken. The longest answer that we ask for has under 10 KiB (`query-qmp-schema`
/// would have 200 KiB). Lower would cut such; higher lets a QEMU gone mad take that much of our
/// memory.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Most requests that wait to be written. Each of our few callers waits for its answer.
const REQUESTS_MAX: usize = 16;

/// Most events that wait to be taken; then reading pauses, so that QEMU waits, not our memory.
const EVENTS_MAX: usize = 256;

/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// Why QEMU did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    /// Nobody listens.
    #[error("could not connect to {path}: {reason}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The answer did not come in time.
    #[error("no answer to {what} in {timeout:?}")]
    TimedOut {
        /// What was awaited.
        what: String,
        /// For how long.
        timeout: Duration,
    },
    /// QEMU refused.
    #[error("qemu says {class}: {description}")]
    Refused {
        /// Its class of error.
        class: String,
        /// Its words.
        description: String,
    },
    /// QEMU said something that is not the protocol.
    #[error("not the machine protocol: {reason}")]
    Garbage {
        /// What is wrong with it.
        reason: String,
    },
    /// The connection has ended.
    #[error("connection to the monitor ended: {reason}")]
    Closed {
        /// How.
        reason: String,
    },
}

/// Something that happened in QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QmpEvent {
    /// Its name, such as `SHUTDOWN`.
    pub name: String,
    /// What it says; null if nothing.
    pub data: Value,
}

impl QmpEvent {
    /// A field of its data that is true.
    #[must_use]
    pub fn flag(&self, field: &str) -> bool {
        self.data.get(field).and_then(Value::as_bool).unwrap_or(false)
    }
}

type Answer = Result<Value, QmpError>;

struct Request {
    command: &'static str,
    arguments: Option<Value>,
    answer: oneshot::Sender<Answer>,
}

/// A connection to one QEMU; clones share it, and it ends with the last of them.
#[derive(Clone, Debug)]
pub struct QmpClient {
    requests: mpsc::Sender<Request>,
    ended: Arc<OnceLock<QmpError>>,
}

impl QmpClient {
    /// Connects, takes the greeting and asks for command mode. Events are given to the receiver;
    /// while it is full no answers come, and once it is dropped events are dropped too.
    ///
    /// # Errors
    /// When nobody listens, the time passes or the other side does not speak the protocol.
    pub async fn connect(
        path: &Path,
        timeout: Duration,
    ) -> Result<(Self, mpsc::Receiver<QmpEvent>), QmpError> {
        let what = "the greeting".to_owned();
        tokio::time::timeout(timeout, Self::handshake(path, timeout))
            .await
            .unwrap_or(Err(QmpError::TimedOut { what, timeout }))
    }

    async fn handshake(
        path: &Path,
        timeout: Duration,
    ) -> Result<(Self, mpsc::Receiver<QmpEvent>), QmpError> {
        let refused = |error: std::io::Error| QmpError::Connect {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let mut wire = Wire::new(UnixStream::connect(path).await.map_err(refused)?);
        let greeting = wire.next().await?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::Garbage { reason: "no greeting".into() });
        }
        let (request_sender, requests) = mpsc::channel(REQUESTS_MAX);
        let (events, event_receiver) = mpsc::channel(EVENTS_MAX);
        let ended = Arc::new(OnceLock::new());
        let task = Task { wire, requests, events, pending: BTreeMap::new(), next_id: 1 };
        let client = Self { requests: request_sender, ended: Arc::clone(&ended) };
        tokio::spawn(task.run(ended));
        client.execute("qmp_capabilities", None, timeout).await?;
        Ok((client, event_receiver))
    }

    /// Executes a command and gives what it returns.
    ///
    /// # Errors
    /// When QEMU refuses, the time passes or the connection ends.
    pub async fn execute(
        &self,
        command: &'static str,
        arguments: Option<Value>,
        timeout: Duration,
    ) -> Answer {
        tracing::debug!(command, "qmp command");
        let (answer, answered) = oneshot::channel();
        let request = Request { command, arguments, answer };
        let exchange = async {
            self.requests.send(request).await.map_err(|_| self.why_ended())?;
            answered.await.map_err(|_| self.why_ended())?
        };
        let what = command.to_owned();
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or(Err(QmpError::TimedOut { what, timeout }))
    }

    /// What QEMU says of its virtual machine: `running`, `paused`, `prelaunch`, …
    ///
    /// # Errors
    /// As [`QmpClient::execute`].
    pub async fn run_state(&self, timeout: Duration) -> Result<String, QmpError> {
        let status = self.execute("query-status", None, timeout).await?;
        status
            .get("status")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| QmpError::Garbage { reason: "query-status without a status".into() })
    }

    fn why_ended(&self) -> QmpError {
        let unsaid = || QmpError::Closed { reason: "its task is gone".into() };
        self.ended.get().cloned().unwrap_or_else(unsaid)
    }
}

/// Lines of JSON over a socket.
struct Wire {
    socket: UnixStream,
    lines: Lines,
}

impl Wire {
    fn new(socket: UnixStream) -> Self {
        Self { socket, lines: Lines::default() }
    }

    /// The next line. Cancel-safe: what was read stays.
    async fn next(&mut self) -> Answer {
        loop {
            if let Some(line) = self.lines.take()? {
                return Ok(line);
            }
            let mut piece = [0; READ_BYTES];
            let n_bytes = self.socket.read(&mut piece).await.map_err(closed)?;
            if n_bytes == 0 {
                return Err(QmpError::Closed { reason: "qemu closed it".into() });
            }
            self.lines.received.extend_from_slice(&piece[..n_bytes]);
        }
    }

    async fn send(&mut self, message: &Value) -> Result<(), QmpError> {
        let line = format!("{message}\n");
        self.socket.write_all(line.as_bytes()).await.map_err(closed)
    }
}

/// Makes lines out of bytes as they come.
#[derive(Default)]
struct Lines {
    received: Vec<u8>,
    /// No line ends before here.
    searched: usize,
}

impl Lines {
    fn take(&mut self) -> Result<Option<Value>, QmpError> {
        loop {
            let end = self.received[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(end) = end.map(|end| self.searched + end) else {
                self.searched = self.received.len();
                if self.searched > LINE_BYTES_MAX {
                    let reason = format!("a line of more than {LINE_BYTES_MAX} bytes");
                    return Err(QmpError::Garbage { reason });
                }
                return Ok(None);
            };
            let line: Vec<u8> = self.received.drain(..=end).collect();
            self.searched = 0;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return match serde_json::from_slice(&line) {
                Ok(value @ Value::Object(_)) => Ok(Some(value)),
                Ok(_) => Err(QmpError::Garbage { reason: "a line that is no object".into() }),
                Err(error) => Err(QmpError::Garbage { reason: error.to_string() }),
            };
        }
    }
}

fn closed(error: std::io::Error) -> QmpError {
    QmpError::Closed { reason: error.to_string() }
}

/// The owner of a connection.
struct Task {
    wire: Wire,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Sender<QmpEvent>,
    pending: BTreeMap<u64, oneshot::Sender<Answer>>,
    next_id: u64,
}

impl Task {
    async fn run(mut self, ended: Arc<OnceLock<QmpError>>) {
        let reason = loop {
            let step = tokio::select! {
                biased;
                line = self.wire.next() => match line {
                    Ok(line) => self.take(line).await,
                    Err(error) => Err(error),
                },
                request = self.requests.recv() => match request {
                    Some(request) => self.ask(request).await,
                    None => Err(QmpError::Closed { reason: "nobody uses it any more".into() }),
                },
            };
            if let Err(error) = step {
                break error;
            }
        };
        // Set before the requests are dropped: who waits for them reads it then.
        ended.get_or_init(|| reason.clone());
        for (_, answer) in std::mem::take(&mut self.pending) {
            let _given_up = answer.send(Err(reason.clone()));
        }
    }

    async fn ask(&mut self, request: Request) -> Result<(), QmpError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "execute": request.command, "id": id });
        if let Some(arguments) = request.arguments {
            message["arguments"] = arguments;
        }
        // Those who gave up would otherwise gather for ever when QEMU never answers.
        self.pending.retain(|_, answer| !answer.is_closed());
        self.pending.insert(id, request.answer);
        self.wire.send(&message).await
    }

    async fn take(&mut self, mut line: Value) -> Result<(), QmpError> {
        if let Some(name) = line.get("event").and_then(Value::as_str) {
            let event = QmpEvent { name: name.to_owned(), data: line["data"].take() };
            let _nobody_listens = self.events.send(event).await;
            return Ok(());
        }
        let id = line.get("id").and_then(Value::as_u64);
        let answer = if line.get("return").is_some() {
            Ok(line["return"].take())
        } else if let Some(error) = line.get("error") {
            Err(refusal(error))
        } else {
            // Neither event nor answer: something newer than we know.
            return Ok(());
        };
        match (id.and_then(|id| self.pending.remove(&id)), answer) {
            (Some(waiting), answer) => {
                let _given_up = waiting.send(answer);
                Ok(())
            }
            // QEMU answers without an id when it could not even parse what we sent.
            (None, Err(error)) if id.is_none() => Err(error),
            // An answer to one who gave up waiting.
            (None, _) => Ok(()),
        }
    }
}

fn refusal(error: &Value) -> QmpError {
    let text =
        |field: &str| error.get(field).and_then(Value::as_str).unwrap_or("(nothing)").to_owned();
    QmpError::Refused { class: text("class"), description: text("desc") }
}

#[cfg(test)]
#[path = "qmp_fuzz.rs"]
mod fuzz;
#[cfg(test)]
#[path = "qmp_tests.rs"]
mod tests;

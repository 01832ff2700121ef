//! Sockets at which test delays wait (C33): whoever connects and sends a byte, or closes the
//! connection, ends the wait.
//!
//! A listener is made when the delay is decided, so that it is there before the log of the job
//! names it; the delay takes it. One that is gone meanwhile, with the daemon that had it, is made
//! again at the same place. Deliberately absent: who wants the delay, and what follows from its
//! end.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::node_calls::{CallOutcome, DelaySocket};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixListener;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// How long a listener waits for its delay. The delay comes when its job is in the log, within
/// milliseconds. Lower makes a slow leader's delay bind its socket a second time; higher only keeps
/// what was asked for in vain, such as by `--plan`, for longer.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// Only its owner comes into the directory of a socket.
const DIRECTORY_MODE: u32 = 0o700;

/// The listeners that no delay has taken yet, by path.
#[derive(Default)]
pub(crate) struct DelaySockets(Mutex<BTreeMap<String, Waiting>>);

struct Waiting {
    listener: UnixListener,
    since: Instant,
}

impl DelaySockets {
    /// Makes a socket; `id` makes its path its own.
    pub(crate) fn open(&self, id: Uuid) -> Result<String, Fault> {
        // Short, because the path of a socket has at most 108 bytes.
        let directory = std::env::temp_dir().join(format!("gantry-delay-{}", id.simple()));
        let path = directory.join("sock").to_string_lossy().into_owned();
        let listener = bind(&path)?;
        self.drop_unused();
        self.put(path.clone(), listener);
        Ok(path)
    }

    /// Waits for so long, or until somebody cuts it short.
    pub(crate) async fn wait(
        &self,
        socket: &DelaySocket,
        duration: Duration,
    ) -> Result<CallOutcome, Fault> {
        let begun = Instant::now();
        let end = begun + duration;
        let taken = self.lock().remove(&socket.path);
        let listener = taken.map_or_else(|| bind(&socket.path), |waiting| Ok(waiting.listener))?;
        let accepted = timeout_at(end, listener.accept()).await;
        let Ok(accepted) = accepted else {
            match socket.keep {
                true => self.put(socket.path.clone(), listener),
                false => unbind(&socket.path),
            }
            return Ok(CallOutcome::default());
        };
        let attempted = format!("accept a connection at {}", socket.path);
        let (mut connection, _) = accepted.map_err(|error| fault(&attempted, &error))?;
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        let mut notes = vec![format!("Received connection, time to go is {left}")];
        // Data or the end of the connection, which is what programs that crash leave.
        let interrupted = timeout_at(end, connection.read(&mut [0])).await.is_ok();
        if interrupted {
            let waited = begun.elapsed().as_secs();
            notes.push(format!("Interrupted, time spent waiting: {waited}"));
        }
        match socket.keep && !interrupted {
            true => self.put(socket.path.clone(), listener),
            false => unbind(&socket.path),
        }
        Ok(CallOutcome { notes, interrupted })
    }

    fn put(&self, path: String, listener: UnixListener) {
        self.lock().insert(path, Waiting { listener, since: Instant::now() });
    }

    fn drop_unused(&self) {
        self.lock().retain(|path, waiting| {
            let used = waiting.since.elapsed() < UNUSED_MAX;
            if !used {
                unbind(path);
            }
            used
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the daemon its listeners go.
impl Drop for DelaySockets {
    fn drop(&mut self) {
        self.lock().keys().for_each(|path| unbind(path));
    }
}

fn fault(attempted: &str, error: &io::Error) -> Fault {
    Fault::from_error(FaultCode::EnvironmentError, attempted, error)
}

fn bind(path: &str) -> Result<UnixListener, Fault> {
    let attempted = format!("make the socket {path}");
    // What a daemon left that has died.
    unbind(path);
    let made = match Path::new(path).parent() {
        Some(directory) => std::fs::DirBuilder::new().mode(DIRECTORY_MODE).create(directory),
        None => Ok(()),
    };
    made.and_then(|()| UnixListener::bind(path)).map_err(|error| fault(&attempted, &error))
}

fn unbind(path: &str) {
    for gone in [std::fs::remove_file(path), remove_parent(path)] {
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path, %error, "the socket of a delay stays behind");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn remove_parent(path: &str) -> io::Result<()> {
    Path::new(path).parent().map_or(Ok(()), std::fs::remove_dir)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    /// Another one each time, also in tests that run beside each other.
    fn id() -> Uuid {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u64_pair(std::process::id().into(), next.into())
    }

    fn at(path: &str, keep: bool) -> DelaySocket {
        DelaySocket { path: path.to_owned(), keep }
    }

    fn exists(path: &str) -> bool {
        Path::new(path).parent().is_some_and(Path::exists)
    }

    // covers: C33
    #[tokio::test]
    async fn a_byte_or_the_end_of_the_connection_ends_the_wait() {
        for sends in [true, false] {
            let sockets = DelaySockets::default();
            let path = sockets.open(id()).expect("a socket");
            let mut connection = UnixStream::connect(&path).expect("it listens before the wait");
            if sends {
                connection.write_all(b"x").expect("somebody reads");
            } else {
                drop(connection);
            }
            let outcome = sockets.wait(&at(&path, true), LONG).await.expect("waits");
            assert!(outcome.interrupted && outcome.notes.len() == 2, "{outcome:?}");
            assert!(!exists(&path));
        }
    }

    // covers: C33
    #[tokio::test]
    async fn who_connects_and_says_nothing_ends_nothing() {
        let sockets = DelaySockets::default();
        let path = sockets.open(id()).expect("a socket");
        let connection = UnixStream::connect(&path).expect("connects");
        let short = Duration::from_millis(20);
        let outcome = sockets.wait(&at(&path, true), short).await.expect("waits");
        assert_eq!(outcome.notes, ["Received connection, time to go is 0"]);
        assert!(!outcome.interrupted && exists(&path));
        drop(connection);
        assert_eq!(sockets.wait(&at(&path, false), short).await, Ok(CallOutcome::default()));
        assert!(!exists(&path));
    }

    #[tokio::test]
    async fn a_socket_that_went_with_the_daemon_is_made_again_at_its_place() {
        let path = DelaySockets::default().open(id()).expect("a socket");
        assert!(!exists(&path));
        let sockets = DelaySockets::default();
        let place = at(&path, false);
        let wait = sockets.wait(&place, LONG);
        let interrupt = async {
            let mut connection = loop {
                match UnixStream::connect(&path) {
                    Ok(connection) => break connection,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            connection.write_all(b"x").expect("somebody reads");
        };
        let (outcome, ()) = tokio::join!(wait, interrupt);
        assert!(outcome.expect("waits").interrupted);
    }

    #[tokio::test]
    async fn what_was_asked_for_in_vain_goes() {
        let sockets = DelaySockets::default();
        let old = sockets.open(id()).expect("a socket");
        tokio::time::pause();
        tokio::time::advance(UNUSED_MAX).await;
        let new = sockets.open(id()).expect("a socket");
        assert!(!exists(&old) && exists(&new));
        drop(sockets);
        assert!(!exists(&new));
    }
}

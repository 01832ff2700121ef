//! The daemon's side: the socket, and who is let in.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gantry_wire::{BootId, NodeId};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::serving::serve;
use super::{LocalCredentials, LocalGate, fits};
use crate::contract::Inbound;
use crate::identity::ClusterUuid;
use crate::limits::HELLO_TIMEOUT;
use crate::local::LOCAL_CLIENTS_MAX;

/// Pause after a connection could not be accepted, which is when file descriptors are short. Lower
/// burns the CPU until one is free, higher delays commands.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How to listen.
pub struct LocalConfig {
    /// Where. What is there is removed: whoever listens must know that nobody else does.
    pub path: PathBuf,
    /// The permissions of the socket: who may connect and be judged at all.
    pub mode: u32,
    /// The cluster of the node that listens.
    pub cluster: ClusterUuid,
    /// That node.
    pub node: NodeId,
    /// This run of it.
    pub boot: BootId,
    /// Who takes what comes.
    pub inbound: Arc<dyn Inbound>,
    /// Who may.
    pub gate: Arc<dyn LocalGate>,
    /// Where it runs: as a link, on an event loop that is never blocked.
    pub runtime: Handle,
}

/// Why nobody can listen there.
#[derive(Debug, thiserror::Error)]
pub enum LocalStartError {
    /// The kernel has no room for the path.
    #[error(
        "the path of {} is longer than the {} bytes that a socket's may have",
        path.display(), super::LOCAL_PATH_BYTES_MAX
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Socket {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) cluster: ClusterUuid,
    pub(super) node: NodeId,
    pub(super) boot: BootId,
    pub(super) inbound: Arc<dyn Inbound>,
    gate: Arc<dyn LocalGate>,
    pub(super) stop: CancellationToken,
}

/// A socket on which commands are served until it is closed or dropped.
pub struct LocalListener {
    path: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl LocalListener {
    /// Makes the socket and begins to serve.
    ///
    /// # Errors
    /// When there can be no socket at that path.
    pub fn start(config: LocalConfig) -> Result<Self, LocalStartError> {
        let LocalConfig { path, mode, cluster, node, boot, inbound, gate, runtime } = config;
        if !fits(&path) {
            return Err(LocalStartError::PathTooLong { path });
        }
        let listener = {
            let _entered = runtime.enter();
            bind(&path, mode)?
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Shared { cluster, node, boot, inbound, gate, stop: stop.clone() };
        let accepting = accept_all(listener, Arc::new(shared), tasks.clone());
        drop(tasks.spawn_on(accepting, &runtime));
        Ok(Self { path, stop, tasks })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends every connection and takes the socket away; ends when that is done.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the socket stays behind");
        }
    }
}

fn bind(path: &Path, mode: u32) -> Result<UnixListener, LocalStartError> {
    let failed = |action| {
        let path = path.to_owned();
        move |source| LocalStartError::Socket { action, path, source }
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove the old socket")(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed("listen on"))?;
    // Nobody is let in by these alone, so the moment before does not matter.
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
        .map_err(failed("set the permissions of"))?;
    Ok(listener)
}

async fn accept_all(listener: UnixListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let seats = Arc::new(Semaphore::new(LOCAL_CLIENTS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a command on the local socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Beyond the limit the connection is dropped, which its client takes for a busy daemon.
        let Ok(seat) = seats.clone().try_acquire_owned() else {
            tracing::warn!(max = LOCAL_CLIENTS_MAX, "too many commands on the local socket");
            continue;
        };
        let shared = shared.clone();
        drop(tasks.spawn(async move {
            let stop = shared.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = admit(shared, stream) => {}
            }
            drop(seat);
        }));
    }
}

async fn admit(shared: Arc<Shared>, stream: UnixStream) {
    let who = match stream.peer_cred() {
        Ok(cred) => LocalCredentials { uid: cred.uid(), gid: cred.gid(), pid: cred.pid() },
        Err(error) => return tracing::warn!(%error, "a local process has no credentials"),
    };
    let verdict = match timeout(HELLO_TIMEOUT, shared.gate.role_of(who)).await {
        Ok(verdict) => verdict,
        Err(_) => Err("its groups could not be looked up in time".to_owned()),
    };
    if let Err(reason) = &verdict {
        tracing::warn!(%who, reason, "a local process was refused");
    }
    serve(shared, stream, who, verdict).await;
}

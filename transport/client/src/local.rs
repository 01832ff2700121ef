//! The socket of the daemon on this machine: the transport of commands that run beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_link::local::{LocalClient, LocalDialError};
use gantry_wire::{AskError, BootId, Envelope, ErrorChain, NotDelivered};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{CONNECT_TIMEOUT, ClientError, Transport};

/// Where below its state directory a daemon has its socket.
pub const SOCKET_FILE: &str = "socket/gantry.sock";

/// A connection to the daemon of this machine, made again when it is lost: a daemon that restarts
/// is found again, as over the network.
pub struct LocalTransport {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    client: Mutex<Option<LocalClient>>,
}

impl LocalTransport {
    /// Connects to the daemon of a state directory; `None` when none listens there.
    ///
    /// # Errors
    /// When the daemon refuses this user, or the system does, or there is no answer in time.
    pub async fn connect(state_dir: &Path) -> Result<Option<Self>, ClientError> {
        let path = state_dir.join(SOCKET_FILE);
        let client = match dial(&path).await {
            Ok(client) => client,
            Err(LocalDialError::Absent { .. }) => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        Ok(Some(Self::over(client)))
    }

    /// Over a connection that was made.
    #[must_use]
    pub fn over(client: LocalClient) -> Self {
        let path = client.path().to_owned();
        Self { shared: Arc::new(Shared { path, client: Mutex::new(Some(client)) }) }
    }
}

async fn dial(path: &Path) -> Result<LocalClient, LocalDialError> {
    LocalClient::connect(path, BootId(Uuid::new_v4()), CONNECT_TIMEOUT).await
}

fn refused(error: LocalDialError) -> ClientError {
    match error {
        LocalDialError::Refused { path, reason } => ClientError::NotPermitted { path, reason },
        LocalDialError::Socket { path, source }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            ClientError::NotPermitted { path, reason: source.to_string() }
        }
        LocalDialError::Socket { path, source } => ClientError::File { path, source },
        LocalDialError::NoHello { path, reason } => {
            ClientError::NoDaemon { address: path.display().to_string(), reason }
        }
        LocalDialError::Absent { path } => {
            let reason = "nobody listens there".to_owned();
            ClientError::NoDaemon { address: path.display().to_string(), reason }
        }
    }
}

impl Shared {
    async fn ask(&self, envelope: Envelope) -> Result<Bytes, AskError> {
        let mut client = self.client.lock().await;
        let connected = match client.take() {
            Some(connected) if connected.is_connected() => connected,
            _ => dial(&self.path).await.map_err(|error| {
                let node = self.path.display().to_string();
                NotDelivered::Unreachable { node, reason: ErrorChain(&error).to_string() }
            })?,
        };
        let answer = client.insert(connected).ask(&envelope);
        drop(client);
        answer.await
    }
}

impl Transport for LocalTransport {
    fn ask(&self, envelope: Envelope) -> BoxFuture<'static, Result<Bytes, AskError>> {
        let shared = self.shared.clone();
        async move { shared.ask(envelope).await }.boxed()
    }

    fn describe(&self) -> String {
        self.shared.path.display().to_string()
    }

    fn close(&self, _grace: Duration) -> BoxFuture<'static, ()> {
        let shared = self.shared.clone();
        // The kernel tells the daemon.
        async move { drop(shared.client.lock().await.take()) }.boxed()
    }
}

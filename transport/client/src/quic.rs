//! QUIC to a daemon: the transport of commands and gateways.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_link::Link;
use gantry_link::identity::{Credentials, Trust};
use gantry_link::quic::{LinkIdentity, QuicLink, RefuseInbound};
use gantry_wire::{AskError, BootId, Envelope, ErrorChain, NodeId, NotDelivered};
use uuid::Uuid;

use crate::endpoint::credentials_in;
use crate::{ClientConfig, ClientError, Transport};

/// A link to one node at a time. When that node cannot be reached, the next attempt of the caller
/// finds whichever of the known addresses answers.
pub struct QuicTransport {
    shared: Arc<Shared>,
}

struct Shared {
    /// Another one when the credentials were renewed: a link stays who it is.
    link: Mutex<Arc<QuicLink>>,
    /// Of the present link.
    credentials: Mutex<Credentials>,
    state_dir: Option<PathBuf>,
    addrs: Vec<SocketAddr>,
    node: Mutex<NodeId>,
    connect_timeout: Duration,
}

impl QuicTransport {
    /// Connects to whichever of the addresses answers first.
    ///
    /// # Errors
    /// When none answers in time as a node of the cluster, or no socket can be had.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let ClientConfig { addrs, credentials, trust, state_dir, connect_timeout } = config;
        let link = start(credentials.clone(), trust)?;
        let node = dial(&link, &addrs, connect_timeout).await?;
        let (link, node) = (Mutex::new(Arc::new(link)), Mutex::new(node));
        let credentials = Mutex::new(credentials);
        let shared = Shared { link, credentials, state_dir, addrs, node, connect_timeout };
        Ok(Self { shared: Arc::new(shared) })
    }
}

fn start(credentials: Credentials, trust: Trust) -> Result<QuicLink, ClientError> {
    let identity = LinkIdentity::Certified { credentials, trust };
    QuicLink::client(identity, BootId(Uuid::new_v4()), Arc::new(RefuseInbound))
        .map_err(|error| ClientError::Setup(Box::new(error)))
}

async fn dial(
    link: &QuicLink,
    addrs: &[SocketAddr],
    timeout: Duration,
) -> Result<NodeId, ClientError> {
    let fail = |reason| ClientError::NoDaemon { address: join(addrs), reason };
    match tokio::time::timeout(timeout, link.connect(addrs.to_vec())).await {
        Ok(Ok(peer)) => Ok(peer.node),
        Ok(Err(error)) => Err(fail(ErrorChain(&error).to_string())),
        Err(_) => Err(fail(format!("no hello within {} ms", timeout.as_millis()))),
    }
}

fn join(addrs: &[SocketAddr]) -> String {
    let texts: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

impl Shared {
    fn node(&self) -> NodeId {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self) -> Arc<QuicLink> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns to another address, so that the caller's next attempt goes there.
    async fn turn_away_from(&self, lost: NodeId) {
        match dial(&self.link(), &self.addrs, self.connect_timeout).await {
            Ok(found) => {
                *self.node.lock().unwrap_or_else(PoisonError::into_inner) = found;
                tracing::debug!(from = %lost, to = %found, "asking another node");
            }
            Err(error) => tracing::debug!(from = %lost, %error, "no other node answers"),
        }
    }

    /// The connection is lost; if other credentials are in their place now, connects with these.
    async fn look_for_other_credentials(&self) {
        let Some(state_dir) = &self.state_dir else { return };
        let (credentials, trust) = match credentials_in(state_dir) {
            Ok(found) => found,
            Err(error) => return tracing::debug!(%error, "credentials cannot be read again"),
        };
        let used = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if credentials.chain() == used.chain() {
            return;
        }
        let dialed = match start(credentials.clone(), trust) {
            Ok(link) => dial(&link, &self.addrs, self.connect_timeout).await.map(|n| (link, n)),
            Err(error) => Err(error),
        };
        match dialed {
            Ok((link, node)) => {
                *self.node.lock().unwrap_or_else(PoisonError::into_inner) = node;
                *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(link);
                let mut used = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
                *used = credentials;
                tracing::debug!("connected with renewed credentials");
            }
            Err(error) => tracing::debug!(%error, "renewed credentials do not connect yet"),
        }
    }
}

impl Transport for QuicTransport {
    fn ask(&self, envelope: Envelope) -> BoxFuture<'static, Result<Bytes, AskError>> {
        let shared = self.shared.clone();
        async move {
            if shared.link().peers().is_empty() {
                shared.look_for_other_credentials().await;
            }
            let node = shared.node();
            let answer = shared.link().ask(node, envelope).await;
            // With one address the link itself goes on dialing it.
            if matches!(answer, Err(AskError::NotDelivered(NotDelivered::Unreachable { .. })))
                && shared.addrs.len() > 1
            {
                shared.turn_away_from(node).await;
            }
            answer
        }
        .boxed()
    }

    fn describe(&self) -> String {
        join(&self.shared.addrs)
    }

    fn close(&self, grace: Duration) -> BoxFuture<'static, ()> {
        self.shared.link().close(grace)
    }
}

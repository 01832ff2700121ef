//! QUIC to a daemon: the transport of commands and gateways.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_link::Link;
use gantry_link::quic::{LinkIdentity, QuicLink, RefuseInbound};
use gantry_wire::{AskError, BootId, Envelope, ErrorChain, NodeId, NotDelivered};
use uuid::Uuid;

use crate::{ClientConfig, ClientError, Transport};

/// A link to one node at a time. When that node cannot be reached, the next attempt of the caller
/// finds whichever of the known addresses answers.
pub struct QuicTransport {
    shared: Arc<Shared>,
}

struct Shared {
    link: QuicLink,
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
        let ClientConfig { addrs, credentials, trust, connect_timeout } = config;
        let identity = LinkIdentity::Certified { credentials, trust };
        let link = QuicLink::client(identity, BootId(Uuid::new_v4()), Arc::new(RefuseInbound))
            .map_err(|error| ClientError::Setup(Box::new(error)))?;
        let node = dial(&link, &addrs, connect_timeout).await?;
        let node = Mutex::new(node);
        Ok(Self { shared: Arc::new(Shared { link, addrs, node, connect_timeout }) })
    }
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

    /// Turns to another address, so that the caller's next attempt goes there.
    async fn turn_away_from(&self, lost: NodeId) {
        match dial(&self.link, &self.addrs, self.connect_timeout).await {
            Ok(found) => {
                *self.node.lock().unwrap_or_else(PoisonError::into_inner) = found;
                tracing::debug!(from = %lost, to = %found, "asking another node");
            }
            Err(error) => tracing::debug!(from = %lost, %error, "no other node answers"),
        }
    }
}

impl Transport for QuicTransport {
    fn ask(&self, envelope: Envelope) -> BoxFuture<'static, Result<Bytes, AskError>> {
        let shared = self.shared.clone();
        async move {
            let node = shared.node();
            let answer = shared.link.ask(node, envelope).await;
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
        self.shared.link.close(grace)
    }
}

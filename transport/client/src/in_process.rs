//! A transport without sockets: the messages go to a function in this process.
//!
//! For embedders that hold the actor system themselves, and for scripted clusters in tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gantry_wire::{AskError, Envelope};

use crate::Transport;

type Handler = dyn Fn(Envelope) -> BoxFuture<'static, Result<Bytes, AskError>> + Send + Sync;

/// Gives every envelope to one function. The deadline is kept here, whatever the function does.
#[derive(Clone)]
pub struct InProcess {
    name: String,
    handler: Arc<Handler>,
}

impl InProcess {
    /// A transport to `handler`; `name` is shown where an address would be.
    pub fn new(
        name: impl Into<String>,
        handler: impl Fn(Envelope) -> BoxFuture<'static, Result<Bytes, AskError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { name: name.into(), handler: Arc::new(handler) }
    }
}

impl Transport for InProcess {
    fn ask(&self, envelope: Envelope) -> BoxFuture<'static, Result<Bytes, AskError>> {
        let deadline = Duration::from_millis(envelope.deadline_ms.into());
        let message = envelope.message.clone();
        let answer = (self.handler)(envelope);
        Box::pin(async move {
            tokio::time::timeout(deadline, answer)
                .await
                .unwrap_or_else(|_| Err(AskError::Unknown(format!("no answer to {message}"))))
        })
    }

    fn describe(&self) -> String {
        self.name.clone()
    }

    fn close(&self, _grace: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

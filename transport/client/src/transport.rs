//! What carries a client's messages.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gantry_wire::{AskError, Envelope};

/// A way into a cluster. It makes one attempt per call and never repeats a message.
pub trait Transport: Send + Sync + 'static {
    /// Hands over an envelope and waits for the encoded reply, at most until its deadline.
    fn ask(&self, envelope: Envelope) -> BoxFuture<'static, Result<Bytes, AskError>>;

    /// Whom it talks to, for people.
    fn describe(&self) -> String;

    /// Says goodbye, at most for `grace`.
    fn close(&self, grace: Duration) -> BoxFuture<'static, ()>;
}

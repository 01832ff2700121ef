//! Where the tasks of one link run, and how all of them end.
//!
//! A link shares its event loop with whoever else uses it (the control actors of a node), so it
//! cannot end by ending the loop. It knows all its tasks instead, those of quinn included.

use std::future::Future;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, TokioRuntime};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// All tasks of one link.
#[derive(Debug)]
pub(super) struct Tasks {
    handle: Handle,
    /// `None` once they have been ended.
    set: Mutex<Option<JoinSet<()>>>,
}

impl Tasks {
    pub(super) fn new(handle: Handle) -> Arc<Self> {
        Arc::new(Self { handle, set: Mutex::new(Some(JoinSet::new())) })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `task` on the link's event loop until it or the link ends.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = set.as_mut() {
            // Those that are done; what a panic meant was said where it happened.
            while set.try_join_next().is_some() {}
            set.spawn_on(task, &self.handle);
        }
    }

    /// Drops every task, and with the last of them the socket. None is run again before, so nothing
    /// is said to anybody.
    pub(super) async fn end(&self) {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut set) = set {
            set.shutdown().await;
        }
    }
}

/// What quinn runs on.
#[derive(Debug)]
pub(super) struct LinkRuntime(pub(super) Arc<Tasks>);

impl quinn::Runtime for LinkRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> std::io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

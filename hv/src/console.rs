//! A guest's serial console, shared by any number of readers.
//!
//! The hypervisor holds the one connection to the guest and feeds a [`ConsoleHub`]; each
//! [`Console`] reads from what the hub retains and writes into the hub's queue of input. No task of
//! its own: a console can be read in a simulation too.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// How much of a console's output is retained for readers that come late or are slow. Lower loses
/// the beginning of a boot that went wrong; higher costs this much memory for each guest.
pub const CONSOLE_KEPT_BYTES: usize = 64 * 1024;

/// Most input that waits for a guest that does not read. A pasted screen fits; beyond that the
/// writer waits. Higher only costs memory.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// What a guest does with input, where there is no process that could take it.
pub(crate) type InputHandler = Arc<dyn Fn(&[u8]) + Send + Sync>;

#[derive(Default)]
struct Shared {
    output: VecDeque<u8>,
    /// Offset of the byte after the last of `output`, counted from the first ever.
    output_end: u64,
    input: VecDeque<u8>,
    closed: bool,
    waiting: Vec<Waker>,
}

impl Shared {
    fn wake(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting)
    }
}

/// The hypervisor's side of a console.
#[derive(Default)]
pub struct ConsoleHub {
    shared: Mutex<Shared>,
    input_came: Notify,
    handler: Option<InputHandler>,
}

impl std::fmt::Debug for ConsoleHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsoleHub").finish_non_exhaustive()
    }
}

impl ConsoleHub {
    /// A console without output yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A console whose input is handled at once instead of queued.
    pub(crate) fn with_handler(handler: InputHandler) -> Arc<Self> {
        Arc::new(Self { handler: Some(handler), ..Self::default() })
    }

    /// The guest has written.
    pub fn push_output(&self, bytes: &[u8]) {
        let waiting = self.with(|shared| {
            shared.output.extend(bytes);
            shared.output_end += bytes.len() as u64;
            let excess = shared.output.len().saturating_sub(CONSOLE_KEPT_BYTES);
            shared.output.drain(..excess);
            shared.wake()
        });
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The guest is gone: readers see the end after what is retained.
    pub fn close(&self) {
        let waiting = self.with(|shared| {
            shared.closed = true;
            shared.wake()
        });
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits for input and takes all that is there. Cancel-safe.
    pub async fn take_input(&self) -> Vec<u8> {
        loop {
            let came = self.input_came.notified();
            let (input, waiting) = self.with(|shared| {
                let input: Vec<u8> = shared.input.drain(..).collect();
                let waiting = if input.is_empty() { Vec::new() } else { shared.wake() };
                (input, waiting)
            });
            waiting.into_iter().for_each(Waker::wake);
            if !input.is_empty() {
                return input;
            }
            came.await;
        }
    }

    /// A reader and writer, from the oldest retained byte on.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> Console {
        Console { hub: Arc::clone(self), next: 0 }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Shared) -> R) -> R {
        f(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One reader and writer of a console. A reader that is too slow skips what is no longer retained.
#[derive(Debug)]
pub struct Console {
    hub: Arc<ConsoleHub>,
    next: u64,
}

impl AsyncRead for Console {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut next = self.next;
        let poll = self.hub.with(|shared| {
            let oldest = shared.output_end - shared.output.len() as u64;
            next = next.max(oldest);
            // At most CONSOLE_KEPT_BYTES, therefore an index.
            let start = (next - oldest) as usize;
            let (front, back) = shared.output.as_slices();
            let rest =
                if start < front.len() { &front[start..] } else { &back[start - front.len()..] };
            let n_bytes = rest.len().min(buffer.remaining());
            if n_bytes == 0 && !shared.closed {
                shared.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            buffer.put_slice(&rest[..n_bytes]);
            next += n_bytes as u64;
            Poll::Ready(Ok(()))
        });
        self.next = next;
        poll
    }
}

impl AsyncWrite for Console {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the guest is gone");
        if let Some(handler) = &self.hub.handler {
            if self.hub.with(|shared| shared.closed) {
                return Poll::Ready(Err(gone()));
            }
            handler(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let poll = self.hub.with(|shared| {
            if shared.closed {
                return Poll::Ready(Err(gone()));
            }
            let n_bytes = bytes.len().min(INPUT_BYTES_MAX.saturating_sub(shared.input.len()));
            if n_bytes == 0 && !bytes.is_empty() {
                shared.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            shared.input.extend(&bytes[..n_bytes]);
            Poll::Ready(Ok(n_bytes))
        });
        if poll.is_ready() {
            self.hub.input_came.notify_one();
        }
        poll
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn late_readers_see_the_past_and_the_end() {
        let hub = ConsoleHub::new();
        hub.push_output(b"one ");
        let mut early = hub.open();
        hub.push_output(b"two");
        let mut late = hub.open();
        hub.close();
        for console in [&mut early, &mut late] {
            let mut text = String::new();
            console.read_to_string(&mut text).await.expect("reads");
            assert_eq!(text, "one two");
        }
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let hub = ConsoleHub::new();
        let mut console = hub.open();
        let read = async {
            let mut byte = [0];
            console.read_exact(&mut byte).await.expect("reads");
            byte[0]
        };
        let (byte, ()) = tokio::join!(biased; read, async { hub.push_output(b"x") });
        assert_eq!(byte, b'x');
    }

    #[tokio::test]
    async fn a_slow_reader_skips_and_memory_stays_bounded() {
        let hub = ConsoleHub::new();
        let mut console = hub.open();
        hub.push_output(b"lost");
        hub.push_output(&vec![b'x'; CONSOLE_KEPT_BYTES]);
        hub.close();
        let mut bytes = Vec::new();
        console.read_to_end(&mut bytes).await.expect("reads");
        assert_eq!(bytes, vec![b'x'; CONSOLE_KEPT_BYTES]);
    }

    #[tokio::test]
    async fn input_waits_for_the_guest_and_is_bounded() {
        let hub = ConsoleHub::new();
        let mut console = hub.open();
        let text = vec![b'k'; INPUT_BYTES_MAX + 1];
        let mut taken = 0;
        let (written, ()) = tokio::join!(biased; console.write_all(&text), async {
            while taken < text.len() {
                let piece = hub.take_input().await;
                assert!(piece.len() <= INPUT_BYTES_MAX);
                taken += piece.len();
            }
        });
        written.expect("all taken");
        assert_eq!(taken, text.len());
    }

    #[tokio::test]
    async fn nothing_can_be_written_to_a_guest_that_is_gone() {
        let hub = ConsoleHub::new();
        let mut console = hub.open();
        hub.close();
        let error = console.write_all(b"x").await.expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

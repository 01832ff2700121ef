//! Between the hypervisor's console stream and those who read and write by message.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_hv::{ConsoleStream, HvError, Hypervisor};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::InstanceUuid;
use gantry_model::messages::ConsoleChunk;
use tokio::io::{AsyncRead as _, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::ConsoleRing;
use crate::calls::guest_fault;

/// Most input in one message. A pasted screen fits; lower splits it, higher would let one message
/// occupy a guest that reads a character at a time for minutes.
pub(crate) const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Most messages of input that wait for a guest. Their senders wait too, so this is a number of
/// people typing; lower would refuse them, higher would type what was meant for another prompt.
const INPUTS_WAITING_MAX: usize = 16;

/// How much is read of a stream at once. Lower costs turns when a guest prints fast, higher costs
/// stack for each read.
const READ_BYTES: usize = 4096;

/// First and longest wait before a stream that ended is opened again: it ends with the guest, whose
/// end is told a moment later, or when its process is being replaced. Lower knocks in vain, higher
/// loses the first lines of a guest that comes back.
const REOPEN_FIRST: Duration = Duration::from_millis(50);
const REOPEN_MAX: Duration = Duration::from_secs(2);

struct Input {
    bytes: Vec<u8>,
    written: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Output {
    ring: ConsoleRing,
    /// The guest is gone. False before it has been looked for.
    closed: bool,
}

/// A console. Cheap to clone; outlives the guests that print to it.
#[derive(Clone)]
pub(crate) struct Console {
    output: Arc<Mutex<Output>>,
    changed: watch::Sender<()>,
    // Boxed, because a channel has room for 32 from the beginning, and every instance has one.
    input: mpsc::Sender<Box<Input>>,
    input_end: Arc<tokio::sync::Mutex<mpsc::Receiver<Box<Input>>>>,
}

impl Console {
    pub(crate) fn new() -> Self {
        let (input, input_end) = mpsc::channel(INPUTS_WAITING_MAX);
        Self {
            output: Arc::default(),
            changed: watch::Sender::new(()),
            input,
            input_end: Arc::new(tokio::sync::Mutex::new(input_end)),
        }
    }

    /// There is a guest.
    pub(crate) fn open(&self) {
        self.with(|output| output.closed = false);
    }

    /// There is no guest: readers at the end learn so.
    pub(crate) fn close(&self) {
        self.with(|output| output.closed = true);
        self.changed.send_replace(());
    }

    fn push(&self, bytes: &[u8]) {
        self.with(|output| output.ring.push(bytes));
        self.changed.send_replace(());
    }

    fn look(&self, offset: u64) -> Option<ConsoleChunk> {
        self.with(|output| {
            let closed = output.closed;
            match output.ring.read(offset) {
                // The ring gives all that it has.
                Some(chunk) => Some(ConsoleChunk { closed, ..chunk }),
                None if closed => {
                    let offset = output.ring.end();
                    Some(ConsoleChunk { offset, bytes: Vec::new(), closed })
                }
                None => None,
            }
        })
    }

    /// What there is from `offset` on. Waits for it until `until`; then an empty piece.
    pub(crate) async fn read(&self, offset: u64, until: Instant) -> ConsoleChunk {
        let mut changed = self.changed.subscribe();
        let look = async {
            loop {
                // Marked as seen before looking, so that no change between the two is missed.
                changed.borrow_and_update();
                if let Some(chunk) = self.look(offset) {
                    return chunk;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let late = |_| ConsoleChunk { offset, bytes: Vec::new(), closed: false };
        tokio::time::timeout_at(until, look).await.unwrap_or_else(late)
    }

    /// Writes to the guest; returns when the guest's console has taken it.
    pub(crate) async fn write(&self, bytes: Vec<u8>, until: Instant) -> Result<(), Fault> {
        if self.with(|output| output.closed) {
            return Err(Fault::new(FaultCode::WrongState, "the instance does not run"));
        }
        let (written, done) = oneshot::channel();
        let write = async {
            self.input.send(Box::new(Input { bytes, written })).await.ok()?;
            done.await.ok()
        };
        match tokio::time::timeout_at(until, write).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Fault::new(FaultCode::WrongState, "the console was closed meanwhile")),
            Err(_) => {
                Err(Fault::new(FaultCode::OutcomeUnknown, "the guest's console takes no input"))
            }
        }
    }

    /// Carries bytes both ways until `gone` changes, opening the stream again whenever it ends.
    pub(crate) async fn pump(
        self,
        hypervisor: Arc<dyn Hypervisor>,
        instance: InstanceUuid,
        mut gone: watch::Receiver<bool>,
    ) {
        let carry = async {
            let mut input = self.input_end.lock().await;
            let mut wait = REOPEN_FIRST;
            loop {
                match open(&*hypervisor, instance).await {
                    Opened::Stream(stream) => {
                        wait = REOPEN_FIRST;
                        self.carry(stream, &mut input, instance).await;
                    }
                    // Input is dropped, which its sender learns.
                    Opened::HasNone => while input.recv().await.is_some() {},
                    Opened::NotNow => {}
                }
                refuse_waiting(&mut input);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(REOPEN_MAX);
            }
        };
        tokio::select! {
            biased;
            _ = gone.wait_for(|gone| *gone) => {}
            () = carry => {}
        }
    }

    async fn carry(
        &self,
        stream: Box<dyn ConsoleStream>,
        input: &mut mpsc::Receiver<Box<Input>>,
        instance: InstanceUuid,
    ) {
        let (reader, writer) = tokio::io::split(stream);
        let ended = tokio::select! {
            biased;
            ended = self.carry_output(reader) => ended,
            ended = carry_input(writer, input) => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(%instance, %error, "a console stream broke");
        }
    }

    async fn carry_output(
        &self,
        mut reader: ReadHalf<Box<dyn ConsoleStream>>,
    ) -> std::io::Result<()> {
        // The buffer is there while it is read into, and not while a silent guest is waited for.
        let mut read = |cx: &mut std::task::Context<'_>| {
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            let ready = std::task::ready!(Pin::new(&mut reader).poll_read(cx, &mut buffer));
            let read = buffer.filled();
            if !read.is_empty() {
                self.push(read);
            }
            Poll::Ready(ready.map(|()| !read.is_empty()))
        };
        while std::future::poll_fn(&mut read).await? {}
        Ok(())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Output) -> T) -> T {
        f(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What came of opening a console.
enum Opened {
    Stream(Box<dyn ConsoleStream>),
    /// Not for as long as the guest lives.
    HasNone,
    /// The guest is about to end, or its console cannot be opened at present.
    NotNow,
}

/// Boxed: what it takes to open one is not held while the stream is carried.
fn open(hypervisor: &dyn Hypervisor, instance: InstanceUuid) -> BoxFuture<'_, Opened> {
    let opening = async move {
        match hypervisor.console(instance).await {
            Ok(stream) => Opened::Stream(stream),
            Err(HvError::NotRunning { .. }) => Opened::NotNow,
            Err(HvError::NoConsole { .. }) => Opened::HasNone,
            Err(error) => {
                let why = guest_fault(&error, "open the console").one_line();
                tracing::warn!(%instance, why, "a console is not read");
                Opened::NotNow
            }
        }
    };
    opening.boxed()
}

async fn carry_input(
    mut writer: WriteHalf<Box<dyn ConsoleStream>>,
    input: &mut mpsc::Receiver<Box<Input>>,
) -> std::io::Result<()> {
    while let Some(typed) = input.recv().await {
        let Input { bytes, written } = *typed;
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        // The sender may have given up.
        let _unwanted = written.send(());
    }
    Ok(())
}

/// Input typed to a guest that is not there is refused, not kept for the next one.
fn refuse_waiting(input: &mut mpsc::Receiver<Box<Input>>) {
    while input.try_recv().is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what an async function of four arguments makes.
    fn size_of_future<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn following_a_silent_guest_takes_little_memory() {
        // Each guest of a node has one, for as long as it lives.
        let size = size_of_future(Console::pump);
        assert!(size <= 768, "{size} bytes");
    }
}

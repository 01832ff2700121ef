//! Between the hypervisor's console stream and those who read and write by message.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_hv::{ConsoleStream, HvError, Hypervisor};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::InstanceUuid;
use gantry_model::messages::ConsoleChunk;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
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
/// stack-sized memory for each guest.
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
    input: mpsc::Sender<Input>,
    input_end: Arc<tokio::sync::Mutex<mpsc::Receiver<Input>>>,
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
            self.input.send(Input { bytes, written }).await.ok()?;
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
                match hypervisor.console(instance).await {
                    Ok(stream) => {
                        wait = REOPEN_FIRST;
                        self.carry(stream, &mut input, instance).await;
                    }
                    // Its end is about to be told.
                    Err(HvError::NotRunning { .. }) => {}
                    // Not for as long as it lives. Input is dropped, which its sender learns.
                    Err(HvError::NoConsole { .. }) => while input.recv().await.is_some() {},
                    Err(error) => {
                        let why = guest_fault(&error, "open the console").one_line();
                        tracing::warn!(%instance, why, "a console is not read");
                    }
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
        input: &mut mpsc::Receiver<Input>,
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
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let n_bytes = reader.read(&mut bytes).await?;
            if n_bytes == 0 {
                return Ok(());
            }
            self.push(&bytes[..n_bytes]);
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Output) -> T) -> T {
        f(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn carry_input(
    mut writer: WriteHalf<Box<dyn ConsoleStream>>,
    input: &mut mpsc::Receiver<Input>,
) -> std::io::Result<()> {
    while let Some(Input { bytes, written }) = input.recv().await {
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        // The sender may have given up.
        let _unwanted = written.send(());
    }
    Ok(())
}

/// Input typed to a guest that is not there is refused, not kept for the next one.
fn refuse_waiting(input: &mut mpsc::Receiver<Input>) {
    while input.try_recv().is_ok() {}
}

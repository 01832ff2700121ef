//! The two halves of a transfer, the same on every link.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::{BulkError, RateLimiter};
use crate::limits::{BULK_CHUNK_BYTES, BULK_IDLE};

/// What a link gives for writing. Dropped without [`BulkSink::finish`], the other end hears that
/// the transfer was given up.
pub(crate) trait BulkSink: Send {
    /// Takes a chunk when the other end has room for it.
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BulkError>>;

    /// Says that nothing follows, and waits until everything has arrived.
    fn finish(&mut self) -> BoxFuture<'_, Result<(), BulkError>>;
}

/// What a link gives for reading.
pub(crate) trait BulkSource: Send {
    /// The next bytes; `None` at the end that the other side has put.
    fn read(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, BulkError>>;
}

/// A transfer: bytes in both directions. The futures of its halves must be polled on a tokio
/// runtime with time.
#[derive(Debug)]
pub struct BulkStream {
    /// What goes to the other end.
    pub writer: BulkWriter,
    /// What comes from it.
    pub reader: BulkReader,
}

impl BulkStream {
    pub(crate) fn new(
        sink: impl BulkSink + 'static,
        source: impl BulkSource + 'static,
        limiter: Arc<RateLimiter>,
    ) -> Self {
        let writer = BulkWriter { sink: Box::new(sink), limiter, is_finished: false };
        Self { writer, reader: BulkReader { source: Box::new(source), is_finished: false } }
    }
}

/// The half that sends.
pub struct BulkWriter {
    sink: Box<dyn BulkSink>,
    limiter: Arc<RateLimiter>,
    is_finished: bool,
}

impl std::fmt::Debug for BulkWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkWriter").field("is_finished", &self.is_finished).finish_non_exhaustive()
    }
}

impl BulkWriter {
    /// Sends bytes, as fast as the link's rate and the other end allow.
    ///
    /// # Errors
    /// When the transfer was cut, or the other end takes nothing for too long.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), BulkError> {
        if self.is_finished {
            return Err(BulkError::Finished);
        }
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(BULK_CHUNK_BYTES));
            self.limiter.take(chunk.len()).await;
            in_time(self.sink.write(chunk)).await?;
        }
        Ok(())
    }

    /// Says that nothing follows, and waits until the other end has received everything. A writer
    /// that is dropped instead gives the transfer up: the other end's reader fails.
    ///
    /// # Errors
    /// When the transfer was cut, or not all of it arrives for too long.
    pub async fn finish(&mut self) -> Result<(), BulkError> {
        if std::mem::replace(&mut self.is_finished, true) {
            return Err(BulkError::Finished);
        }
        in_time(self.sink.finish()).await
    }
}

/// The half that receives.
pub struct BulkReader {
    source: Box<dyn BulkSource>,
    is_finished: bool,
}

impl std::fmt::Debug for BulkReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkReader").field("is_finished", &self.is_finished).finish_non_exhaustive()
    }
}

impl BulkReader {
    /// The next bytes; `None` when the other end has finished and everything was read.
    ///
    /// # Errors
    /// When the transfer was cut, or nothing comes for too long.
    pub async fn read(&mut self) -> Result<Option<Bytes>, BulkError> {
        if self.is_finished {
            return Ok(None);
        }
        let read = in_time(self.source.read()).await;
        self.is_finished = matches!(read, Ok(None));
        read
    }
}

async fn in_time<T>(moving: BoxFuture<'_, Result<T, BulkError>>) -> Result<T, BulkError> {
    /// In the form of the error.
    const MS: u64 = Duration::as_millis(&BULK_IDLE) as u64;
    timeout(BULK_IDLE, moving).await.unwrap_or(Err(BulkError::Idle { ms: MS }))
}

//! The log's writer: one task that makes everything durable, in order, in groups.
//!
//! While one transaction is being flushed, what comes in waits in the queue; the next transaction
//! takes all of it. So a thousand proposals at once cost some flushes, not a thousand. The first
//! failure is final: nothing is written after it, because nobody knows what the disk has.

use std::sync::Arc;

use gantry_wire::ErrorChain;
use openraft::storage::IOFlushed;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::log_store::LogShared;
use super::types::Config;
use crate::config::{GROUP_BYTES_MAX, WRITER_QUEUE_MAX};
use crate::disk::DiskError;
use crate::disk::log_file::LogWrite;

/// Who is told that a change is durable.
pub(super) enum Done {
    /// Raft, later.
    Raft(IOFlushed<Config>),
    /// Somebody who waits.
    Caller(oneshot::Sender<std::io::Result<()>>),
    /// Nobody: it is only to be done in order.
    Nobody,
}

impl Done {
    fn tell(self, result: std::io::Result<()>) {
        match self {
            Self::Raft(flushed) => flushed.io_completed(result),
            // Who went away does not want to know.
            Self::Caller(waiting) => drop(waiting.send(result)),
            Self::Nobody => {}
        }
    }
}

pub(super) struct WriteOrder {
    pub(super) write: LogWrite,
    pub(super) done: Done,
}

/// Where orders are queued.
pub(super) type Orders = mpsc::Sender<WriteOrder>;

pub(super) fn queue() -> (Orders, mpsc::Receiver<WriteOrder>) {
    mpsc::channel(WRITER_QUEUE_MAX)
}

/// Writes until nobody can order any more; then the last known commit, for a quick start.
pub(super) async fn run(shared: Arc<LogShared>, mut orders: mpsc::Receiver<WriteOrder>) {
    while let Some(first) = orders.recv().await {
        let group = collect(first, &mut orders);
        write_group(&shared, group).await;
    }
    if let (None, Some(committed)) = (shared.failure(), shared.take_committed())
        && let Err(error) = shared.file().write(&[], Some(committed))
    {
        tracing::warn!(error = %ErrorChain(&error), "the last commit was not noted in the log");
    }
    shared.file().close();
}

fn collect(first: WriteOrder, orders: &mut mpsc::Receiver<WriteOrder>) -> Vec<WriteOrder> {
    let mut bytes = first.write.cost_bytes();
    let mut group = vec![first];
    while bytes < GROUP_BYTES_MAX {
        let Ok(next) = orders.try_recv() else { break };
        bytes += next.write.cost_bytes();
        group.push(next);
    }
    group
}

async fn write_group(shared: &Arc<LogShared>, group: Vec<WriteOrder>) {
    let (writes, done): (Vec<_>, Vec<_>) =
        group.into_iter().map(|order| (order.write, order.done)).unzip();
    let begun = Instant::now();
    let takes = shared.simulated_sync();
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    let result = match shared.failure() {
        Some(reason) => Err(DiskError::Failed { reason }),
        None => shared.file().write(&writes, shared.take_committed()),
    };
    shared.note_flush_time(begun.elapsed());
    match result {
        Ok(()) => {
            shared.note_flushed(&writes);
            for done in done {
                done.tell(Ok(()));
            }
        }
        // The store was ended in the middle; that is no failure of the disk.
        Err(DiskError::Closed) => {
            for done in done {
                done.tell(Err(DiskError::Closed.into()));
            }
        }
        Err(error) => {
            let reason = shared.fail(&error);
            for done in done {
                done.tell(Err(DiskError::Failed { reason: reason.clone() }.into()));
            }
        }
    }
}

//! Several writers, one flush.
//!
//! Whoever gets the disk takes everything that waits, runs it in one transaction and commits
//! once; the others find their work done when their turn comes. No thread of its own, so that a
//! simulation runs it inline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::Database;

use super::JournalError;
use super::open::{Medium, begin_write};
use super::rules::Stop;
use super::tables::Tables;

/// Most writers in one flush. A batch is one allocation of pages and one fsync; lower means more
/// flushes under load, higher means that the first of a batch waits longer for the last.
const BATCH_MAX: usize = 256;

/// One piece of work, run in a transaction; it keeps its own value until the commit is known.
type Work = Box<dyn FnOnce(&mut Tables<'_>) -> Result<(), redb::Error> + Send>;

struct Ticket {
    work: Mutex<Option<Work>>,
    /// Whether the flush that did the work is durable.
    settled: Mutex<Option<Result<(), JournalError>>>,
}

/// The database behind a lock that batches.
pub(super) struct GroupCommit {
    medium: Medium,
    waiting: Mutex<Vec<Arc<Ticket>>>,
    /// `None` after the disk failed: redb wants to be opened again then.
    disk: Mutex<Option<Database>>,
    flushes: AtomicU64,
}

impl std::fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupCommit").field("medium", &self.medium).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GroupCommit {
    pub(super) fn open(medium: Medium) -> Result<Self, JournalError> {
        let db = medium.open()?;
        Ok(Self {
            medium,
            waiting: Mutex::new(Vec::new()),
            disk: Mutex::new(Some(db)),
            flushes: AtomicU64::new(0),
        })
    }

    pub(super) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    /// Runs `rule` in a transaction and returns when that is durable. What it refused has changed
    /// nothing; when this fails with the disk, nobody knows whether it is there.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&mut Tables<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, JournalError> {
        let value = Arc::new(Mutex::new(None));
        let slot = value.clone();
        let work: Work = Box::new(move |tables| {
            let outcome = match rule(tables) {
                Ok(value) => Ok(value),
                Err(Stop::Refused(why)) => Err(why),
                Err(Stop::Broken(error)) => return Err(error),
            };
            *lock(&slot) = Some(outcome);
            Ok(())
        });
        let ticket = Arc::new(Ticket { work: Mutex::new(Some(work)), settled: Mutex::new(None) });
        lock(&self.waiting).push(ticket.clone());
        let settled = loop {
            let mut disk = lock(&self.disk);
            if let Some(settled) = lock(&ticket.settled).take() {
                break settled;
            }
            if lock(&ticket.work).is_none() {
                break Err(JournalError::Lost);
            }
            self.flush(&mut disk);
        };
        settled?;
        let outcome = lock(&value).take();
        outcome.expect("work that was flushed has left its value")
    }

    /// Does what waits, in the order in which it came.
    fn flush(&self, disk: &mut Option<Database>) {
        let batch: Vec<_> = {
            let mut waiting = lock(&self.waiting);
            let n_taken = waiting.len().min(BATCH_MAX);
            waiting.drain(..n_taken).collect()
        };
        let outcome = self.commit(disk, &batch);
        if outcome.is_err() {
            // redb refuses everything after an I/O error until it is opened again.
            drop(disk.take());
        }
        for ticket in batch {
            *lock(&ticket.settled) = Some(outcome.clone());
        }
    }

    fn commit(
        &self,
        disk: &mut Option<Database>,
        batch: &[Arc<Ticket>],
    ) -> Result<(), JournalError> {
        let db = match disk {
            Some(db) => db,
            none => none.insert(self.medium.open()?),
        };
        let run = || {
            let txn = begin_write(db)?;
            let changed = {
                let mut tables = Tables::of(&txn)?;
                for ticket in batch {
                    let work = lock(&ticket.work).take();
                    let work = work.expect("a ticket is in one batch only");
                    work(&mut tables)?;
                }
                tables.changed
            };
            if changed {
                txn.commit()?;
                self.flushes.fetch_add(1, Ordering::Relaxed);
            } else {
                txn.abort()?;
            }
            Ok::<_, redb::Error>(())
        };
        run().map_err(|error| self.medium.error("write to", error))
    }
}

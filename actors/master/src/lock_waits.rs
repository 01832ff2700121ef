//! How long jobs wait for locks, counted for whoever measures the daemon.
//!
//! Owns numbers that only grow as long as the process lives, over all its reigns, and two that say
//! what is now. Written by the lock actor; read at any time from any thread, without a lock.
//! Deliberately absent: which jobs and which locks, which is what `gnt-debug locks` shows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Ends of the classes of waits. A lock that is free is granted within a turn of the lock actor.
/// Any other is held for a step of a job: milliseconds for a change of the configuration, seconds
/// for a guest that starts or stops, minutes to hours for disks that are copied. Fewer could not
/// tell these apart, more would be a series each for every master and nobody's question.
const BOUNDS: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];

/// Counts of a process.
#[derive(Debug, Default)]
pub struct LockWaits {
    /// Grants by class; the last one is for those beyond all bounds.
    grants: [AtomicU64; BOUNDS.len() + 1],
    waited_us: AtomicU64,
    waiting: AtomicU64,
    held: AtomicU64,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWaitsSeen {
    /// Requests that were granted, by how long they had waited: up to this, and longer than the one
    /// before. `None` is without end.
    pub grants: Vec<(Option<Duration>, u64)>,
    /// How long all of them together had waited.
    pub waited: Duration,
    /// Jobs that wait now.
    pub waiting: u64,
    /// Locks that are held now, once for each job that holds one. Zero where no master is.
    pub held: u64,
}

impl LockWaits {
    /// A request was granted after this time.
    pub(crate) fn granted_after(&self, waited: Duration) {
        let class = BOUNDS.iter().take_while(|bound| waited > **bound).count();
        self.grants[class].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What is now.
    pub(crate) fn stand(&self, waiting: usize, held: usize) {
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.held.store(held as u64, Ordering::Relaxed);
    }

    /// The numbers.
    #[must_use]
    pub fn seen(&self) -> LockWaitsSeen {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        let counts = self.grants.iter().map(|count| count.load(Ordering::Relaxed));
        LockWaitsSeen {
            grants: bounds.zip(counts).collect(),
            waited: Duration::from_micros(self.waited_us.load(Ordering::Relaxed)),
            waiting: self.waiting.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_in_the_class_that_ends_with_it_or_later() {
        let waits = LockWaits::default();
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        for waited in [Duration::ZERO, ms(1), ms(2), s(10), s(7200)] {
            waits.granted_after(waited);
        }
        waits.stand(3, 7);
        let seen = waits.seen();
        let counts: Vec<u64> = seen.grants.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!(seen.grants.last().map(|(bound, _)| *bound), Some(None));
        assert_eq!(seen.waited, s(7210) + ms(3));
        assert_eq!((seen.waiting, seen.held), (3, 7));
        assert!(BOUNDS.is_sorted());
    }
}

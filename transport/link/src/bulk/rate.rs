//! How fast a link sends bulk data: a token bucket that all its transfers share.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::limits::{BULK_CHUNK_BYTES, BULK_IDLE};

/// Bytes per second of bulk data, unless somebody says otherwise: a quarter of what one core
/// encrypts here. Lower leaves a fast network idle in a migration, higher lets copies take the core
/// that the network thread needs for messages.
pub const BULK_RATE_DEFAULT: BulkRate =
    BulkRate(NonZeroU64::new(256 * 1024 * 1024).expect("a constant above zero"));

/// Slowest rate. Below it one chunk of each of [`crate::limits::BULK_OPEN_MAX`] transfers takes
/// longer than a transfer may be idle.
const RATE_MIN: u64 =
    (crate::limits::BULK_OPEN_MAX * BULK_CHUNK_BYTES) as u64 / (BULK_IDLE.as_secs() / 2);

/// What may go at once after a pause. Lower costs a timer for every chunk, higher lets a burst fill
/// the socket's buffers and with them the way of messages.
const BURST: Duration = Duration::from_millis(2);

/// A rate in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BulkRate(NonZeroU64);

/// A rate that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{bytes_per_s} bytes per second are too slow for bulk data, at least {RATE_MIN} are needed"
)]
pub struct BulkRateError {
    /// What was asked for.
    pub bytes_per_s: u64,
}

impl BulkRate {
    /// So many bytes per second.
    ///
    /// # Errors
    /// When transfers would time out at that rate.
    pub fn new(bytes_per_s: u64) -> Result<Self, BulkRateError> {
        match NonZeroU64::new(bytes_per_s) {
            Some(rate) if bytes_per_s >= RATE_MIN => Ok(Self(rate)),
            _ => Err(BulkRateError { bytes_per_s }),
        }
    }

    /// Bytes per second.
    #[must_use]
    pub fn bytes_per_s(self) -> u64 {
        self.0.get()
    }

    fn time_for(self, bytes: usize) -> Duration {
        let ns = bytes as u128 * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// The bucket, without a clock.
#[derive(Debug)]
struct Bucket {
    rate: BulkRate,
    /// Until when what was sent has used up the rate.
    paid_until: Instant,
}

impl Bucket {
    /// When the next `bytes` may go.
    fn reserve(&mut self, bytes: usize, now: Instant) -> Instant {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let start = self.paid_until.max(earliest);
        self.paid_until = start + self.rate.time_for(bytes);
        start.max(now)
    }
}

/// The bucket of one link.
#[derive(Debug)]
pub(crate) struct RateLimiter(Mutex<Bucket>);

impl RateLimiter {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bucket { rate: BULK_RATE_DEFAULT, paid_until: Instant::now() }))
    }

    pub(crate) fn set(&self, rate: BulkRate) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rate = rate;
    }

    /// Waits until `bytes` may go.
    pub(crate) async fn take(&self, bytes: usize) {
        let now = Instant::now();
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner).reserve(bytes, now);
        if at > now {
            sleep_until(at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn bucket(now: Instant) -> Bucket {
        Bucket { rate: BulkRate::new(MIB as u64).expect("enough"), paid_until: now }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_keeps_to_the_rate() {
        let start = Instant::now();
        let mut bucket = bucket(start);
        let last = (0..10).map(|_| bucket.reserve(MIB, start)).last();
        assert_eq!(last, Some(start + Duration::from_secs(9)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_earns_no_more_than_a_burst() {
        let start = Instant::now();
        let mut bucket = bucket(start);
        let later = start + Duration::from_secs(60);
        assert_eq!(bucket.reserve(MIB, later), later);
        assert_eq!(bucket.reserve(MIB, later), later + Duration::from_secs(1) - BURST);
    }

    #[test]
    fn a_rate_at_which_transfers_time_out_is_refused() {
        assert_eq!(BulkRate::new(0), Err(BulkRateError { bytes_per_s: 0 }));
        assert!(BulkRate::new(RATE_MIN - 1).is_err());
        assert_eq!(BulkRate::new(RATE_MIN).map(BulkRate::bytes_per_s), Ok(RATE_MIN));
    }
}

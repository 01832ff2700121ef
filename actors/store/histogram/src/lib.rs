//! Log-scaled histograms, as openraft keeps them of its batches: [`Histogram`].
//!
//! It stands in the place of the crate `base2histogram` (see `[patch.crates-io]` in the workspace's
//! manifest) and has those of its names that openraft uses, written anew. The original builds, on
//! the first use of any histogram, tables of the bounds of all precisions that could be asked for:
//! 26 MiB in every daemon, of which none is read twice. Here a bound is computed where it is
//! needed. It goes when the original does the same.
//!
//! Who may use it: openraft, and nothing of ours. Deliberately absent: sliding windows, other
//! precisions, merging, pictures.

mod chart;
mod stats;

use std::marker::PhantomData;

pub use chart::AsciiChart;
pub use stats::PercentileStats;

/// Bits of a value that its bucket keeps: the highest one and the two after it. A bucket is
/// at most a fourth of its values wide.
const WIDTH: u32 = 3;

/// Buckets per power of two, and the values that have a bucket of their own.
const GROUP: usize = 1 << (WIDTH - 1);

/// Buckets of all values of 64 bits.
const BUCKETS: usize = GROUP * (u64::BITS - WIDTH + 2) as usize;

/// How many values were seen, by size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: Box<[u64; BUCKETS]>,
    data: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// Without values.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), data: PhantomData }
    }

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        let slot = &mut self.counts[bucket_of(value)];
        *slot = slot.saturating_add(count);
    }

    /// How many values were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The least value of the bucket that has the value of rank `fraction` (0 to 1) of all; 0 when
    /// there is none.
    #[must_use]
    pub fn percentile(&self, fraction: f64) -> u64 {
        let total = self.total();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank within the values; a bucket is a fourth wide anyway"
        )]
        let rank = ((total as f64 * fraction.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return least_of(bucket);
            }
        }
        0
    }

    /// The usual percentiles.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.10),
            p50: self.percentile(0.50),
            p90: self.percentile(0.90),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket of a value: small ones have their own, of the others only the highest bits count.
fn bucket_of(value: u64) -> usize {
    match usize::try_from(value) {
        Ok(small) if small < GROUP => small,
        _ => {
            let shift = u64::BITS - value.leading_zeros() - WIDTH;
            // The shifted value has `WIDTH` bits, the highest of them set.
            let within = usize::try_from(value >> shift).unwrap_or(GROUP) - GROUP;
            GROUP * (shift as usize + 1) + within
        }
    }
}

/// The least value of a bucket.
fn least_of(bucket: usize) -> u64 {
    match bucket {
        small if small < GROUP => small as u64,
        _ => ((GROUP + bucket % GROUP) as u64) << (bucket / GROUP - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_the_values_from_its_bound_to_the_next() {
        for bucket in 0..BUCKETS {
            let least = least_of(bucket);
            assert_eq!(bucket_of(least), bucket);
            match least.checked_sub(1) {
                Some(below) => assert_eq!(bucket_of(below), bucket - 1, "below {least}"),
                None => assert_eq!(bucket, 0),
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_bound_is_less_than_a_fourth_below_its_values() {
        for value in [5, 6, 7, 100, 1_000, 123_456_789, u64::MAX] {
            let least = least_of(bucket_of(value));
            assert!(least <= value && value - least < value / 4, "{value}: {least}");
        }
    }

    #[test]
    fn percentiles_are_bounds_of_the_ranked_values() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!((histogram.total(), histogram.percentile(0.5)), (0, 0));
        for value in 1..=100 {
            histogram.record(value);
        }
        histogram.record_n(1_000_000, 100);
        assert_eq!(histogram.total(), 200);
        assert_eq!(histogram.percentile(0.0), 1);
        assert_eq!(histogram.percentile(0.25), 48);
        assert_eq!(histogram.percentile(0.5), 96);
        assert_eq!(histogram.percentile(1.0), 917_504);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p50, stats.p90), (200, 96, 917_504));
    }

    #[test]
    fn more_than_can_be_counted_is_the_most() {
        let mut histogram = Histogram::<()>::new();
        histogram.record_n(7, u64::MAX);
        histogram.record(7);
        histogram.record(9);
        assert_eq!((histogram.total(), histogram.percentile(0.5)), (u64::MAX, 7));
    }
}

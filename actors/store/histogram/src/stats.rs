//! What is said of a histogram.

use std::fmt;

/// Percentiles: the least value of the bucket of that rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentileStats {
    /// Values counted.
    pub samples: u64,
    /// Of 1,000 values one is at most this.
    pub p0_1: u64,
    /// Of 100 one.
    pub p1: u64,
    /// Of 20 one.
    pub p5: u64,
    /// Of 10 one.
    pub p10: u64,
    /// Half.
    pub p50: u64,
    /// Of 10 nine.
    pub p90: u64,
    /// Of 100 all but one.
    pub p99: u64,
    /// Of 1,000 all but one.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p0_1, p1, p5, p10, p50, p90, p99, p99_9 } = self;
        write!(
            f,
            "{samples} samples, p0.1 {p0_1}, p1 {p1}, p5 {p5}, p10 {p10}, p50 {p50}, p90 {p90}, \
             p99 {p99}, p99.9 {p99_9}"
        )
    }
}

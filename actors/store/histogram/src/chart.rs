//! Several histograms, one below the other.

use std::fmt;

use crate::{Histogram, PercentileStats};

/// Named histograms; printed as a line of percentiles each.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart {
    rows: Vec<(String, PercentileStats)>,
}

impl AsciiChart {
    /// Without histograms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn add<T>(mut self, name: impl Into<String>, histogram: Histogram<T>) -> Self {
        self.rows.push((name.into(), histogram.percentile_stats()));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, stats) in &self.rows {
            writeln!(f, "{name}: {stats}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_histogram_has_a_line() {
        let mut slow = Histogram::<()>::new();
        slow.record_n(7, 3);
        let chart = AsciiChart::new().add("fast", Histogram::<()>::new()).add("slow", slow);
        let lines: Vec<String> = chart.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with("slow: 3 samples, p0.1 7,"), "{lines:?}");
    }
}

//! How long jobs waited for locks, as a histogram of Prometheus.
//!
//! The library's own one counts by itself; here the master has counted.

use std::fmt;
use std::time::Duration;

use gantry_master::LockWaitsSeen;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::page::gauge;

/// Adds what was counted since the daemon was started, and what is now.
pub(super) fn add(seen: &LockWaitsSeen, registry: &mut Registry) {
    let histogram = WaitHistogram(seen.clone());
    let help = "How long requests of jobs for locks waited until they were granted, while this \
                node was the master";
    registry.register("lock_wait_seconds", help, histogram);
    gauge(registry, ("lock_waiters", "Jobs that wait for locks now"), seen.waiting);
    let help = "Locks that jobs hold now, once for each job, on the master";
    gauge(registry, ("locks_granted", help), seen.held);
}

#[derive(Debug)]
struct WaitHistogram(LockWaitsSeen);

impl EncodeMetric for WaitHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let end =
            |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let buckets: Vec<(f64, u64)> =
            self.0.grants.iter().map(|(bound, count)| (end(*bound), *count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.waited.as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn the_classes_add_up_to_the_count() {
        let seen = LockWaitsSeen {
            grants: vec![
                (Some(Duration::from_millis(1)), 5),
                (Some(Duration::from_secs(1)), 2),
                (None, 1),
            ],
            waited: Duration::from_millis(4_500),
            waiting: 3,
            held: 7,
        };
        let mut registry = Registry::with_prefix("gantry");
        add(&seen, &mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).expect("written");
        for line in [
            "# TYPE gantry_lock_wait_seconds histogram",
            "gantry_lock_wait_seconds_bucket{le=\"0.001\"} 5",
            "gantry_lock_wait_seconds_bucket{le=\"1.0\"} 7",
            "gantry_lock_wait_seconds_bucket{le=\"+Inf\"} 8",
            "gantry_lock_wait_seconds_count 8",
            "gantry_lock_wait_seconds_sum 4.5",
            "gantry_lock_waiters 3",
            "gantry_locks_granted 7",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
        }
    }
}

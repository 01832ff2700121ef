//! Time as one node sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Where simulated wall time begins: 2020-01-01 00:00 UTC. Any fixed date would do; it is past the
/// years that look like a clock that was never set.
const SIM_WALL_START_US: i64 = 1_577_836_800 * 1_000_000;

/// A monotonic clock and a wall clock.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// How much the wall clock is wrong, in microseconds. Zero on a real node.
    wall_offset_us: Arc<AtomicI64>,
}

#[derive(Clone, Debug)]
enum Source {
    Real,
    Simulated { start: Instant },
}

impl Clock {
    pub(super) fn real() -> Self {
        Self { source: Source::Real, wall_offset_us: Arc::default() }
    }

    pub(super) fn simulated() -> Self {
        Self { source: Source::Simulated { start: Instant::now() }, wall_offset_us: Arc::default() }
    }

    /// Monotonic time; paused and advanced by tokio in a simulation.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Wall time in microseconds since 1970. May jump in both directions.
    #[must_use]
    pub fn wall_us(&self) -> i64 {
        let right = match &self.source {
            Source::Real => real_wall_us(),
            Source::Simulated { start } => {
                SIM_WALL_START_US + saturating_us(Instant::now().saturating_duration_since(*start))
            }
        };
        right.saturating_add(self.wall_offset_us.load(Ordering::Relaxed))
    }

    /// The same as time since 1970; zero for earlier.
    #[must_use]
    pub fn wall(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.wall_us()).unwrap_or(0))
    }

    /// Waits.
    pub async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }

    pub(super) fn jump(&self, offset_us: i64) {
        self.wall_offset_us.fetch_add(offset_us, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the real wall clock is read")]
fn real_wall_us() -> i64 {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => saturating_us(since),
        Err(before) => -saturating_us(before.duration()),
    }
}

fn saturating_us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

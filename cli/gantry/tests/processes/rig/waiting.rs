//! Waiting for conditions: never for a time, always with a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// Time for whatever should be there in a moment. Long, because two cores do everything at once
/// here; a test that fails is the only one that waits for it.
const SOON: Duration = Duration::from_secs(30);

/// The time between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Looks until `look` finds something.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(SOON, what, look)
}

/// The same with a deadline of its own.
pub(crate) fn eventually_within<T>(
    within: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have threads of their own")]
pub(super) fn pause() {
    std::thread::sleep(POLL);
}

/// Wall-clock time in microseconds, as tokens and jobs have it.
#[expect(clippy::disallowed_methods, reason = "compared with what daemons took from their clocks")]
pub(crate) fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.expect("after 1970").as_micros();
    u64::try_from(micros).expect("before the year 500000")
}

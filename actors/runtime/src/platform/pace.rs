//! What time it is to within a tick of the kernel's timer, at a sixth of the price.
//!
//! A precise reading costs as much as half a short turn, and an ask would need three. The kernel's
//! coarse clock says cheaply whether its timer has ticked since somebody read the precise one; as
//! long as it has not, that reading is at most a tick (2 to 10 ms) old, or as late as the timer of
//! a virtual machine that got no processor. Simulated time never asks it: there, every reading is
//! tokio's paused clock.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};
use tokio::time::Instant;

/// The longest tick: of a kernel whose timer runs at 100 Hz, the slowest that there is.
const TICK_MAX: Duration = Duration::from_millis(10);

/// Ticks are told apart by every other millisecond.
const SHORTEST_SEEN: Duration = Duration::from_millis(2);

/// Waits from here on may end a tick early. Lower would let a tick be a large part of a wait,
/// higher would read the precise clock for ordinary asks.
pub(crate) const COARSE_FROM: Duration = Duration::from_secs(1);

/// How time passes where an actor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Real,
    Simulated,
}

/// A tick of the kernel's timer; only ever compared with another one of the same thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(NonZeroU64);

thread_local! {
    /// The last precise reading and the tick in which it was made.
    static LAST: Cell<Option<(Tick, Instant)>> = const { Cell::new(None) };
}

impl Pace {
    /// The tick that is now; none where time is simulated.
    pub(crate) fn tick(self) -> Option<Tick> {
        if self == Self::Simulated {
            return None;
        }
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).ok()?;
        // Milliseconds; odd, so never zero. A timer that ticks each millisecond seems to do so at
        // every other one.
        let ms = now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000;
        NonZeroU64::new(ms.unsigned_abs() | 1).map(Tick)
    }

    /// When a wait of that length ends that begins now: long ones may end a tick early.
    pub(crate) fn start_of_wait(self, wait: Duration) -> Instant {
        if wait < COARSE_FROM { Instant::now() } else { self.about_now() }
    }

    /// Now, or up to a tick before.
    fn about_now(self) -> Instant {
        let Some(tick) = self.tick() else { return Instant::now() };
        match LAST.get() {
            Some((then, at)) if then == tick => at,
            _ => {
                let at = Instant::now();
                LAST.set(Some((tick, at)));
                at
            }
        }
    }
}

/// How long a tick of this kernel is; the longest that there is where it does not say.
pub(crate) fn tick_length() -> Duration {
    static LENGTH: OnceLock<Duration> = OnceLock::new();
    *LENGTH.get_or_init(|| {
        let said = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE);
        said.map_or(TICK_MAX, |tick| Duration::from(tick).max(SHORTEST_SEEN))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // In ticks and not in milliseconds: a virtual machine may get no processor for longer than a
    // tick, and its timer is late then.
    #[test]
    fn a_long_wait_never_begins_in_an_earlier_tick() {
        for _ in 0..20 {
            let _former = Pace::Real.start_of_wait(COARSE_FROM);
            let in_former = Instant::now();
            let former = Pace::Real.tick();
            let until = in_former + Duration::from_secs(20);
            while Pace::Real.tick() == former {
                assert!(Instant::now() < until, "the timer does not tick");
                std::hint::spin_loop();
            }
            let start = Pace::Real.start_of_wait(COARSE_FROM);
            assert!(start >= in_former && start <= Instant::now());
        }
    }

    #[test]
    fn short_waits_begin_now() {
        let _former = Pace::Real.start_of_wait(COARSE_FROM);
        let before = Instant::now();
        assert!(Pace::Real.start_of_wait(COARSE_FROM / 2) >= before);
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_time_knows_no_ticks() {
        let before = Pace::Simulated.start_of_wait(COARSE_FROM);
        tokio::time::advance(Duration::from_micros(1)).await;
        let after = Pace::Simulated.start_of_wait(COARSE_FROM);
        assert_eq!(after - before, Duration::from_micros(1));
        assert_eq!(Pace::Simulated.tick(), None);
    }
}

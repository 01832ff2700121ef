//! When turns begin and how long they take, without reading the clock for each of a burst.
//!
//! A reading costs as much as half a short turn. Between two readings the system's coarse clock, a
//! fifth of the price, shows whether a tick has passed, so that a long turn is always measured.

use std::num::NonZeroU32;

use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::flight::Flight;

/// Turns of one burst per reading. Lower reads more often, higher makes the moments in the records
/// of a burst coarser; a tick of the coarse clock (4 ms) bounds both anyway.
const TURNS_PER_READING: u32 = 8;

/// The clock of one actor's turns.
#[derive(Default)]
pub(crate) struct TurnClock {
    read: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    at_us: u64,
    tick: Option<NonZeroU32>,
    /// Turns that have ended since.
    turns: u32,
}

/// The coarse clock; only ever compared with itself, and only to decide whether to read the real
/// one.
fn tick() -> Option<NonZeroU32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).ok()?;
    // Milliseconds, wrapping; odd, so never zero. Two ticks are never as near as two milliseconds.
    NonZeroU32::new((now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000) as u32 | 1)
}

impl TurnClock {
    /// Time may have passed without turns.
    pub(crate) fn forget(&mut self) {
        self.read = None;
    }

    /// About now, and the same for a record.
    pub(crate) fn now(&mut self, flight: &Flight) -> (Instant, u64) {
        let reading = *self.read.get_or_insert_with(|| Self::read(flight));
        (reading.at, reading.at_us)
    }

    fn read(flight: &Flight) -> Reading {
        let at = Instant::now();
        Reading { at, at_us: flight.at_us(at), tick: tick(), turns: 0 }
    }

    /// A turn has ended. Says for how long it is to be recorded: the mean of those since the last
    /// reading, all of that time if it was a long one, or nothing when the clock was not read.
    pub(crate) fn end_turn(&mut self, is_last: bool, flight: &Flight) -> u64 {
        let Some(reading) = &mut self.read else { return 0 };
        reading.turns += 1;
        let tick = tick();
        let is_long = tick.is_none() || tick != reading.tick;
        if !is_long && !is_last && reading.turns < TURNS_PER_READING {
            return 0;
        }
        let (before, turns) = (reading.at, reading.turns);
        let at = Instant::now();
        *reading = Reading { at, at_us: flight.at_us(at), tick, turns: 0 };
        let took = at.saturating_duration_since(before).as_nanos();
        let took_ns = u64::try_from(took).unwrap_or(u64::MAX);
        if is_long { took_ns } else { took_ns / u64::from(turns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_turn_that_runs_alone_is_measured() {
        let (mut clock, flight) = (TurnClock::default(), Flight::new(Instant::now()));
        let (start, _) = clock.now(&flight);
        while start.elapsed() < Duration::from_micros(50) {}
        assert!(clock.end_turn(true, &flight) >= 50_000);
    }

    #[test]
    fn a_long_turn_in_the_middle_of_a_burst_is_measured() {
        let (mut clock, flight) = (TurnClock::default(), Flight::new(Instant::now()));
        let (start, _) = clock.now(&flight);
        clock.end_turn(false, &flight);
        while start.elapsed() < Duration::from_millis(30) {}
        assert!(clock.end_turn(false, &flight) >= 25_000_000);
    }

    #[test]
    fn a_burst_of_short_turns_is_measured_in_groups() {
        let (mut clock, flight) = (TurnClock::default(), Flight::new(Instant::now()));
        // On a busy machine a tick may fall into a group; then it is measured earlier.
        let measured = (0..100 * TURNS_PER_READING).filter(|_| {
            clock.now(&flight);
            clock.end_turn(false, &flight) > 0
        });
        assert!(measured.count() >= 100);
    }
}

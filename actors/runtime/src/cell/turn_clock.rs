//! When turns begin and how long they take, without reading the clock for each of a burst.
//!
//! A reading costs as much as half a short turn. An actor whose turns are short has them measured
//! in groups: of one kind, so that time is never charged to another message's name, and growing
//! only while they stay short. A message with a deadline is never judged by an old reading: the
//! system's coarse clock, cheaper than the real one, says whether that still holds.

use std::num::NonZeroU32;

use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::flight::Flight;

/// Turns of one group at most. Lower reads more often, higher makes the moments in the records of a
/// burst coarser.
const TURNS_PER_READING: u32 = 8;

/// A group that took longer was no group of short turns: the next turns are measured one by one.
/// Lower would do so for ordinary work, higher would tell the length of long turns worse.
const SHORT_GROUP_NS: u64 = 400_000;

/// From here on a group counts as one long turn, which it is where the turns before were short; a
/// shorter one is told by its mean. Lower would call ordinary work long, higher would hide a long
/// turn among short ones.
const LONG_GROUP_NS: u64 = 4_000_000;

const _: () = assert!(LONG_GROUP_NS >= 10 * SHORT_GROUP_NS);

/// The clock of one actor's turns.
#[derive(Default)]
pub(crate) struct TurnClock {
    read: Option<Reading>,
    /// How many turns the next group may have, less one.
    patience: u32,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    /// The same for a record, once one was made: not every reading begins a turn.
    at_us: Option<u64>,
    /// The coarse clock at that moment, where somebody wanted to know.
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
    pub(crate) fn now(&mut self) -> Instant {
        self.read.get_or_insert_with(|| Reading::new(None)).at
    }

    /// As [`TurnClock::now`], as a record has it.
    pub(crate) fn now_us(&mut self, flight: &Flight) -> u64 {
        let reading = self.read.get_or_insert_with(|| Reading::new(None));
        *reading.at_us.get_or_insert_with(|| flight.at_us(reading.at))
    }

    /// As [`TurnClock::now`], at most a tick of the coarse clock (some milliseconds) old: for
    /// whoever compares it with a deadline.
    pub(crate) fn fresh(&mut self) -> Instant {
        if let Some(reading) = self.read.filter(|reading| reading.turns > 0) {
            let now = tick();
            if now.is_none() || now != reading.tick {
                self.read = Some(Reading::new(now));
            }
        }
        self.now()
    }

    /// A turn has ended; `ends_group` when the next is of another kind, or there is none. Says for
    /// how long it is to be recorded: the mean of its group, all of its time if that was long, or
    /// nothing when the clock was not read.
    pub(crate) fn end_turn(&mut self, ends_group: bool) -> u64 {
        let Some(reading) = &mut self.read else { return 0 };
        reading.turns += 1;
        if !ends_group && reading.turns <= self.patience {
            return 0;
        }
        let (before, turns) = (reading.at, reading.turns);
        *reading = Reading::new(None);
        let took = reading.at.saturating_duration_since(before).as_nanos();
        let took_ns = u64::try_from(took).unwrap_or(u64::MAX);
        self.patience = match took_ns {
            0..SHORT_GROUP_NS => (self.patience * 2 + 1).min(TURNS_PER_READING - 1),
            _ => 0,
        };
        if took_ns < LONG_GROUP_NS { took_ns / u64::from(turns) } else { took_ns }
    }
}

impl Reading {
    fn new(tick: Option<NonZeroU32>) -> Self {
        Self { at: Instant::now(), at_us: None, tick, turns: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// After it, groups are as large as they get.
    async fn warm_up(clock: &mut TurnClock) {
        for _ in 0..100 {
            clock.now();
            tokio::time::advance(Duration::from_micros(2)).await;
            clock.end_turn(false);
        }
        clock.end_turn(true);
    }

    /// The recorded times of turns of one burst that take so many microseconds.
    async fn burst(clock: &mut TurnClock, turns_us: &[u64]) -> Vec<u64> {
        let mut recorded = Vec::new();
        for (n, us) in turns_us.iter().enumerate() {
            clock.now();
            tokio::time::advance(Duration::from_micros(*us)).await;
            let is_last = n + 1 == turns_us.len();
            recorded.push(clock.end_turn(is_last) / 1000);
        }
        recorded
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_runs_alone_is_measured() {
        let mut clock = TurnClock::default();
        warm_up(&mut clock).await;
        assert_eq!(burst(&mut clock, &[50]).await, [50]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_short_turns_is_measured_in_groups() {
        let mut clock = TurnClock::default();
        warm_up(&mut clock).await;
        let recorded = burst(&mut clock, &[10, 10, 10, 10, 10, 10, 10, 18, 5, 7]).await;
        assert_eq!(recorded, [0, 0, 0, 0, 0, 0, 0, 11, 0, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_turn_among_short_ones_is_not_made_less() {
        let mut clock = TurnClock::default();
        warm_up(&mut clock).await;
        let recorded = burst(&mut clock, &[10, 30_000, 10, 10, 10, 10, 10, 10, 9]).await;
        assert_eq!(recorded, [0, 0, 0, 0, 0, 0, 0, 30_070, 9]);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_that_are_not_short_are_measured_one_by_one() {
        let mut clock = TurnClock::default();
        let turns = [3000, 2000, 1000, 5000];
        assert_eq!(burst(&mut clock, &turns).await, turns);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_not_compared_with_an_old_reading() {
        let mut clock = TurnClock::default();
        warm_up(&mut clock).await;
        let start = clock.now();
        tokio::time::advance(Duration::from_secs(1)).await;
        clock.end_turn(false);
        assert_eq!(clock.now(), start, "the group goes on");
        assert_eq!(clock.fresh(), start + Duration::from_secs(1));
    }
}

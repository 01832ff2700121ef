//! When turns begin and how long they take, without reading the clock for each of them.
//!
//! A reading costs as much as half a short turn. An actor whose turns are short has them measured
//! in groups: of one kind, so that time is never charged to another message's name, and growing
//! only while they stay short. Once they are as large as they get, nothing is measured for the rest
//! of that tick of the kernel's timer; a turn during which it ticks is known to have taken at least
//! what is beyond the tick. A message with a deadline is never judged by a reading of another tick.

use std::num::NonZeroU64;

use tokio::time::Instant;

use crate::flight::Flight;
use crate::platform::{Pace, Tick, tick_length};

/// Turns of one group at most. Lower reads more often, higher makes the moments in the records of a
/// burst coarser.
const TURNS_PER_READING: u8 = 8;

/// A group that took longer was no group of short turns: the next turns are measured one by one.
/// Lower would do so for ordinary work, higher would tell the length of long turns worse.
const SHORT_GROUP_NS: u64 = 400_000;

/// From here on a group counts as one long turn, which it is where the turns before were short; a
/// shorter one is told by its mean. Lower would call ordinary work long, higher would hide a long
/// turn among short ones.
const LONG_GROUP_NS: u64 = 4_000_000;

const _: () = assert!(LONG_GROUP_NS >= 10 * SHORT_GROUP_NS);

/// The clock of one actor's turns.
pub(crate) struct TurnClock {
    read: Option<Reading>,
    /// How many turns the next group may have, less one.
    patience: u8,
    pace: Pace,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    /// The same for a record, plus one, once one was made: not every reading begins a turn.
    at_us: Option<NonZeroU64>,
    /// The tick in which it was made; none where time is simulated.
    tick: Option<Tick>,
    /// Turns that have ended since.
    turns: u8,
    /// Time has passed since that was not measured.
    is_old: bool,
}

impl TurnClock {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { read: None, patience: 0, pace }
    }

    /// Time may have passed without turns.
    pub(crate) fn forget(&mut self) {
        self.read = None;
    }

    /// As [`TurnClock::forget`], but where turns are short the reading is good enough as long as
    /// its tick is not over.
    pub(crate) fn resume(&mut self) {
        let kept = self.read.filter(|reading| self.is_patient() && self.is_of_this_tick(reading));
        self.read = kept.map(|reading| Reading { is_old: true, turns: 0, ..reading });
    }

    /// Whether its turns are so short that their groups are as large as they get.
    fn is_patient(&self) -> bool {
        self.patience == TURNS_PER_READING - 1
    }

    fn is_of_this_tick(&self, reading: &Reading) -> bool {
        reading.tick.is_some() && reading.tick == self.pace.tick()
    }

    fn reading(&mut self) -> &mut Reading {
        self.read.get_or_insert_with(|| Reading::new(self.pace.tick()))
    }

    /// About now, and the same for a record.
    pub(crate) fn now(&mut self) -> Instant {
        self.reading().at
    }

    /// As [`TurnClock::now`], as a record has it.
    pub(crate) fn now_us(&mut self, flight: &Flight) -> u64 {
        let reading = self.reading();
        let stored = || NonZeroU64::MIN.saturating_add(flight.at_us(reading.at));
        reading.at_us.get_or_insert_with(stored).get() - 1
    }

    /// As [`TurnClock::now`], at most a tick old: for whoever compares it with a deadline.
    pub(crate) fn fresh(&mut self) -> Instant {
        let read = self.read.filter(|reading| reading.turns > 0);
        if read.is_some_and(|reading| !self.is_of_this_tick(&reading)) {
            self.forget();
        }
        self.now()
    }

    /// A turn has ended; `ends_group` when the next is of another kind, or there is none. Says for
    /// how long it is to be recorded: the mean of its group, all of its time if that was long, or
    /// nothing when it was not measured.
    pub(crate) fn end_turn(&mut self, ends_group: bool) -> u64 {
        let Some(reading) = &mut self.read else { return 0 };
        reading.turns += 1;
        let reading = *reading;
        if !ends_group && reading.turns <= self.patience {
            return 0;
        }
        if reading.is_old && self.is_of_this_tick(&reading) {
            self.read = Some(Reading { turns: 0, ..reading });
            return 0;
        }
        let now = Reading::new(self.pace.tick());
        let took = now.at.saturating_duration_since(reading.at);
        let took_ns = if reading.is_old {
            // The rest was between turns, or in turns before this group.
            nanoseconds(took.saturating_sub(tick_length()))
        } else {
            nanoseconds(took)
        };
        self.patience = match took_ns {
            _ if reading.is_old => 0,
            0..SHORT_GROUP_NS => (self.patience * 2 + 1).min(TURNS_PER_READING - 1),
            _ => 0,
        };
        self.read = Some(Reading { is_old: self.is_patient() && now.tick.is_some(), ..now });
        if took_ns < LONG_GROUP_NS { took_ns / u64::from(reading.turns) } else { took_ns }
    }
}

fn nanoseconds(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

impl Reading {
    fn new(tick: Option<Tick>) -> Self {
        Self { at: Instant::now(), at_us: None, tick, turns: 0, is_old: false }
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
        let mut clock = TurnClock::new(Pace::Simulated);
        warm_up(&mut clock).await;
        assert_eq!(burst(&mut clock, &[50]).await, [50]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_short_turns_is_measured_in_groups() {
        let mut clock = TurnClock::new(Pace::Simulated);
        warm_up(&mut clock).await;
        let recorded = burst(&mut clock, &[10, 10, 10, 10, 10, 10, 10, 18, 5, 7]).await;
        assert_eq!(recorded, [0, 0, 0, 0, 0, 0, 0, 11, 0, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_turn_among_short_ones_is_not_made_less() {
        let mut clock = TurnClock::new(Pace::Simulated);
        warm_up(&mut clock).await;
        let recorded = burst(&mut clock, &[10, 30_000, 10, 10, 10, 10, 10, 10, 9]).await;
        assert_eq!(recorded, [0, 0, 0, 0, 0, 0, 0, 30_070, 9]);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_that_are_not_short_are_measured_one_by_one() {
        let mut clock = TurnClock::new(Pace::Simulated);
        let turns = [3000, 2000, 1000, 5000];
        assert_eq!(burst(&mut clock, &turns).await, turns);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_not_compared_with_an_old_reading() {
        let mut clock = TurnClock::new(Pace::Simulated);
        warm_up(&mut clock).await;
        let start = clock.now();
        tokio::time::advance(Duration::from_secs(1)).await;
        clock.end_turn(false);
        assert_eq!(clock.now(), start, "the group goes on");
        assert_eq!(clock.fresh(), start + Duration::from_secs(1));
    }

    #[test]
    fn a_long_turn_after_unmeasured_ones_is_told_but_for_a_tick() {
        let mut clock = TurnClock::new(Pace::Real);
        let mut measured_ns = 1;
        while measured_ns > 0 {
            clock.resume();
            clock.now();
            measured_ns = clock.end_turn(true);
        }
        let took = 5 * tick_length();
        clock.resume();
        clock.now();
        let begun = Instant::now();
        while begun.elapsed() < took {
            std::hint::spin_loop();
        }
        let recorded_ns = clock.end_turn(true);
        assert!(u128::from(recorded_ns) >= (took - tick_length()).as_nanos(), "{recorded_ns}");
    }
}

//! The flight recorder and the counters of one actor: written by its thread only, read by any.
//!
//! Plain stores of single words, no lock: a reader may see a record that is being replaced, and
//! throws away what was overwritten while it read.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::names::NameId;

/// Records kept per actor. Enough to see what led to a panic or a stall; lower would lose the cause
/// behind the last burst, higher costs 16 bytes each in every actor that ever ran.
pub const FLIGHT_RECORDS: usize = 32;

/// Message types remembered by their slowest turn. The slowest one or two are what a person looks
/// for; more would cost a longer search on each slow turn.
pub const SLOWEST_KEPT: usize = 4;

const NAME_SHIFT: u32 = 48;
const TIME_MASK: u64 = (1 << NAME_SHIFT) - 1;

/// One turn of an actor: a message or a continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightRecord {
    /// Wire name of the message, or `closure`, `then`, `hold`, `timer`, `started`, `stopping`.
    pub name: &'static str,
    /// When it began, since the system was made; where it was not measured, up to a tick of the
    /// kernel's timer (2 to 10 ms) before.
    pub at: Duration,
    /// How long it took. Turns of an actor whose last ones were short are measured in groups: one
    /// of them has the mean of its group, or all of its time if the group took 4 ms or more and so
    /// had a long turn in it; the others have zero. Then none is for the rest of that tick, but one
    /// in which it ends: what is beyond a tick was in that.
    pub took: Duration,
}

/// A turn that occupied its thread for longer than [`crate::STUCK_AFTER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Wire name of the message, or as [`FlightRecord::name`].
    pub during: &'static str,
    /// When it began; the watch may have seen it up to a look later.
    pub since: Instant,
    /// How long it took, or has taken when the watch spoke of it last.
    pub took: Duration,
    /// The thread has gone on since.
    pub is_over: bool,
}

/// What the watch has said of an actor.
struct Stalls {
    count: u32,
    last: Stall,
}

/// Name and start in the first word, nanoseconds in the second.
type Record = [AtomicU64; 2];

/// Counters and records of one actor.
pub(crate) struct Flight {
    epoch: Instant,
    /// Made at the second turn: an actor that has done nothing but start pays one record.
    ring: OnceLock<Box<[Record; FLIGHT_RECORDS]>>,
    first: Record,
    handled: AtomicU64,
    restarts: AtomicU32,
    /// Made at the first: hardly any actor has one. Written by the watch.
    stalls: OnceLock<Box<Mutex<Stalls>>>,
    /// The turn that runs now: name and start, or zero.
    busy: AtomicU64,
    slowest: [AtomicU64; SLOWEST_KEPT],
}

/// Microseconds in the low 48 bits (almost nine years), the name above them. Never zero,
/// because no name is.
fn pack(name: NameId, time: u64) -> u64 {
    name.bits() << NAME_SHIFT | time.min(TIME_MASK)
}

fn unpack(word: u64) -> (&'static str, u64) {
    (NameId::from_bits(word >> NAME_SHIFT).as_str(), word & TIME_MASK)
}

impl Flight {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            ring: OnceLock::new(),
            first: Record::default(),
            handled: AtomicU64::new(0),
            restarts: AtomicU32::new(0),
            stalls: OnceLock::new(),
            busy: AtomicU64::new(0),
            slowest: [const { AtomicU64::new(0) }; SLOWEST_KEPT],
        }
    }

    /// A moment as records have it.
    pub(crate) fn at_us(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_micros() as u64
    }

    /// A turn begins.
    pub(crate) fn begin(&self, name: NameId, at_us: u64) {
        self.busy.store(pack(name, at_us), Ordering::Relaxed);
    }

    /// The turn that began was none.
    pub(crate) fn cancel(&self) {
        self.busy.store(0, Ordering::Relaxed);
    }

    /// The turn that began is over.
    pub(crate) fn end(&self, name: NameId, took_ns: u64) {
        let begun = self.busy.load(Ordering::Relaxed);
        let number = self.handled.load(Ordering::Relaxed);
        let record = match number {
            0 => &self.first,
            _ => &self.ring.get_or_init(Box::default)[number as usize % FLIGHT_RECORDS],
        };
        record[0].store(begun, Ordering::Relaxed);
        record[1].store(took_ns, Ordering::Relaxed);
        self.handled.store(number + 1, Ordering::Release);
        self.busy.store(0, Ordering::Relaxed);
        if took_ns > self.slowest[SLOWEST_KEPT - 1].load(Ordering::Relaxed) & TIME_MASK {
            self.note_slow(name, took_ns);
        }
    }

    /// Keeps `slowest` sorted, one entry per name. An actor that knows fewer messages than are kept
    /// comes here at every measured turn, and mostly for nothing.
    fn note_slow(&self, name: NameId, took_ns: u64) {
        let mut kept = [0; SLOWEST_KEPT];
        for (kept, word) in kept.iter_mut().zip(&self.slowest) {
            *kept = word.load(Ordering::Relaxed);
        }
        match kept.iter_mut().find(|w| **w != 0 && **w >> NAME_SHIFT == name.bits()) {
            Some(word) if *word & TIME_MASK >= took_ns => return,
            Some(word) => *word = pack(name, took_ns),
            None => kept[SLOWEST_KEPT - 1] = pack(name, took_ns),
        }
        kept.sort_by_key(|word| std::cmp::Reverse(word & TIME_MASK));
        for (word, value) in self.slowest.iter().zip(kept) {
            word.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// The watch has named it: another turn, or the same one again.
    pub(crate) fn note_stall(&self, stall: Stall, is_another: bool) {
        let first = || Box::new(Mutex::new(Stalls { count: 0, last: stall }));
        let stalls = self.stalls.get_or_init(first);
        let mut stalls = stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.count += u32::from(is_another);
        stalls.last = stall;
    }

    /// How many turns the watch has named, and the last one.
    pub(crate) fn stalls(&self) -> (u32, Option<Stall>) {
        let Some(stalls) = self.stalls.get() else { return (0, None) };
        let stalls = stalls.lock().unwrap_or_else(PoisonError::into_inner);
        (stalls.count, Some(stalls.last))
    }

    pub(crate) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Acquire)
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The turn that runs now, and since when.
    pub(crate) fn busy(&self, now: Instant) -> Option<(&'static str, Duration)> {
        let word = self.busy.load(Ordering::Relaxed);
        if word == 0 {
            return None;
        }
        let (name, at_us) = unpack(word);
        let began = self.epoch + Duration::from_micros(at_us);
        Some((name, now.saturating_duration_since(began)))
    }

    pub(crate) fn slowest(&self) -> Vec<(&'static str, Duration)> {
        let words = self.slowest.iter().map(|word| word.load(Ordering::Relaxed));
        words
            .filter(|word| *word != 0)
            .map(unpack)
            .map(|(name, took_ns)| (name, Duration::from_nanos(took_ns)))
            .collect()
    }

    /// The last records, oldest first.
    pub(crate) fn records(&self) -> Vec<FlightRecord> {
        let end = self.handled();
        let first = end.saturating_sub(FLIGHT_RECORDS as u64);
        let read = |number: u64| {
            let record = match (number, self.ring.get()) {
                (1.., Some(ring)) => &ring[number as usize % FLIGHT_RECORDS],
                (0, _) | (_, None) => &self.first,
            };
            let (name, at_us) = unpack(record[0].load(Ordering::Relaxed));
            let took = Duration::from_nanos(record[1].load(Ordering::Relaxed));
            (number, FlightRecord { name, at: Duration::from_micros(at_us), took })
        };
        let records: Vec<_> = (first..end).map(read).collect();
        // What was written while we read replaced the oldest; one more may be half written.
        let written = self.handled() - end;
        let lost_before = if written == 0 && self.busy.load(Ordering::Relaxed) == 0 {
            first
        } else {
            first + written + 1
        };
        records.into_iter().filter(|(number, _)| *number >= lost_before).map(|(_, r)| r).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::intern;

    #[test]
    fn keeps_the_last_records_in_order() {
        let epoch = Instant::now();
        let flight = Flight::new(epoch);
        let name = intern("flight-test");
        for turn in 1..=FLIGHT_RECORDS as u64 + 3 {
            flight.begin(name, flight.at_us(epoch + Duration::from_micros(turn)));
            flight.end(name, turn);
        }
        let records = flight.records();
        assert_eq!(records.len(), FLIGHT_RECORDS);
        assert_eq!(records[0].at, Duration::from_micros(4));
        assert_eq!(records.last().map(|r| r.took), Some(Duration::from_nanos(35)));
        assert_eq!(flight.handled(), 35);
    }

    #[test]
    fn slowest_has_one_entry_per_name() {
        let epoch = Instant::now();
        let flight = Flight::new(epoch);
        let turns = [("slow-a", 50), ("slow-b", 90), ("slow-a", 70), ("slow-a", 10), ("slow-c", 5)];
        for (name, took_ns) in turns {
            flight.begin(intern(name), flight.at_us(epoch));
            flight.end(intern(name), took_ns);
        }
        let shown: Vec<_> =
            flight.slowest().into_iter().map(|(n, d)| (n, d.as_nanos() as u64)).collect();
        assert_eq!(shown, [("slow-b", 90), ("slow-a", 70), ("slow-c", 5)]);
    }

    #[test]
    fn one_long_turn_is_one_stall_however_often_it_is_named() {
        let epoch = Instant::now();
        let flight = Flight::new(epoch);
        assert_eq!(flight.stalls(), (0, None));
        let at = |took| Stall {
            during: "slow-a",
            since: epoch,
            took: Duration::from_millis(took),
            is_over: false,
        };
        flight.note_stall(at(500), true);
        flight.note_stall(at(1000), false);
        let over = Stall { is_over: true, ..at(1200) };
        flight.note_stall(over, false);
        assert_eq!(flight.stalls(), (1, Some(over)));
        flight.note_stall(at(500), true);
        assert_eq!(flight.stalls(), (2, Some(at(500))));
    }
}

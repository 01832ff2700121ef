//! Names of turns as small numbers, so that a flight record fits into two words.
//!
//! Owns the one process-wide table. A name is interned when a ref or a protocol is made, never per
//! message. Numbers never leave the process and never decide anything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A name in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameId(u16);

impl NameId {
    /// A closure given to `act`.
    pub(crate) const CLOSURE: Self = Self(1);
    /// The continuation of a `spawn_then`.
    pub(crate) const THEN: Self = Self(2);
    /// The continuation of a `hold_then`.
    pub(crate) const HOLD: Self = Self(3);
    /// The continuation of an `after`.
    pub(crate) const TIMER: Self = Self(4);
    /// The factory together with `started`.
    pub(crate) const STARTED: Self = Self(5);
    /// The hook `stopping`.
    pub(crate) const STOPPING: Self = Self(6);
    /// What did not fit into the table.
    const OTHER: Self = Self(7);
    /// Between the turns of an actor: its queue, its own bookkeeping.
    pub(crate) const BETWEEN: Self = Self(8);

    /// The number as it is packed into records.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.0)
    }

    /// The name behind the low sixteen bits of `bits`.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self((bits & 0xffff) as u16)
    }

    /// The text.
    pub(crate) fn as_str(self) -> &'static str {
        let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        let fixed = FIXED.get(usize::from(self.0)).copied();
        fixed
            .or_else(|| table.names.get(usize::from(self.0) - FIXED.len()).copied())
            .unwrap_or(FIXED[usize::from(Self::OTHER.0)])
    }
}

/// Zero names nothing, so that a packed word of zero is no turn.
const FIXED: [&str; 9] =
    ["none", "closure", "then", "hold", "timer", "started", "stopping", "other", "between turns"];

/// Most names. Wire names are constants of the program (a few hundred), so this is only the width
/// of the field; what comes after is shown as `other`. More would not fit into a flight record.
const NAMES_MAX: usize = u16::MAX as usize - FIXED.len();

struct Table {
    names: Vec<&'static str>,
    numbers: BTreeMap<&'static str, NameId>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { names: Vec::new(), numbers: BTreeMap::new() });

/// The number of a name; the same for the same text as long as the process lives.
pub(crate) fn intern(name: &'static str) -> NameId {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = table.numbers.get(name) {
        return *number;
    }
    if table.names.len() == NAMES_MAX {
        return NameId::OTHER;
    }
    let number = NameId((FIXED.len() + table.names.len()) as u16);
    table.names.push(name);
    table.numbers.insert(name, number);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_its_text() {
        let first = intern("names-test-a");
        let second = intern("names-test-b");
        assert_ne!(first, second);
        assert_eq!(intern("names-test-a"), first);
        assert_eq!(NameId::from_bits(second.bits()).as_str(), "names-test-b");
        assert_eq!(NameId::TIMER.as_str(), "timer");
    }
}

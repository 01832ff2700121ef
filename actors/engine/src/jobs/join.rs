//! Steps that begin in one entry.
//!
//! A change of the configuration has happened when its entry is applied; nothing in the world waits
//! for it. So what follows it need not wait for the disk either: changes that follow each other,
//! and the call, wait or end after them, are one entry, which is applied whole or not at all. A
//! creation that also starts costs two entries less that way.
//!
//! Such an entry can be refused without saying which of its steps is at fault. Then none of them
//! has begun, and the rest of the opcode goes on with one step per entry, which finds out.

use super::machine::JobMachine;
use super::protocol::JobEffect;

/// Most changes of the configuration in one entry. With fewer an opcode that changes many objects
/// pays a flush for more of them; with many more its entry would near the limit of a log entry.
pub(super) const JOINED_MAX: usize = 16;

/// Where the steps begin that are not in the log yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Joined {
    /// So many facts of the entry are not of these steps.
    n_facts: usize,
    /// So many steps the log has.
    n_steps: usize,
}

impl JobMachine {
    /// A step is about to be noted in the entry to come.
    pub(super) fn open_entry(&mut self) {
        let (n_facts, n_steps) = (self.pending.len(), self.steps.len());
        self.joined.get_or_insert(Joined { n_facts, n_steps });
    }

    /// Whether what follows a change of the configuration may be in its entry.
    pub(super) fn may_join(&self) -> bool {
        let n_open = self.joined.map_or(0, |joined| self.steps.len() - joined.n_steps);
        !self.one_by_one && n_open < JOINED_MAX
    }

    /// After a refusal: takes back the steps of the entry if more was in it than the beginning of
    /// one, and chooses the first of them again. `None` if there is nothing to find out.
    pub(super) fn take_apart(&mut self, single: bool) -> Option<Vec<JobEffect>> {
        let joined = self.joined.take()?;
        if self.one_by_one || (single && self.steps.len() == joined.n_steps + 1) {
            return None;
        }
        self.one_by_one = true;
        self.steps.truncate(joined.n_steps);
        self.narrowing = None;
        self.unwinding = None;
        self.pending = std::mem::take(&mut self.committing);
        self.pending.truncate(joined.n_facts);
        Some(self.decide())
    }
}

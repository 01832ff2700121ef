//! The moments around a commit at which a process can be made to die.
//!
//! Part of the product like the crash points of node calls: tests of real daemons use it. What
//! dying means, and at which commit, is the business of whoever watches.

use std::sync::Arc;

use gantry_engine::state::Command;

use super::Store;

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitMoment {
    /// Nothing of the entry is anywhere.
    Before,
    /// A majority has it on disk and it is applied here; whoever proposed it has not been told.
    After,
}

impl CommitMoment {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// Told of every command that this node proposes, before and after its commit.
pub type CommitWatcher = Arc<dyn Fn(CommitMoment, &Command) + Send + Sync>;

impl Store {
    /// Sets who is told of commits. Only the first call counts.
    pub fn watch_commits(&self, watcher: CommitWatcher) {
        // A second watcher would be told of what the first did not survive.
        drop(self.inner.commit_watcher.set(watcher));
    }

    pub(super) fn at_commit(&self, moment: CommitMoment, command: &Command) {
        if let Some(watcher) = self.inner.commit_watcher.get() {
            watcher(moment, command);
        }
    }
}

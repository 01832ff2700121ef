//! Looks at every state that the leader publishes, and remembers what must not change any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_store::Store;
use tokio::task::JoinHandle;

use crate::invariants::{exclusive_owners, jobs_end_once, released_locks};

#[derive(Default)]
struct Seen {
    ended: jobs_end_once::History,
    violations: Vec<String>,
    n_states: u64,
}

/// Watches the log of a cluster over all its boots.
#[derive(Clone, Default)]
pub(crate) struct Monitor(Arc<Mutex<Seen>>);

impl Monitor {
    /// Looks at every state of this store until told to stop or the store has ended.
    pub(crate) fn follow(&self, store: &Store) -> JoinHandle<()> {
        let (monitor, store) = (self.clone(), store.clone());
        let mut revision = store.revision_watch();
        tokio::task::spawn_local(async move {
            loop {
                monitor.look(&store);
                if revision.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    fn look(&self, store: &Store) {
        let state = store.snapshot();
        let mut seen = self.seen();
        seen.n_states += 1;
        let mut found = exclusive_owners::in_state(&state);
        found.extend(released_locks::in_state(&state));
        found.extend(seen.ended.observe(&state));
        let at = state.revision;
        seen.violations.extend(found.into_iter().map(|text| format!("at {at}: {text}")));
    }

    /// What was wrong so far, and how many states were looked at.
    pub(crate) fn report(&self) -> (Vec<String>, u64) {
        let seen = self.seen();
        (seen.violations.clone(), seen.n_states)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

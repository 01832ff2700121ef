//! A finished job holds no lock and waits for none.

use gantry_engine::state::ClusterState;
use gantry_model::locks::LockRow;

/// In the log: at every revision.
#[must_use]
pub fn in_state(state: &ClusterState) -> Vec<String> {
    let finished = state.locks.keys().filter(|job| !state.unfinished.contains(*job));
    finished.map(|job| format!("job {job} has ended and holds locks in the log")).collect()
}

/// In the lock table, once no job is left to do.
#[must_use]
pub fn in_rows(state: &ClusterState, rows: &[LockRow]) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        let waiting = row.pending.iter().flat_map(|(_, jobs)| jobs);
        for job in row.owners.iter().chain(waiting) {
            if !state.unfinished.contains(job) {
                wrong.push(format!("job {job} has ended and is in the table at {}", row.name));
            }
        }
    }
    wrong
}

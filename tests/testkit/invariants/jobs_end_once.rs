//! Every acknowledged job ends exactly once: it is never lost, and once it has ended nothing of it
//! changes any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_engine::state::ClusterState;
use gantry_model::ids::JobId;
use gantry_model::jobs::JobRecord;

/// The ends that were seen, over all boots of the leader.
#[derive(Default)]
pub struct History {
    ended: BTreeMap<JobId, Arc<JobRecord>>,
}

impl History {
    /// Looks at a state; to be shown every one.
    pub fn observe(&mut self, state: &ClusterState) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, record) in &state.jobs {
            match self.ended.get(id) {
                Some(first) if first != record => {
                    wrong.push(format!(
                        "job {id} had ended as {} and is {} now",
                        first.status(),
                        record.status()
                    ));
                }
                Some(_) => {}
                None if record.status().is_final() && record.end.is_some() => {
                    self.ended.insert(*id, record.clone());
                }
                None => {}
            }
        }
        wrong
    }
}

/// Once no job is left to do.
#[must_use]
pub fn all_ended(state: &ClusterState, acknowledged: &BTreeSet<JobId>) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in acknowledged {
        match state.jobs.get(id) {
            None => wrong.push(format!("job {id} was acknowledged and is lost")),
            Some(job) if !job.status().is_final() || job.end.is_none() => {
                wrong.push(format!("job {id} has not ended: {}", job.status()));
            }
            Some(_) => {}
        }
    }
    wrong
}

//! What leaves the state for the history: finished jobs, and what became of guests.
//!
//! The state keeps only how many records have left it and a hash over all of them
//! ([`HistoryHead`]). Both are part of the state's hash, so replicas that compare their states also
//! prove to each other that their histories are equal, and a record that is fetched from another
//! replica can be checked. Deliberately absent: where the records go ([`ClusterState::apply`] hands
//! them out), how long they are kept there.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, JobId, Revision};
use gantry_model::jobs::JobRecord;
use gantry_model::transitions::Transition;
use gantry_model::units::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::level::Rule;
use super::{Applied, BATCH_MAX, ClusterState, FINISHED_JOBS_MAX};

/// Bytes of one encoded record that are kept whole. A larger job loses the log lines of its
/// opcodes, then their results: it must still fit a message to another replica (16 MiB). The input
/// of the largest job that can be submitted is some 10 MiB; lower would cut it, higher would make a
/// record that cannot be replicated.
pub const HISTORY_RECORD_BYTES_MAX: usize = 12 * 1024 * 1024;

/// How much has left the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryHead {
    /// How many records; the next one has this position.
    pub count: u64,
    /// Hash over all of them, each with the hash before it; hexadecimal, empty before the first.
    pub chain: String,
}

impl HistoryHead {
    /// The head after one more record.
    #[must_use]
    pub fn after(&self, encoded: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(&self.chain).chain_update(encoded).finalize();
        Self { count: self.count + 1, chain: hex(&digest) }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// A record of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRecord {
    /// Its place, from 0, without gaps.
    pub position: u64,
    /// The entry that made it.
    pub revision: Revision,
    /// The time of that entry.
    pub at: Timestamp,
    /// What it holds.
    pub event: HistoryEvent,
}

/// What a record of the history holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryEvent {
    /// A job that had ended and was archived.
    Job {
        /// The job.
        job: Box<JobRecord>,
        /// Whether log lines or results were cut off, because it was too large.
        cut: bool,
    },
    /// The guest of an instance changed.
    Guest {
        /// Which.
        instance: InstanceUuid,
        /// How.
        transition: Transition,
    },
}

impl HistoryRecord {
    /// The job in it, if it holds one.
    #[must_use]
    pub fn job(&self) -> Option<&JobRecord> {
        match &self.event {
            HistoryEvent::Job { job, .. } => Some(job),
            HistoryEvent::Guest { .. } => None,
        }
    }

    /// Its one encoding, which the chain is over.
    ///
    /// # Errors
    /// When a value in it cannot be JSON, which would also make the state's hash impossible.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// What was encoded.
    ///
    /// # Errors
    /// When it is no record.
    pub fn decode(encoded: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(encoded)
    }
}

/// A record that has just left the state, to be kept by whoever applied the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// The record.
    pub record: HistoryRecord,
    /// Its encoding.
    pub encoded: Vec<u8>,
}

impl ClusterState {
    /// Row Q36: what has ended goes to the history, what has not stays. Answers which went.
    pub(super) fn archive(
        &mut self,
        jobs: &[JobId],
        at: Timestamp,
        out: &mut Vec<Emitted>,
    ) -> Result<Applied, Fault> {
        if jobs.len() > BATCH_MAX {
            let text = format!("more than {BATCH_MAX} jobs to archive at once");
            return Err(Fault::new(FaultCode::WrongInput, text));
        }
        let mut gone = Vec::new();
        for id in jobs {
            if !self.unfinished.contains(id) && self.evict_job(*id, at, out) {
                gone.push(*id);
            }
        }
        Ok(Applied::Jobs(gone))
    }

    /// Archives the oldest finished jobs beyond the limit.
    pub(super) fn archive_excess(&mut self, at: Timestamp, out: &mut Vec<Emitted>) {
        let n_finished = self.jobs.len() - self.unfinished.len();
        let n_excess = n_finished.saturating_sub(FINISHED_JOBS_MAX);
        let finished = self.jobs.keys().filter(|id| !self.unfinished.contains(*id));
        let oldest: Vec<JobId> = finished.take(n_excess).copied().collect();
        for id in oldest {
            self.evict_job(id, at, out);
        }
    }

    fn evict_job(&mut self, id: JobId, at: Timestamp, out: &mut Vec<Emitted>) -> bool {
        let Some(job) = self.jobs.remove(&id) else { return false };
        // Below it they were forgotten.
        if !self.permits(Rule::History) {
            return true;
        }
        let event = HistoryEvent::Job { job: Box::new(job.as_ref().clone()), cut: false };
        self.emit(event, at, out);
        true
    }

    pub(super) fn emit(&mut self, event: HistoryEvent, at: Timestamp, out: &mut Vec<Emitted>) {
        let (position, revision) = (self.history.count, self.revision);
        let mut record = HistoryRecord { position, revision, at, event };
        let encode = |record: &HistoryRecord| {
            record.encode().expect("values of the model have string keys and cannot fail")
        };
        let mut encoded = encode(&record);
        let cuts: [fn(&mut JobRecord); 2] = [
            |job| job.ops.iter_mut().for_each(|op| op.log.clear()),
            |job| job.ops.iter_mut().for_each(|op| op.result = None),
        ];
        for shorten in cuts {
            if encoded.len() <= HISTORY_RECORD_BYTES_MAX {
                break;
            }
            // Nothing else is ever large.
            let HistoryEvent::Job { job, cut } = &mut record.event else { break };
            shorten(job);
            *cut = true;
            encoded = encode(&record);
        }
        self.history = self.history.after(&encoded);
        out.push(Emitted { record, encoded });
    }
}

//! What stands in a segment of the history.

use gantry_model::ids::JobId;
use gantry_model::units::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The beginning of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SegmentHead {
    /// Position of its first record.
    pub first: u64,
    /// The chain before that record.
    pub chain: String,
}

/// The end of a segment that gets no more records: what a reader wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SegmentSeal {
    /// How many records it has.
    pub count: u64,
    /// The chain after the last one.
    pub chain: String,
    /// When its newest record was made.
    pub newest: Timestamp,
    /// The lowest and the highest job in it, if there is one.
    pub jobs: Option<(JobId, JobId)>,
}

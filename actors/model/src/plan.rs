//! What a job would do, as values: the answer to `--plan`.
//!
//! It is what its logical units name and decide against the state of one moment. Nothing is taken,
//! submitted or written; when the job is submitted, everything is asked and decided again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Revision;
use crate::locks::LockMode;

/// What a job would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobPlan {
    /// The state that was looked at.
    pub revision: Revision,
    /// Opcode by opcode. The configuration that one leaves is that which the next finds; what nodes
    /// say of themselves is what they say now.
    pub ops: Vec<OpPlan>,
}

/// What one opcode would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpPlan {
    /// As in job lists.
    pub summary: String,
    /// The locks that it would wait for, stage by stage.
    pub locks: Vec<Vec<PlannedLock>>,
    /// The nodes that it would ask or act on, by name.
    pub nodes: Vec<String>,
    /// What it would do, in order, if everything succeeds.
    pub steps: Vec<PlannedStep>,
    /// What would be different in the configuration.
    pub changes: Vec<PlannedChange>,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedLock {
    /// As `gnt-debug locks` prints it.
    pub name: String,
    /// How it would be held.
    pub mode: LockMode,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// What it is, for people.
    pub name: String,
    /// What it does: the name of a node call, `configuration` or `wait`.
    pub act: String,
    /// Where, by name, if on a node.
    pub node: Option<String>,
    /// What would take it back if a later step failed, in the words of `act`.
    pub undo: Option<String>,
    /// Whether the opcode would go on if it failed.
    pub may_fail: bool,
}

/// A value of the configuration that would be different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedChange {
    /// Such as `instance web1`.
    pub object: String,
    /// Which of its fields; empty if the object comes or goes as a whole.
    pub field: String,
    /// What it is; null if there is nothing.
    pub before: Value,
    /// What it would be; null if there would be nothing.
    pub after: Value,
}

//! Jobs and their records (rows Q20–Q24).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors::{Fault, FaultCode};
use crate::ids::{JobAttempt, JobId};
use crate::levels::{LEVEL_FIRST, LEVEL_INTERRUPTIBLE};
use crate::opcodes::OpRequest;
use crate::steps::{Act, PlanRecord, StepRecord};
use crate::units::Timestamp;

/// State of an opcode, and of a job (Q20).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum JobStatus {
    /// Not begun.
    Queued,
    /// Waits for locks or for a node. Not durable: only the leader knows.
    Waiting,
    /// Asked to stop, has not stopped yet.
    Canceling,
    /// Has begun to act.
    Running,
    /// Stopped before it did anything.
    Canceled,
    /// Done.
    Success,
    /// Failed.
    Error,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Waiting,
        Self::Canceling,
        Self::Running,
        Self::Canceled,
        Self::Success,
        Self::Error,
    ];

    /// Ganeti's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Canceling => "canceling",
            Self::Running => "running",
            Self::Canceled => "canceled",
            Self::Success => "success",
            Self::Error => "error",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Canceled | Self::Success | Self::Error)
    }

    /// The state of a job from those of its opcodes, left to right (Q21).
    #[must_use]
    pub fn of_job(ops: impl IntoIterator<Item = Self>) -> Self {
        let mut status = Self::Queued;
        let mut all_success = true;
        for op in ops {
            all_success &= op == Self::Success;
            match op {
                Self::Success | Self::Queued => {}
                Self::Waiting | Self::Running => status = op,
                Self::Error | Self::Canceling | Self::Canceled => return op,
            }
        }
        if all_success { Self::Success } else { status }
    }
}

impl std::fmt::Display for JobStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Kind of a line in a job's log (Q38).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogKind {
    /// Plain progress.
    Message,
    /// Shown as ` - INFO:`.
    Info,
    /// Shown as ` - WARNING:`.
    Warning,
    /// A socket by which a delay can be cut short, for programs.
    DelayTest,
}

impl LogKind {
    /// From which state level on it may be in the log.
    #[must_use]
    pub fn level(self) -> u32 {
        match self {
            Self::Message | Self::Info | Self::Warning => LEVEL_FIRST,
            Self::DelayTest => LEVEL_INTERRUPTIBLE,
        }
    }

    /// Ours for information and warnings, which Ganeti tells as `message`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::DelayTest => "delay-test",
        }
    }
}

/// A line in a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Counts through the job, from 1; a line is never said twice.
    pub serial: u64,
    /// When.
    pub at: Timestamp,
    /// Kind.
    pub kind: LogKind,
    /// The text.
    pub text: String,
}

/// An opcode in a job (Q22).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct OpRecord {
    /// What was asked.
    pub input: OpRequest,
    /// Its state. `Waiting` is never stored.
    pub status: JobStatus,
    /// Its answer, JSON, once it is done.
    pub result: Option<serde_json::Value>,
    /// Its failure, once it has failed.
    pub fault: Option<Fault>,
    /// Its log.
    pub log: Vec<LogLine>,
    /// When it began to wait for locks.
    pub start: Option<Timestamp>,
    /// When it had its locks.
    pub exec: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// What was decided; erased at the job's end.
    pub plan: Option<PlanRecord>,
    /// What was done; erased at the job's end.
    pub steps: Vec<StepRecord>,
    /// Set while its steps are being taken back: why.
    pub unwinding: Option<Fault>,
    /// Its urgency, if that was changed after it was submitted (Q31); what was submitted stays in
    /// `input`.
    #[serde(default)]
    pub priority: Option<i8>,
}

impl OpRecord {
    /// Its answer; of one that failed the failure in the form that Ganeti has for errors: class,
    /// text, and the type of an error that was found before anything was done.
    #[must_use]
    pub fn shown_result(&self) -> Value {
        match &self.fault {
            None => self.result.clone().unwrap_or_default(),
            Some(fault) if fault.code == FaultCode::Canceled => json!("Job canceled by request"),
            Some(fault) if fault.prerequisite => {
                json!(["OpPrereqError", [fault.one_line(), fault.code.as_str()]])
            }
            Some(fault) => json!(["OpExecError", [fault.one_line()]]),
        }
    }

    /// Its urgency now.
    #[must_use]
    pub fn priority(&self) -> i8 {
        self.priority.unwrap_or(self.input.common.priority)
    }
}

/// A job (Q23).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Its opcodes.
    pub ops: Vec<OpRecord>,
    /// When it was submitted.
    pub received: Timestamp,
    /// When its first opcode began.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// How often it has been placed.
    pub attempt: JobAttempt,
    /// Whether it has been asked to stop.
    pub cancel: bool,
}

impl JobRecord {
    /// What was asked for, by opcode. The reason trail of each ends with the opcode itself, in its
    /// place of the job (Q42); that is derived, because only here the number is known.
    #[must_use]
    pub fn inputs(&self) -> Vec<Value> {
        let inputs = self.ops.iter().enumerate().map(|(index, op)| {
            let mut fields = op.input.input_fields();
            let name = op.input.op.op_id().trim_start_matches("OP_").to_lowercase();
            let source = format!("gnt:opcode:{name}");
            let place = format!("job={};index={index}", self.id);
            if let Some(Value::Array(trail)) = fields.get_mut("reason") {
                trail.push(json!([source, place, self.received.0.saturating_mul(1_000)]));
            }
            fields
        });
        inputs.collect()
    }

    /// Its state (Q21).
    #[must_use]
    pub fn status(&self) -> JobStatus {
        JobStatus::of_job(self.ops.iter().map(|op| op.status))
    }

    /// Its urgency: the highest of its unfinished opcodes (Q30).
    #[must_use]
    pub fn priority(&self) -> i8 {
        self.ops
            .iter()
            .filter(|op| !op.status.is_final())
            .map(OpRecord::priority)
            .min()
            .unwrap_or_default()
    }

    /// As views get it: without plans, which only the unit understands, and without the bytes of
    /// secrets, sealed or not.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut record = self.clone();
        for op in &mut record.ops {
            op.plan = None;
            op.input.op.redact();
            for step in &mut op.steps {
                step.step.act = step.step.act.redacted();
                step.step.undo = step.step.undo.as_ref().map(Act::redacted);
            }
        }
        record
    }

    /// The highest serial in its log; 0 if it is empty.
    #[must_use]
    pub fn log_serial(&self) -> u64 {
        self.ops.iter().flat_map(|op| &op.log).map(|line| line.serial).max().unwrap_or_default()
    }

    /// As in job lists: the summaries of its opcodes.
    #[must_use]
    pub fn summary(&self) -> String {
        let parts: Vec<String> = self.ops.iter().map(|op| op.input.op.summary()).collect();
        parts.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::JobStatus::{Canceled, Canceling, Error, Queued, Running, Success, Waiting};
    use super::*;

    // covers: Q21
    #[test]
    fn the_state_of_a_job_follows_its_opcodes_from_left_to_right() {
        for (ops, expected) in [
            (vec![], Success),
            (vec![Queued, Queued], Queued),
            (vec![Success, Queued], Queued),
            (vec![Success, Waiting], Waiting),
            (vec![Running, Queued], Running),
            (vec![Success, Success], Success),
            (vec![Success, Error, Queued], Error),
            (vec![Canceling, Queued], Canceling),
            (vec![Success, Canceled, Error], Canceled),
        ] {
            assert_eq!(JobStatus::of_job(ops.iter().copied()), expected, "{ops:?}");
        }
    }
}

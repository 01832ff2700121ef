//! Steps: what a logical unit does, as values (design: "steps that are values, journalled before
//! and after").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deltas::ConfigDelta;
use crate::errors::Fault;
use crate::ids::{JobId, NodeUuid};
use crate::levels::{LEVEL_FIRST, LEVEL_INTERRUPTIBLE, LEVEL_NODE_CHANGES};
use crate::locks::{LockMode, LockName};
use crate::node_calls::{CallOutcome, NodeCall};
use crate::units::Millis;

/// Most steps of one opcode. The longest real plan (16 disks created, imaged, started) has under
/// 60; a unit that decides step after step without end is a bug and must stop.
pub const STEPS_MAX: u32 = 1_000;

/// Whether a step is done or undone.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Forward.
    Act,
    /// Backward, while unwinding.
    Undo,
}

/// Names one effect for ever: the same id is the same effect, however often it is sent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct StepId {
    /// The job.
    pub job: JobId,
    /// Which of its opcodes, from 0.
    pub op_idx: u32,
    /// Which step of it, from 0.
    pub seq: u32,
    /// Forward or back.
    pub direction: Direction,
}

impl std::fmt::Display for StepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let undo = if self.direction == Direction::Undo { "u" } else { "" };
        write!(f, "{}.{}.{}{undo}", self.job, self.op_idx, self.seq)
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A call to an actor on a node.
    Call {
        /// Where.
        node: NodeUuid,
        /// What.
        call: Box<NodeCall>,
    },
    /// Changes of the configuration, all or none.
    Config(Vec<ConfigDelta>),
    /// Waiting on the leader. Has no effect, so it is simply begun again after a crash.
    Wait {
        /// How long.
        duration: Millis,
    },
    /// Waiting on the leader until a node holds the log, or does not, as its flags say: whoever
    /// takes a candidate out of use may switch it off afterwards. Has no effect either.
    AwaitHolder {
        /// Which node.
        node: NodeUuid,
    },
}

impl Act {
    /// A call to a node.
    #[must_use]
    pub fn call(node: NodeUuid, call: impl Into<NodeCall>) -> Self {
        Self::Call { node, call: Box::new(call.into()) }
    }

    /// One change of the configuration.
    #[must_use]
    pub fn change(delta: ConfigDelta) -> Self {
        Self::Config(vec![delta])
    }

    /// Without the bytes of secrets, for views.
    #[must_use]
    pub fn redacted(&self) -> Self {
        match self {
            Self::Config(deltas) => {
                Self::Config(deltas.iter().map(ConfigDelta::redacted).collect())
            }
            other @ (Self::Call { .. } | Self::Wait { .. } | Self::AwaitHolder { .. }) => {
                other.clone()
            }
        }
    }
}

impl Act {
    /// From which state level on it may appear in the log.
    #[must_use]
    pub fn level(&self) -> u32 {
        match self {
            Self::Call { call, .. } => call.level(),
            Self::Config(deltas) => {
                deltas.iter().map(ConfigDelta::level).max().unwrap_or(LEVEL_FIRST)
            }
            Self::Wait { .. } => LEVEL_FIRST,
            Self::AwaitHolder { .. } => LEVEL_NODE_CHANGES,
        }
    }
}

/// One step of an opcode.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What it is, for people and for the comparison on replay: `create disk 0`.
    pub name: String,
    /// What it does.
    pub act: Act,
    /// What takes it back; `None` if there is nothing to take back.
    pub undo: Option<Act>,
    /// Whether the opcode goes on when the step fails; the failure becomes a warning.
    #[serde(default)]
    pub may_fail: bool,
    /// For the job's log, said when the step starts: a line, or several.
    #[serde(default)]
    pub says: Option<String>,
    /// From the beginning of this step on the opcode holds these locks only, in these modes; `None`
    /// changes nothing (rows L40 to L51, L76). They must be among those held, in the same mode or a
    /// lesser one. Others get what is given up once the beginning of the step is in the log.
    ///
    /// Undos run under what is left. They may touch what the opcode itself has made, which nobody
    /// else knows by name, and what the locks that are left protect; an undo that needs more
    /// belongs to an opcode that keeps more.
    #[serde(default)]
    pub keeps: Option<Vec<(LockName, LockMode)>>,
    /// Once this step is done, it and all before it stay done, whatever comes: a later failure
    /// takes back only what was done after it.
    #[serde(default)]
    pub settles: bool,
    /// A socket at which it waits, for the job's log: programs look for it there (Q38).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_at: Option<String>,
}

impl Step {
    /// A step that says nothing, must succeed, keeps all locks, and that nothing takes back.
    #[must_use]
    pub fn new(name: impl Into<String>, act: Act) -> Self {
        Self {
            name: name.into(),
            act,
            undo: None,
            may_fail: false,
            says: None,
            keeps: None,
            settles: false,
            waits_at: None,
        }
    }

    /// With what takes it back.
    #[must_use]
    pub fn undone_by(mut self, undo: impl Into<Option<Act>>) -> Self {
        self.undo = undo.into();
        self
    }

    /// Its failure is a warning.
    #[must_use]
    pub fn may_fail(self) -> Self {
        self.may_fail_if(true)
    }

    /// Its failure is a warning, under this condition.
    #[must_use]
    pub fn may_fail_if(mut self, may_fail: bool) -> Self {
        self.may_fail = may_fail;
        self
    }

    /// With a line for the job's log.
    #[must_use]
    pub fn says(self, line: impl Into<String>) -> Self {
        self.says_if(Some(line.into()))
    }

    /// With a line for the job's log, if there is one.
    #[must_use]
    pub fn says_if(mut self, line: Option<String>) -> Self {
        self.says = line;
        self
    }

    /// With the socket at which it waits, if the log is to name one.
    #[must_use]
    pub fn waits_at_if(mut self, socket: Option<String>) -> Self {
        self.waits_at = socket;
        self
    }

    /// With the locks that are kept from its beginning on.
    #[must_use]
    pub fn keeps(mut self, locks: Vec<(LockName, LockMode)>) -> Self {
        self.keeps = Some(locks);
        self
    }

    /// Once done, it and all before it stay done.
    #[must_use]
    pub fn settles(mut self) -> Self {
        self.settles = true;
        self
    }

    /// From which state level on it may appear in the log: the highest of what it does and what
    /// takes it back.
    #[must_use]
    pub fn level(&self) -> u32 {
        let own = if self.waits_at.is_some() { LEVEL_INTERRUPTIBLE } else { LEVEL_FIRST };
        self.undo.as_ref().map_or(own, Act::level).max(self.act.level()).max(own)
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// Done. A change of the configuration has an empty outcome.
    Done(CallOutcome),
    /// Failed.
    Failed(Fault),
}

/// A step in the journal of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// The step.
    pub step: Step,
    /// How it ended; `None` while it is under way.
    pub result: Option<StepResult>,
    /// How its undo ended; `None` while not unwound.
    #[serde(default)]
    pub undone: Option<StepResult>,
}

/// A logical unit's decision, journalled with the first step: an encoded value that only the unit
/// understands, from which it derives its steps again after a crash. It may hold sealed secrets, so
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PlanRecord {
    /// Version of the unit's plan form.
    pub version: u32,
    /// The encoded plan.
    #[serde(with = "serde_bytes")]
    #[schemars(with = "Vec<u8>")]
    pub plan: Vec<u8>,
    /// Revision of the configuration that was read.
    pub revision: crate::ids::Revision,
}

impl std::fmt::Debug for PlanRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanRecord")
            .field("version", &self.version)
            .field("bytes", &self.plan.len())
            .field("revision", &self.revision)
            .finish()
    }
}

//! What goes into and comes out of a [`JobMachine`](super::JobMachine).

use gantry_model::errors::Fault;
use gantry_model::facts::{FactQuery, Facts};
use gantry_model::ids::NodeUuid;
use gantry_model::locks::{LockChange, LockMode, LockName};
use gantry_model::node_calls::{CallOutcome, NodeCall};
use gantry_model::steps::{PlanRecord, Step, StepId, StepResult};
use gantry_model::units::Millis;

use crate::state::JobFact;

/// First pause before a call whose fate is unknown is sent again. Lower only adds load on a node
/// that is restarting (which takes some 100 ms); higher delays every job behind a restart.
pub const RETRY_FIRST: Millis = Millis(100);

/// Longest such pause: how late a job may notice that a node is back.
pub const RETRY_MAX: Millis = Millis(5_000);

/// Locks that can be named now, and whether others depend on what is read under them (L25).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockStage {
    /// What to take.
    pub changes: Vec<(LockName, LockChange)>,
    /// Whether this is all.
    pub last: bool,
}

/// What a logical unit wants after the steps that are done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// This step.
    Step(Box<Step>),
    /// It is finished, with this answer.
    Finish(serde_json::Value),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// Done.
    Done(CallOutcome),
    /// The node tried and failed, or refused.
    Failed(Fault),
    /// It certainly never reached the node.
    NotSent(Fault),
    /// Nobody knows: the node must be asked again.
    Unknown(Fault),
}

/// What a job is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JobEvent {
    /// Go. The first event.
    Start,
    /// The logical unit has named its locks.
    Declared(Result<LockStage, Fault>),
    /// The lock actor has answered: everything that is held now.
    Locks(Result<Vec<(LockName, LockMode)>, Fault>),
    /// The logical unit has named the facts that it wants.
    Wanted(Result<Vec<(NodeUuid, FactQuery)>, Fault>),
    /// The nodes have answered, or not.
    Gathered(Facts),
    /// The logical unit has decided.
    Checked(Result<PlanRecord, Fault>),
    /// The logical unit has chosen a step.
    Next(Result<Next, Fault>),
    /// The journalled steps were derived again and are the same; or are not.
    Replayed(Result<(), Fault>),
    /// A commit was applied, or refused.
    Committed(Result<(), Fault>),
    /// A call has ended.
    CallEnded(CallEnd),
    /// A node knows the present reign now, and has told how the step under way ended, if it has.
    Installed(Result<Option<StepResult>, Fault>),
    /// A pause or a wait is over.
    Elapsed,
    /// Somebody wants the job to stop.
    Cancel,
    /// The opcodes that have not begun have another urgency now.
    Priority(i8),
}

/// What a job wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JobEffect {
    /// Ask the logical unit for its locks; answer [`JobEvent::Declared`].
    Declare {
        /// Which opcode.
        op_idx: u32,
        /// Which stage, from 0.
        stage: u32,
    },
    /// Ask the lock actor; answer [`JobEvent::Locks`].
    Acquire {
        /// What to take.
        changes: Vec<(LockName, LockChange)>,
        /// Urgency.
        priority: i8,
    },
    /// Tell the lock actor that the pending request has another urgency. Has no answer.
    Reprioritize(i8),
    /// Ask the logical unit for facts it wants; answer [`JobEvent::Wanted`].
    Want {
        /// Which opcode.
        op_idx: u32,
    },
    /// Ask the nodes; answer [`JobEvent::Gathered`].
    Gather(Vec<(NodeUuid, FactQuery)>),
    /// Let the logical unit decide; answer [`JobEvent::Checked`].
    Check {
        /// Which opcode.
        op_idx: u32,
        /// What is known.
        facts: Facts,
    },
    /// Let the logical unit choose the next step; answer [`JobEvent::Next`].
    Decide {
        /// Which opcode.
        op_idx: u32,
    },
    /// Let the logical unit derive the journalled steps again; answer [`JobEvent::Replayed`].
    Replay {
        /// Which opcode.
        op_idx: u32,
    },
    /// Propose to the log; answer [`JobEvent::Committed`].
    Commit(Vec<JobFact>),
    /// Call a node; answer [`JobEvent::CallEnded`].
    Call {
        /// Names the effect.
        step: StepId,
        /// Where.
        node: NodeUuid,
        /// What.
        call: Box<NodeCall>,
    },
    /// Make the present reign known to a node with a step under way; answer
    /// [`JobEvent::Installed`].
    Install {
        /// Where.
        node: NodeUuid,
        /// The step.
        step: StepId,
    },
    /// Wait; answer [`JobEvent::Elapsed`].
    Wait(Millis),
    /// Wait until a node holds the log, or does not, as its flags say; answer
    /// [`JobEvent::CallEnded`], done or failed.
    AwaitHolder(NodeUuid),
    /// What the job waits for, for people; `None` when it goes on.
    Waits(Option<String>),
    /// Tell the lock actor that these are released, or held in a lesser mode. Its commit is behind
    /// us; it has no answer.
    GiveUp(Vec<(LockName, LockChange)>),
    /// Tell the lock actor that everything is released. Its commit is behind us.
    Release,
    /// The job has ended; the actor may go.
    Ended,
    /// This placement of the job is not the present one any more; the actor must go and touch
    /// nothing.
    Abandon(Fault),
}

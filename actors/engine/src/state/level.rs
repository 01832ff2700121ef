//! The level of the state: which rules and variants may appear in the log.
//!
//! It is in the state, so every replica has the same one at the same entry. It begins at what the
//! first program knew ([`InitCluster::level`]) and rises by [`Command::RaiseLevel`], one at a time,
//! never down. Whoever wants to know whether something may appear asks here and nowhere else:
//! [`Command::level`] says from which level on a command may appear, [`Rule`] what an existing
//! command means from a level on. The store refuses to propose what does not belong to the level,
//! apply refuses it again, and [`next`] decides whether the level may rise.
//!
//! Deliberately absent: who asks the holders of the log what they know (the master), and what
//! becomes of a replica that meets a level above its own (the store stops it).
//!
//! [`InitCluster::level`]: super::InitCluster::level

use std::collections::BTreeMap;

use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::levels::{LEVEL_FIRST, Levels};

use super::{Applied, ClusterState, Command, JobFact};

/// The newest level of rules and variants that this program knows. It rises with every change of
/// what [`ClusterState::apply`](super::ClusterState::apply) does and of what it knows.
///
/// 2: [`Rule::JobsTouched`]; 3: [`Rule::History`]; 4: [`Rule::Transitions`]; 5: the level can rise;
/// 6: tags, all parameters of kvm, addresses and connections of interfaces, shared files, ids
/// beside names, dependencies that count back, private parameters.
pub const STATE_LEVEL: u32 = 6;

/// The newest level that programs out there know as it is now. What is above it is being made:
/// variants may still join it. It follows [`STATE_LEVEL`] with each release.
pub const STATE_LEVEL_SETTLED: u32 = 5;

/// The oldest level that this program can still apply. It rises when the rules of a level are
/// taken out of the program: a cluster that is still there has to be upgraded in two steps then.
pub const STATE_LEVEL_LOWEST: u32 = 1;

/// The levels that this program knows.
pub const STATE_LEVELS: Levels = Levels { lowest: STATE_LEVEL_LOWEST, newest: STATE_LEVEL };

/// The level that the test-only next version knows beyond [`STATE_LEVEL`]. What belongs to it is
/// compiled in with it and still unknown to every store that is not opened with [`NEXT_LEVELS`].
#[cfg(feature = "next-version")]
pub const NEXT_LEVEL: u32 = STATE_LEVEL + 1;

/// The levels that the test-only next version knows.
#[cfg(feature = "next-version")]
pub const NEXT_LEVELS: Levels = Levels { lowest: STATE_LEVEL_LOWEST, newest: NEXT_LEVEL };

/// The level of a first entry that does not say it. Programs from before it was said had this one
/// as their newest; it never changes, or replicas would disagree about how their cluster began.
pub(super) const LEVEL_UNSAID: u32 = 4;

/// A rule that is valid from a level on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A job that acts can be told to stop, and the urgency of jobs can be changed.
    JobsTouched,
    /// Jobs that leave the state go to the history.
    History,
    /// Transitions of guests are in the log.
    Transitions,
}

impl Rule {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::JobsTouched, Self::History, Self::Transitions];

    /// From which level on it is valid.
    #[must_use]
    pub const fn level(self) -> u32 {
        match self {
            Self::JobsTouched => 2,
            Self::History => 3,
            Self::Transitions => 4,
        }
    }
}

/// Something does not belong to the level that the state is at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} belongs to state level {needs}, the cluster is at {level}: it rises by itself when \
     every holder of the log runs a program that knows it; `gantry cluster info` names those that \
     do not"
)]
pub struct NotPermitted {
    /// What was proposed.
    pub what: &'static str,
    /// From which level on it may appear.
    pub needs: u32,
    /// Where the state is.
    pub level: u32,
}

impl From<NotPermitted> for Fault {
    fn from(error: NotPermitted) -> Self {
        Self::new(FaultCode::WrongState, error.to_string())
    }
}

impl Command {
    /// What it is called where it is refused.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Init(_) => "the beginning of a cluster",
            Self::TakeOver { .. } => "a takeover",
            Self::Submit { .. } => "a submission",
            Self::Job(_) => "the progress of a job",
            Self::Place { .. } => "placing a job",
            Self::Config { .. } => "a change of the configuration",
            Self::Archive { .. } => "archiving jobs",
            Self::Transitions { .. } => "noting transitions of guests",
            Self::Cancel { .. } => "canceling a job",
            Self::ChangePriority { .. } => "changing the urgency of a job",
            Self::RaiseLevel { .. } => "raising the state level",
            #[cfg(feature = "next-version")]
            Self::Trial { .. } => "a trial",
        }
    }

    /// From which level on it may appear in the log: the highest of its own and of what it carries.
    /// Raising the level belongs to every level, because only who knows the next one proposes it.
    #[must_use]
    pub fn level(&self) -> u32 {
        match self {
            Self::Init(_)
            | Self::TakeOver { .. }
            | Self::Place { .. }
            | Self::Cancel { .. }
            | Self::RaiseLevel { .. } => LEVEL_FIRST,
            #[cfg(feature = "next-version")]
            Self::Trial { .. } => NEXT_LEVEL,
            Self::ChangePriority { .. } => Rule::JobsTouched.level(),
            Self::Archive { .. } => Rule::History.level(),
            Self::Transitions { .. } => Rule::Transitions.level(),
            Self::Submit { jobs, .. } => {
                let ops = jobs.iter().flat_map(|job| &job.ops);
                highest(ops.map(|request| request.level()))
            }
            Self::Config { deltas, .. } => highest(deltas.iter().map(ConfigDelta::level)),
            Self::Job(entry) => highest(entry.facts.iter().map(JobFact::level)),
        }
    }
}

impl JobFact {
    /// From which level on it may appear in the log.
    #[must_use]
    pub fn level(&self) -> u32 {
        match self {
            Self::Locks(_)
            | Self::OpBegan { .. }
            | Self::StepEnded { .. }
            | Self::Unwinding { .. }
            | Self::UndoEnded { .. }
            | Self::OpEnded { .. } => LEVEL_FIRST,
            Self::Log { kind, .. } => kind.level(),
            Self::StepBegan { step, .. } => step.level(),
        }
    }
}

fn highest(levels: impl Iterator<Item = u32>) -> u32 {
    levels.max().unwrap_or(LEVEL_FIRST).max(LEVEL_FIRST)
}

impl ClusterState {
    /// Whether a rule is valid at the present level.
    #[must_use]
    pub fn permits(&self, rule: Rule) -> bool {
        self.level >= rule.level()
    }

    /// Whether a command belongs to the present level. Proposers ask before they propose, apply
    /// asks again.
    ///
    /// # Errors
    /// When it belongs to a later one.
    pub fn check_level(&self, command: &Command) -> Result<(), NotPermitted> {
        let needs = command.level();
        // Before the first entry there is no level yet, and no command of a later one either.
        let level = self.level.max(LEVEL_FIRST);
        if needs > level {
            return Err(NotPermitted { what: command.kind(), needs, level });
        }
        Ok(())
    }

    /// One at a time: who proposes has asked for the level that follows the present one.
    pub(super) fn raise_level(&mut self, to: u32) -> Result<Applied, Fault> {
        if self.cluster.is_none() {
            return Err(Fault::new(FaultCode::WrongState, "there is no cluster"));
        }
        if to != self.level + 1 {
            let text = format!("the state level is {}, it cannot rise to {to} at once", self.level);
            return Err(Fault::new(FaultCode::WrongState, text));
        }
        self.level = to;
        Ok(Applied::Done)
    }
}

/// What to do about the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelDecision {
    /// Everybody knows the next one: propose to raise it.
    Raise {
        /// The level that follows the present one.
        to: u32,
    },
    /// Somebody knows a later one, and these do not, or did not say.
    Held {
        /// The newest that somebody knows.
        newest: u32,
        /// Who holds it back.
        by: Vec<NodeUuid>,
    },
    /// Nobody who has answered knows a later one.
    Newest,
}

/// Decides whether the level may rise. `known` has every member that holds the log, voter or not,
/// and what its program said just now that it knows; nothing of one that did not answer.
#[must_use]
pub fn next(level: u32, known: &BTreeMap<NodeUuid, Option<Levels>>) -> LevelDecision {
    let newest = known.values().flatten().map(|levels| levels.newest).max().unwrap_or(level);
    if newest <= level {
        return LevelDecision::Newest;
    }
    let to = level + 1;
    let by: Vec<NodeUuid> = known
        .iter()
        .filter(|(_, levels)| !levels.is_some_and(|levels| levels.knows(to)))
        .map(|(node, _)| *node)
        .collect();
    if by.is_empty() { LevelDecision::Raise { to } } else { LevelDecision::Held { newest, by } }
}

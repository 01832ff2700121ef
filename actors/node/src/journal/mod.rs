//! The intent journal of a node: what it was told to do, and how that ended.
//!
//! It owns one file, `<state-dir>/agent.redb`, and the rules that make an effect happen once:
//!
//! - An intent is on disk before its effect begins, a result before it is answered.
//! - The highest reign, the highest attempt of each job and the highest epoch of each instance are
//!   on disk before anything is done under them; what is older is refused.
//! - A step id names one call for ever. A settled job never begins anything again.
//!
//! Called from blocking threads only: every method may wait for the disk. Deliberately absent: the
//! effects themselves and their recovery (`calls`), time, and any opinion about what to do next.

mod error;
mod group;
mod open;
mod rules;
mod tables;

pub use error::JournalError;
pub use open::Medium;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gantry_model::ids::{JobAttempt, JobId, ReignId};
use gantry_model::messages::CallNode;
use gantry_model::steps::{StepId, StepResult};

use group::GroupCommit;
use tables::{StepKey, key_of};

/// What the journal knows of a step when it is asked to begin it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Nothing: the intent is recorded now, the effect may begin.
    New,
    /// It is over; this is how.
    Finished(StepResult),
    /// The intent was recorded before, its end was not.
    Open(Box<CallNode>),
}

/// The journal. Shared by the actors of a node; concurrent writers share one flush of the disk.
#[derive(Debug)]
pub struct Journal {
    disk: GroupCommit,
    /// Steps whose effect may have begun, also while the disk cannot be read.
    begun: Mutex<BTreeSet<StepKey>>,
}

impl Journal {
    /// Opens the journal at `path`, or makes it.
    ///
    /// # Errors
    /// When the file cannot be used, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Self::open_on(Medium::File(path.to_owned()))
    }

    /// Opens the journal on some medium.
    ///
    /// # Errors
    /// The same.
    pub fn open_on(medium: Medium) -> Result<Self, JournalError> {
        let disk = GroupCommit::open(medium)?;
        let begun = disk.submit(rules::begun)?;
        Ok(Self { disk, begun: Mutex::new(begun) })
    }

    /// Persists the tokens if they are higher than all before.
    ///
    /// # Errors
    /// When they are older than what was seen, or the disk fails.
    pub fn admit(
        &self,
        reign: ReignId,
        attempt: JobAttempt,
        job: JobId,
    ) -> Result<(), JournalError> {
        self.disk.submit(move |tables| rules::admit(tables, reign, attempt, job))
    }

    /// Admits the tokens of a call, forgets settled jobs, and records the intent, all in one flush.
    /// When this returns [`Begin::New`], the intent is on disk.
    ///
    /// # Errors
    /// When a token is stale, another call has this step id, or the disk fails: then the effect
    /// must not begin.
    pub fn begin(&self, call: &CallNode) -> Result<Begin, JournalError> {
        let encoded = tables::encode("intent", call)?;
        let (step, settled_below) = (call.step, call.settled_below.min(call.step.job));
        let call = call.clone();
        let begin = self.disk.submit(move |tables| rules::begin(tables, &call, &encoded))?;
        self.forget_below(settled_below);
        self.with_begun(|begun| begun.insert(key_of(step)));
        Ok(begin)
    }

    /// Whether the effect of this step may have begun, in this run of the daemon or an earlier one.
    /// Answered from memory: it tells what a failure of [`Journal::begin`] means. If not, nothing
    /// has happened; if so, nobody knows until the disk is back.
    #[must_use]
    pub fn may_have_begun(&self, step: StepId) -> bool {
        self.with_begun(|begun| begun.contains(&key_of(step)))
    }

    /// Records how a step ended.
    ///
    /// # Errors
    /// When it was never begun, ended differently before, or the disk fails.
    pub fn finish(&self, step: StepId, result: &StepResult) -> Result<(), JournalError> {
        let encoded = tables::encode("result", result)?;
        self.disk.submit(move |tables| rules::finish(tables, step, &encoded))
    }

    /// Persists a reign and says how these steps ended; `None` for those that are not over. After
    /// this nothing of an older reign begins.
    ///
    /// # Errors
    /// When a higher reign was seen, or the disk fails.
    pub fn install_reign(
        &self,
        reign: ReignId,
        steps: &[StepId],
    ) -> Result<Vec<(StepId, Option<StepResult>)>, JournalError> {
        let steps = steps.to_vec();
        self.disk.submit(move |tables| rules::install_reign(tables, reign, &steps))
    }

    /// Forgets everything of jobs below `settled_below`, and refuses them from now on.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn prune(&self, settled_below: JobId) -> Result<(), JournalError> {
        self.disk.submit(move |tables| rules::prune(tables, settled_below))?;
        self.forget_below(settled_below);
        Ok(())
    }

    /// Steps that were begun and are not over, with their calls; for people and tests.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open_intents(&self) -> Result<Vec<CallNode>, JournalError> {
        self.disk.submit(rules::open_intents)
    }

    /// How often the disk was flushed for a change; for people and tests.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.disk.flushes()
    }

    fn forget_below(&self, job: JobId) {
        self.with_begun(|begun| {
            if begun.first().is_some_and(|first| first.0 < job.0) {
                *begun = begun.split_off(&(job.0, 0, 0, 0));
            }
        });
    }

    fn with_begun<T>(&self, f: impl FnOnce(&mut BTreeSet<StepKey>) -> T) -> T {
        f(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! What a job does when the log refuses what it proposed.
//!
//! A refused entry has changed nothing. Whatever it was, the job must come to an end: proposing the
//! same again would be refused again.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::steps::{Act, StepResult};
use gantry_model::units::Timestamp;

use super::machine::{After, JobMachine};
use super::protocol::JobEffect;
use crate::state::JobFact;

impl JobMachine {
    /// A stale token means that another placement of the job has taken over; any other refusal is
    /// a failure of what was proposed.
    pub(super) fn on_refused(
        &mut self,
        after: After,
        fault: Fault,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        if fault.code == FaultCode::StaleToken {
            return self.abandon(fault);
        }
        // It was asked to stop before the log knew that the opcode began: none of it is true.
        if fault.code == FaultCode::Canceled && !self.began {
            self.plan = None;
            self.steps.clear();
            self.narrowing = None;
            self.joined = None;
            self.committing.clear();
            return self.end_failed(fault);
        }
        // Which of several steps was refused is found out one by one.
        if let Some(effects) = self.take_apart(matches!(after, After::Act { .. } | After::Decide)) {
            return effects;
        }
        let mut facts = std::mem::take(&mut self.committing);
        match after {
            // All of the entry is void, but only the beginning of the step was refused.
            After::Act { .. } | After::Decide => {
                self.steps.pop();
                facts.retain(|fact| !matches!(fact, JobFact::StepBegan { .. }));
                self.not_narrowed(&mut facts);
                self.pending = facts;
                self.fail(fault)
            }
            After::Undo => self.on_undo_refused(facts, fault, now),
            // What is only for people must not keep the opcode from ending.
            After::NextOp { ok: true } => {
                facts.retain(|fact| {
                    matches!(fact, JobFact::StepEnded { .. } | JobFact::UndoEnded { .. })
                });
                self.pending = facts;
                self.fail(fault)
            }
            // It has ended already: it was canceled before the log knew that it had begun.
            After::NextOp { ok: false }
                if matches!(fault.code, FaultCode::WrongState | FaultCode::UnknownEntity) =>
            {
                self.end()
            }
            After::NextOp { ok: false } => self.abandon(fault),
        }
    }

    /// A change of the configuration that cannot be taken back is recorded as such; the other undos
    /// are still owed.
    fn on_undo_refused(
        &mut self,
        mut facts: Vec<JobFact>,
        fault: Fault,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        let refused = facts.iter().position(|fact| match fact {
            JobFact::UndoEnded { seq, result: StepResult::Done(_), .. } => {
                let record = self.steps.get(*seq as usize);
                record.is_some_and(|record| matches!(record.step.undo, Some(Act::Config(_))))
            }
            _ => false,
        });
        let Some(JobFact::UndoEnded { seq, .. }) = refused.map(|idx| facts.remove(idx)) else {
            return self.abandon(fault);
        };
        self.pending = facts;
        self.on_undone(seq, StepResult::Failed(fault), now)
    }
}

//! Taking back: from the journal alone, last step first, never through a logical unit.

use gantry_model::errors::Fault;
use gantry_model::jobs::LogKind;
use gantry_model::steps::{Act, Direction, StepRecord, StepResult};
use gantry_model::units::Timestamp;

use super::machine::{After, JobMachine};
use super::protocol::{JobEffect, RETRY_FIRST};
use crate::state::JobFact;

impl JobMachine {
    pub(super) fn begin_unwinding(&mut self, fault: Fault) -> Vec<JobEffect> {
        let op_idx = self.op_number();
        self.pending.push(JobFact::Unwinding { op_idx, fault: fault.clone() });
        self.unwinding = Some(fault);
        self.commit(After::Undo)
    }

    /// The last step whose undo is owed: its act may have had an effect, and it has not been taken
    /// back. A change of the configuration had its effect with the commit of its beginning; a call
    /// may have had one whatever its result says, and calls are absolute, so undoing one that had
    /// none does no harm. What is settled is not owed any more.
    pub(super) fn owed(&self) -> Option<(usize, &StepRecord)> {
        let settles = |record: &StepRecord| {
            record.step.settles && matches!(record.result, Some(StepResult::Done(_)))
        };
        let n_settled = self.steps.iter().rposition(settles).map_or(0, |idx| idx + 1);
        self.steps
            .iter()
            .enumerate()
            .skip(n_settled)
            .rev()
            .find(|(_, record)| record.step.undo.is_some() && record.undone.is_none())
    }

    /// Notes that the call of a step certainly had no effect, so that a node which cannot be
    /// reached need not be reached to take nothing back.
    pub(super) fn owe_nothing(&mut self, seq: u32) {
        let op_idx = self.op_number();
        let Some(record) = self.steps.get_mut(seq as usize) else { return };
        if matches!(record.step.undo, Some(Act::Call { .. })) {
            let result = StepResult::Done(Default::default());
            record.undone = Some(result.clone());
            self.pending.push(JobFact::UndoEnded { op_idx, seq, result });
        }
    }

    pub(super) fn undo_next(&mut self) -> Vec<JobEffect> {
        let owed = self.owed().map(|(idx, record)| {
            (u32::try_from(idx).unwrap_or(u32::MAX), record.step.undo.clone())
        });
        match owed {
            Some((seq, Some(Act::Call { .. }))) => {
                self.act(Direction::Undo, seq, RETRY_FIRST, false)
            }
            Some((seq, _)) => {
                let op_idx = self.op_number();
                let result = StepResult::Done(Default::default());
                self.pending.push(JobFact::UndoEnded { op_idx, seq, result: result.clone() });
                if let Some(record) = self.steps.get_mut(seq as usize) {
                    record.undone = Some(result);
                }
                self.commit(After::Undo)
            }
            None => match self.unwinding.clone() {
                Some(fault) => self.end_failed(fault),
                None => Vec::new(),
            },
        }
    }

    /// An undo that fails is said and recorded; the others are still owed.
    pub(super) fn on_undone(
        &mut self,
        seq: u32,
        result: StepResult,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        let op_idx = self.op_number();
        let Some(record) = self.steps.get_mut(seq as usize) else { return Vec::new() };
        record.undone = Some(result.clone());
        let name = record.step.name.clone();
        if let StepResult::Failed(fault) = &result {
            let text = format!("could not take back '{name}': {}", fault.one_line());
            self.log(LogKind::Warning, text, now);
        }
        self.pending.push(JobFact::UndoEnded { op_idx, seq, result });
        let mut effects = vec![JobEffect::Waits(None)];
        effects.extend(self.commit(After::Undo));
        effects
    }
}

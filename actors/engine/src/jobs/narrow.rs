//! Giving up locks early (rows L40 to L51, L76).
//!
//! A step may say that the opcode needs only some of its locks from there on. What it keeps is in
//! the log with the beginning of the step; when that is applied, and not before, the lock actor is
//! told what is given up. Whoever carries the job on after a crash holds what the log says: all
//! of it if the entry was lost, the rest if it was not.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::locks::{LockChange, LockMode, LockName};
use gantry_model::steps::Step;

use super::machine::JobMachine;
use super::protocol::JobEffect;
use crate::state::JobFact;

impl JobMachine {
    /// Notes what a step that is about to begin keeps.
    pub(super) fn narrow(&mut self, step: &Step) -> Result<(), Fault> {
        let Some(keeps) = &step.keeps else { return Ok(()) };
        let mut keeps = keeps.clone();
        keeps.sort();
        if let Some((name, _)) = keeps.iter().find(|kept| !self.holds(kept)) {
            let text = format!("step '{}' keeps lock {name}, which it does not hold", step.name);
            return Err(Fault::new(FaultCode::InternalError, text));
        }
        if keeps != *self.left() {
            self.pending.push(JobFact::Locks(keeps.clone()));
            self.narrowing = Some(keeps);
        }
        Ok(())
    }

    /// What is held once the steps that have been noted so far are in the log.
    fn left(&self) -> &Vec<(LockName, LockMode)> {
        self.narrowing.as_ref().unwrap_or(&self.held)
    }

    fn holds(&self, (name, mode): &(LockName, LockMode)) -> bool {
        self.left().iter().any(|(held, held_mode)| held == name && held_mode >= mode)
    }

    /// The log has what is kept: the rest is given up.
    pub(super) fn narrowed(&mut self) -> Option<JobEffect> {
        let keeps = self.narrowing.take()?;
        let before = std::mem::replace(&mut self.held, keeps);
        let changes = before.into_iter().filter_map(|(name, mode)| {
            let kept = self.held.iter().find(|(kept, _)| *kept == name).map(|(_, mode)| *mode);
            match kept {
                None => Some((name, LockChange::Release)),
                Some(less) if less != mode => Some((name, LockChange::Hold(less))),
                Some(_) => None,
            }
        });
        Some(JobEffect::GiveUp(changes.collect()))
    }

    /// The log refused the step with which locks were to be given up: they are held as before.
    pub(super) fn not_narrowed(&mut self, facts: &mut Vec<JobFact>) {
        if self.narrowing.take().is_none() {
            return;
        }
        let last = facts.iter().rposition(|fact| matches!(fact, JobFact::Locks(_)));
        if let Some(last) = last {
            facts.remove(last);
        }
    }
}

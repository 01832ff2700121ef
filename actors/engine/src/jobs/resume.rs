//! Going on from the journal, after a crash or a change of leader.
//!
//! A call may be under way on a node that still follows the old leader. Before anything else is
//! done, forward or back, that node learns of the present reign and says how the call ended; if it
//! cannot say, the call is sent again under its id, which ends it one way or the other.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::steps::{Act, Direction, StepResult};
use gantry_model::units::{Millis, Timestamp};

use super::machine::{JobMachine, Phase};
use super::protocol::{JobEffect, RETRY_FIRST, RETRY_MAX};

impl JobMachine {
    pub(super) fn begin_or_resume(&mut self, now: Timestamp) -> Vec<JobEffect> {
        if !self.began {
            return self.begin_op(now);
        }
        if self.unwinding.is_some() {
            return match self.open_call() {
                Some(_) => self.install(RETRY_FIRST),
                None => self.undo_next(),
            };
        }
        self.phase = Phase::Replaying;
        vec![JobEffect::Replay { op_idx: self.op_number() }]
    }

    pub(super) fn on_replayed(&mut self, replayed: Result<(), Fault>) -> Vec<JobEffect> {
        if self.open_call().is_some() {
            self.diverged = replayed.err();
            return self.install(RETRY_FIRST);
        }
        if let Err(fault) = replayed {
            return self.fail(fault);
        }
        let seq = u32::try_from(self.steps.len().saturating_sub(1)).unwrap_or(u32::MAX);
        match self.steps.last() {
            None => self.decide(),
            Some(record) => match &record.result {
                None => self.act(Direction::Act, seq, RETRY_FIRST, false),
                Some(StepResult::Failed(fault)) if !record.step.may_fail => {
                    let fault = fault.clone();
                    self.fail(fault)
                }
                Some(_) => self.decide(),
            },
        }
    }

    /// Tells the node with the open call of the reign; `pause` is for the case that it cannot be
    /// told.
    pub(super) fn install(&mut self, pause: Millis) -> Vec<JobEffect> {
        let Some((direction, seq, node)) = self.open_call() else { return Vec::new() };
        self.phase = Phase::Installing { pause };
        vec![JobEffect::Install { node, step: self.step_id(direction, seq) }]
    }

    pub(super) fn on_installed(
        &mut self,
        pause: Millis,
        result: Result<Option<StepResult>, Fault>,
        now: Timestamp,
    ) -> Vec<JobEffect> {
        let Some((direction, seq, _)) = self.open_call() else { return Vec::new() };
        match result {
            Ok(Some(result)) => self.on_acted(direction, seq, result, now),
            // It may have been begun under the old reign: the node resolves that by the step's id.
            Ok(None) => self.act(direction, seq, RETRY_FIRST, true),
            Err(fault) if fault.code == FaultCode::StaleToken => self.abandon(fault),
            Err(fault) if direction == Direction::Act && self.gives_up(seq, pause) => {
                self.on_acted(direction, seq, StepResult::Failed(fault), now)
            }
            Err(fault) => {
                let next_pause = Millis((pause.0 * 2).min(RETRY_MAX.0));
                self.phase = Phase::PausingInstall { pause: next_pause };
                vec![JobEffect::Waits(Some(fault.one_line())), JobEffect::Wait(pause)]
            }
        }
    }

    /// The call that may be under way on a node: that of the last step while going forward, that of
    /// the step owed while unwinding.
    fn open_call(&self) -> Option<(Direction, u32, NodeUuid)> {
        let (direction, seq, act) = if self.unwinding.is_some() {
            let (idx, record) = self.owed()?;
            (Direction::Undo, idx, record.step.undo.as_ref()?)
        } else {
            let record = self.steps.last().filter(|record| record.result.is_none())?;
            (Direction::Act, self.steps.len() - 1, &record.step.act)
        };
        match act {
            Act::Call { node, .. } => Some((direction, u32::try_from(seq).ok()?, *node)),
            Act::Config(_) | Act::Wait { .. } | Act::AwaitHolder { .. } => None,
        }
    }
}

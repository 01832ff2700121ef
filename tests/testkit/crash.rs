//! Crash points by number: run once to count them, then once for each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_host::{CrashPoint, Verdict};

use crate::disk::DiskUse;
use crate::machine::MachineNumber;
use crate::power::Power;

/// On which side of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// Which machine is to crash, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPlan {
    /// Whose power is cut. Counted are the flushes of its disks, and every effect in the worlds.
    pub victim: MachineNumber,
    /// At which of them, from 0. Nothing crashes without; they are counted all the same.
    pub at: Option<usize>,
    /// Whether the effects are made by the victim itself: they hang then, as it dies. Otherwise
    /// another machine makes them, and goes on.
    pub acts_itself: bool,
}

struct Armed {
    plan: CrashPlan,
    power: Power,
    passed: Vec<String>,
    fired: bool,
}

/// The crash points of a cluster. Nothing is counted before it is armed.
#[derive(Clone, Default)]
pub struct CrashSchedule(Arc<Mutex<Option<Armed>>>);

impl std::fmt::Debug for CrashSchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CrashSchedule").field("armed", &self.armed().is_some()).finish()
    }
}

impl CrashSchedule {
    pub(crate) fn arm(&self, plan: CrashPlan, power: Power) {
        *self.armed() = Some(Armed { plan, power, passed: Vec::new(), fired: false });
    }

    /// Counts no further; what was passed, in order, and whether the crash has happened.
    pub(crate) fn disarm(&self) -> (Vec<String>, bool) {
        self.armed().take().map(|armed| (armed.passed, armed.fired)).unwrap_or_default()
    }

    pub(crate) fn at_disk(&self, machine: MachineNumber, used_for: DiskUse, moment: Moment) {
        self.pass(|plan| {
            let is_victims = plan.victim == machine;
            is_victims.then(|| format!("{moment:?} a flush of the {used_for:?}"))
        });
    }

    /// At an effect in one of the worlds.
    pub(crate) fn at_effect(&self, effect: &dyn std::fmt::Debug, point: CrashPoint) -> Verdict {
        let dies = self.pass(|_| Some(format!("{point:?} {effect:?}")));
        match dies {
            Some(CrashPlan { acts_itself: true, .. }) => Verdict::Hang,
            Some(_) | None => Verdict::Go,
        }
    }

    /// Passes a point, if it is one; the plan, if that was the one.
    fn pass(&self, name: impl FnOnce(&CrashPlan) -> Option<String>) -> Option<CrashPlan> {
        let mut slot = self.armed();
        let armed = slot.as_mut().filter(|armed| !armed.fired)?;
        let name = name(&armed.plan)?;
        let number = armed.passed.len();
        armed.passed.push(name);
        if armed.plan.at != Some(number) {
            return None;
        }
        armed.fired = true;
        let (plan, power) = (armed.plan, armed.power.clone());
        drop(slot);
        power.cut();
        Some(plan)
    }

    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Transitions of guests: what nodes said becomes a version of the state, when it is a change.
//!
//! Deliberately absent: any decision. A logical unit asks the node under its locks, whatever stands
//! here.

use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::RunEpoch;
use gantry_model::objects::{AdminState, Instance};
use gantry_model::report::GuestState;
use gantry_model::transitions::{GuestSeen, Transition, TransitionCause};
use gantry_model::units::Timestamp;

use super::{ClusterState, Emitted, HistoryEvent};

/// Most transitions in one entry. A node with 1,000 guests that fails makes that many at once;
/// lower makes more entries of it, higher one that holds up those behind it.
pub const TRANSITIONS_MAX: usize = 1_000;

impl ClusterState {
    /// What this sight changes; none if it is what is known already, or of no instance at home
    /// there.
    #[must_use]
    pub fn transition(&self, seen: &GuestSeen) -> Option<Transition> {
        let instance = self.instances.get(&seen.instance)?;
        if instance.primary != seen.node {
            return None;
        }
        let last = self.transitions.get(&seen.instance).map(Arc::as_ref);
        let (state, epoch, cause) = match seen.guest {
            Some((state, epoch)) => (Some(state), epoch, cause_of(last, state, epoch)?),
            None => (None, last?.epoch, cause_of_end(last?, instance)?),
        };
        let (node, since, revision) = (seen.node, seen.at, self.revision);
        Some(Transition { node, state, epoch, cause, since, revision })
    }

    /// Notes what is a change; what is not any more is left out.
    pub(super) fn note_transitions(
        &mut self,
        all: &[GuestSeen],
        at: Timestamp,
        out: &mut Vec<Emitted>,
    ) -> Result<(), Fault> {
        if all.len() > TRANSITIONS_MAX {
            let text = format!("more than {TRANSITIONS_MAX} transitions in one entry");
            return Err(Fault::new(FaultCode::WrongInput, text));
        }
        for seen in all {
            if let Some(transition) = self.transition(seen) {
                self.transitions.insert(seen.instance, Arc::new(transition));
                let event = HistoryEvent::Guest { instance: seen.instance, transition };
                self.emit(event, at, out);
            }
        }
        Ok(())
    }
}

/// Why a guest is there; none if it was there already.
fn cause_of(
    last: Option<&Transition>,
    state: GuestState,
    epoch: RunEpoch,
) -> Option<TransitionCause> {
    let same_start = last.filter(|last| last.epoch == epoch);
    if same_start.is_some_and(|last| last.state == Some(state)) {
        return None;
    }
    Some(match (state, same_start.map(|last| last.state)) {
        (GuestState::Shutdown, _) => TransitionCause::UserDown,
        (GuestState::Paused, _) => TransitionCause::Paused,
        (GuestState::Running, Some(Some(GuestState::Paused))) => TransitionCause::Resumed,
        (GuestState::Running, Some(_)) => TransitionCause::Adopted,
        (GuestState::Running, None) => TransitionCause::Started,
    })
}

/// Why a guest is gone; none if it was gone already. One that was shut down from inside stays so
/// when nothing is left of it: that is all that tells it from one that died.
fn cause_of_end(last: &Transition, instance: &Instance) -> Option<TransitionCause> {
    match (last.state, instance.admin_state) {
        (None, _) | (Some(GuestState::Shutdown), AdminState::Up) => None,
        (Some(_), AdminState::Up) => Some(TransitionCause::Died),
        (Some(_), AdminState::Down | AdminState::Offline) => Some(TransitionCause::Stopped),
    }
}

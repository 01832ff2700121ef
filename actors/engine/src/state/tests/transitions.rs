//! Transitions of guests: only changes count, and a cause follows from what was before.

use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::ids::RunEpoch;
use gantry_model::objects::AdminState;
use gantry_model::report::GuestState::{self, Paused, Running, Shutdown};
use gantry_model::transitions::{GuestSeen, TransitionCause};
use gantry_model::units::Timestamp;

use super::sample::{Log, instance, instance_id, node_id};
use crate::state::{Applied, Command, HistoryEvent, TRANSITIONS_MAX};

fn with_instance(admin_state: AdminState) -> Log {
    let mut log = Log::new();
    let change = InstanceChange::AdminState(admin_state);
    log.config(vec![
        ConfigDelta::InstanceAdd(Box::new(instance(1))),
        ConfigDelta::InstanceChange { instance: instance_id(1), expected: None, change },
    ]);
    log
}

fn seen(guest: Option<(GuestState, u64)>) -> GuestSeen {
    let guest = guest.map(|(state, epoch)| (state, RunEpoch(epoch)));
    GuestSeen { instance: instance_id(1), node: node_id(1), guest, at: Timestamp(77) }
}

fn tell(log: &mut Log, all: Vec<GuestSeen>) -> Option<TransitionCause> {
    let before = log.state.transitions.get(&instance_id(1)).cloned();
    let command = Command::Transitions { reign: log.reign(), seen: all };
    assert_eq!(log.apply(command), Applied::Done);
    let now = log.state.transitions.get(&instance_id(1)).cloned();
    now.filter(|now| before.as_ref() != Some(now)).map(|now| now.cause)
}

// covers: S63
#[test]
fn a_cause_follows_from_what_was_before() {
    use TransitionCause::{
        Adopted, Died, Paused as WasPaused, Resumed, Started, Stopped, UserDown,
    };
    let life = [
        (None, None),
        (Some((Running, 1)), Some(Started)),
        (Some((Running, 1)), None),
        (Some((Paused, 1)), Some(WasPaused)),
        (Some((Running, 1)), Some(Resumed)),
        (None, Some(Died)),
        (None, None),
        (Some((Running, 1)), Some(Adopted)),
        (Some((Running, 2)), Some(Started)),
        (Some((Shutdown, 2)), Some(UserDown)),
        // Nothing is left of it: it is still its user who wanted that.
        (None, None),
        (Some((Running, 3)), Some(Started)),
    ];
    let mut log = with_instance(AdminState::Up);
    for (i, (guest, cause)) in life.into_iter().enumerate() {
        assert_eq!(tell(&mut log, vec![seen(guest)]), cause, "{i}");
    }
    let mut log = with_instance(AdminState::Down);
    assert_eq!(tell(&mut log, vec![seen(Some((Running, 1)))]), Some(Started));
    assert_eq!(tell(&mut log, vec![seen(None)]), Some(Stopped));
}

#[test]
fn every_change_has_a_revision_and_stands_in_the_history() {
    let mut log = with_instance(AdminState::Up);
    tell(&mut log, vec![seen(Some((Running, 1)))]);
    let transition = *log.state.transitions[&instance_id(1)];
    assert_eq!(transition.revision, log.state.revision);
    assert_eq!(transition.since, Timestamp(77));
    let event = HistoryEvent::Guest { instance: instance_id(1), transition };
    assert_eq!(log.emitted.last().map(|one| &one.record.event), Some(&event));
    tell(&mut log, vec![seen(Some((Running, 1)))]);
    assert_eq!(log.emitted.len(), 1, "nothing changed");
}

#[test]
fn what_a_stranger_says_and_of_whom_nobody_knows_is_left_out() {
    let mut log = with_instance(AdminState::Up);
    let stranger = GuestSeen { node: node_id(2), ..seen(Some((Running, 1))) };
    let nobody = GuestSeen { instance: instance_id(9), ..seen(Some((Running, 1))) };
    assert_eq!(tell(&mut log, vec![stranger, nobody]), None);
    assert!(log.state.transitions.is_empty());
    let many = vec![seen(None); TRANSITIONS_MAX + 1];
    log.refused(Command::Transitions { reign: log.reign(), seen: many });
}

#[test]
fn an_instance_that_goes_takes_its_transition_with_it() {
    let mut log = with_instance(AdminState::Up);
    tell(&mut log, vec![seen(Some((Running, 1)))]);
    log.config(vec![ConfigDelta::InstanceRemove { instance: instance_id(1) }]);
    assert!(log.state.transitions.is_empty());
}

//! Which guests may have changed: collected from reports, for one entry per window.
//!
//! Of a guest that changes often only what it is at the end of a window counts, so that a flapping
//! one costs one entry per window however often it flaps. Driven by the cluster actor; decides
//! nothing about guests.

use std::collections::BTreeSet;

use gantry_model::ids::{InstanceUuid, NodeUuid};
use gantry_model::messages::Report;
use gantry_model::report::ReportEvent;
use gantry_model::transitions::GuestSeen;
use gantry_model::units::Timestamp;

use super::picture::Picture;
use crate::state::{ClusterState, TRANSITIONS_MAX};

/// Guests to be looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    instances: BTreeSet<InstanceUuid>,
    /// Nodes that have said everything: all that are at home there.
    nodes: BTreeSet<NodeUuid>,
}

impl Sightings {
    /// Notes whom a report is about.
    pub fn note(&mut self, report: &Report) {
        for event in &report.events {
            match event {
                ReportEvent::Full { .. } => drop(self.nodes.insert(report.node)),
                ReportEvent::Guest(guest) => drop(self.instances.insert(guest.instance)),
                ReportEvent::Gone(instance) => drop(self.instances.insert(*instance)),
                ReportEvent::Info(_) => {}
            }
        }
    }

    /// Whether there is anybody to be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.nodes.is_empty()
    }

    /// Looks at all of them: what has changed, at most as much as fits an entry. The rest stays.
    pub fn take(
        &mut self,
        state: &ClusterState,
        picture: &Picture,
        at: Timestamp,
    ) -> Vec<GuestSeen> {
        let nodes = std::mem::take(&mut self.nodes);
        if !nodes.is_empty() {
            let at_home = state.instances.values().filter(|i| nodes.contains(&i.primary));
            self.instances.extend(at_home.map(|instance| instance.uuid));
        }
        let mut changed = Vec::new();
        while let Some(id) = self.instances.pop_first() {
            let seen = look(state, picture, id, at).filter(|s| state.transition(s).is_some());
            changed.extend(seen);
            if changed.len() == TRANSITIONS_MAX {
                break;
            }
        }
        changed
    }

    /// What was taken could not be written: it is looked at again.
    pub fn put_back(&mut self, seen: &[GuestSeen]) {
        self.instances.extend(seen.iter().map(|seen| seen.instance));
    }
}

/// What its home says of a guest now; nothing while that is not connected or cannot say it.
fn look(
    state: &ClusterState,
    picture: &Picture,
    id: InstanceUuid,
    at: Timestamp,
) -> Option<GuestSeen> {
    let node = state.instances.get(&id)?.primary;
    let known = picture.node(node).filter(|known| known.connected)?;
    if known.unreadable.contains_key(&id) {
        return None;
    }
    let guest = known.guests.get(&id).map(|guest| (guest.state, guest.epoch));
    Some(GuestSeen { instance: id, node, guest, at })
}

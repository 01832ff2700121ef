//! The picture: what nodes have reported of themselves and their guests.
//!
//! Events of one run of a node's daemon are numbered; the picture takes them in order, asks for the
//! missing ones, and asks for everything when it knows nothing of that run. It answers queries and
//! decides nothing.

use std::collections::BTreeMap;

use gantry_model::ids::{InstanceUuid, NodeUuid};
use gantry_model::messages::{Report, ReportAck};
use gantry_model::report::{GuestReport, NodeInfo, ReportEvent, UnreadableGuest};
use gantry_wire::BootId;

/// What is known of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePicture {
    /// The run that it comes from.
    pub boot: BootId,
    /// Number of the next event.
    pub next: u64,
    /// Whether the node is connected now; if not, everything here is old.
    pub connected: bool,
    /// Its resources.
    pub info: NodeInfo,
    /// Its guests.
    pub guests: BTreeMap<InstanceUuid, GuestReport>,
    /// Guests of which it cannot say how they are; what `guests` has of one of these is old.
    pub unreadable: BTreeMap<InstanceUuid, UnreadableGuest>,
}

/// What is known of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    nodes: BTreeMap<NodeUuid, NodePicture>,
    /// Where each guest was seen, so that one on a wrong node is found without a search.
    places: BTreeMap<InstanceUuid, Vec<NodeUuid>>,
}

impl Picture {
    /// What is known of one node.
    #[must_use]
    pub fn node(&self, node: NodeUuid) -> Option<&NodePicture> {
        self.nodes.get(&node)
    }

    /// The nodes on which a guest was seen.
    #[must_use]
    pub fn places(&self, instance: InstanceUuid) -> &[NodeUuid] {
        self.places.get(&instance).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes a report; answers what is wanted next.
    pub fn report(&mut self, report: Report) -> ReportAck {
        let Report { node, boot, first, events } = report;
        for (number, event) in (first..).zip(events) {
            match event {
                ReportEvent::Full { info, guests, unreadable } => {
                    let known = self.nodes.get(&node).filter(|known| known.boot == boot);
                    if known.is_none_or(|known| number >= known.next) {
                        let guests = guests.into_iter().map(|g| (g.instance, g)).collect();
                        let unreadable = unreadable.into_iter().map(|g| (g.instance, g)).collect();
                        let (next, connected) = (number + 1, true);
                        let said = NodePicture { boot, next, connected, info, guests, unreadable };
                        self.replace(node, said);
                    }
                }
                event => match self.nodes.get(&node) {
                    Some(known) if known.boot == boot => {
                        if number == known.next {
                            self.change(node, event);
                        } else if number > known.next {
                            return ReportAck::Next(known.next);
                        }
                    }
                    _ => return ReportAck::Full,
                },
            }
        }
        match self.nodes.get_mut(&node) {
            Some(known) if known.boot == boot => {
                known.connected = true;
                ReportAck::Next(known.next)
            }
            _ => ReportAck::Full,
        }
    }

    /// A node is not connected any more: what is known of it is old.
    pub fn disconnected(&mut self, node: NodeUuid) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.connected = false;
        }
    }

    /// A node has left the cluster.
    pub fn forget(&mut self, node: NodeUuid) {
        if let Some(known) = self.nodes.remove(&node) {
            for instance in known.guests.keys() {
                self.leave(*instance, node);
            }
        }
    }

    fn replace(&mut self, node: NodeUuid, said: NodePicture) {
        self.forget(node);
        for instance in said.guests.keys() {
            self.places.entry(*instance).or_default().push(node);
        }
        self.nodes.insert(node, said);
    }

    fn change(&mut self, node: NodeUuid, event: ReportEvent) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        known.next += 1;
        match event {
            ReportEvent::Info(info) => known.info = info,
            ReportEvent::Guest(guest) => {
                let instance = guest.instance;
                if known.guests.insert(instance, guest).is_none() {
                    self.places.entry(instance).or_default().push(node);
                }
            }
            ReportEvent::Gone(instance) => {
                if known.guests.remove(&instance).is_some() {
                    self.leave(instance, node);
                }
            }
            ReportEvent::Full { .. } => {}
        }
    }

    fn leave(&mut self, instance: InstanceUuid, node: NodeUuid) {
        if let Some(places) = self.places.get_mut(&instance) {
            places.retain(|place| *place != node);
            if places.is_empty() {
                self.places.remove(&instance);
            }
        }
    }
}

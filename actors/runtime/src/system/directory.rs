//! Who lives here: the actors of one system by path, whatever their types.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gantry_wire::{Access, ActorPath};

use crate::actor::Actor;
use crate::cell::Seat;
use crate::delivery::Terms;
use crate::mailbox::{Facts, Mailbox};
use crate::protocol::{Asker, Protocol, Undelivered};
use crate::supervision::Strategy;

/// An actor whose type is not known here.
pub(crate) trait Live: Send + Sync {
    fn facts(&self) -> &Facts;
    fn depth(&self) -> (u64, u64);
    fn is_closed(&self) -> bool;
    /// Tells it to stop after its current turn; `false` when it has.
    fn order_stop(&self, why: String) -> bool;
    /// Tells it that a child's failure escalated to it.
    fn order_fail(&self, text: String) -> bool;
    /// Tells it to restart together with a sibling.
    fn order_down(&self, seat: Seat);
    fn close_if_empty(&self, why: &str) -> bool;
    fn access(&self, message: &str) -> Option<Access>;
    fn tell(&self, message: &str, body: &[u8], terms: Terms) -> Result<(), Undelivered>;
    fn ask(
        &self,
        message: &str,
        body: &[u8],
        terms: Terms,
        asker: &mut Asker,
    ) -> Result<(), Undelivered>;
    /// See [`Protocol::port`].
    fn port(self: Arc<Self>, message: &str) -> Option<Box<dyn Any>>;
}

impl<A: Actor> Live for Mailbox<A> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn depth(&self) -> (u64, u64) {
        Mailbox::depth(self)
    }

    fn is_closed(&self) -> bool {
        Mailbox::is_closed(self)
    }

    fn order_stop(&self, why: String) -> bool {
        self.order(|orders| {
            orders.stop.get_or_insert(why);
        })
        .is_some()
    }

    fn order_fail(&self, text: String) -> bool {
        self.order(|orders| orders.fail = Some(text)).is_some()
    }

    fn order_down(&self, seat: Seat) {
        // A stopped sibling drops the seat, which counts as done. The former seat of an order not
        // yet obeyed is dropped outside the lock for the same reason.
        let mut former = None;
        let _stopped = self.order(|orders| former = orders.down.replace(seat));
        drop(former);
    }

    fn close_if_empty(&self, why: &str) -> bool {
        Mailbox::close_if_empty(self, why)
    }

    fn access(&self, message: &str) -> Option<Access> {
        self.protocol.access(message)
    }

    fn tell(&self, message: &str, body: &[u8], terms: Terms) -> Result<(), Undelivered> {
        Protocol::tell(self, message, body, terms)
    }

    fn ask(
        &self,
        message: &str,
        body: &[u8],
        terms: Terms,
        asker: &mut Asker,
    ) -> Result<(), Undelivered> {
        Protocol::ask(self, message, body, terms, asker)
    }

    fn port(self: Arc<Self>, message: &str) -> Option<Box<dyn Any>> {
        Protocol::port(self, message)
    }
}

/// The actors by path.
#[derive(Default)]
pub(crate) struct Directory {
    actors: BTreeMap<ActorPath, Arc<dyn Live>>,
    /// Those with a parent, by that and by age.
    children: BTreeMap<ActorPath, BTreeMap<u64, Arc<dyn Live>>>,
}

/// The number of the next actor, in the order of spawning. Numbers are unique in the process, so
/// that the watch over threads knows an actor by its number whatever system it belongs to.
pub(crate) fn next_order() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Directory {
    pub(crate) fn find(&self, path: &ActorPath) -> Option<Arc<dyn Live>> {
        self.actors.get(path).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.actors.len()
    }

    /// The actor of that number. A search: for what happens rarely.
    pub(crate) fn by_order(&self, order: u64) -> Option<Arc<dyn Live>> {
        self.actors.values().find(|live| live.facts().order == order).cloned()
    }

    /// The caller has seen that the path is free.
    pub(crate) fn add(&mut self, live: Arc<dyn Live>) {
        let facts = live.facts();
        if let Some(parent) = &facts.parent {
            let children = self.children.entry(parent.clone()).or_default();
            children.insert(facts.order, live.clone());
        }
        let path = facts.path.clone();
        let former = self.actors.insert(path, live);
        debug_assert!(former.is_none(), "two actors at one path");
    }

    /// Removes this very actor; another that has taken its path since stays.
    pub(crate) fn remove(&mut self, path: &ActorPath, order: u64) {
        let Some(live) = self.actors.get(path) else { return };
        if live.facts().order != order {
            return;
        }
        if let Some(parent) = &live.facts().parent
            && let Some(children) = self.children.get_mut(parent)
        {
            children.remove(&order);
            if children.is_empty() {
                self.children.remove(parent);
            }
        }
        self.actors.remove(path);
    }

    /// All of them, by path.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<dyn Live>> {
        self.actors.values()
    }

    /// Those with this parent, in the order of spawning.
    pub(crate) fn children(&self, parent: &ActorPath) -> Vec<Arc<dyn Live>> {
        self.children.get(parent).map(|c| c.values().cloned().collect()).unwrap_or_default()
    }

    /// Those that restart when the actor of `facts` fails, itself included, in order.
    pub(crate) fn group(&self, facts: &Facts, strategy: Strategy) -> Vec<Arc<dyn Live>> {
        let Some(parent) = &facts.parent else { return Vec::new() };
        let mut group = match strategy {
            Strategy::One => return Vec::new(),
            Strategy::All | Strategy::Rest => self.children(parent),
        };
        if strategy == Strategy::Rest {
            group.retain(|live| live.facts().order >= facts.order);
        }
        group
    }
}

//! The asks of one peer that are being worked on here, and their deadlines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gantry_wire::{AskError, NotDelivered};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::session::Session;
use crate::answer::{Answer, Stage, WayBack, expire, give_up};
use crate::asking::AskResult;
use crate::frame::Lane;
use crate::limits::{ASK_GRACE, DEADLINE_TICK, DEADLINE_TICKS_IDLE, INBOUND_ASKS_PER_PEER_MAX};

/// Which stream an ask came on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) lane: Lane,
    pub(super) generation: u64,
}

/// One ask.
struct InboundAsk {
    stage: Stage,
    session: Weak<Session>,
    origin: Origin,
    id: u64,
    place: usize,
    deadline: Instant,
}

impl WayBack for InboundAsk {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn put(&self, result: AskResult) {
        // Without a session nobody can be told.
        if let Some(session) = self.session.upgrade() {
            session.asks.leave(self.place);
            session.push_reply(self.origin, self.id, result);
        }
    }

    fn forget(&self) {
        if let Some(session) = self.session.upgrade() {
            session.asks.leave(self.place);
        }
    }
}

/// Places for asks, taken and given back; their number is the limit.
#[derive(Default)]
pub(super) struct InboundAsks {
    places: Mutex<Places>,
    first: Notify,
}

#[derive(Default)]
struct Places {
    taken: Vec<Option<Arc<InboundAsk>>>,
    free: Vec<usize>,
    /// Whether somebody looks at the deadlines.
    is_watched: bool,
}

/// Places that an idle peer keeps. Bursts beyond give their memory back when they are over; lower
/// would allocate in every small burst, higher costs 16 bytes each per peer.
const PLACES_KEPT: usize = 64;

impl InboundAsks {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more ask; beyond the limit it is refused, and its asker told.
    pub(super) fn begin(
        session: &Arc<Session>,
        origin: Origin,
        id: u64,
        deadline: Instant,
    ) -> Option<Answer> {
        let mut places = session.asks.lock();
        let place = places.free.pop().unwrap_or(places.taken.len());
        if place >= INBOUND_ASKS_PER_PEER_MAX {
            drop(places);
            let full = format!("the link ({place} asks of this peer are being worked on)");
            let refusal: AskError = NotDelivered::MailboxFull(full).into();
            session.push_reply(origin, id, Err(refusal));
            return None;
        }
        let way = Arc::downgrade(session);
        let stage = Stage::default();
        let ask = InboundAsk { stage, session: way, origin, id, place, deadline };
        let ask = Arc::new(ask);
        match places.taken.get_mut(place) {
            Some(free) => *free = Some(ask.clone()),
            None => places.taken.push(Some(ask.clone())),
        }
        if !std::mem::replace(&mut places.is_watched, true) {
            session.asks.first.notify_one();
        }
        Some(Answer::new(ask))
    }

    /// Looks at the deadlines as long as there are any. One task for all asks of a peer: a timer
    /// for each would cost more than the rest of the ask.
    pub(super) async fn keep_time(session: Arc<Session>) {
        loop {
            session.asks.first.notified().await;
            let mut idle_ticks = 0;
            while idle_ticks < DEADLINE_TICKS_IDLE {
                sleep(DEADLINE_TICK).await;
                session.asks.sweep(Instant::now());
                idle_ticks = if session.asks.is_empty() { idle_ticks + 1 } else { 0 };
            }
            session.asks.lock().is_watched = false;
            // One may have come between the last look and this word.
            if !session.asks.is_empty() {
                session.asks.lock().is_watched = true;
                session.asks.first.notify_one();
            }
        }
    }

    fn is_empty(&self) -> bool {
        let places = self.lock();
        places.free.len() == places.taken.len()
    }

    fn leave(&self, place: usize) {
        let mut places = self.lock();
        if let Some(taken) = places.taken.get_mut(place)
            && taken.take().is_some()
        {
            places.free.push(place);
        }
        if places.taken.len() > PLACES_KEPT && places.free.len() == places.taken.len() {
            (places.taken, places.free) = Default::default();
        }
    }

    /// Ends what is late.
    pub(super) fn sweep(&self, now: Instant) {
        let late: Vec<Arc<InboundAsk>> = {
            let places = self.lock();
            places.taken.iter().flatten().filter(|ask| ask.deadline <= now).cloned().collect()
        };
        for ask in late {
            if ask.deadline + ASK_GRACE <= now {
                give_up(ask.as_ref());
            } else {
                expire(ask.as_ref());
            }
        }
    }
}

//! Restarting several actors in the order in which they were spawned, wherever they live.
//!
//! Each member has a [`Seat`]. The one that failed opens the round after its back-off; each seat
//! waits for those before it. A seat that is dropped, for whatever reason, counts as done, so a
//! member that stops meanwhile holds up nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Longest wait for the seats before one's own. A sibling that is stuck in a handler cannot be made
/// again; after this the rest go on without it. Lower would break the order under load, higher
/// keeps a whole group down for one stuck member.
pub(crate) const SEAT_WAIT_MAX: Duration = Duration::from_secs(30);

struct Round {
    state: Mutex<State>,
    turn: watch::Sender<usize>,
}

struct State {
    open: bool,
    done: Vec<bool>,
}

impl Round {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if state.open {
            let first = state.done.iter().position(|done| !done).unwrap_or(state.done.len());
            self.turn.send_replace(first + 1);
        }
    }
}

/// One member's place in a round.
pub(crate) struct Seat {
    round: Arc<Round>,
    place: usize,
    opens: bool,
}

impl Seat {
    /// A round of `n` seats; the one at `opener` starts it.
    pub(crate) fn round(n: usize, opener: usize) -> Vec<Self> {
        let state = Mutex::new(State { open: false, done: vec![false; n] });
        let round = Arc::new(Round { state, turn: watch::Sender::new(0) });
        let seat = |place| Self { round: round.clone(), place, opens: place == opener };
        (0..n).map(seat).collect()
    }

    /// Waits until all seats before this one are done. At its first poll it starts the round, if
    /// this is the seat to do so.
    pub(crate) fn turn(&self) -> impl Future<Output = ()> + use<> {
        let (round, place, opens) = (self.round.clone(), self.place, self.opens);
        async move {
            let mut turn = round.turn.subscribe();
            if opens {
                round.change(|state| state.open = true);
            }
            let reached = turn.wait_for(|turn| *turn > place);
            if tokio::time::timeout(SEAT_WAIT_MAX, reached).await.is_err() {
                tracing::warn!(place, "restarting without waiting for the siblings before");
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let place = self.place;
        self.round.change(|state| {
            state.done[place] = true;
            state.open |= self.opens;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn seats_are_served_in_order_once_opened() {
        let mut seats = Seat::round(3, 1);
        let (last, middle) = (seats.remove(2), seats.remove(1));
        let first = seats.remove(0);
        assert!(first.turn().now_or_never().is_none(), "not opened yet");
        assert!(middle.turn().now_or_never().is_none(), "opens, but is not the first");
        assert!(first.turn().now_or_never().is_some());
        drop(first);
        assert!(middle.turn().now_or_never().is_some());
        assert!(last.turn().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_opener_still_opens() {
        let mut seats = Seat::round(2, 0);
        let second = seats.remove(1);
        drop(seats);
        assert!(second.turn().now_or_never().is_some());
    }
}

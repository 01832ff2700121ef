//! The way back of an ask that came over a link.
//!
//! An [`Answer`] is given to the [`Inbound`](crate::Inbound) beside the message. It knows how far
//! the message has come, so that whoever ends the conversation first (the handler, the link at the
//! deadline, a stop) says truthfully which outcome it is. No task and no timer belongs to one ask:
//! the link looks at all of them together.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gantry_wire::{AskError, NotDelivered};
use tokio::sync::oneshot;

use crate::asking::AskResult;

const QUEUED: u8 = 0;
const STARTED: u8 = 1;
const ENDED: u8 = 2;

/// How far an ask has come. Shared by the answer and the link.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

impl Stage {
    fn advance(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Ends it; `false` when it had ended.
    fn end(&self) -> bool {
        self.0.swap(ENDED, Ordering::AcqRel) != ENDED
    }
}

/// The link's side of an answer.
pub(crate) trait WayBack: Send + Sync {
    fn stage(&self) -> &Stage;

    /// Sends what became of the ask. Called once at most.
    fn put(&self, result: AskResult);

    /// It will not be answered. Called once at most, instead of `put`.
    fn forget(&self);
}

/// The deadline of an ask has passed: one that has not started never will.
pub(crate) fn expire(way: &dyn WayBack) {
    if way.stage().advance(QUEUED, ENDED) {
        way.put(Err(AskError::NotStarted("its deadline passed in the queue".to_owned())));
    }
}

/// Nobody can be waiting for the answer any more.
pub(crate) fn give_up(way: &dyn WayBack) {
    expire(way);
    if way.stage().end() {
        way.put(Err(AskError::Unknown("no answer by the deadline".to_owned())));
    }
}

/// The right to answer one ask, once.
///
/// Dropped before its message has [started](Answer::begin), the asker learns that nothing has
/// happened; dropped afterwards, that the outcome is unknown.
#[must_use = "dropping an answer tells the asker that there is none"]
pub struct Answer(Option<Arc<dyn WayBack>>);

impl Answer {
    pub(crate) fn new(way: Arc<dyn WayBack>) -> Self {
        Self(Some(way))
    }

    /// An answer and what becomes of it: for links in one process.
    pub fn channel() -> (Self, impl Future<Output = Result<Bytes, AskError>> + Send + 'static) {
        let (tell, told) = oneshot::channel();
        let way = Channel { stage: Stage::default(), tell: Mutex::new(Some(tell)) };
        let outcome = async move {
            told.await.unwrap_or_else(|_| Err(AskError::Unknown("nobody answers".to_owned())))
        };
        (Self::new(Arc::new(way)), outcome)
    }

    /// The message's turn has come: whether it may start. It may not when its deadline has passed
    /// and its asker was told so.
    #[must_use]
    pub fn begin(&self) -> bool {
        self.0.as_ref().is_some_and(|way| way.stage().advance(QUEUED, STARTED))
    }

    /// Whether its message has started and is not answered.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.0.as_ref().is_some_and(|way| way.stage().0.load(Ordering::Acquire) == STARTED)
    }

    /// Whether somebody still waits for it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.as_ref().is_some_and(|way| way.stage().0.load(Ordering::Acquire) != ENDED)
    }

    /// Answers.
    pub fn send(mut self, result: Result<Bytes, AskError>) {
        self.put(result);
    }

    /// Answers that no mailbox took the message.
    pub fn refuse(self, why: NotDelivered) {
        self.send(Err(why.into()));
    }

    /// Says nothing, ever: the process that would answer has died.
    pub fn silence(mut self) {
        if let Some(way) = self.0.take()
            && way.stage().end()
        {
            way.forget();
        }
    }

    fn put(&mut self, result: AskResult) {
        if let Some(way) = self.0.take()
            && way.stage().end()
        {
            way.put(result);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let nothing = match self.has_started() {
            true => AskError::Unknown("the receiver ended without an answer".to_owned()),
            false => AskError::NotStarted("the receiver ended before its turn".to_owned()),
        };
        self.put(Err(nothing));
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("wanted", &self.is_wanted()).finish()
    }
}

/// The way back of [`Answer::channel`].
struct Channel {
    stage: Stage,
    tell: Mutex<Option<oneshot::Sender<AskResult>>>,
}

impl Channel {
    fn take(&self) -> Option<oneshot::Sender<AskResult>> {
        self.tell.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl WayBack for Channel {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn put(&self, result: AskResult) {
        if let Some(tell) = self.take() {
            // Who asked may have gone.
            drop(tell.send(result));
        }
    }

    fn forget(&self) {
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Note {
        stage: Stage,
        said: Mutex<Vec<AskResult>>,
    }

    impl WayBack for Note {
        fn stage(&self) -> &Stage {
            &self.stage
        }

        fn put(&self, result: AskResult) {
            self.said.lock().expect("lock").push(result);
        }

        fn forget(&self) {}
    }

    fn said(act: impl FnOnce(&Arc<Note>, Answer)) -> Vec<AskResult> {
        let note = Arc::new(Note::default());
        act(&note, Answer::new(note.clone()));
        note.said.lock().expect("lock").clone()
    }

    #[test]
    fn what_is_dropped_before_its_turn_was_not_started() {
        let said = said(|_, answer| drop(answer));
        assert!(matches!(said.as_slice(), [Err(AskError::NotStarted(_))]), "{said:?}");
    }

    #[test]
    fn what_is_dropped_after_its_beginning_is_unknown() {
        let said = said(|_, answer| {
            assert!(answer.begin());
            drop(answer);
        });
        assert!(matches!(said.as_slice(), [Err(AskError::Unknown(_))]), "{said:?}");
    }

    #[test]
    fn at_the_deadline_what_is_queued_may_not_start_any_more() {
        let said = said(|note, answer| {
            expire(note.as_ref());
            assert!(!answer.begin());
            answer.send(Ok(Bytes::new()));
        });
        assert!(matches!(said.as_slice(), [Err(AskError::NotStarted(_))]), "{said:?}");
    }

    #[test]
    fn at_the_deadline_what_has_started_may_still_be_answered() {
        let said = said(|note, answer| {
            assert!(answer.begin());
            expire(note.as_ref());
            answer.send(Ok(Bytes::new()));
        });
        assert_eq!(said, [Ok(Bytes::new())]);
    }

    #[test]
    fn only_the_first_word_is_said() {
        let said = said(|note, answer| {
            assert!(answer.begin());
            give_up(note.as_ref());
            answer.send(Ok(Bytes::new()));
        });
        assert!(matches!(said.as_slice(), [Err(AskError::Unknown(_))]), "{said:?}");
    }

    #[test]
    fn the_dead_say_nothing() {
        assert_eq!(said(|_, answer| answer.silence()), []);
    }
}

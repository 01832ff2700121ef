//! Waiting for the outcome of an ask, the same on every link.

use std::sync::Arc;

use bytes::Bytes;
use gantry_wire::{AskError, Envelope};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::limits::ASK_GRACE;

pub(crate) type AskResult = Result<Bytes, AskError>;

/// What an ask has come to at its deadline.
pub(crate) enum AtDeadline {
    /// No byte of it has left.
    NotSent(AskError),
    /// Bytes may have left.
    Sent,
}

/// Where a link keeps asks without an answer.
pub(crate) trait AskBook: Send + Sync {
    /// The deadline of an ask passed. One that was not sent is withdrawn.
    fn at_deadline(&self, id: u64) -> AtDeadline;

    /// The caller stopped waiting. A message that was only queued is still sent.
    fn abandon(&self, id: u64);
}

/// An ask whose caller waits.
pub(crate) struct WaitingAsk {
    pub(crate) book: Arc<dyn AskBook>,
    pub(crate) id: u64,
    pub(crate) outcome: oneshot::Receiver<AskResult>,
    pub(crate) deadline: Instant,
}

impl WaitingAsk {
    /// Ends at the deadline, or a grace after it when the message had left: the receiver's own word
    /// ("dropped in the queue") says more than ours ("unknown").
    pub(crate) async fn outcome(mut self) -> AskResult {
        let ended = |_| Err(AskError::Unknown("the link ended".to_owned()));
        if let Ok(outcome) = timeout_at(self.deadline, &mut self.outcome).await {
            return outcome.unwrap_or_else(ended);
        }
        if let AtDeadline::NotSent(outcome) = self.book.at_deadline(self.id) {
            return Err(outcome);
        }
        match timeout_at(self.deadline + ASK_GRACE, &mut self.outcome).await {
            Ok(outcome) => outcome.unwrap_or_else(ended),
            Err(_) => Err(AskError::Unknown("no reply by the deadline".to_owned())),
        }
    }
}

impl Drop for WaitingAsk {
    fn drop(&mut self) {
        self.book.abandon(self.id);
    }
}

/// When the sender of this message stops waiting.
pub(crate) fn deadline_of(envelope: &Envelope, now: Instant) -> Instant {
    now + std::time::Duration::from_millis(u64::from(envelope.deadline_ms))
}

/// What is left until then. Rounded up, so that an ask does not arrive with no time left while its
/// sender still waits.
pub(crate) fn remaining_ms(deadline: Instant, now: Instant) -> u32 {
    let left = deadline.saturating_duration_since(now).as_micros().div_ceil(1000);
    u32::try_from(left).unwrap_or(u32::MAX)
}

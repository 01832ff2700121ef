//! Effectively once: a request that is sent again gets its first answer again.
//!
//! At most one of three things happens to a request id at its receiver: its answer is known and
//! said again; it is being worked on and the newcomer waits for the same answer; or it is new. The
//! answer is durable before it is said, so a receiver that crashes after saying it will say it
//! again. What cannot be promised is the gap between an effect and its record: who has effects
//! outside the table resolves that by recording intents, which is not done here.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use gantry_wire::{AskError, Message, RequestId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::delivery::{AskOptions, instant_after};
use crate::reference::ActorRef;
use crate::reply::Reply;

/// Requests in flight at one receiver, and waiters for each. Both are bounded by its mailbox in
/// practice; the number stops a sender that repeats without end. Lower would refuse a burst after a
/// reconnect.
const WAITERS_MAX: usize = 1024;

/// Wait before the first repetition of an ask; doubled each time, up to [`RETRY_WAIT_MAX`].
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(10);

/// Longest wait between repetitions: how late a receiver that came back is noticed. Lower loads a
/// cluster that has no leader, higher wastes the caller's deadline.
const RETRY_WAIT_MAX: Duration = Duration::from_millis(500);

/// Share of the deadline given to one attempt: an attempt lost on the way leaves time for others.
const ATTEMPTS_PER_DEADLINE: u32 = 4;

/// The table of answers failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the answer to request {request}")]
pub struct AnswerTableError {
    /// `read`, `record` or `decode`.
    pub action: &'static str,
    /// Of which request.
    pub request: RequestId,
    /// What the storage said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Keeps answers. Durable: what `put` has accepted survives a crash.
pub trait AnswerTable {
    /// The answer given to `request`, if any.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn get(&self, request: RequestId) -> Result<Option<Bytes>, AnswerTableError>;

    /// Records an answer.
    ///
    /// # Errors
    /// When the storage cannot be written; the answer must then not be given.
    fn put(&mut self, request: RequestId, answer: Bytes) -> Result<(), AnswerTableError>;
}

/// The requests that one actor works on. Part of its state: one per type of reply.
#[derive(Debug)]
pub struct Once<R: Send + 'static> {
    at_work: BTreeMap<RequestId, AtWork<R>>,
}

#[derive(Debug)]
struct AtWork<R: Send + 'static> {
    /// Dead when the guard was dropped: nobody does the work any more.
    guard: Weak<()>,
    waiters: Vec<Reply<R>>,
}

impl<R: Send + 'static> Default for Once<R> {
    fn default() -> Self {
        Self { at_work: BTreeMap::new() }
    }
}

/// The duty to do a request's work, and its way back. Dropped unfinished, its askers learn that the
/// outcome is unknown, and a repetition does the work.
#[must_use = "the request is not finished"]
#[derive(Debug)]
pub struct OnceGuard<R: Send + 'static> {
    request: Option<RequestId>,
    reply: Reply<R>,
    alive: Arc<()>,
}

impl<R: Serialize + DeserializeOwned + Send + 'static> Once<R> {
    /// Nothing in flight.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at a request: `Some` when its work is to be done now, `None` when it is answered or
    /// will be. A message without a request id is always new.
    ///
    /// # Errors
    /// When the table cannot be read, or what it has is not such an answer. The reply is dropped,
    /// so the asker learns that the outcome is unknown; nothing was done.
    pub fn admit(
        &mut self,
        table: &impl AnswerTable,
        request: Option<RequestId>,
        reply: Reply<R>,
    ) -> Result<Option<OnceGuard<R>>, AnswerTableError> {
        let Some(request) = request else {
            return Ok(Some(OnceGuard { request: None, reply, alive: Arc::default() }));
        };
        if let Some(answer) = table.get(request)? {
            reply.send(decode(request, &answer)?);
            return Ok(None);
        }
        let total: usize = self.at_work.values().map(|work| 1 + work.waiters.len()).sum();
        match self.at_work.get_mut(&request) {
            Some(work) if work.guard.strong_count() > 0 => {
                // Beyond the limit it is dropped: unknown is the truth for who asks so often.
                if total < WAITERS_MAX {
                    work.waiters.push(reply);
                }
                Ok(None)
            }
            Some(_) | None => {
                let alive = Arc::default();
                let work = AtWork { guard: Arc::downgrade(&alive), waiters: Vec::new() };
                self.at_work.insert(request, work);
                Ok(Some(OnceGuard { request: Some(request), reply, alive }))
            }
        }
    }

    /// Ends a request: records the answer, then gives it to everybody who asked.
    ///
    /// # Errors
    /// When the answer cannot be recorded; it is given to nobody then.
    pub fn finish(
        &mut self,
        table: &mut impl AnswerTable,
        guard: OnceGuard<R>,
        answer: R,
    ) -> Result<(), AnswerTableError> {
        let OnceGuard { request, reply, alive } = guard;
        drop(alive);
        let Some(request) = request else {
            reply.send(answer);
            return Ok(());
        };
        let waiters = self.at_work.remove(&request).map(|work| work.waiters).unwrap_or_default();
        let failed = |source| AnswerTableError { action: "record", request, source };
        let encoded = gantry_wire::encode(&answer).map_err(|error| failed(Box::new(error)))?;
        let encoded = Bytes::from(encoded);
        table.put(request, encoded.clone())?;
        reply.send(answer);
        for waiter in waiters {
            waiter.send(decode(request, &encoded)?);
        }
        Ok(())
    }

    /// Gives a request up without an answer: the next repetition does the work.
    pub fn abandon(&mut self, guard: OnceGuard<R>) {
        if let Some(request) = guard.request {
            self.at_work.remove(&request);
        }
    }
}

fn decode<R: DeserializeOwned>(request: RequestId, answer: &[u8]) -> Result<R, AnswerTableError> {
    gantry_wire::decode(answer).map_err(|error| AnswerTableError {
        action: "decode",
        request,
        source: Box::new(error),
    })
}

impl<M: Message + Clone + Sync> ActorRef<M> {
    /// Asks until there is an answer, under one request id: repeated after every outcome but
    /// *done*, until `timeout`. Effectively once if the receiver keeps an [`AnswerTable`]; the last
    /// outcome otherwise.
    pub fn ask_once(
        &self,
        message: M,
        request: RequestId,
        options: AskOptions,
    ) -> impl Future<Output = Result<M::Reply, AskError>> + Send + use<M> {
        let (target, total) = (self.clone(), options.timeout);
        let deadline = instant_after(Instant::now(), total);
        async move {
            let mut wait = RETRY_WAIT_FIRST;
            // What a repetition says of itself must not hide that an earlier one may have started.
            let mut unknown: Option<AskError> = None;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let attempt = (total / ATTEMPTS_PER_DEADLINE).min(left);
                let options =
                    AskOptions { timeout: attempt, request: Some(request), ..options.clone() };
                let error = match target.ask_with(message.clone(), options).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) => error,
                };
                if !error.had_no_effect() {
                    unknown = Some(error.clone());
                }
                if is_final(&error) || Instant::now() + wait >= deadline {
                    return Err(unknown.unwrap_or(error));
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_WAIT_MAX);
            }
        }
    }
}

/// Whether a repetition would be refused in the same way.
fn is_final(error: &AskError) -> bool {
    use gantry_wire::NotDelivered as N;
    match error {
        AskError::NotDelivered(why) => match why {
            N::Forbidden { .. } | N::NotUnderstood { .. } | N::TooLarge { .. } | N::Moved(_) => {
                true
            }
            N::NoSuchActor(_) | N::MailboxFull(_) | N::Unreachable { .. } | N::Stopped(_) => false,
        },
        AskError::NotStarted(_) | AskError::Unknown(_) => false,
    }
}

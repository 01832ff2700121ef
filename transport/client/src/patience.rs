//! Which failures deserve another attempt, and for how long.

use std::time::Duration;

use gantry_model::errors::FaultCode;
use gantry_wire::{AskError, NotDelivered};

use crate::ClientError;

/// Time for a daemon to answer the first hello. Lower fails on a loaded machine (a handshake took
/// a second at load 15), higher makes everybody wait who only forgot to start the daemon.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time of one attempt. Lower repeats what a busy leader would still have answered, higher delays
/// the attempt that reaches the next leader (a change of leader takes up to two seconds).
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a question is asked again. A change of leader must fit in several times; higher keeps
/// people waiting for a cluster without a majority.
pub const READ_PATIENCE: Duration = Duration::from_secs(30);

/// How long a submission is repeated under its request id. Twice [`READ_PATIENCE`]: giving up on a
/// submission leaves its outcome unknown, which costs people more than waiting.
pub const SUBMIT_PATIENCE: Duration = Duration::from_secs(60);

/// How long a watched job may be out of sight. Jobs go on meanwhile; so does the watch, over the
/// restart of the daemon that is asked. Higher hides from a script that its cluster is gone.
pub const WATCH_PATIENCE: Duration = Duration::from_secs(120);

/// First pause between attempts, doubled up to [`BACKOFF_MAX`]. Lower burns CPU during a change of
/// leader, higher delays the answer after it.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// Longest pause between attempts. Higher delays what waits for a daemon that came back; lower
/// makes hundreds of waiting commands knock too often.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);

const _: () = assert!(ATTEMPT_TIMEOUT.as_secs() < READ_PATIENCE.as_secs());
const _: () = assert!(READ_PATIENCE.as_secs() < SUBMIT_PATIENCE.as_secs());

/// Whether sending the same again may help. Only for messages whose repetition is harmless:
/// questions and what carries a request id.
pub(crate) fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Ask { source, .. } => match source {
            AskError::NotDelivered(reason) => match reason {
                NotDelivered::NoSuchActor(_)
                | NotDelivered::Moved(_)
                | NotDelivered::MailboxFull(_)
                | NotDelivered::Unreachable { .. }
                | NotDelivered::Stopped(_) => true,
                NotDelivered::Forbidden { .. }
                | NotDelivered::NotUnderstood { .. }
                | NotDelivered::TooLarge { .. } => false,
            },
            AskError::NotStarted(_) | AskError::Unknown(_) => true,
        },
        ClientError::Fault(fault) => is_passing_code(fault.code),
        ClientError::NotACluster { .. }
        | ClientError::NoEndpoint { .. }
        | ClientError::NotPermitted { .. }
        | ClientError::File { .. }
        | ClientError::BadAddress { .. }
        | ClientError::Credentials { .. }
        | ClientError::Setup(_)
        | ClientError::NoDaemon { .. }
        | ClientError::Codec { .. }
        | ClientError::GaveUp { .. }
        | ClientError::Protocol { .. } => false,
    }
}

/// Faults of the way to the receiver. A refusal by the receiver is an answer, even a retryable one:
/// whether to try a full queue again is for the user to say.
fn is_passing_code(code: FaultCode) -> bool {
    match code {
        FaultCode::NotMaster
        | FaultCode::NotDelivered
        | FaultCode::NotStarted
        | FaultCode::OutcomeUnknown
        | FaultCode::DeadlineExceeded => true,
        FaultCode::ResolverError
        | FaultCode::InsufficientResources
        | FaultCode::TempInsufficientResources
        | FaultCode::WrongInput
        | FaultCode::WrongState
        | FaultCode::UnknownEntity
        | FaultCode::AlreadyExists
        | FaultCode::ResourceNotUnique
        | FaultCode::InvalidTag
        | FaultCode::InternalError
        | FaultCode::EnvironmentError
        | FaultCode::QueueFull
        | FaultCode::QueueDrained
        | FaultCode::Canceled
        | FaultCode::Forbidden
        | FaultCode::StaleToken
        | FaultCode::LuDiverged => false,
    }
}

/// Counts down one request's patience and doubles its pauses.
pub(crate) struct Attempts {
    until: tokio::time::Instant,
    total: Duration,
    each: Duration,
    pause: Duration,
}

impl Attempts {
    /// Attempts of up to `each`, for `patience` in all.
    pub(crate) fn new(patience: Duration, each: Duration) -> Self {
        let until = tokio::time::Instant::now() + patience;
        Self { until, total: patience, each, pause: BACKOFF_FIRST }
    }

    /// Time that the next attempt may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.each.min(self.until.saturating_duration_since(tokio::time::Instant::now()))
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// With `error` as the cause when there is no time for another attempt, and with `error` itself
    /// when another attempt would not help.
    pub(crate) async fn pause_after(
        &mut self,
        message: &'static str,
        error: ClientError,
    ) -> Result<(), ClientError> {
        if !is_passing(&error) {
            return Err(error);
        }
        let next = tokio::time::Instant::now() + self.pause;
        if next >= self.until {
            let last = Box::new(error);
            return Err(ClientError::GaveUp { message, waited: self.total, last });
        }
        tracing::debug!(message, error = %error, "attempt failed, trying again");
        tokio::time::sleep_until(next).await;
        self.pause = (self.pause * 2).min(BACKOFF_MAX);
        Ok(())
    }
}

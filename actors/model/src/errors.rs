//! The one error that is sent: [`Fault`].
//!
//! Made once, where an actor answers; leaf errors stay beside the code that fails. Codes are
//! Ganeti's ECODE set (row Q11) plus causes that only a distributed system has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use gantry_wire::{AskError, NotDelivered};

/// What kind of failure; scripts and the CLI match on it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// A host name has no address.
    ResolverError,
    /// Not enough disk, memory or other resources.
    InsufficientResources,
    /// The same, but it may pass.
    TempInsufficientResources,
    /// The input is wrong whatever the state.
    WrongInput,
    /// The input does not fit the present state.
    WrongState,
    /// No such entity.
    UnknownEntity,
    /// The entity exists already.
    AlreadyExists,
    /// A resource that must be unique is taken.
    ResourceNotUnique,
    /// A text is no tag, or there are too many (C213).
    InvalidTag,
    /// A bug in Gantry.
    InternalError,
    /// The machine does not have what it needs.
    EnvironmentError,
    /// The queue holds as many jobs as it may.
    QueueFull,
    /// The queue takes no new jobs.
    QueueDrained,
    /// The job was cancelled.
    Canceled,
    /// The sender may not do this.
    Forbidden,
    /// This node is not the master and knows no master to pass the message to.
    NotMaster,
    /// Certainly not done: it never arrived.
    NotDelivered,
    /// Certainly not done: it arrived and was not begun.
    NotStarted,
    /// Begun; nobody knows how it ended.
    OutcomeUnknown,
    /// The fencing token is older than one that was seen.
    StaleToken,
    /// The logical unit chose another step than the journal has.
    LuDiverged,
    /// The deadline passed.
    DeadlineExceeded,
}

impl FaultCode {
    /// Ganeti's word for it, where it has one; otherwise ours of the same shape.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResolverError => "resolver_error",
            Self::InsufficientResources => "insufficient_resources",
            Self::TempInsufficientResources => "temp_insufficient_resources",
            Self::WrongInput => "wrong_input",
            Self::WrongState => "wrong_state",
            Self::UnknownEntity => "unknown_entity",
            Self::AlreadyExists => "already_exists",
            Self::ResourceNotUnique => "resource_not_unique",
            Self::InvalidTag => "invalid_tag",
            Self::InternalError => "internal_error",
            Self::EnvironmentError => "environment_error",
            Self::QueueFull => "queue_full",
            Self::QueueDrained => "queue_drained",
            Self::Canceled => "canceled",
            Self::Forbidden => "forbidden",
            Self::NotMaster => "not_master",
            Self::NotDelivered => "not_delivered",
            Self::NotStarted => "not_started",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::StaleToken => "stale_token",
            Self::LuDiverged => "lu_diverged",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }

    /// Whether the same request may succeed later without anybody changing it.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::TempInsufficientResources
            | Self::QueueFull
            | Self::NotMaster
            | Self::NotDelivered
            | Self::NotStarted
            | Self::DeadlineExceeded => true,
            Self::ResolverError
            | Self::InsufficientResources
            | Self::WrongInput
            | Self::WrongState
            | Self::UnknownEntity
            | Self::AlreadyExists
            | Self::ResourceNotUnique
            | Self::InvalidTag
            | Self::InternalError
            | Self::EnvironmentError
            | Self::QueueDrained
            | Self::Canceled
            | Self::Forbidden
            | Self::OutcomeUnknown
            | Self::StaleToken
            | Self::LuDiverged => false,
        }
    }
}

/// A failure as it is told to others: what was attempted, on what, and why it failed.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, thiserror::Error,
)]
#[error("{message}")]
pub struct Fault {
    /// The kind.
    pub code: FaultCode,
    /// One sentence without a full stop.
    pub message: String,
    /// The causes, outermost first.
    #[serde(default)]
    pub chain: Vec<String>,
    /// Whether to try again makes sense.
    pub retryable: bool,
    /// Found while checking: nothing has changed. Ganeti's prerequisite error, as against one of
    /// execution, after which something may have.
    #[serde(default)]
    pub prerequisite: bool,
}

impl Fault {
    /// A fault without causes.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            chain: Vec::new(),
            retryable: code.retryable(),
            prerequisite: false,
        }
    }

    /// A fault that keeps the causes of an error.
    pub fn from_error(
        code: FaultCode,
        message: impl Into<String>,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        let mut fault = Self::new(code, message);
        let mut next = Some(error);
        while let Some(cause) = next {
            fault.chain.push(cause.to_string());
            next = cause.source();
        }
        fault
    }

    /// The same fault seen from further away: the old message becomes the first cause.
    #[must_use]
    pub fn within(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.chain.insert(0, inner);
        self
    }

    /// Marks it as worth trying again.
    #[must_use]
    pub fn retry_later(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Message and causes on one line, for logs and job results.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut line = self.message.clone();
        for cause in &self.chain {
            line.push_str(": ");
            line.push_str(cause);
        }
        line
    }

    /// What failed when a message to another actor did.
    #[must_use]
    pub fn from_ask(error: &AskError) -> Self {
        match error {
            AskError::NotDelivered(NotDelivered::Forbidden { .. }) => {
                Self::new(FaultCode::Forbidden, error.to_string())
            }
            AskError::NotDelivered(_) => Self::new(FaultCode::NotDelivered, error.to_string()),
            AskError::NotStarted(_) => Self::new(FaultCode::NotStarted, error.to_string()),
            AskError::Unknown(_) => Self::new(FaultCode::OutcomeUnknown, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_kept_in_order() {
        let fault = Fault::new(FaultCode::EnvironmentError, "no such file")
            .within("open disk.img")
            .within("start instance web1");
        assert_eq!(fault.one_line(), "start instance web1: open disk.img: no such file");
    }

    #[test]
    fn an_unknown_outcome_is_never_called_retryable() {
        let fault = Fault::from_ask(&AskError::Unknown("connection lost".into()));
        assert!(!fault.retryable);
    }
}

//! The outcomes of a tell and of an ask.
//!
//! An ask has four: *done* (`Ok`), *not delivered*, *delivered but not started*, and *started,
//! outcome unknown*. Only the first two and the third say something certain; who creates or deletes
//! disks needs the distinction.

use serde::{Deserialize, Serialize};

/// Why a message was not accepted. Nothing has happened; sending again is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NotDelivered {
    /// No actor lives at that path.
    #[error("no actor at {0}")]
    NoSuchActor(String),
    /// The entity lives elsewhere now; the sender's picture is old.
    #[error("moved: {0}")]
    Moved(String),
    /// The receiver's mailbox is at its limit in messages or bytes.
    #[error("mailbox of {0} is full")]
    MailboxFull(String),
    /// The node is not connected, and could not be reached in time.
    #[error("node {node} is unreachable: {reason}")]
    Unreachable {
        /// The node that was meant.
        node: String,
        /// What the link said.
        reason: String,
    },
    /// The sender's role may not send this message.
    #[error("role {role} may not send {message}")]
    Forbidden {
        /// Role of the sender.
        role: String,
        /// Wire name of the message.
        message: String,
    },
    /// The receiver does not know this message, or could not decode it.
    #[error("{path} does not understand {message}: {reason}")]
    NotUnderstood {
        /// The receiver.
        path: String,
        /// Wire name of the message.
        message: String,
        /// What was wrong with it.
        reason: String,
    },
    /// The message is larger than a frame may be.
    #[error("message of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The sender is shutting down, or the receiver has stopped for good.
    #[error("stopped: {0}")]
    Stopped(String),
}

/// How an ask failed. `Ok` is the fourth outcome, *done*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum AskError {
    /// It never reached a mailbox. Nothing has happened.
    #[error("not delivered: {0}")]
    NotDelivered(NotDelivered),
    /// It reached the mailbox, and was dropped there: its deadline had passed, or the actor was
    /// stopped before its turn. Nothing has happened.
    #[error("delivered but not started: {0}")]
    NotStarted(String),
    /// Its handler started; whether and how it ended is not known.
    #[error("started, outcome unknown: {0}")]
    Unknown(String),
}

impl AskError {
    /// Whether it is certain that the message had no effect.
    #[must_use]
    pub fn had_no_effect(&self) -> bool {
        match self {
            Self::NotDelivered(_) | Self::NotStarted(_) => true,
            Self::Unknown(_) => false,
        }
    }
}

impl From<NotDelivered> for AskError {
    fn from(reason: NotDelivered) -> Self {
        Self::NotDelivered(reason)
    }
}

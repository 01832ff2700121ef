//! How a request of a client fails.

use std::path::PathBuf;
use std::time::Duration;

use gantry_link::identity::IdentityError;
use gantry_model::errors::Fault;
use gantry_wire::{AskError, CodecError};

/// Why there is no answer, or which refusal is the answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The state directory holds no credentials: this host is in no cluster.
    #[error("no cluster in {}: {} is missing", state_dir.display(), missing)]
    NotACluster {
        /// Where was looked.
        state_dir: PathBuf,
        /// Which file.
        missing: String,
    },
    /// The daemon has not written where it listens: it has never run, or is only starting.
    #[error("it has not said where it listens: {} is missing in {}", missing, state_dir.display())]
    NoEndpoint {
        /// Where was looked.
        state_dir: PathBuf,
        /// Which file.
        missing: String,
    },
    /// The daemon of this machine does not talk to this user.
    #[error("{} refuses: {reason}", path.display())]
    NotPermitted {
        /// Its socket.
        path: PathBuf,
        /// What it said, or the system.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A text that should be an address is none.
    #[error("{text:?} is not an address: {reason}")]
    BadAddress {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credentials cannot be used.
    #[error("cannot use the credentials in {}", state_dir.display())]
    Credentials {
        /// Where they are.
        state_dir: PathBuf,
        /// What is wrong with them.
        #[source]
        source: IdentityError,
    },
    /// The transport could not be set up on this machine.
    #[error("cannot set up the transport")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody answers there.
    #[error("no daemon answers at {address}: {reason}")]
    NoDaemon {
        /// Where was tried.
        address: String,
        /// What was noticed last.
        reason: String,
    },
    /// The message had another outcome than *done*.
    #[error("{message} to {path} was not answered")]
    Ask {
        /// Its wire name.
        message: &'static str,
        /// To whom.
        path: String,
        /// The outcome.
        #[source]
        source: AskError,
    },
    /// The message cannot be sent, or its answer not be read.
    #[error("cannot {action} {message}")]
    Codec {
        /// `encode`, or `read the answer to`.
        action: &'static str,
        /// Its wire name.
        message: &'static str,
        /// What is wrong.
        #[source]
        source: CodecError,
    },
    /// The receiver refused.
    #[error("refused")]
    Fault(#[source] Fault),
    /// Attempts failed until patience ran out.
    #[error("gave up on {message} after {} s", waited.as_secs())]
    GaveUp {
        /// Its wire name.
        message: &'static str,
        /// For how long it was tried.
        waited: Duration,
        /// How the last attempt failed.
        #[source]
        last: Box<ClientError>,
    },
    /// The answer breaks the protocol, although it could be read.
    #[error("unexpected answer to {message}: {reason}")]
    Protocol {
        /// Its wire name.
        message: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The refusal in it, if it is one or ends in one.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::GaveUp { last, .. } => last.fault(),
            _ => None,
        }
    }

    /// The transport's outcome in it, if it is one or ends in one.
    #[must_use]
    pub fn ask_error(&self) -> Option<&AskError> {
        match self {
            Self::Ask { source, .. } => Some(source),
            Self::GaveUp { last, .. } => last.ask_error(),
            _ => None,
        }
    }
}

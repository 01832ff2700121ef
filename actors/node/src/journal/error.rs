//! Why the journal refuses or fails.

use std::path::PathBuf;
use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, JobAttempt, JobId, ReignId, RunEpoch};
use gantry_model::steps::StepId;
use gantry_wire::CodecError;

/// Why the journal refuses or fails. Cloned to every writer of a flush that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// A newer leader has been here.
    #[error("reign {given} is over, this node has seen reign {seen}")]
    StaleReign {
        /// The reign of the sender.
        given: ReignId,
        /// The highest seen.
        seen: ReignId,
    },
    /// A newer actor of the job has been here.
    #[error("attempt {given} of job {job} is over, this node has seen attempt {seen}")]
    StaleAttempt {
        /// The job.
        job: JobId,
        /// The attempt of the sender.
        given: JobAttempt,
        /// The highest seen.
        seen: JobAttempt,
    },
    /// The job has ended and is forgotten here.
    #[error("job {job} is settled: all below job {below} are")]
    Settled {
        /// The job.
        job: JobId,
        /// The first that is not settled.
        below: JobId,
    },
    /// A newer start of the instance has been here.
    #[error("start of epoch {given} of instance {instance} is over, epoch {seen} was begun here")]
    StaleEpoch {
        /// The instance.
        instance: InstanceUuid,
        /// The start that was asked for.
        given: RunEpoch,
        /// The highest seen.
        seen: RunEpoch,
    },
    /// A step id that names another call.
    #[error("step {step} is {known}, not {given}")]
    OtherCall {
        /// The step.
        step: StepId,
        /// The call that it names.
        known: String,
        /// The call that was sent.
        given: String,
    },
    /// A result without an intent.
    #[error("step {step} was never begun here")]
    NotBegun {
        /// The step.
        step: StepId,
    },
    /// Two results of one step.
    #[error("step {step} has ended before, and differently")]
    OtherResult {
        /// The step.
        step: StepId,
    },
    /// The file was written by another version.
    #[error("journal {path} has format {found}, this version reads format {supported}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format; 0 if it says none.
        found: u64,
        /// Ours.
        supported: u64,
    },
    /// A record that cannot be read.
    #[error("{table} of step {step} in the journal is damaged")]
    Damaged {
        /// Which table.
        table: &'static str,
        /// Which record.
        step: StepId,
        /// What is wrong with it.
        #[source]
        source: Arc<CodecError>,
    },
    /// A value that cannot be recorded.
    #[error("could not encode the {what}")]
    Encode {
        /// What it is.
        what: &'static str,
        /// Why not.
        #[source]
        source: Arc<CodecError>,
    },
    /// Another writer of the same flush panicked; nothing of it was committed.
    #[error("the flush was given up")]
    Lost,
    /// The file cannot be used.
    #[error("could not {attempt} journal {path}")]
    Disk {
        /// A verb.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Arc<redb::Error>,
    },
}

impl JournalError {
    /// What kind of failure it is for others.
    #[must_use]
    pub fn code(&self) -> FaultCode {
        match self {
            Self::StaleReign { .. }
            | Self::StaleAttempt { .. }
            | Self::Settled { .. }
            | Self::StaleEpoch { .. } => FaultCode::StaleToken,
            Self::OtherCall { .. }
            | Self::NotBegun { .. }
            | Self::OtherResult { .. }
            | Self::Encode { .. }
            | Self::Lost => FaultCode::InternalError,
            Self::Format { .. } | Self::Damaged { .. } | Self::Disk { .. } => {
                FaultCode::EnvironmentError
            }
        }
    }

    /// The fault that is answered when it stopped `attempted`. What the disk refused may be tried
    /// again: space may come back.
    #[must_use]
    pub fn fault(&self, attempted: &str) -> Fault {
        let fault = Fault::from_error(self.code(), attempted, self);
        if matches!(self, Self::Disk { .. }) { fault.retry_later() } else { fault }
    }
}

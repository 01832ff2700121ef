//! Why a hypervisor could not do what was asked.

use std::path::PathBuf;

use gantry_host::{CommandError, ProcessError};
use gantry_model::errors::FaultCode;
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::params::HypervisorKind;

use crate::kvm::QmpError;

/// Why a hypervisor could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HvError {
    /// No such hypervisor here.
    #[error("hypervisor {0} is not set up on this node")]
    NotRegistered(HypervisorKind),
    /// Its program is missing.
    #[error("{program} is not installed; install the package {package}")]
    ProgramMissing {
        /// Path of the program.
        program: PathBuf,
        /// Debian's package with it.
        package: &'static str,
    },
    /// Its program is there but does not work.
    #[error("{program} does not work")]
    ProgramBroken {
        /// Path of the program.
        program: PathBuf,
        /// How it failed.
        #[source]
        source: Box<CommandError>,
    },
    /// Bad input, found before anything happened.
    #[error("{field} {value:?} is not accepted: {accepted}")]
    Invalid {
        /// Parameter or field.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would be.
        accepted: String,
    },
    /// An optional ability that this hypervisor does not have.
    #[error("{kind} cannot {what}")]
    Unsupported {
        /// Which hypervisor.
        kind: HypervisorKind,
        /// What was asked.
        what: &'static str,
    },
    /// The guest is not there.
    #[error("instance {instance} does not run here")]
    NotRunning {
        /// Which.
        instance: InstanceUuid,
    },
    /// Another start of the guest runs: a guest never runs twice.
    #[error("start of epoch {asked} refused: instance {instance} runs in epoch {running}")]
    OtherEpochRuns {
        /// Which.
        instance: InstanceUuid,
        /// The start that was asked for.
        asked: RunEpoch,
        /// The start that runs.
        running: RunEpoch,
    },
    /// A newer start of the guest has been here.
    #[error("start of epoch {asked} refused: instance {instance} was here in epoch {seen}")]
    StaleEpoch {
        /// Which.
        instance: InstanceUuid,
        /// The start that was asked for.
        asked: RunEpoch,
        /// The newest start seen.
        seen: RunEpoch,
    },
    /// A process of this guest is there whose start is not on record.
    #[error(
        "process {pid} runs instance {instance}, but the record of its start cannot be read; shut \
         the guest down from inside or kill that process, then start the instance again"
    )]
    Unrecorded {
        /// Which.
        instance: InstanceUuid,
        /// The process.
        pid: u32,
        /// Why it cannot be read; none if it is missing.
        #[source]
        source: Option<Box<HvError>>,
    },
    /// The path of a socket does not fit into a socket address.
    #[error("socket path {path} has {bytes} bytes, at most {max} fit; use a shorter directory")]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
        /// The most that fit.
        max: usize,
    },
    /// The program ended instead of running the guest.
    #[error("could not start instance {instance}; log ends: {log_tail:?}")]
    StartFailed {
        /// Which.
        instance: InstanceUuid,
        /// The last lines of its log.
        log_tail: String,
        /// What the program said.
        #[source]
        source: Option<Box<CommandError>>,
    },
    /// Talking to the guest's process failed.
    #[error("{command} failed on instance {instance}")]
    Qmp {
        /// Which.
        instance: InstanceUuid,
        /// What it was told.
        command: String,
        /// How that failed.
        #[source]
        source: QmpError,
    },
    /// The guest could not be bound to its processors.
    #[error("could not bind instance {instance} to processors {cpus} (cpu_mask)")]
    Pinning {
        /// Which.
        instance: InstanceUuid,
        /// To which.
        cpus: String,
        /// Why.
        #[source]
        source: Box<CommandError>,
    },
    /// An interface could not be connected.
    #[error("could not {attempt} the network interface {tap} of a guest")]
    Network {
        /// A verb.
        attempt: &'static str,
        /// The interface on the node.
        tap: String,
        /// Why.
        #[source]
        source: Box<CommandError>,
    },
    /// The guest is still there although it was killed.
    #[error("instance {instance} (process {pid}) is still there after it was killed")]
    CannotKill {
        /// Which.
        instance: InstanceUuid,
        /// Its process.
        pid: u32,
    },
    /// The guest has no console.
    #[error("instance {instance} has no serial console: its parameter serial_console is off")]
    NoConsole {
        /// Which.
        instance: InstanceUuid,
    },
    /// A file could not be used.
    #[error("could not {attempt} {path}")]
    Io {
        /// A verb.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The table of processes could not be used.
    #[error("could not {attempt} the process of instance {instance}")]
    Process {
        /// A verb.
        attempt: &'static str,
        /// Which.
        instance: InstanceUuid,
        /// Why.
        #[source]
        source: ProcessError,
    },
    /// The work was lost: the threads for it have shut down.
    #[error("could not read or write the record of a guest")]
    NoThread {
        /// Why.
        #[source]
        source: gantry_host::BlockingLost,
    },
    /// A fake hypervisor was told to fail.
    #[error("injected fault: {attempt} of instance {instance}")]
    Injected {
        /// What was attempted.
        attempt: &'static str,
        /// Which.
        instance: InstanceUuid,
    },
}

impl HvError {
    /// What kind of failure it is for others.
    #[must_use]
    pub fn code(&self) -> FaultCode {
        match self {
            Self::Invalid { .. } | Self::Unsupported { .. } => FaultCode::WrongInput,
            Self::NotRunning { .. } | Self::OtherEpochRuns { .. } | Self::NoConsole { .. } => {
                FaultCode::WrongState
            }
            Self::StaleEpoch { .. } => FaultCode::StaleToken,
            Self::NotRegistered(_)
            | Self::ProgramMissing { .. }
            | Self::ProgramBroken { .. }
            | Self::SocketPathTooLong { .. }
            | Self::Unrecorded { .. }
            | Self::StartFailed { .. }
            | Self::Qmp { .. }
            | Self::Pinning { .. }
            | Self::Network { .. }
            | Self::CannotKill { .. }
            | Self::Io { .. }
            | Self::Process { .. }
            | Self::NoThread { .. }
            | Self::Injected { .. } => FaultCode::EnvironmentError,
        }
    }
}

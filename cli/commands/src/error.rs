//! How commands fail: kind, cause, hints. The kind chooses the exit code ([`crate::exit_code`]),
//! the cause the text ([`crate::error_text`]); hints say what to do next. Conversions from the
//! errors of libraries are here and nowhere else.

use gantry_client::ClientError;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::messages::SubmitJobs;
use gantry_model::params::ParamError;
use gantry_wire::{AskError, Message as _, NotDelivered};

use crate::machine::{MachineError, MachineErrorKind};
use crate::parse::ParseError;
use crate::parse::disk::DisksError;
use crate::parse::filter::WantedError;
use crate::parse::nic::NicsError;
use crate::parse::params::ParamsError;
use crate::suggest::nearest;

/// Which exit code a failure deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandErrorKind {
    /// It failed, or was refused.
    Failed,
    /// The command line cannot be read.
    Usage,
    /// No such sub-command, or none.
    NoSubcommand,
    /// The state on disk is damaged.
    CorruptConfiguration,
    /// This host is in no cluster.
    NotACluster,
    /// There is no master that could do it.
    NotMaster,
    /// A node could not be set up.
    NodeSetup,
    /// The user said no, or could not be asked.
    Declined,
    /// It has to be confirmed by an option, and was not.
    ConfirmationNeeded,
    /// A list was asked for a field that does not exist.
    UnknownField,
    /// Nobody reads the output any more.
    BrokenPipe,
    /// Ctrl-C.
    Interrupted,
    /// A bug in this program.
    Internal,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A request to the cluster failed.
    #[error("request failed")]
    Client(#[source] ClientError),
    /// A job was refused.
    #[error("job refused")]
    Refused(#[source] Fault),
    /// A job failed.
    #[error("job {job} failed")]
    Job {
        /// Which.
        job: JobId,
        /// Why.
        #[source]
        fault: Fault,
    },
    /// A job was cancelled.
    #[error("job {job} was canceled")]
    JobCanceled {
        /// Which.
        job: JobId,
    },
    /// Some of many jobs failed, as has been said for each.
    #[error("{n_failed} of {n_jobs} jobs failed")]
    SomeJobs {
        /// How many.
        n_failed: usize,
        /// Of how many.
        n_jobs: usize,
        /// A fault of one that did not find what it was about.
        unknown: Option<Fault>,
    },
    /// What was named is not there, so that nothing is selected.
    #[error("nothing selected")]
    NothingSelected(#[source] Fault),
    /// An option's value is not of its form.
    #[error("invalid argument")]
    Parse(#[source] ParseError),
    /// Parameters cannot be taken.
    #[error("invalid parameters")]
    Params(#[source] ParamsError),
    /// Disks cannot be taken.
    #[error("invalid disks")]
    Disks(#[source] DisksError),
    /// What is to be listed cannot be read.
    #[error("invalid filter")]
    Wanted(#[source] WantedError),
    /// Interfaces cannot be taken.
    #[error("invalid network interfaces")]
    Nics(#[source] NicsError),
    /// Options cannot be taken, for another reason.
    #[error("{0}")]
    Argument(String),
    /// Something on this machine failed.
    #[error("machine failed")]
    Machine(#[source] MachineError),
    /// Reading or writing failed.
    #[error("cannot {action}")]
    Stream {
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be made.
    #[error("cannot {action} {path}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Checks of this machine, as has been said.
    #[error("{n_failed} checks failed")]
    Checks {
        /// How many.
        n_failed: usize,
    },
    /// What was looked for is nowhere, which is told by the exit code alone.
    #[error("nothing found")]
    NothingFound,
    /// The user said no.
    #[error("not confirmed")]
    Declined,
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// Fields that do not exist, as has been said.
    #[error("unknown fields {}", .0.join(", "))]
    UnknownFields(Vec<String>),
    /// A sentence of Ganeti's that stands alone.
    #[error("{0}")]
    Sentence(String),
    /// What can only be a bug.
    #[error("{0}")]
    Bug(String),
}

/// How a command failed.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// Chooses the exit code.
    pub kind: CommandErrorKind,
    /// Chooses the text. In a box because it is large and success is usual.
    pub error: Box<Failure>,
    /// What to do next; may be none.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error without hints.
    #[must_use]
    pub(crate) fn new(kind: CommandErrorKind, error: Failure) -> Self {
        Self { kind, error: Box::new(error), hints: Vec::new() }
    }

    /// Options that cannot be taken as they are.
    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::new(CommandErrorKind::Failed, Failure::Argument(text.into()))
    }

    /// The same with one more hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The refusal in it, if there is one.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self.error.as_ref() {
            Failure::Refused(fault) | Failure::Job { fault, .. } => Some(fault),
            Failure::Client(error) => error.fault(),
            Failure::SomeJobs { unknown, .. } => unknown.as_ref(),
            Failure::NothingSelected(unknown) => Some(unknown),
            _ => None,
        }
    }
}

/// A refusal of a job, before it existed.
impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        let hints = fault_hints(fault.code);
        Self { hints, ..Self::new(fault_kind(fault.code), Failure::Refused(fault)) }
    }
}

impl CommandError {
    /// The failure of a job.
    #[must_use]
    pub(crate) fn job(job: JobId, fault: Fault) -> Self {
        let hints = fault_hints(fault.code);
        let kind = fault_kind(fault.code);
        Self { hints, ..Self::new(kind, Failure::Job { job, fault }) }
            .hint(format!("everything about the job is shown by `gantry job info {job}`"))
    }
}

fn fault_kind(code: FaultCode) -> CommandErrorKind {
    match code {
        FaultCode::NotMaster => CommandErrorKind::NotMaster,
        _ => CommandErrorKind::Failed,
    }
}

fn fault_hints(code: FaultCode) -> Vec<String> {
    let hint = match code {
        FaultCode::QueueFull => {
            "see `gantry job list --pending`, and try again when jobs have ended"
        }
        FaultCode::Forbidden => "use the state directory of an operator, which holds admin.pem",
        FaultCode::OutcomeUnknown => {
            "look at the state with `gantry instance list` before repeating"
        }
        FaultCode::InternalError | FaultCode::LuDiverged => {
            "this is a bug in Gantry: please report it with the log of the master"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        let (kind, hints) = client_kind(&error);
        Self { kind, error: Box::new(Failure::Client(error)), hints }
    }
}

fn client_kind(error: &ClientError) -> (CommandErrorKind, Vec<String>) {
    let hints = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    match error {
        ClientError::NotACluster { .. } => {
            let create = "create a cluster with `gantry cluster init NAME`, or join one with \
                          `gantry join TOKEN`";
            let where_else = "another state directory is named by --state-dir or GANTRY_STATE_DIR";
            (CommandErrorKind::NotACluster, hints(&[create, where_else]))
        }
        ClientError::NoEndpoint { state_dir, .. } => {
            let daemon = format!("gantry daemon --state-dir {}", state_dir.display());
            (CommandErrorKind::Failed, start_hints(&daemon))
        }
        ClientError::NoDaemon { .. } => (CommandErrorKind::Failed, start_hints("gantry daemon")),
        ClientError::NotPermitted { .. } => {
            let group = "root adds a user to a group with `gpasswd -a USER GROUP`; it counts from \
                         the next login on";
            (CommandErrorKind::Failed, hints(&[group]))
        }
        ClientError::File { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            (
                CommandErrorKind::Failed,
                hints(&["run it as the user who owns the files, often root"]),
            )
        }
        ClientError::Credentials { .. } => (CommandErrorKind::CorruptConfiguration, Vec::new()),
        ClientError::Fault(fault) => (fault_kind(fault.code), fault_hints(fault.code)),
        ClientError::Ask { source: AskError::Unknown(_), message, .. } if only_looks(message) => {
            (CommandErrorKind::Failed, hints(&["nothing was changed: give the command again"]))
        }
        ClientError::Ask { source, .. } => (CommandErrorKind::Failed, ask_hints(source)),
        ClientError::GaveUp { last, message, .. } => {
            let (kind, mut all) = client_kind(last);
            if kind == CommandErrorKind::NotMaster {
                all.push("most of the master candidates must be up and reach each other".into());
            }
            if *message == SubmitJobs::WIRE_NAME {
                all.push("the jobs of the cluster are shown by `gantry job list`".to_owned());
            }
            (kind, all)
        }
        ClientError::Protocol { .. } | ClientError::Codec { .. } => {
            (CommandErrorKind::Failed, hints(&[OTHER_VERSION]))
        }
        ClientError::File { .. } | ClientError::BadAddress { .. } | ClientError::Setup(_) => {
            (CommandErrorKind::Failed, Vec::new())
        }
    }
}

/// A daemon that does not understand a command cannot be asked for its version either.
const OTHER_VERSION: &str = "does the daemon have another version? compare `gantry --version` here \
                             and on the node that was asked";

/// Whether a message asks for something to be shown.
fn only_looks(message: &str) -> bool {
    message.starts_with("cluster.query")
}

fn start_hints(by_hand: &str) -> Vec<String> {
    vec![
        format!("start it with `systemctl start gantry`, or by hand with `{by_hand}`"),
        "another node of the cluster is asked with --endpoint HOST:PORT".to_owned(),
    ]
}

fn ask_hints(outcome: &AskError) -> Vec<String> {
    match outcome {
        AskError::NotDelivered(NotDelivered::Forbidden { .. }) => fault_hints(FaultCode::Forbidden),
        AskError::NotDelivered(NotDelivered::NotUnderstood { .. }) => {
            vec![OTHER_VERSION.to_owned()]
        }
        AskError::NotDelivered(_) | AskError::NotStarted(_) => Vec::new(),
        AskError::Unknown(_) => fault_hints(FaultCode::OutcomeUnknown),
    }
}

impl From<MachineError> for CommandError {
    fn from(mut error: MachineError) -> Self {
        let kind = match error.kind {
            MachineErrorKind::Failed | MachineErrorKind::WrongInput => CommandErrorKind::Failed,
            MachineErrorKind::NotACluster => CommandErrorKind::NotACluster,
            MachineErrorKind::CorruptConfiguration => CommandErrorKind::CorruptConfiguration,
            MachineErrorKind::NodeSetup => CommandErrorKind::NodeSetup,
        };
        let hints = std::mem::take(&mut error.hints);
        Self { kind, error: Box::new(Failure::Machine(error)), hints }
    }
}

impl From<ParseError> for CommandError {
    fn from(error: ParseError) -> Self {
        Self::new(CommandErrorKind::Failed, Failure::Parse(error))
    }
}

impl From<ParamsError> for CommandError {
    fn from(error: ParamsError) -> Self {
        let hint = match &error {
            ParamsError::Param(ParamError::Unknown { name, known }) => {
                Some(parameter_hint(name, known))
            }
            _ => None,
        };
        let error = Self::new(CommandErrorKind::Failed, Failure::Params(error));
        hint.into_iter().fold(error, Self::hint)
    }
}

/// Most parameters that are listed. More fill the screen, and the refusal scrolls away.
const PARAMETERS_LISTED_MAX: usize = 12;

/// Which parameter was meant; or all there are, if they are few.
fn parameter_hint(name: &str, known: &str) -> String {
    let names: Vec<&str> = known.split(", ").collect();
    match nearest(name, &names) {
        Some(near) => format!("did you mean '{near}' in place of '{name}'?"),
        None if names.len() <= PARAMETERS_LISTED_MAX => format!("there are: {known}"),
        None => {
            "all there are stand in `gantry cluster info`, below `Hypervisor parameters`".into()
        }
    }
}

impl From<DisksError> for CommandError {
    fn from(error: DisksError) -> Self {
        let hint = match error {
            DisksError::BothForms => Some("-s SIZE is short for --disk 0:size=SIZE".to_owned()),
            DisksError::Diskless => Some("leave --disk and -s out, or name another -t".to_owned()),
            DisksError::None(template) => Some(format!(
                "disk template {template} needs at least one disk: give -s SIZE or --disk \
                 0:size=SIZE"
            )),
            DisksError::Twice(_) | DisksError::Gap(_) => None,
        };
        let error = Self::new(CommandErrorKind::Failed, Failure::Disks(error));
        hint.into_iter().fold(error, Self::hint)
    }
}

impl From<WantedError> for CommandError {
    fn from(error: WantedError) -> Self {
        Self::new(CommandErrorKind::Failed, Failure::Wanted(error))
    }
}

impl From<NicsError> for CommandError {
    fn from(error: NicsError) -> Self {
        Self::new(CommandErrorKind::Failed, Failure::Nics(error))
    }
}

/// Failed writes to stdout or stderr.
impl From<std::io::Error> for CommandError {
    fn from(source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::BrokenPipe => CommandErrorKind::BrokenPipe,
            _ => CommandErrorKind::Failed,
        };
        Self::new(kind, Failure::Stream { action: "write the output", source })
    }
}

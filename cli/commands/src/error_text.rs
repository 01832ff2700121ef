//! Failures as text, by class (C213). Scripts match the first line of each class.

use gantry_client::ClientError;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::SubmitJobs;
use gantry_model::params::ParamError;
use gantry_model::query::{UNKNOWN_FILTER_FIELD, WRONG_FILTER_FIELD};
use gantry_wire::{AskError, ErrorChain, Message as _, NotDelivered};
use owo_colors::OwoColorize as _;

use crate::error::{CommandError, Failure};
use crate::machine::MachineErrorKind;
use crate::parse::NoticedBy;
use crate::parse::filter::WantedError;
use crate::parse::params::ParamsError;

/// What Ganeti says where names or tags select no instance.
pub(crate) const NOTHING_SELECTED: &str = "Selection filter does not match any instances";

/// The lines for stderr; none where everything has been said.
#[must_use]
pub(crate) fn error_lines(error: &CommandError, coloured: bool) -> Vec<String> {
    let mut lines = failure_lines(&error.error);
    if let Some(first) = lines.first_mut()
        && coloured
    {
        *first = first.red().to_string();
    }
    for hint in &error.hints {
        let label = if coloured { "Hint:".cyan().to_string() } else { "Hint:".to_owned() };
        lines.push(format!("{label} {hint}"));
    }
    lines
}

/// The same without hints and colours.
#[must_use]
pub(crate) fn failure_lines(failure: &Failure) -> Vec<String> {
    failure_text(failure).iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

fn failure_text(failure: &Failure) -> Option<String> {
    let text = match failure {
        Failure::Client(error) => client_text(error),
        Failure::Refused(fault) => fault_text(fault),
        Failure::Job { fault, .. } => job_fault_text(fault),
        Failure::JobCanceled { job } => format!("Failure: job {job} was canceled"),
        Failure::NothingSelected(_) => wrong_input(NOTHING_SELECTED),
        Failure::Parse(error) => match error.noticed_by {
            NoticedBy::Types => format!("Parameter Error: {error}"),
            _ => wrong_input(&error.to_string()),
        },
        Failure::Params(error) => params_text(error),
        Failure::Disks(error) => wrong_input(&error.to_string()),
        Failure::Wanted(error) => wanted_text(error),
        Failure::Nics(error) => wrong_input(&error.to_string()),
        Failure::Argument(text) => wrong_input(text),
        Failure::Machine(error) => match error.kind {
            MachineErrorKind::WrongInput => wrong_input(&ErrorChain(error).to_string()),
            MachineErrorKind::CorruptConfiguration => corrupt(&ErrorChain(error).to_string()),
            MachineErrorKind::Failed
            | MachineErrorKind::NotACluster
            | MachineErrorKind::NodeSetup => format!("Failure: {}", ErrorChain(error)),
        },
        Failure::Stream { .. } | Failure::File { .. } => {
            format!("Failure: {}", ErrorChain(failure))
        }
        Failure::Interrupted => {
            "Aborted. Note that if the operation created any jobs, they might have been submitted \
             and will continue to run in the background."
                .to_owned()
        }
        Failure::Sentence(text) => text.clone(),
        Failure::Bug(text) => format!("Unhandled exception: {text}"),
        Failure::SomeJobs { .. }
        | Failure::Declined
        | Failure::UnknownFields(_)
        | Failure::NothingFound
        | Failure::Checks { .. } => return None,
    };
    Some(text)
}

/// A refusal, as it stands on stderr.
#[must_use]
pub(crate) fn fault_text(fault: &Fault) -> String {
    let details = fault_details(fault);
    match fault.code {
        FaultCode::ResolverError => format!("Failure: can't resolve hostname: {details}"),
        FaultCode::QueueDrained => format!(
            "Failure: the job queue is marked for drain and doesn't accept new requests: {details}"
        ),
        // Ganeti goes on with `until old jobs are archived`: here those that have ended do not
        // count.
        FaultCode::QueueFull => format!(
            "Failure: the job queue is full and doesn't accept new job submissions: {details}"
        ),
        FaultCode::Canceled => format!("Failure: canceled: {details}"),
        FaultCode::Forbidden => format!("Failure: no permission: {details}"),
        FaultCode::NotMaster => format!("This is not the master node: {details}"),
        FaultCode::NotDelivered | FaultCode::NotStarted => {
            format!("Failure: nothing was done: {details}")
        }
        FaultCode::DeadlineExceeded => timeout(false, &details),
        FaultCode::WrongInput if is_of_a_filter(&fault.message) => wrong_name(&details),
        FaultCode::InsufficientResources
        | FaultCode::TempInsufficientResources
        | FaultCode::WrongInput
        | FaultCode::WrongState
        | FaultCode::UnknownEntity
        | FaultCode::AlreadyExists
        | FaultCode::ResourceNotUnique => prerequisites(fault.code, &details),
        FaultCode::InvalidTag => format!("Failure: invalid tag(s) given:\n{details}"),
        FaultCode::InternalError
        | FaultCode::EnvironmentError
        | FaultCode::OutcomeUnknown
        | FaultCode::StaleToken
        | FaultCode::LuDiverged => format!("Failure: command execution error:\n{details}"),
    }
}

/// Whether a filter was refused for what its fields are.
fn is_of_a_filter(message: &str) -> bool {
    [UNKNOWN_FILTER_FIELD, WRONG_FILTER_FIELD].iter().any(|words| message.starts_with(words))
}

/// The failure of a job: what was found while checking, or while acting. Only the job knows which.
#[must_use]
pub(crate) fn job_fault_text(fault: &Fault) -> String {
    let details = fault_details(fault);
    match fault.code {
        FaultCode::ResolverError
        | FaultCode::QueueDrained
        | FaultCode::QueueFull
        | FaultCode::Canceled
        | FaultCode::Forbidden
        | FaultCode::InvalidTag
        | FaultCode::NotMaster => fault_text(fault),
        code if fault.prerequisite => prerequisites(code, &details),
        _ => format!("Failure: command execution error:\n{details}"),
    }
}

fn prerequisites(code: FaultCode, details: &str) -> String {
    let code = code.as_str();
    format!(
        "Failure: prerequisites not met for this operation:\nerror type: {code}, error \
         details:\n{details}"
    )
}

/// The class of wrong names of parameters: what stands in quotes is a name, or a sentence.
pub(crate) fn wrong_name(sentence: &str) -> String {
    format!("Failure: unknown/wrong parameter name '{sentence}'")
}

fn timeout(submitted: bool, details: &str) -> String {
    let jobs = " Jobs might have been submitted and will continue to run even if the call timed \
                out. Useful commands in this situation are \"gnt-job list\", \"gnt-job cancel\" \
                and \"gnt-job watch\".";
    let jobs = if submitted { jobs } else { "" };
    format!("Timeout while talking to the master daemon.{jobs} Error:\n{details}")
}

pub(crate) fn wrong_input(details: &str) -> String {
    prerequisites(FaultCode::WrongInput, details)
}

fn corrupt(details: &str) -> String {
    format!("Corrupt configuration file: {details}\nAborting.")
}

fn fault_details(fault: &Fault) -> String {
    let mut details = fault.message.clone();
    for cause in &fault.chain {
        details.push_str("\n  caused by: ");
        details.push_str(cause);
    }
    details
}

fn wanted_text(error: &WantedError) -> String {
    match error {
        WantedError::Filter(error) => {
            let (shown, sentence) = (error.shown(), error.sentence());
            let [line, mark] = error.marked();
            format!(
                "Error while parsing query filter: Failed to parse query filter '{shown}': \
                 {sentence}\n{line}\n{mark}\n{sentence}"
            )
        }
        WantedError::NotOne | WantedError::NoJobId(_) | WantedError::Glob { .. } => {
            wrong_input(&ErrorChain(error).to_string())
        }
    }
}

fn params_text(error: &ParamsError) -> String {
    match error {
        // Which there are is a hint: of some there are many.
        ParamsError::Param(ParamError::Unknown { name, .. }) => {
            format!("Parameter Error: Unknown parameter '{name}'")
        }
        ParamsError::Param(bad @ ParamError::BadValue { .. }) => format!("Parameter Error: {bad}"),
        ParamsError::Param(bad @ ParamError::Conflict { .. }) => wrong_input(&bad.to_string()),
        ParamsError::Size { source, .. } => {
            format!("Parameter Error: {error}. error: it is not {}", source.expected)
        }
        ParamsError::NoValue(_) | ParamsError::Removed(_) => format!("Parameter Error: {error}"),
        ParamsError::Hypervisor { .. } | ParamsError::LaterHypervisor { .. } => {
            wrong_input(&error.to_string())
        }
    }
}

fn client_text(error: &ClientError) -> String {
    match error {
        ClientError::Fault(fault) => fault_text(fault),
        ClientError::NotACluster { state_dir, missing } => format!(
            "Failure: this host is not part of a cluster: {} is missing in {}",
            missing,
            state_dir.display()
        ),
        ClientError::NoEndpoint { .. } | ClientError::NoDaemon { .. } => format!(
            "Cannot communicate with the master daemon.\nIs the process running and listening for \
             connections?\n{error}"
        ),
        ClientError::NotPermitted { .. } => format!(
            "It seems you don't have permissions to connect to the master daemon.\n\
             Please retry as a different user.\n{error}"
        ),
        ClientError::Credentials { .. } => corrupt(&ErrorChain(error).to_string()),
        ClientError::Ask { source, message, .. } => {
            ask_text(error, source, *message == SubmitJobs::WIRE_NAME)
        }
        // Whoever was asked has answered: nothing has timed out.
        ClientError::GaveUp { last, waited, .. } if is_not_master(last) => {
            let waited = waited.as_secs();
            format!("{}\nNo node has led the cluster for {waited} s.", client_text(last))
        }
        ClientError::GaveUp { last, waited, message } => {
            let (waited, last) = (waited.as_secs(), ErrorChain(last.as_ref()));
            let details = format!("{message} for {waited} s: {last}");
            timeout(*message == SubmitJobs::WIRE_NAME, &details)
        }
        ClientError::Protocol { .. } | ClientError::Codec { .. } => format!(
            "Unhandled protocol error while talking to the master daemon:\n{}",
            ErrorChain(error)
        ),
        ClientError::File { .. } | ClientError::BadAddress { .. } | ClientError::Setup(_) => {
            format!("Failure: {}", ErrorChain(error))
        }
    }
}

fn is_not_master(error: &ClientError) -> bool {
    matches!(error, ClientError::Fault(fault) if fault.code == FaultCode::NotMaster)
}

fn ask_text(error: &ClientError, outcome: &AskError, submitted: bool) -> String {
    match outcome {
        AskError::NotDelivered(NotDelivered::Forbidden { role, message }) => {
            format!("Failure: no permission: role {role} may not send {message}")
        }
        AskError::NotDelivered(_) | AskError::NotStarted(_) => {
            format!("Failure: nothing was done: {}", ErrorChain(error))
        }
        AskError::Unknown(_) => timeout(submitted, &ErrorChain(error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::ids::JobId;

    fn text(error: impl Into<CommandError>) -> String {
        error_lines(&error.into(), false).join("\n")
    }

    // covers: C213
    #[test]
    fn each_class_keeps_the_fragment_that_scripts_match() {
        for (code, fragment) in [
            (FaultCode::ResolverError, "can't resolve hostname"),
            (FaultCode::UnknownEntity, "prerequisites not met"),
            (FaultCode::EnvironmentError, "command execution error"),
            (FaultCode::QueueDrained, "marked for drain"),
            (FaultCode::QueueFull, "job queue is full"),
            (FaultCode::DeadlineExceeded, "Timeout while talking"),
            (FaultCode::NotMaster, "This is not the master node"),
            (FaultCode::Forbidden, "permission"),
            (FaultCode::InvalidTag, "invalid tag(s) given"),
        ] {
            let text = text(Fault::new(code, "details"));
            assert!(text.contains(fragment), "{text}");
            assert!(text.contains("details"), "{text}");
        }
    }

    // covers: C213
    #[test]
    fn a_failed_prerequisite_names_its_type_on_the_next_line() {
        let fault = Fault::new(FaultCode::WrongState, "no room").within("create web1");
        let fault = Fault { prerequisite: true, ..fault };
        let expected = "Failure: prerequisites not met for this operation:\n\
                        error type: wrong_state, error details:\ncreate web1\n  caused by: no \
                        room\nHint: everything about the job is shown by `gantry job info 7`";
        assert_eq!(text(CommandError::job(JobId(7), fault)), expected);
    }

    // covers: C213
    #[test]
    fn parameters_have_their_own_words() {
        let unknown = ParamError::Unknown { name: "acpy".into(), known: "acpi".into() };
        let unknown = text(ParamsError::Param(unknown));
        let expected = "Parameter Error: Unknown parameter 'acpy'\nHint: did you mean 'acpi' in \
                        place of 'acpy'?";
        assert_eq!(unknown, expected);
        let expected = "a valid boolean".to_owned();
        let bad = ParamError::BadValue { name: "acpi", value: "x".into(), expected };
        let bad = text(ParamsError::Param(bad));
        assert_eq!(bad, "Parameter Error: 'acpi' (value x) is not a valid boolean");
        assert!(wrong_name("Duplicate key 'acpi'").contains("unknown/wrong parameter name"));
    }

    // covers: C213
    #[test]
    fn a_missing_daemon_is_said_with_how_to_start_it() {
        let text = text(ClientError::NoDaemon {
            address: "127.0.0.1:1811".into(),
            reason: "no answer".into(),
        });
        assert!(text.contains("Cannot communicate with"), "{text}");
        assert!(text.contains("127.0.0.1:1811") && text.contains("gantry daemon"), "{text}");
    }

    #[test]
    fn colours_are_only_used_where_wanted() {
        let error = CommandError::argument("x").hint("y");
        assert!(!error_lines(&error, false).join("").contains('\u{1b}'));
        assert!(error_lines(&error, true).join("").contains('\u{1b}'));
    }
}

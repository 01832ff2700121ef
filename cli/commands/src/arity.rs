//! What the command would notice in Ganeti, and not its option parser: too few or too many
//! arguments, one that cannot be read, and what lists of keys say.
//!
//! Ganeti's option parser looks at the form of options only, and ends with 2 where it does not like
//! one. Arguments are counted and read by the command itself, and so is what stands in lists such
//! as `0:size=1G`; it then ends with 1 (C200). This makes the same difference where one parser does
//! both. Used by [`crate::app`] and nothing else.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{ArgAction, Command};
use gantry_model::errors::{Fault, FaultCode};

use crate::error_text::{fault_text, wrong_input, wrong_name};
use crate::parse::duration::TIME;
use crate::parse::{NoticedBy, ParseError};

/// What is wrong with the arguments, in Ganeti's words and with the usage; nothing if it is an
/// option that is wrong.
pub(crate) fn wrong_arguments(
    command: &Command,
    args: &[OsString],
    error: &Error,
) -> Option<String> {
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
                return None;
            };
            missing.iter().all(|arg| is_argument(arg)).then(|| miscounted(command, args, error))
        }
        ErrorKind::UnknownArgument => {
            let unknown = text(error, ContextKind::InvalidArg)?;
            is_argument(unknown).then(|| miscounted(command, args, error))
        }
        ErrorKind::ValueValidation => {
            let arg = text(error, ContextKind::InvalidArg)?;
            if !is_argument(arg) {
                return noticed_by_command(meant(command, args), args, arg, error);
            }
            // What begins like an option is one that nobody knows, unless it is behind `--`.
            let all_behind = args.iter().any(|arg| arg == "--");
            let is_value = |value: &&str| all_behind || is_argument(value);
            let value = text(error, ContextKind::InvalidValue).filter(is_value)?;
            let why = error.source();
            let details = match why.and_then(|why| why.downcast_ref::<ParseError>()) {
                Some(ParseError { what, expected, .. }) if what == TIME => no_time(value, expected),
                _ => {
                    let why = why.map_or_else(String::new, |why| format!(": {why}"));
                    format!("'{value}' cannot be taken as {arg}{why}")
                }
            };
            Some(format!("{}\n", fault_text(&Fault::new(FaultCode::WrongInput, details))))
        }
        _ => None,
    }
}

/// What is wrong with a time, in Ganeti's words.
fn no_time(value: &str, expected: &str) -> String {
    match value {
        "" => format!("Empty time specification passed, which is not {expected}"),
        "s" | "m" | "h" | "d" | "w" => {
            format!("Invalid time specification (only suffix passed): {value:?} is not {expected}")
        }
        _ => format!("Invalid time specification '{value}': it is not {expected}"),
    }
}

/// What Ganeti's option parser passes on and the command refuses: what lists of keys say.
fn noticed_by_command(
    command: &Command,
    args: &[OsString],
    option: &str,
    error: &Error,
) -> Option<String> {
    let why = error.source()?.downcast_ref::<ParseError>()?;
    let option = as_typed(command, args, option.split(' ').next().unwrap_or(option));
    let text = match why.noticed_by {
        NoticedBy::OptionParser => return None,
        NoticedBy::Keys => wrong_name(&format!("{why} in option {option}")),
        NoticedBy::Types => format!("Parameter Error: {why}"),
        NoticedBy::Command => wrong_input(&format!("option {option}: {why}")),
    };
    Some(format!("{text}\n"))
}

/// The option in the form that was typed: its letter, unless its name stands among the words.
fn as_typed(command: &Command, args: &[OsString], option: &str) -> String {
    let named = args.iter().any(|arg| arg.to_string_lossy().starts_with(option));
    let name = option.trim_start_matches('-');
    let letter = command.get_arguments().find(|arg| arg.get_long() == Some(name));
    match letter.and_then(clap::Arg::get_short) {
        Some(letter) if !named => format!("-{letter}"),
        _ => option.to_owned(),
    }
}

fn is_argument(shown: &str) -> bool {
    !shown.starts_with('-')
}

fn text(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

fn miscounted(command: &Command, args: &[OsString], error: &Error) -> String {
    let command = meant(command, args);
    let line = format!("Error: Command {} expects {}", command.get_name(), expected(command));
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => format!("{line}\n{usage}\n"),
        _ => format!("{line}\n"),
    }
}

/// How many arguments the command takes, as Ganeti says it. That both too few and too many are
/// possible only where the number is fixed is true of every command.
fn expected(command: &Command) -> String {
    let (mut least, mut most) = (0_usize, Some(0_usize));
    for arg in command.get_positionals() {
        least += usize::from(arg.is_required_set());
        let several = matches!(arg.get_action(), ArgAction::Append);
        most = if several { None } else { most.map(|most| most + 1) };
    }
    match most {
        Some(0) => "no arguments".to_owned(),
        Some(most) if most == least => format!("{least} argument(s)"),
        Some(most) => format!("only {most} argument(s)"),
        None => format!("at least {least} argument(s)"),
    }
}

/// The command that the words lead to: each word that names one below the present one is a step.
fn meant<'a>(root: &'a Command, args: &[OsString]) -> &'a Command {
    let mut command = root;
    let mut words = args.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if let Some(below) = command.find_subcommand(word) {
            command = below;
        } else if takes_next(root, word) {
            // Its value is no command, whatever it is called.
            words.next();
        }
        if !command.has_subcommands() {
            break;
        }
    }
    command
}

/// Whether a global option has its value in the word behind it.
fn takes_next(root: &Command, word: &str) -> bool {
    let Some(name) = word.strip_prefix("--") else { return false };
    let mut options = root.get_arguments();
    options.any(|arg| arg.get_long() == Some(name) && arg.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::command_of;
    use crate::program::Program;

    // covers: C200
    #[test]
    fn the_number_of_arguments_is_said_as_in_ganeti() {
        let said = |words: &str| {
            let args: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            expected(meant(&command_of(Program::Gantry), &args))
        };
        assert_eq!(said("gantry instance add web1"), "1 argument(s)");
        assert_eq!(said("gantry job info"), "at least 1 argument(s)");
        assert_eq!(said("gantry cluster getmaster"), "no arguments");
        assert_eq!(said("gantry --state-dir job instance remove"), "1 argument(s)");
    }
}

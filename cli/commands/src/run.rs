//! Running one command from arguments to exit code.

use std::ffi::OsString;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::app::{Invocation, NoCommand, parse};
use crate::command_log::CommandLog;
use crate::context::{Connect, Context};
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::error_text::{error_lines, failure_lines};
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::machine::Machine;
use crate::output::json::fault_document;
use crate::program::Program;
use crate::suggest::suggest_names;

/// How long a goodbye to the daemon may take. Without it the daemon holds the connection until it
/// is silent for long; higher delays the end of commands when the daemon is gone.
const GOODBYE_GRACE: Duration = Duration::from_millis(200);

/// Runs the command that `args` name; the first is the name of the program.
pub async fn run(
    args: Vec<OsString>,
    io: &mut Io,
    machine: Arc<dyn Machine>,
    connect: Arc<dyn Connect>,
) -> ExitCode {
    let invocation = match parse(&args, io) {
        Ok(invocation) => invocation,
        Err(no_command) => return print_no_command(io, no_command),
    };
    let Invocation { globals, command, name } = invocation;
    let (is_daemon, is_logged) = (command.is_daemon(), command.is_logged());
    if globals.debug > 0 && !is_daemon {
        (io.start_logging)(globals.debug);
    }
    let mut interrupt = std::mem::replace(&mut io.interrupt, std::future::pending().boxed());
    if is_daemon {
        interrupt = std::future::pending().boxed();
    }
    let mut ctx = Context::new(io, globals, machine, connect, name);
    let log = is_logged.then(|| CommandLog::begin(&ctx, &args));
    let result = tokio::select! {
        biased;
        result = command.run(&mut ctx) => result,
        () = interrupt => {
            Err(CommandError::new(CommandErrorKind::Interrupted, Failure::Interrupted))
        }
    };
    let program = args.first().map_or(Program::Gantry, |path| Program::of_path(path));
    let code = finish(&mut ctx, program, result).await;
    if let Some(log) = log {
        log.end(&ctx, code);
    }
    code
}

async fn finish(
    ctx: &mut Context<'_>,
    program: Program,
    result: Result<(), CommandError>,
) -> ExitCode {
    let mut result = match result {
        Ok(()) => Ok(()),
        Err(error) => Err(suggest_names(ctx.open_client(), ctx.typed_names(), error).await),
    };
    for hint in result.as_mut().err().iter_mut().flat_map(|error| &mut error.hints) {
        *hint = program.in_words_of(hint);
    }
    if let Some(client) = ctx.open_client() {
        client.close(GOODBYE_GRACE).await;
    }
    let printed = print_document(ctx, result.as_ref().err());
    match result.and(printed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let coloured = ctx.io.stderr_is_coloured();
            // Whoever closed the output does not read why, and nothing else can be told them.
            if error.kind != CommandErrorKind::BrokenPipe {
                for line in error_lines(&error, coloured) {
                    drop(ctx.warn(&line));
                }
            }
            error.kind.into()
        }
    }
}

fn print_document(ctx: &mut Context<'_>, error: Option<&CommandError>) -> Result<(), CommandError> {
    ctx.clear_status()?;
    let document = ctx.take_document();
    if !ctx.json() {
        return Ok(());
    }
    let document = match (document, error) {
        (document, None) => document.unwrap_or_else(|| json!({})),
        (Some(Value::Object(mut object)), Some(error)) => {
            object.insert("error".to_owned(), error_document(error));
            Value::Object(object)
        }
        (None, Some(error)) => json!({"error": error_document(error)}),
        (Some(result), Some(error)) => {
            json!({"result": result, "error": error_document(error)})
        }
    };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| CommandError::new(CommandErrorKind::Internal, bug(&error)))?;
    ctx.print(&format!("{text}\n"))
}

fn bug(error: &serde_json::Error) -> Failure {
    Failure::Bug(format!("the result is no JSON: {error}"))
}

fn error_document(error: &CommandError) -> Value {
    json!({
        "exit_code": ExitCode::from(error.kind).0,
        "text": failure_lines(&error.error),
        "hints": error.hints,
        "fault": error.fault().map(fault_document),
    })
}

fn print_no_command(io: &mut Io, no_command: NoCommand) -> ExitCode {
    let nothing = String::new();
    let (stdout, stderr, code) = match no_command {
        NoCommand::Help(text) => (text, nothing, ExitCode::SUCCESS),
        NoCommand::Version(line) => (format!("{line}\n"), nothing, ExitCode::SUCCESS),
        NoCommand::NoSubcommand { wrong, list } => {
            (list, wrong, ExitCode::from(CommandErrorKind::NoSubcommand))
        }
        NoCommand::Arguments(text) => (nothing, text, ExitCode::from(CommandErrorKind::Failed)),
        NoCommand::Usage(text) => (nothing, text, ExitCode::from(CommandErrorKind::Usage)),
    };
    for (out, text) in [(&mut io.stderr, stderr), (&mut io.stdout, stdout)] {
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    code
}

//! `gantry completion`

use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use serde_json::json;

use crate::app::command_of;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::program::{GANTRY, Program};

/// Print the completion script for a shell
///
/// It is made from the definitions of the commands. Each name of this program has its own script.
///
/// Example: gantry completion bash --program gnt-instance
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell that will read the script
    #[arg(value_enum)]
    shell: Shell,
    /// Complete the commands under this name
    #[arg(
        long,
        value_name = "NAME",
        default_value = GANTRY,
        value_parser = PossibleValuesParser::new(Program::ALL.map(Program::name))
    )]
    program: String,
}

pub(crate) fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let mut script = Vec::new();
    let program = Program::of_path(args.program.as_ref());
    clap_complete::generate(args.shell, &mut command_of(program), program.name(), &mut script);
    let script = String::from_utf8(script).map_err(|_| {
        let text = "the completion script is not UTF-8".to_owned();
        CommandError::new(CommandErrorKind::Internal, Failure::Bug(text))
    })?;
    if ctx.json() {
        ctx.set_document(json!({"shell": args.shell.to_string(), "script": script}));
        return Ok(());
    }
    ctx.print(&script)
}

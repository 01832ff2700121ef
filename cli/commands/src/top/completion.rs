//! `gantry completion`

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::program::{GANTRY, Program};

/// The shells that there are scripts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// Bash.
    Bash,
    /// Fish.
    Fish,
    /// Zsh.
    Zsh,
}

/// Print the completion script for a shell
///
/// The script asks this program at each Tab, so that it knows the names of instances, nodes and
/// jobs of the moment. It is for all names of this program, or for one of them.
///
/// Example: gantry completion bash --program gnt-instance
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell that will read the script
    #[arg(value_enum)]
    shell: Shell,
    /// Complete the commands under this name only
    #[arg(
        long,
        value_name = "NAME",
        value_parser = PossibleValuesParser::new(Program::ALL.map(Program::name))
    )]
    program: Option<String>,
}

pub(crate) fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let names = match &args.program {
        Some(name) => vec![name.as_str()],
        None => Program::ALL.map(Program::name).to_vec(),
    };
    let script = script(args.shell, &names);
    if ctx.json() {
        let shell = args.shell.to_possible_value().map(|value| value.get_name().to_owned());
        ctx.set_document(json!({"shell": shell, "script": script}));
        return Ok(());
    }
    ctx.print(&script)
}

/// Each shell hands over the words up to the cursor, and sorts out what fits by itself.
fn script(shell: Shell, names: &[&str]) -> String {
    let all = names.join(" ");
    match shell {
        Shell::Bash => format!(
            r#"_gantry() {{
    local IFS=$'\n'
    COMPREPLY=($({GANTRY} complete -- "${{COMP_WORDS[@]:0:COMP_CWORD+1}}" 2>/dev/null))
}}
complete -o default -F _gantry {all}
"#
        ),
        Shell::Zsh => format!(
            r#"#compdef {all}
_gantry() {{
    local -a found
    found=("${{(@f)$({GANTRY} complete -- "${{(@)words[1,CURRENT]}}" 2>/dev/null)}}")
    if (( ${{#found[1]}} )); then compadd -a found; else _files; fi
}}
compdef _gantry {all}
"#
        ),
        // Files only where nothing else can stand, as the other two do by themselves.
        Shell::Fish => {
            let function = format!(
                r#"function __gantry_complete
    set -l found ({GANTRY} complete -- (commandline -opc) (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
"#
            );
            let uses = names
                .iter()
                .map(|name| format!("complete -c {name} -f -a '(__gantry_complete)'\n"));
            std::iter::once(function).chain(uses).collect()
        }
    }
}

//! `gantry install-man`

use std::path::{Path, PathBuf};

use clap_mangen::Man;
use serde_json::json;

use crate::app::command_of;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::program::Program;

/// The section of the manual: commands of administrators, as with Ganeti's pages.
const SECTION: &str = "8";

/// Write the manual pages of all commands
///
/// They are made from the definitions of the commands, one page each, also under Ganeti's names, in
/// DIR/man8. Pages that are there already are replaced. A directory that `man` looks at is
/// /usr/local/share/man.
///
/// Example: gantry install-man /usr/local/share/man
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory that holds man8, which is made where it is missing
    dir: PathBuf,
}

pub(crate) fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let dir = args.dir.join(format!("man{SECTION}"));
    std::fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
    let mut pages = Vec::new();
    for program in Program::ALL {
        for page in pages_of(program) {
            let path = dir.join(page.get_filename());
            let mut text = Vec::new();
            page.render(&mut text)?;
            std::fs::write(&path, text).map_err(failed("write", &path))?;
            pages.push(path.display().to_string());
        }
    }
    ctx.say(&format!("{} pages in {}", pages.len(), dir.display()))?;
    ctx.set_document(json!({"directory": dir.display().to_string(), "pages": pages}));
    Ok(())
}

/// The page of a program, and one of each of its commands.
fn pages_of(program: Program) -> Vec<Man> {
    let mut command = command_of(program).disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add_pages(command, &mut pages);
    pages
}

fn add_pages(command: clap::Command, pages: &mut Vec<Man>) {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add_pages(inner.clone(), pages);
    }
    let source = concat!("Gantry ", env!("CARGO_PKG_VERSION"));
    pages.push(Man::new(command).section(SECTION).source(source).manual("Gantry"));
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> CommandError + 'a {
    move |source| {
        let path = path.display().to_string();
        let error = Failure::File { action, path, source };
        CommandError::new(CommandErrorKind::Failed, error)
            .hint("name a directory of yours, or ask as root")
    }
}

//! `gantry install-links`

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::app::LINKS;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};

/// Make links under which this program is Ganeti's commands
///
/// A link that is there already and leads here is left alone; anything else in its place is not
/// touched and is an error.
///
/// Example: gantry install-links /usr/local/sbin
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory for the links; it must exist
    dir: PathBuf,
}

pub(crate) fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let program = ctx.io.program.clone().ok_or_else(|| {
        CommandError::argument("the path of this program is not known, so nothing can link to it")
    })?;
    let mut links = Vec::new();
    for link in LINKS {
        let path = args.dir.join(link.name());
        make_link(&program, &path)?;
        ctx.say(&format!("{} -> {}", path.display(), program.display()))?;
        links.push(path.display().to_string());
    }
    ctx.set_document(json!({"program": program.display().to_string(), "links": links}));
    Ok(())
}

fn make_link(program: &Path, path: &Path) -> Result<(), CommandError> {
    match symlink(program, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match std::fs::read_link(path) {
            Ok(target) if target == program => Ok(()),
            _ => Err(CommandError::argument(format!(
                "{} exists and does not lead to {}",
                path.display(),
                program.display()
            ))),
        },
        Err(source) => {
            let hint = match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    Some("make the directory first, or name another one")
                }
                ErrorKind::PermissionDenied => Some("name a directory of yours, or ask as root"),
                _ => None,
            };
            let path = path.display().to_string();
            let error = Failure::File { action: "make the link", path, source };
            let error = CommandError::new(CommandErrorKind::Failed, error);
            Err(hint.into_iter().fold(error, CommandError::hint))
        }
        Ok(()) => Ok(()),
    }
}

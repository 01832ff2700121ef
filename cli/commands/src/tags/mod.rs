//! Tags, as the commands of all nouns use them: `add-tags`, `remove-tags`, `list-tags` (C20–C22,
//! C82–C84, C121–C123, S197).
//!
//! The nouns have the options (`cluster/tags.rs` and its like); what is done is here.

mod add;
mod list;
mod remove;

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use gantry_model::query::Resource;
use gantry_model::tags::{TAG_BYTES_MAX, TAGS_MAX, TagObject};
use tokio::io::AsyncReadExt as _;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::options::JobArgs;

pub(crate) use add::add;
pub(crate) use list::list;
pub(crate) use remove::remove;

/// Longest list of tags in a file: all that an object may have, with their line feeds. More cannot
/// be taken by any object.
const LIST_BYTES_MAX: usize = TAGS_MAX * (TAG_BYTES_MAX + 2);

/// Which tags, and how the job is submitted.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TagsArgs {
    /// Which tags: letters, digits and .+*/:@-_
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    /// Take more tags from this file, one in a line; - is standard input
    #[arg(long = "from", value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    job: JobArgs,
}

impl TagsArgs {
    /// Those given, and those in the file.
    async fn all(&mut self, ctx: &mut Context<'_>) -> Result<Vec<String>, CommandError> {
        let mut tags = std::mem::take(&mut self.tags);
        if let Some(path) = &self.from {
            tags.extend(read_list(ctx, path).await?);
        }
        Ok(tags)
    }
}

/// The lines of a file, without blanks around them.
async fn read_list(ctx: &mut Context<'_>, path: &Path) -> Result<Vec<String>, CommandError> {
    let failed = |source| {
        let failure =
            Failure::File { action: "read the tags in", path: path.display().to_string(), source };
        CommandError::new(CommandErrorKind::Failed, failure)
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(LIST_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    if path == Path::new("-") {
        let mut input = (&mut ctx.io.stdin).take(limit);
        input.read_to_end(&mut bytes).await.map_err(failed)?;
    } else {
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        file.take(limit).read_to_end(&mut bytes).await.map_err(failed)?;
    }
    if bytes.len() > LIST_BYTES_MAX {
        let text = format!(
            "{} is longer than {LIST_BYTES_MAX} bytes, which is more than an object can have tags",
            path.display()
        );
        return Err(CommandError::argument(text));
    }
    let lines = bytes.lines().map(|line| line.map(|line| line.trim().to_owned()));
    lines.collect::<Result<_, _>>().map_err(failed)
}

/// Remembers the name of the object, for suggestions when it does not exist.
fn typed(ctx: &mut Context<'_>, object: &TagObject) {
    match object {
        TagObject::Node(name) => ctx.typed(Resource::Node, &[name.to_string()]),
        TagObject::Instance(name) => ctx.typed(Resource::Instance, &[name.to_string()]),
        TagObject::Cluster | TagObject::Nodegroup(_) => {}
    }
}

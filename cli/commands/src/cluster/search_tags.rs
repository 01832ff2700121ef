//! `gantry cluster search-tags` (C23)

use gantry_model::query::Pattern;
use serde_json::json;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};

/// Look for tags on everything in the cluster
///
/// Prints the path of each object with a tag in which the pattern is found; the exit code is 1 when
/// there is none. The pattern is a regular expression, and matches anywhere in a tag unless it is
/// tied to the beginning with ^ or to the end with $.
///
/// Example: gantry cluster search-tags ^owner:
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// What to look for
    #[arg(value_name = "PATTERN")]
    pattern: String,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let pattern = Pattern::new(&args.pattern).map_err(|error| {
        let text = format!("Invalid search pattern '{}': {error}", args.pattern);
        CommandError::argument(text)
    })?;
    let found = ctx.client().await?.search_tags(pattern).await?;
    if ctx.json() {
        ctx.set_document(json!(found));
    } else {
        found.iter().try_for_each(|found| ctx.say(&format!("{} {}", found.path, found.tag)))?;
    }
    if found.is_empty() {
        Err(CommandError::new(CommandErrorKind::Failed, Failure::NothingFound))
    } else {
        Ok(())
    }
}

//! `gantry job list-fields` (C86)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::list_fields;
use crate::options::HeaderArgs;

/// List the fields that a list of jobs can have
///
/// Example: gantry job list-fields id status
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these
    #[arg(value_name = "FIELD")]
    fields: Vec<String>,
    #[command(flatten)]
    headers: HeaderArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    list_fields(ctx, Resource::Job, &args.fields, &args.headers).await
}

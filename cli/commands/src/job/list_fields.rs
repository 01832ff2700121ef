//! `gantry job list-fields` (C86)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::list_fields;
use crate::options::FieldsArgs;

/// List the fields that a list of jobs can have
///
/// Example: gantry job list-fields id status
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: FieldsArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    list_fields(ctx, Resource::Job, &args.wanted).await
}

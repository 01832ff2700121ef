//! `gantry instance list-fields` (C68)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::list_fields;
use crate::options::FieldsArgs;

/// List the fields that a list of instances can have
///
/// Example: gantry instance list-fields name status
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: FieldsArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    list_fields(ctx, Resource::Instance, &args.wanted).await
}

//! `gantry node list-fields` (C112)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::list_fields;
use crate::options::FieldsArgs;

/// List the fields that a list of nodes can have
///
/// Example: gantry node list-fields name dfree
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: FieldsArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    list_fields(ctx, Resource::Node, &args.wanted).await
}

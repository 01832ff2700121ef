//! `gantry node list` (C111)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::list;
use crate::options::{ListArgs, UnitsArgs};

const DEFAULT_FIELDS: [&str; 8] =
    ["name", "dtotal", "dfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt"];

/// List nodes and their resources
///
/// Example: gantry node list -o name,role,pinst_cnt
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List only these
    #[arg(value_name = "NODE")]
    names: Vec<String>,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    units: UnitsArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    ctx.typed(Resource::Node, &args.names);
    list(ctx, Resource::Node, &args.names, &DEFAULT_FIELDS, &args.list, args.units).await
}

//! `gantry instance list` (C67)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::list;
use crate::options::{ListArgs, UnitsArgs};

const DEFAULT_FIELDS: [&str; 6] = ["name", "hypervisor", "os", "pnode", "status", "oper_ram"];

/// List instances and what they do
///
/// Example: gantry instance list -o name,status,disk_usage --units g
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List only these
    #[arg(value_name = "INSTANCE")]
    names: Vec<String>,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    units: UnitsArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    ctx.typed(Resource::Instance, &args.names);
    list(ctx, Resource::Instance, &args.names, &DEFAULT_FIELDS, &args.list, args.units).await
}

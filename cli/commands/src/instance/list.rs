//! `gantry instance list` (C67)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::{Listing, list};
use crate::options::{FilterArgs, ListArgs, UnitsArgs};
use crate::parse::filter::{NamedBy, wanted};

const DEFAULT_FIELDS: [&str; 6] = ["name", "hypervisor", "os", "pnode", "status", "oper_ram"];

/// List instances and what they do
///
/// The fields are name, hypervisor, os, pnode, status and oper_ram, unless -o says otherwise;
/// `gantry instance list-fields` has all.
///
/// Example: gantry instance list -o name,disk_usage 'status == "running" and be/vcpus > 2'
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List only these: names, patterns as web*, or one filter
    #[arg(value_name = "INSTANCE")]
    names: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    units: UnitsArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let wanted = wanted(&args.names, args.filter.force_filter, NamedBy::Name)?;
    let listing = Listing {
        resource: Resource::Instance,
        wanted,
        only: None,
        archived: false,
        default_fields: &DEFAULT_FIELDS,
        args: &args.list,
        units: args.units,
    };
    list(ctx, listing).await
}

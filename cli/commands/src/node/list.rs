//! `gantry node list` (C111)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::{Listing, list};
use crate::options::{FilterArgs, ListArgs, UnitsArgs};
use crate::parse::filter::{NamedBy, wanted};

const DEFAULT_FIELDS: [&str; 8] =
    ["name", "dtotal", "dfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt"];

/// List nodes and their resources
///
/// The fields are name, dtotal, dfree, mtotal, mnode, mfree, pinst_cnt and sinst_cnt, unless -o
/// says otherwise; `gantry node list-fields` has all.
///
/// Example: gantry node list -o name,role,pinst_cnt
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List only these: names, patterns as web*, or one filter
    #[arg(value_name = "NODE")]
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
        resource: Resource::Node,
        wanted,
        only: None,
        archived: false,
        default_fields: &DEFAULT_FIELDS,
        args: &args.list,
        units: args.units,
    };
    list(ctx, listing).await
}

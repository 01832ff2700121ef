//! `gantry node remove` (C116)

use gantry_model::names::NodeName;
use gantry_model::opcodes::NodeRemove;
use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::jobs::run_one;
use crate::options::JobArgs;

/// Remove a node from the cluster
///
/// Refused while instances live on it, and for the master.
///
/// Example: gantry node remove node2.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "NODE")]
    node_name: NodeName,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    ctx.typed(Resource::Node, &[args.node_name.to_string()]);
    let request = ctx.request(NodeRemove { node_name: args.node_name }, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}

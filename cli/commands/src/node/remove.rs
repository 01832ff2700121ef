//! `gantry node remove` (C116)

use gantry_model::names::NodeName;
use gantry_model::opcodes::NodeRemove;
use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::jobs::run_one;
use crate::options::{DryRunArgs, OpOptions, PriorityArgs, SubmitArgs};

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
    dry_run: DryRunArgs,
    #[command(flatten)]
    priority: PriorityArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    ctx.typed(Resource::Node, &[args.node_name.to_string()]);
    let options =
        OpOptions { dry_run: args.dry_run.dry_run, priority: args.priority.priority.number() };
    let request = ctx.request(NodeRemove { node_name: args.node_name }, &options);
    run_one(ctx, request, SubmitArgs::default()).await?;
    Ok(())
}

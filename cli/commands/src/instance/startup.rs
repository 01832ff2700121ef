//! `gantry instance startup` (C75)

use gantry_model::opcodes::InstanceStartup;

use super::many::{InstancesArgs, on_each};
use crate::context::Context;
use crate::error::CommandError;
use crate::options::JobArgs;

/// Start instances
///
/// Example: gantry instance startup web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    instances: InstancesArgs,
    /// Do not remember that it should run
    #[arg(long)]
    no_remember: bool,
    /// Leave the guest stopped at its first instruction
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let (no_remember, startup_paused) = (args.no_remember, args.paused);
    on_each(ctx, "startup", args.instances, args.job, |instance_name| {
        InstanceStartup { instance_name, no_remember, startup_paused }.into()
    })
    .await
}

//! `gantry instance shutdown` (C74)

use gantry_model::opcodes::InstanceShutdown;
use gantry_model::units::Millis;

use super::many::{InstancesArgs, on_each};
use crate::context::Context;
use crate::error::CommandError;
use crate::options::JobArgs;
use crate::parse::duration::parse_duration;

/// Stop instances
///
/// The guest is asked to shut down; when it has not done so in time it is killed.
///
/// Example: gantry instance shutdown --timeout 30 web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    instances: InstancesArgs,
    /// Give the guest so much time; 0 kills it at once
    #[arg(long, value_name = "TIME", default_value = "120", value_parser = parse_duration)]
    timeout: Millis,
    /// Stop it also when it is marked offline
    #[arg(short, long)]
    force: bool,
    /// Do not remember that it should not run
    #[arg(long)]
    no_remember: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let (shutdown_timeout, no_remember, force) = (args.timeout, args.no_remember, args.force);
    on_each(ctx, "shutdown", args.instances, args.job, |instance_name| {
        InstanceShutdown { instance_name, shutdown_timeout, no_remember, force }.into()
    })
    .await
}

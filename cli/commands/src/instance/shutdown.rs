//! `gantry instance shutdown` (C74)

use gantry_model::opcodes::InstanceShutdown;
use gantry_model::units::Millis;

use super::chosen::ChosenArgs;
use super::many::on_each;
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
    instances: ChosenArgs,
    /// Give the guest so much time; 0 kills it at once
    #[arg(long, value_name = "TIME", default_value = "120", value_parser = parse_duration)]
    timeout: Millis,
    /// Stop it also when it is marked offline
    #[arg(short, long)]
    force: bool,
    /// If its node is offline, only remember that it should not run
    #[arg(long)]
    ignore_offline: bool,
    /// Do not remember that it should not run
    #[arg(long)]
    no_remember: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let (shutdown_timeout, no_remember, force) = (args.timeout, args.no_remember, args.force);
    let ignore_offline_nodes = args.ignore_offline;
    on_each(ctx, "shutdown", &args.instances, args.job, |target| {
        let instance_name = target.name.clone();
        let op = InstanceShutdown {
            instance_name,
            shutdown_timeout,
            no_remember,
            force,
            ignore_offline_nodes,
        };
        Ok(op.into())
    })
    .await
}

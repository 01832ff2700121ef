//! `gantry instance startup` (C75)

use gantry_model::opcodes::{InstanceStartup, OpCode};

use super::chosen::{ChosenArgs, Target};
use super::many::on_each;
use crate::cluster::init::{KeyValuesArgument, key_values_argument};
use crate::context::Context;
use crate::error::CommandError;
use crate::options::JobArgs;
use crate::parse::params::{backend_overrides, hypervisor_overrides};

/// Start instances
///
/// Example: gantry instance startup web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    instances: ChosenArgs,
    /// Start it also when a mirror of its disks cannot be used; so far none has one
    #[arg(short, long)]
    force: bool,
    /// Set these hypervisor parameters for this run only, such as acpi=false
    #[arg(short = 'H', long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    hypervisor_parameters: Option<KeyValuesArgument>,
    /// Set these backend parameters for this run only, such as memory=1G
    #[arg(short = 'B', long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    backend_parameters: Option<KeyValuesArgument>,
    /// If its node is offline, only remember that it should run
    #[arg(long)]
    ignore_offline: bool,
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
    on_each(ctx, "startup", &args.instances, args.job, |target| opcode(&args, target)).await
}

fn opcode(args: &Args, target: &Target) -> Result<OpCode, CommandError> {
    let hvparams = args.hypervisor_parameters.as_ref();
    let hvparams = hvparams.map(|pairs| hypervisor_overrides(&target.hypervisor, &pairs.0));
    let beparams = args.backend_parameters.as_ref().map(|pairs| backend_overrides(&pairs.0));
    let op = InstanceStartup {
        no_remember: args.no_remember,
        startup_paused: args.paused,
        force: args.force,
        ignore_offline_nodes: args.ignore_offline,
        hvparams: hvparams.transpose()?,
        beparams: beparams.transpose()?,
        ..InstanceStartup::new(target.name.clone())
    };
    Ok(op.into())
}

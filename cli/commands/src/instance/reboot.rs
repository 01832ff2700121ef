//! `gantry instance reboot` (C76)

use gantry_model::opcodes::{InstanceReboot, RebootType};
use gantry_model::units::Millis;

use super::chosen::ChosenArgs;
use super::many::on_each;
use crate::context::Context;
use crate::error::CommandError;
use crate::options::JobArgs;
use crate::parse::duration::parse_duration;

/// Restart instances
///
/// Example: gantry instance reboot --type full web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    instances: ChosenArgs,
    /// Restart in this way: soft inside the hypervisor, hard by it, full by a shutdown and a start
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "hard",
        value_parser = type_argument)]
    reboot_type: RebootType,
    /// Give the guest so much time where it is asked to shut down
    #[arg(long, value_name = "TIME", default_value = "120", value_parser = parse_duration)]
    shutdown_timeout: Millis,
    /// Start it also when a mirror of its disks cannot be used; so far none has one
    #[arg(long)]
    ignore_secondaries: bool,
    #[command(flatten)]
    job: JobArgs,
}

fn type_argument(text: &str) -> Result<RebootType, String> {
    RebootType::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let known = RebootType::ALL.map(RebootType::as_str).join(", ");
        format!("unknown type, known are: {known}")
    })
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let (reboot_type, shutdown_timeout) = (args.reboot_type, args.shutdown_timeout);
    let ignore_secondaries = args.ignore_secondaries;
    on_each(ctx, "reboot", &args.instances, args.job, |target| {
        let instance_name = target.name.clone();
        let op =
            InstanceReboot { instance_name, reboot_type, shutdown_timeout, ignore_secondaries };
        Ok(op.into())
    })
    .await
}

//! `gantry instance remove` (C70)

use std::slice::from_ref;

use gantry_model::names::InstanceName;
use gantry_model::opcodes::InstanceRemove;
use gantry_model::units::Millis;

use crate::confirm::confirm;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::full_names;
use crate::jobs::run_one;
use crate::options::JobArgs;
use crate::parse::duration::parse_duration;

/// Remove an instance with its disks
///
/// Example: gantry instance remove --force web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "INSTANCE")]
    instance_name: InstanceName,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Give the guest so much time to shut down
    #[arg(long, value_name = "TIME", default_value = "120", value_parser = parse_duration)]
    shutdown_timeout: Millis,
    /// Go on when the guest cannot be stopped or a disk cannot be removed
    #[arg(long)]
    ignore_failures: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let mut found = full_names::instances(ctx, from_ref(&args.instance_name)).await?;
    let name = found.pop().unwrap_or(args.instance_name);
    if !args.force && !args.job.submit.plan {
        let question = format!(
            "This will remove the disks of instance {name} and all the data on them.\nContinue?"
        );
        if !confirm(ctx, &question, &format!("Remove instance {name}")).await? {
            let declined = CommandError::new(CommandErrorKind::Declined, Failure::Declined);
            return Err(declined.hint("--force asks no question"));
        }
    }
    let op = InstanceRemove {
        instance_name: name,
        shutdown_timeout: args.shutdown_timeout,
        ignore_failures: args.ignore_failures,
    };
    let request = ctx.request(op, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}

//! `gantry cluster destroy` (C7)

use gantry_model::opcodes::ClusterDestroy;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::run_one;
use crate::options::JobArgs;

/// End the cluster
///
/// Refused while there are instances, or nodes beside the master.
///
/// Example: gantry cluster destroy --yes-do-it
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Really do it
    #[arg(long, alias = "ya-rly")]
    yes_do_it: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    if !args.yes_do_it && !args.job.submit.plan {
        ctx.warn(
            "Destroying a cluster is irreversible. If you really want destroy this cluster, supply \
             the --yes-do-it option.",
        )?;
        return Err(CommandError::new(CommandErrorKind::Declined, Failure::Declined));
    }
    let request = ctx.request(ClusterDestroy {}, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}

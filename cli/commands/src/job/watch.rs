//! `gantry job watch` (C92)

use gantry_model::ids::JobId;

use super::{follow_to_end, job_argument};
use crate::context::Context;
use crate::error::CommandError;

/// Print the log of a job until it ends
///
/// The exit code is 0 if the job succeeded.
///
/// Example: gantry job watch 7
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "JOB", value_parser = job_argument)]
    job: JobId,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let title = format!("Output from job {} follows", args.job);
    ctx.say(&title)?;
    ctx.say(&"-".repeat(title.len()))?;
    follow_to_end(ctx, args.job, false).await
}

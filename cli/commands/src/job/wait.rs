//! `gantry job wait` (C91)

use gantry_model::ids::JobId;

use super::{job_argument, tell_end};
use crate::context::Context;
use crate::error::CommandError;
use crate::jobs::{Place, follow};

/// Wait until a job ends, without printing its log
///
/// The exit code is 0 if the job succeeded.
///
/// Example: gantry job wait 7
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "JOB", value_parser = job_argument)]
    job: JobId,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let end = follow(ctx, &client, (args.job, Place::ALONE), true).await?;
    tell_end(ctx, end)
}

//! `gantry job wait` (C91)

use gantry_model::ids::JobId;

use super::{follow_to_end, job_argument};
use crate::context::Context;
use crate::error::CommandError;

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
    follow_to_end(ctx, args.job, true).await
}

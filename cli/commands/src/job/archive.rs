//! `gantry job archive` (C87)

use gantry_model::ids::JobId;
use serde_json::json;

use super::job_argument;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};

/// Take jobs that have ended out of the list
///
/// They can still be looked at by their number.
///
/// Example: gantry job archive 7 8
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "JOB", required = true, value_parser = job_argument)]
    jobs: Vec<JobId>,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let answers = client.archive(args.jobs.clone()).await?;
    let (mut archived, mut n_failed) = (Vec::new(), 0);
    for (job, answer) in args.jobs.iter().zip(answers) {
        match answer {
            Ok(()) => archived.push(*job),
            Err(fault) => {
                n_failed += 1;
                // Ganeti's line, which scripts may match, and why beside it.
                ctx.warn(&format!("Failed to archive job with ID '{job}'"))?;
                ctx.warn(&format!("Hint: {}", fault.one_line()))?;
            }
        }
    }
    ctx.set_document(json!({ "archived": archived }));
    if n_failed == 0 {
        return Ok(());
    }
    let failure = Failure::SomeJobs { n_failed, n_jobs: args.jobs.len(), unknown: None };
    Err(CommandError::new(CommandErrorKind::Failed, failure))
}

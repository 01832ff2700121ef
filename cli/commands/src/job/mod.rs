//! `gantry job`, `gnt-job`

mod archive;
mod autoarchive;
mod cancel;
mod change_priority;
mod chosen;
mod info;
mod list;
mod list_fields;
mod wait;
mod watch;

use gantry_client::ClientError;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::{JobEnd, Place, failure_of, follow, is_success};
use crate::parse::ParseError;

/// Commands on jobs.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum JobCommand {
    List(list::Args),
    ListFields(list_fields::Args),
    Archive(archive::Args),
    Autoarchive(autoarchive::Args),
    #[command(visible_alias = "show")]
    Info(info::Args),
    Watch(watch::Args),
    Wait(wait::Args),
    Cancel(cancel::Args),
    ChangePriority(change_priority::Args),
}

impl JobCommand {
    pub(crate) async fn run(self, ctx: &mut Context<'_>) -> Result<(), CommandError> {
        match self {
            Self::List(args) => list::run(ctx, args).await,
            Self::ListFields(args) => list_fields::run(ctx, args).await,
            Self::Archive(args) => archive::run(ctx, args).await,
            Self::Autoarchive(args) => autoarchive::run(ctx, &args).await,
            Self::Info(args) => info::run(ctx, args).await,
            Self::Watch(args) => watch::run(ctx, &args).await,
            Self::Wait(args) => wait::run(ctx, &args).await,
            Self::Cancel(args) => cancel::run(ctx, &args).await,
            Self::ChangePriority(args) => change_priority::run(ctx, &args).await,
        }
    }
}

/// Reads the number of a job for clap.
fn job_argument(text: &str) -> Result<JobId, ParseError> {
    text.parse().map_err(|_| ParseError::new("job", text, "the number of a job"))
}

/// Whether what failed did so because there is no such job.
fn is_unknown(error: &ClientError) -> bool {
    error.fault().is_some_and(|fault| fault.code == FaultCode::UnknownEntity)
}

/// Follows a job that somebody else submitted, and says how it failed if it did.
async fn follow_to_end(ctx: &mut Context<'_>, job: JobId, quiet: bool) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let is_unknown = |fault: &Fault| fault.code == FaultCode::UnknownEntity;
    match follow(ctx, &client, (job, Place::ALONE), quiet).await {
        Ok(end) => tell_end(ctx, end),
        Err(error) if error.fault().is_some_and(is_unknown) => {
            // In Ganeti's words; there a job is a file.
            let text = "Error checking job status: Can't load job file";
            ctx.warn(&format!("Job {job} failed: {text}"))?;
            Err(failed())
        }
        Err(error) => Err(error),
    }
}

fn failed() -> CommandError {
    let failure = Failure::SomeJobs { n_failed: 1, n_jobs: 1, unknown: None };
    CommandError::new(CommandErrorKind::Failed, failure)
}

fn tell_end(ctx: &mut Context<'_>, end: JobEnd) -> Result<(), CommandError> {
    ctx.set_document(end.document());
    if is_success(&end) {
        return Ok(());
    }
    let job = end.job;
    ctx.warn(&format!("Job {job} failed: {}", failure_of(end)))?;
    Err(failed())
}

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

use gantry_model::ids::JobId;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::{JobEnd, failure_of, is_success};
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

/// Says how a job failed that somebody else submitted.
fn tell_end(ctx: &mut Context<'_>, end: JobEnd) -> Result<(), CommandError> {
    ctx.set_document(end.document());
    if is_success(&end) {
        return Ok(());
    }
    let job = end.job;
    ctx.warn(&format!("Job {job} failed: {}", failure_of(end)))?;
    let failure = Failure::SomeJobs { n_failed: 1, n_jobs: 1, unknown: None };
    Err(CommandError::new(CommandErrorKind::Failed, failure))
}

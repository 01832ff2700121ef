//! Commands on several jobs, named or chosen by their state (C89, C93): which they are, and what is
//! said of each.

use futures_util::future::BoxFuture;
use gantry_client::{Client, ClientError};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::Canceled;
use gantry_model::query::Resource;
use serde_json::json;

use super::list::DEFAULT_FIELDS;
use super::{is_unknown, job_argument};
use crate::confirm::confirm;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::options::{ListArgs, UnitsArgs};
use crate::output::cells::format_answer;
use crate::records::records;

/// The jobs meant.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ChosenArgs {
    /// Which
    #[arg(value_name = "JOB", value_parser = job_argument)]
    jobs: Vec<JobId>,
    /// All that have not begun to act, or are being canceled
    #[arg(long, group = "state")]
    pending: bool,
    /// All that stand in the queue
    #[arg(long, group = "state")]
    queued: bool,
    /// All that wait for locks or nodes
    #[arg(long, group = "state")]
    waiting: bool,
    /// Do not ask when jobs are chosen by their state
    #[arg(short, long)]
    force: bool,
}

/// What was said of one job: whether it is as was wished, and in words.
pub(super) type Said = (bool, String);

impl ChosenArgs {
    fn states(&self) -> &'static [JobStatus] {
        if self.pending {
            &[JobStatus::Queued, JobStatus::Waiting, JobStatus::Canceling]
        } else if self.queued {
            &[JobStatus::Queued]
        } else if self.waiting {
            &[JobStatus::Waiting]
        } else {
            &[]
        }
    }

    /// The jobs; those chosen by state after a question.
    async fn jobs(
        &self,
        ctx: &mut Context<'_>,
        question: &str,
    ) -> Result<Vec<JobId>, CommandError> {
        let states = self.states();
        if states.is_empty() != self.jobs.is_empty() {
            return if states.is_empty() {
                Ok(self.jobs.clone())
            } else {
                self.ask(ctx, states, question).await
            };
        }
        Err(CommandError::argument(
            "Either a status filter or job ID(s) must be specified and never both",
        ))
    }

    async fn ask(
        &self,
        ctx: &mut Context<'_>,
        states: &[JobStatus],
        question: &str,
    ) -> Result<Vec<JobId>, CommandError> {
        let client = ctx.client().await?;
        let mut table = client.query(Resource::Job, &DEFAULT_FIELDS, &[]).await?;
        let wanted = |word: &str| states.iter().any(|state| state.as_str() == word);
        let ids: Vec<Option<JobId>> = records(&table)
            .map(|job| job.number("id").filter(|_| wanted(&job.text("status"))).map(JobId))
            .collect();
        let mut kept = ids.iter();
        table.rows.retain(|_| kept.next().is_some_and(Option::is_some));
        let ids: Vec<JobId> = ids.into_iter().flatten().collect();
        if ids.is_empty() {
            let text = "No jobs with the requested status have been found";
            return Err(Fault::new(FaultCode::WrongState, text).into());
        }
        if !self.force {
            let style = ListArgs::default().style(UnitsArgs::default(), ctx);
            for line in format_answer(&table, &style) {
                ctx.say(&line)?;
            }
            if !confirm(ctx, question, "Do it for all of them").await? {
                let kind = CommandErrorKind::ConfirmationNeeded;
                let declined = CommandError::new(kind, Failure::Declined);
                return Err(declined.hint("--force asks no question"));
            }
        }
        Ok(ids)
    }
}

/// Does it to each of the jobs and says what came of it. One that does not exist is said to be
/// none of the queue, as in Ganeti; the others still have their turn.
///
/// # Errors
/// When no jobs are meant, nobody answers, or one of them is not as was wished.
pub(super) async fn on_chosen(
    ctx: &mut Context<'_>,
    chosen: &ChosenArgs,
    question: &str,
    act: impl Fn(Client, JobId) -> BoxFuture<'static, Result<Said, ClientError>>,
) -> Result<(), CommandError> {
    let jobs = chosen.jobs(ctx, question).await?;
    let client = ctx.client().await?;
    let n_jobs = jobs.len();
    let (mut documents, mut n_failed) = (Vec::new(), 0);
    for job in jobs {
        let (success, text) = match act(client.clone(), job).await {
            Err(error) if is_unknown(&error) => (false, Canceled::Over.text(job)),
            said => said?,
        };
        n_failed += usize::from(!success);
        ctx.say(&text)?;
        documents.push(json!({"job": job, "success": success, "text": text}));
        ctx.set_document(json!({"jobs": documents}));
    }
    match n_failed {
        0 => Ok(()),
        n_failed => {
            let failure = Failure::SomeJobs { n_failed, n_jobs, unknown: None };
            Err(CommandError::new(CommandErrorKind::Failed, failure))
        }
    }
}

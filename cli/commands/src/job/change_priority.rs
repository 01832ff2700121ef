//! `gantry job change-priority` (C93)

use futures_util::FutureExt as _;

use super::chosen::{ChosenArgs, on_chosen};
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::options::Priority;

/// Change how urgent jobs are
///
/// Only opcodes that have not begun to act become more or less urgent. A job that waits for locks
/// moves in the queues that it stands in.
///
/// Example: gantry job change-priority --priority high 7
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// How urgent
    #[arg(long, value_enum)]
    priority: Option<Priority>,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let Some(priority) = args.priority.map(Priority::number) else {
        ctx.warn("--priority option must be given.")?;
        return Err(CommandError::new(CommandErrorKind::Failed, Failure::Declined));
    };
    let question = "Change priority of job(s) listed above?";
    on_chosen(ctx, &args.chosen, question, |client, job| {
        async move {
            let changed = client.change_job_priority(job, priority).await?;
            Ok((changed.is_success(), changed.text(job)))
        }
        .boxed()
    })
    .await
}

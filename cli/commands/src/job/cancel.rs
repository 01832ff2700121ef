//! `gantry job cancel` (C89)

use futures_util::FutureExt as _;

use super::chosen::{ChosenArgs, on_chosen};
use crate::context::Context;
use crate::error::CommandError;

/// Cancel jobs that have not begun to act
///
/// Jobs in the queue and jobs that wait for locks end at once. A job that acts goes on; of its
/// opcodes none begins after the present one.
///
/// Example: gantry job cancel 7
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Also kill a job that acts
    ///
    /// This is refused: no process belongs to such a job, and it is carried on from its journal
    /// whatever happens to its master. Of other jobs it means the same as cancel.
    #[arg(long)]
    kill: bool,
    /// Confirm --kill
    #[arg(long, alias = "ya-rly")]
    yes_do_it: bool,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: &Args) -> Result<(), CommandError> {
    let kill = args.kill;
    if kill && !args.yes_do_it {
        let text = "The --kill option must be confirmed with --yes-do-it";
        return Err(CommandError::argument(text));
    }
    let question = if kill { "KILL job(s) listed above?" } else { "Cancel job(s) listed above?" };
    on_chosen(ctx, &args.chosen, question, |client, job| {
        async move {
            let canceled = client.cancel_job(job, kill).await?;
            Ok((canceled.is_success(), canceled.text(job)))
        }
        .boxed()
    })
    .await
}

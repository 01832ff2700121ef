//! `gantry cluster modify` (C26): what can be changed so far.

use gantry_model::opcodes::ClusterSetParams;

use super::init::pool_size_argument;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::run_one;
use crate::options::JobArgs;

/// Change what the cluster is set to
///
/// So far the size of the candidate pool: on how many nodes the cluster's state is kept. A larger
/// pool is filled at once; a smaller one is left as it is, until candidates go.
///
/// Example: gantry cluster modify -C 5
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the cluster's state on so many nodes, as far as there are
    #[arg(short = 'C', long, value_name = "N", value_parser = pool_size_argument)]
    candidate_pool_size: Option<u32>,
    /// Without effect: nothing that can be changed so far asks
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let op = ClusterSetParams { candidate_pool_size: args.candidate_pool_size };
    if op == ClusterSetParams::default() {
        let text = "Please give at least one of the parameters.".to_owned();
        return Err(CommandError::new(CommandErrorKind::Failed, Failure::Sentence(text)));
    }
    let request = ctx.request(op, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}

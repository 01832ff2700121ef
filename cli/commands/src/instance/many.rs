//! Commands on several instances: one job each, after a question (C214, C216).

use gantry_model::opcodes::OpCode;

use super::chosen::{Chosen, ChosenArgs, Target};
use crate::confirm::confirm_listed;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::run_many;
use crate::options::JobArgs;

/// Submits one job per instance; `verb` is for the question.
pub(crate) async fn on_each(
    ctx: &mut Context<'_>,
    verb: &str,
    instances: &ChosenArgs,
    job: JobArgs,
    op: impl Fn(&Target) -> Result<OpCode, CommandError>,
) -> Result<(), CommandError> {
    let chosen = instances.choose(ctx).await?;
    if chosen.targets.is_empty() && chosen.all {
        return ctx.say(&format!("Cluster is empty, no instances to {verb}"));
    }
    // What cannot be done is said before anybody is asked.
    let ops = chosen.targets.iter().map(op).collect::<Result<Vec<_>, _>>()?;
    if chosen.several && !instances.force_multiple && !job.submit.plan {
        confirm_all(ctx, verb, &chosen, "").await?;
    }
    submit_all(ctx, &chosen, ops, job).await
}

/// Asks whether all of them are meant; `extra` is said with the question.
pub(super) async fn confirm_all(
    ctx: &mut Context<'_>,
    verb: &str,
    chosen: &Chosen,
    extra: &str,
) -> Result<(), CommandError> {
    let names: Vec<String> = chosen.targets.iter().map(|target| target.name.to_string()).collect();
    if confirm_listed(ctx, verb, "instances", &names, extra).await? {
        return Ok(());
    }
    let declined = CommandError::new(CommandErrorKind::Declined, Failure::Declined);
    Err(declined.hint("--force-multiple asks no question"))
}

pub(super) async fn submit_all(
    ctx: &mut Context<'_>,
    chosen: &Chosen,
    ops: Vec<OpCode>,
    job: JobArgs,
) -> Result<(), CommandError> {
    let names = chosen.targets.iter().map(|target| target.name.to_string());
    let requests = names.zip(ops).map(|(name, op)| (name, ctx.request(op, &job.op())));
    let requests = requests.collect();
    run_many(ctx, requests, job.submit, chosen.several).await
}

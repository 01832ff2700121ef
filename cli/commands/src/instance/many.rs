//! Commands on several instances: one job each, after a question (C214, C216).

use gantry_model::names::InstanceName;
use gantry_model::opcodes::OpCode;

use crate::confirm::confirm;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::full_names;
use crate::jobs::run_many;
use crate::options::JobArgs;

/// The instances meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InstancesArgs {
    /// Which
    #[arg(value_name = "INSTANCE", required = true)]
    pub(crate) names: Vec<InstanceName>,
    /// Do not ask when several instances are given
    #[arg(long)]
    pub(crate) force_multiple: bool,
}

/// Submits one job per instance; `verb` is for the question.
pub(crate) async fn on_each(
    ctx: &mut Context<'_>,
    verb: &str,
    instances: InstancesArgs,
    job: JobArgs,
    op: impl Fn(InstanceName) -> OpCode,
) -> Result<(), CommandError> {
    let found = full_names::instances(ctx, &instances.names).await?;
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    if names.len() > 1 && !instances.force_multiple {
        let question = format!(
            "The {verb} will operate on {} instances: {}.\nDo you want to continue?",
            names.len(),
            names.join(", ")
        );
        if !confirm(ctx, &question, &format!("Go on with the {verb} of all of them")).await? {
            let declined = CommandError::new(CommandErrorKind::Declined, Failure::Declined);
            return Err(declined.hint("--force-multiple asks no question"));
        }
    }
    let requests = found
        .into_iter()
        .map(|name| (name.to_string(), ctx.request(op(name), &job.op())))
        .collect();
    run_many(ctx, requests, job.submit).await
}

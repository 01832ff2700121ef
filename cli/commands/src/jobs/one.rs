//! One job: submit it, and wait for it unless asked not to.

use gantry_model::messages::NewJob;
use gantry_model::opcodes::OpRequest;
use serde_json::json;

use super::plan::show_plans;
use super::progress::{JobEnd, follow};
use super::status_line::Place;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::options::SubmitArgs;

/// Submits a job of one opcode and follows it. `None` when it was only submitted.
///
/// # Errors
/// When the job is refused or fails.
pub(crate) async fn run_one(
    ctx: &mut Context<'_>,
    request: OpRequest,
    options: SubmitArgs,
) -> Result<Option<JobEnd>, CommandError> {
    if options.plan {
        show_plans(ctx, vec![NewJob { ops: vec![request] }]).await?;
        return Ok(None);
    }
    let client = ctx.client().await?;
    let mut answers = client.submit(vec![NewJob { ops: vec![request] }]).await?;
    let job = match answers.pop() {
        Some(answer) => answer?,
        None => {
            let text = "no answer for the job".to_owned();
            return Err(CommandError::new(CommandErrorKind::Internal, Failure::Bug(text)));
        }
    };
    if options.print_jobid {
        ctx.say(&job.to_string())?;
    }
    if options.submit {
        ctx.set_document(json!({"job": job, "status": "queued"}));
        ctx.warn(&format!("JobID: {job}"))?;
        return Ok(None);
    }
    let end = follow(ctx, &client, (job, Place::ALONE), false).await?;
    ctx.set_document(end.document());
    end.into_result().map(Some)
}

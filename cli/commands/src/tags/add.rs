//! Adding tags: one job for all of them.

use gantry_model::opcodes::TagsSet;
use gantry_model::tags::TagObject;

use super::{TagsArgs, typed};
use crate::context::Context;
use crate::error::CommandError;
use crate::jobs::run_one;

/// Adds the tags to the object.
///
/// # Errors
/// When there are none, one cannot be taken, or the job fails.
pub(crate) async fn add(
    ctx: &mut Context<'_>,
    object: TagObject,
    mut args: TagsArgs,
) -> Result<(), CommandError> {
    let tags = args.all(ctx).await?;
    if tags.is_empty() {
        return Err(CommandError::argument("No tags to be added"));
    }
    typed(ctx, &object);
    let request = ctx.request(TagsSet { object, tags }, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}

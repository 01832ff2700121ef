//! `gantry cluster master-ping` (C14)

use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;

/// Succeed if the master answers
///
/// Prints nothing, for scripts that look at the exit code. Any node may be asked.
///
/// Example: gantry cluster master-ping
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let info = ctx.client().await?.cluster().await?;
    if ctx.json() {
        ctx.set_document(json!({"master": info.master.name}));
    }
    Ok(())
}

//! `gantry cluster getmaster` (C16)

use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;

/// Print the name of the master node
///
/// Example: gantry cluster getmaster
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let info = ctx.client().await?.cluster().await?;
    if ctx.json() {
        ctx.set_document(json!({"master": info.master.name}));
        return Ok(());
    }
    ctx.say(info.master.name.as_str())
}

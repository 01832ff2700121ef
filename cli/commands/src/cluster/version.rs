//! `gantry cluster version` (C15)

use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;

/// Print the versions of the master's daemon and of this program
///
/// Example: gantry cluster version
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let info = ctx.client().await?.cluster().await?;
    let client = env!("CARGO_PKG_VERSION");
    if ctx.json() {
        ctx.set_document(json!({
            "software_version": info.software_version,
            "client_version": client,
        }));
        return Ok(());
    }
    ctx.say(&format!("Software version: {}", info.software_version))?;
    ctx.say(&format!("Client version: {client}"))
}

//! `gantry cluster master-ping` (C14)

use gantry_model::messages::ClusterInfo;
use serde_json::json;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};

/// Succeed if the master answers
///
/// Prints nothing in either case, for scripts that look at the exit code: 1 if it does not answer,
/// whatever the reason; --debug tells it. Any node may be asked.
///
/// Example: gantry cluster master-ping
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    match answer(ctx).await {
        Ok(info) => {
            ctx.set_document(json!({"master": info.master.name}));
            Ok(())
        }
        // Whatever the reason: Ganeti says none, and scripts expect nothing else.
        Err(error) => {
            tracing::debug!(error = %gantry_wire::ErrorChain(error.error.as_ref()), "no answer");
            Err(CommandError::new(CommandErrorKind::Failed, Failure::NothingFound))
        }
    }
}

async fn answer(ctx: &mut Context<'_>) -> Result<ClusterInfo, CommandError> {
    Ok(ctx.client().await?.cluster().await?)
}

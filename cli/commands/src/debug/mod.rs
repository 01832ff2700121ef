//! `gantry debug`, `gnt-debug`

mod actors;
mod delay;
mod flight;
mod links;
mod locks;
mod nodes;
mod rows;
mod submit_job;

use crate::context::Context;
use crate::error::CommandError;

/// Commands for tests and for looking inside.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum DebugCommand {
    Delay(delay::Args),
    SubmitJob(submit_job::Args),
    Locks(locks::Args),
    Actors(actors::Args),
    Flight(flight::Args),
    Links(links::Args),
}

impl DebugCommand {
    pub(crate) async fn run(self, ctx: &mut Context<'_>) -> Result<(), CommandError> {
        match self {
            Self::Delay(args) => delay::run(ctx, args).await,
            Self::SubmitJob(args) => submit_job::run(ctx, args).await,
            Self::Locks(args) => locks::run(ctx, args).await,
            Self::Actors(args) => actors::run(ctx, args).await,
            Self::Flight(args) => flight::run(ctx, args).await,
            Self::Links(args) => links::run(ctx, args).await,
        }
    }
}

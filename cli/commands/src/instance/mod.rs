//! `gantry instance`, `gnt-instance`

mod add;
mod chosen;
mod console;
mod console_io;
mod info;
mod list;
mod list_fields;
mod many;
mod reboot;
mod reinstall;
mod remove;
mod shutdown;
mod startup;
mod tags;

use crate::context::Context;
use crate::error::CommandError;

/// Commands on instances.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum InstanceCommand {
    // In a box because it is much larger than the others.
    Add(Box<add::Args>),
    List(list::Args),
    ListFields(list_fields::Args),
    #[command(visible_alias = "show")]
    Info(info::Args),
    #[command(visible_alias = "start")]
    Startup(startup::Args),
    #[command(visible_alias = "stop")]
    Shutdown(shutdown::Args),
    Reboot(reboot::Args),
    // In a box for the same reason.
    Reinstall(Box<reinstall::Args>),
    Remove(remove::Args),
    Console(console::Args),
    AddTags(tags::AddArgs),
    RemoveTags(tags::RemoveArgs),
    ListTags(tags::ListArgs),
}

impl InstanceCommand {
    pub(crate) async fn run(self, ctx: &mut Context<'_>) -> Result<(), CommandError> {
        match self {
            Self::Add(args) => add::run(ctx, *args).await,
            Self::List(args) => list::run(ctx, args).await,
            Self::ListFields(args) => list_fields::run(ctx, args).await,
            Self::Info(args) => info::run(ctx, args).await,
            Self::Startup(args) => startup::run(ctx, args).await,
            Self::Shutdown(args) => shutdown::run(ctx, args).await,
            Self::Reboot(args) => reboot::run(ctx, args).await,
            Self::Reinstall(args) => reinstall::run(ctx, *args).await,
            Self::Remove(args) => remove::run(ctx, args).await,
            Self::Console(args) => console::run(ctx, args).await,
            Self::AddTags(args) => tags::add(ctx, args).await,
            Self::RemoveTags(args) => tags::remove(ctx, args).await,
            Self::ListTags(args) => tags::list(ctx, args).await,
        }
    }
}

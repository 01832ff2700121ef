//! `gantry node`, `gnt-node`

mod add;
mod info;
mod list;
mod list_fields;
mod modify;
mod remove;
mod tags;

use crate::context::Context;
use crate::error::CommandError;

/// Commands on nodes.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum NodeCommand {
    Add(add::Args),
    List(list::Args),
    ListFields(list_fields::Args),
    #[command(visible_alias = "show")]
    Info(info::Args),
    // In a box because it is much larger than the others.
    Modify(Box<modify::Args>),
    Remove(remove::Args),
    AddTags(tags::AddArgs),
    RemoveTags(tags::RemoveArgs),
    ListTags(tags::ListArgs),
}

impl NodeCommand {
    pub(crate) async fn run(self, ctx: &mut Context<'_>) -> Result<(), CommandError> {
        match self {
            Self::Add(args) => add::run(ctx, args).await,
            Self::List(args) => list::run(ctx, args).await,
            Self::ListFields(args) => list_fields::run(ctx, args).await,
            Self::Info(args) => info::run(ctx, args).await,
            Self::Modify(args) => modify::run(ctx, *args).await,
            Self::Remove(args) => remove::run(ctx, args).await,
            Self::AddTags(args) => tags::add(ctx, args).await,
            Self::RemoveTags(args) => tags::remove(ctx, args).await,
            Self::ListTags(args) => tags::list(ctx, args).await,
        }
    }
}

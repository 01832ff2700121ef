//! `gantry instance add-tags`, `remove-tags`, `list-tags` (C82, C83, C84)

use gantry_model::names::InstanceName;
use gantry_model::tags::TagObject;

use crate::context::Context;
use crate::error::CommandError;
use crate::tags::{self, TagsArgs};

/// Add tags to an instance
///
/// Those that it has already are fine.
///
/// Example: gantry instance add-tags web1 owner:user2 web
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Which instance
    #[arg(value_name = "INSTANCE")]
    name: InstanceName,
    #[command(flatten)]
    tags: TagsArgs,
}

/// Remove tags of an instance
///
/// It must have them all, or none is removed.
///
/// Example: gantry instance remove-tags web1 owner:user2
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Which instance
    #[arg(value_name = "INSTANCE")]
    name: InstanceName,
    #[command(flatten)]
    tags: TagsArgs,
}

/// Print the tags of an instance
///
/// Example: gantry instance list-tags web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Which instance
    #[arg(value_name = "INSTANCE")]
    name: InstanceName,
}

pub(crate) async fn add(ctx: &mut Context<'_>, args: AddArgs) -> Result<(), CommandError> {
    tags::add(ctx, TagObject::Instance(args.name), args.tags).await
}

pub(crate) async fn remove(ctx: &mut Context<'_>, args: RemoveArgs) -> Result<(), CommandError> {
    tags::remove(ctx, TagObject::Instance(args.name), args.tags).await
}

pub(crate) async fn list(ctx: &mut Context<'_>, args: ListArgs) -> Result<(), CommandError> {
    tags::list(ctx, &TagObject::Instance(args.name)).await
}

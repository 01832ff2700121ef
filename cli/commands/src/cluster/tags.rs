//! `gantry cluster add-tags`, `remove-tags`, `list-tags` (C20, C21, C22)

use gantry_model::tags::TagObject;

use crate::context::Context;
use crate::error::CommandError;
use crate::tags::{self, TagsArgs};

/// Add tags to the cluster
///
/// Those that it has already are fine.
///
/// Example: gantry cluster add-tags owner:user2 web
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    tags: TagsArgs,
}

/// Remove tags of the cluster
///
/// It must have them all, or none is removed.
///
/// Example: gantry cluster remove-tags owner:user2
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    tags: TagsArgs,
}

/// Print the tags of the cluster
///
/// Example: gantry cluster list-tags
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArgs {}

pub(crate) async fn add(ctx: &mut Context<'_>, args: AddArgs) -> Result<(), CommandError> {
    tags::add(ctx, TagObject::Cluster, args.tags).await
}

pub(crate) async fn remove(ctx: &mut Context<'_>, args: RemoveArgs) -> Result<(), CommandError> {
    tags::remove(ctx, TagObject::Cluster, args.tags).await
}

pub(crate) async fn list(ctx: &mut Context<'_>, _args: ListArgs) -> Result<(), CommandError> {
    tags::list(ctx, &TagObject::Cluster).await
}

//! `gantry node add-tags`, `remove-tags`, `list-tags` (C121, C122, C123)

use gantry_model::names::NodeName;
use gantry_model::tags::TagObject;

use crate::context::Context;
use crate::error::CommandError;
use crate::tags::{self, TagsArgs};

/// Add tags to a node
///
/// Those that it has already are fine.
///
/// Example: gantry node add-tags node1 owner:user2 web
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Which node
    #[arg(value_name = "NODE")]
    name: NodeName,
    #[command(flatten)]
    tags: TagsArgs,
}

/// Remove tags of a node
///
/// It must have them all, or none is removed.
///
/// Example: gantry node remove-tags node1 owner:user2
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Which node
    #[arg(value_name = "NODE")]
    name: NodeName,
    #[command(flatten)]
    tags: TagsArgs,
}

/// Print the tags of a node
///
/// Example: gantry node list-tags node1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Which node
    #[arg(value_name = "NODE")]
    name: NodeName,
}

pub(crate) async fn add(ctx: &mut Context<'_>, args: AddArgs) -> Result<(), CommandError> {
    tags::add(ctx, TagObject::Node(args.name), args.tags).await
}

pub(crate) async fn remove(ctx: &mut Context<'_>, args: RemoveArgs) -> Result<(), CommandError> {
    tags::remove(ctx, TagObject::Node(args.name), args.tags).await
}

pub(crate) async fn list(ctx: &mut Context<'_>, args: ListArgs) -> Result<(), CommandError> {
    tags::list(ctx, &TagObject::Node(args.name)).await
}

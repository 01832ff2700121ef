//! Listing the tags of one object, sorted (S202).

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::query::Resource;
use gantry_model::tags::TagObject;
use serde_json::json;

use super::typed;
use crate::context::Context;
use crate::error::CommandError;
use crate::records::records;

/// Prints the tags of the object, one in a line.
///
/// # Errors
/// When it does not exist, or there is no answer.
pub(crate) async fn list(ctx: &mut Context<'_>, object: &TagObject) -> Result<(), CommandError> {
    typed(ctx, object);
    let client = ctx.client().await?;
    let mut tags: Vec<String> = match object {
        TagObject::Cluster => client.cluster().await?.cluster.tags,
        TagObject::Node(name) => column(ctx, Resource::Node, name.as_str()).await?,
        TagObject::Instance(name) => column(ctx, Resource::Instance, name.as_str()).await?,
        TagObject::Nodegroup(name) => {
            let groups = client.cluster().await?.groups;
            match groups.into_iter().find(|group| group.name == *name) {
                Some(group) => group.tags,
                None => {
                    let text = format!("{object} does not exist");
                    return Err(Fault::new(FaultCode::UnknownEntity, text).into());
                }
            }
        }
    };
    tags.sort();
    if ctx.json() {
        ctx.set_document(json!({ "tags": tags }));
        return Ok(());
    }
    tags.iter().try_for_each(|tag| ctx.say(tag))
}

async fn column(
    ctx: &mut Context<'_>,
    resource: Resource,
    name: &str,
) -> Result<Vec<String>, CommandError> {
    let names = [name.to_owned()];
    let table = ctx.client().await?.query(resource, &["tags"], &names).await?;
    let tags = records(&table).flat_map(|row| row.items("tags"));
    Ok(tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
}

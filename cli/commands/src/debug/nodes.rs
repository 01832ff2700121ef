//! Asking the nodes themselves, all or some of them.

use futures_util::future::join_all;
use gantry_client::{Client, ClientError};
use gantry_model::ids::NodeUuid;
use gantry_model::query::{Cell, Resource};
use gantry_wire::ErrorChain;

use crate::context::Context;
use crate::error::CommandError;

/// Names and ids of the nodes that were named, or of all.
async fn nodes(
    ctx: &mut Context<'_>,
    name: Option<&str>,
) -> Result<Vec<(String, NodeUuid)>, CommandError> {
    let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
    ctx.typed(Resource::Node, &names);
    let table = ctx.client().await?.query(Resource::Node, &["name", "uuid"], &names).await?;
    let text = |cell: &Cell| match cell {
        Cell::Value(value) => value.as_str().map(str::to_owned),
        _ => None,
    };
    let node = |row: &Vec<Cell>| {
        let uuid = text(row.get(1)?)?.parse().ok()?;
        Some((text(row.first()?)?, NodeUuid(uuid)))
    };
    Ok(table.rows.iter().filter_map(node).collect())
}

/// Asks each node the same, and returns the answers beside their names. One that was named must
/// answer; of all, those that do not are told and left out.
pub(super) async fn ask_nodes<T, F>(
    ctx: &mut Context<'_>,
    name: Option<&str>,
    ask: impl Fn(Client, NodeUuid) -> F,
) -> Result<Vec<(String, T)>, CommandError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let client = ctx.client().await?;
    let asked = nodes(ctx, name).await?.into_iter().map(|(node, uuid)| {
        let answer = ask(client.clone(), uuid);
        async move { (node, answer.await) }
    });
    let mut answers = Vec::new();
    for (node, answer) in join_all(asked.collect::<Vec<_>>()).await {
        match answer {
            Ok(answer) => answers.push((node, answer)),
            Err(error) if name.is_some() => return Err(error.into()),
            Err(error) => ctx.warn(&format!("{node} does not answer: {}", ErrorChain(&error)))?,
        }
    }
    Ok(answers)
}

//! `gantry debug flight`

use gantry_model::messages::FlightRow;
use gantry_model::query::{Cell, FieldKind};
use serde_json::json;

use super::nodes::ask_nodes;
use super::rows::{Column, column, show_rows};
use crate::context::Context;
use crate::error::CommandError;
use crate::options::ListArgs;
use crate::parse::number::whole_number;

/// A turn, with the name of its node.
type Row = (String, FlightRow);

const COLUMNS: &[Column<Row>] = &[
    column!("node", "Node", Text, |(node, _)| Cell::Value(json!(node))),
    column!("at", "At", Timestamp, |(_, row)| Cell::Value(json!(row.at))),
    column!("path", "Path", Text, |(_, row)| Cell::Value(json!(row.path))),
    column!("message", "Message", Text, |(_, row)| Cell::Value(json!(row.message))),
    column!("took", "Took", Number, |(_, row)| { Cell::Value(json!(row.took_ns.div_ceil(1000))) }),
];

/// List the last turns of actors, newest first
///
/// Every actor remembers its last turns: which message or continuation, when, and for how long, in
/// microseconds. Of a burst of short turns only some are measured; the others took 0.
///
/// Example: gantry debug flight --path /cluster
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List those of this node, in place of all
    #[arg(short, long, value_name = "NODE")]
    node: Option<String>,
    /// List those of the actor at this path, wherever it lives
    #[arg(short, long, value_name = "PATH")]
    path: Option<String>,
    /// List so many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50,
        value_parser = whole_number::<u32>(1, 10_000, "a whole number from 1 to 10000"))]
    limit: u32,
    #[command(flatten)]
    list: ListArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let Args { node, path, limit, list } = args;
    let everywhere = node.is_none();
    let only = path.clone();
    let answers = ask_nodes(ctx, node.as_deref(), move |client, node| {
        let path = path.clone();
        async move {
            match client.flight(node, path, limit).await {
                // It lives on another node, perhaps.
                Err(error) if everywhere && is_unknown(&error) => Ok(None),
                answer => answer.map(Some),
            }
        }
    })
    .await?;
    if let Some(path) = only
        && answers.iter().all(|(_, rows)| rows.is_none())
    {
        let text = format!("no actor lives at {path}");
        return Err(CommandError::argument(text).hint("see `gantry debug actors` for those there"));
    }
    let mut rows: Vec<Row> = Vec::new();
    for (node, of_node) in answers {
        rows.extend(of_node.into_iter().flatten().map(|row| (node.clone(), row)));
    }
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.at));
    rows.truncate(limit as usize);
    show_rows(ctx, COLUMNS, &rows, &list)
}

fn is_unknown(error: &gantry_client::ClientError) -> bool {
    use gantry_model::errors::FaultCode;
    error.fault().is_some_and(|fault| fault.code == FaultCode::UnknownEntity)
}

//! `gantry debug actors`

use gantry_model::messages::{ActorRow, StallRow};
use gantry_model::query::{Cell, FieldKind, Resource};
use serde_json::json;

use super::rows::{Column, column, show_rows};
use crate::context::Context;
use crate::error::CommandError;
use crate::options::ListArgs;

const COLUMNS: &[Column<ActorRow>] = &[
    column!("node", "Node", Text, |row| Cell::Value(json!(row.node))),
    column!("path", "Path", Text, |row| Cell::Value(json!(row.path))),
    column!("mailbox", "Mailbox", Number, |row| Cell::Value(json!(row.mailbox))),
    column!("handled", "Handled", Number, |row| Cell::Value(json!(row.handled))),
    column!("restarts", "Restarts", Number, |row| Cell::Value(json!(row.restarts))),
    column!("slowest", "Slowest", Text, |row| match &row.slowest {
        Some((message, micros)) => Cell::Value(json!(format!("{message} {micros}us"))),
        None => Cell::Unavailable,
    }),
    column!("stalls", "Stalls", Number, |row| Cell::Value(json!(row.stalls))),
    column!("stalled_in", "Stalled_in", Text, |row| of_stall(row, |stall| json!(stall.during))),
    column!("stalled_since", "Stalled_since", Timestamp, |row| {
        of_stall(row, |stall| json!(stall.since))
    }),
    column!("stalled_ms", "Stalled_ms", Number, |row| of_stall(row, |stall| json!(stall.took))),
    column!("stuck", "Stuck", Bool, |row| {
        Cell::Value(json!(row.last_stall.as_ref().is_some_and(|stall| !stall.is_over)))
    }),
];

/// List live actors and how busy they are
///
/// Without a node these are the master's. A stall is a turn that has held its thread for half a
/// second or longer: how many there were, and of the last one in which message, since when, for how
/// many milliseconds, and whether it is stuck there now.
///
/// Example: gantry debug actors -n node2.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List those of this node
    #[arg(short, long, value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let node = match &args.node {
        Some(name) => {
            ctx.typed(Resource::Node, std::slice::from_ref(name));
            Some(client.node_uuid(name).await?)
        }
        None => None,
    };
    let rows = client.actors(node).await?;
    show_rows(ctx, COLUMNS, &rows, &args.list)
}

fn of_stall(row: &ActorRow, value: impl FnOnce(&StallRow) -> serde_json::Value) -> Cell {
    row.last_stall.as_ref().map_or(Cell::Unavailable, |stall| Cell::Value(value(stall)))
}

//! `gantry debug actors`

use gantry_model::messages::{ActorRow, StallRow};
use gantry_model::query::{Cell, FieldDef, FieldKind, Resource, Table};
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::show;
use crate::options::{ListArgs, UnitsArgs};

const DEFAULT_FIELDS: [&str; 11] = [
    "node",
    "path",
    "mailbox",
    "handled",
    "restarts",
    "slowest",
    "stalls",
    "stalled_in",
    "stalled_since",
    "stalled_ms",
    "stuck",
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
    let fields = match args.list.fields(&DEFAULT_FIELDS) {
        fields if fields.is_empty() => DEFAULT_FIELDS.map(str::to_owned).to_vec(),
        fields => fields,
    };
    show(ctx, &table(&rows, &fields), &args.list, UnitsArgs::default())
}

/// Title and kind of a field.
fn definition(name: &str) -> Option<(&'static str, FieldKind)> {
    Some(match name {
        "node" => ("Node", FieldKind::Text),
        "path" => ("Path", FieldKind::Text),
        "mailbox" => ("Mailbox", FieldKind::Number),
        "handled" => ("Handled", FieldKind::Number),
        "restarts" => ("Restarts", FieldKind::Number),
        "slowest" => ("Slowest", FieldKind::Text),
        "stalls" => ("Stalls", FieldKind::Number),
        "stalled_in" => ("Stalled_in", FieldKind::Text),
        "stalled_since" => ("Stalled_since", FieldKind::Timestamp),
        "stalled_ms" => ("Stalled_ms", FieldKind::Number),
        "stuck" => ("Stuck", FieldKind::Bool),
        _ => return None,
    })
}

fn table(rows: &[ActorRow], fields: &[String]) -> Table {
    let defs = fields.iter().map(|name| {
        let (title, kind) = definition(name).unwrap_or((name, FieldKind::Text));
        FieldDef { name: name.clone(), title: title.to_owned(), kind, doc: String::new() }
    });
    let rows = rows.iter().map(|row| fields.iter().map(|field| cell(row, field)).collect());
    Table {
        fields: defs.collect(),
        rows: rows.collect(),
        unknown_fields: fields.iter().filter(|name| definition(name).is_none()).cloned().collect(),
        filtered: false,
    }
}

fn cell(row: &ActorRow, field: &str) -> Cell {
    match field {
        "node" => Cell::Value(json!(row.node)),
        "path" => Cell::Value(json!(row.path)),
        "mailbox" => Cell::Value(json!(row.mailbox)),
        "handled" => Cell::Value(json!(row.handled)),
        "restarts" => Cell::Value(json!(row.restarts)),
        "slowest" => match &row.slowest {
            Some((message, micros)) => Cell::Value(json!(format!("{message} {micros}us"))),
            None => Cell::Unavailable,
        },
        "stalls" => Cell::Value(json!(row.stalls)),
        "stalled_in" => of_stall(row, |stall| json!(stall.during)),
        "stalled_since" => of_stall(row, |stall| json!(stall.since)),
        "stalled_ms" => of_stall(row, |stall| json!(stall.took)),
        "stuck" => Cell::Value(json!(row.last_stall.as_ref().is_some_and(|s| !s.is_over))),
        _ => Cell::Unknown,
    }
}

fn of_stall(row: &ActorRow, value: impl FnOnce(&StallRow) -> serde_json::Value) -> Cell {
    row.last_stall.as_ref().map_or(Cell::Unavailable, |stall| Cell::Value(value(stall)))
}

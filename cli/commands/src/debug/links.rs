//! `gantry debug links`

use gantry_model::messages::{LinkCounts, LinkRow};
use gantry_model::query::{Cell, FieldDef, FieldKind, Table};
use serde_json::{Value, json};

use super::nodes::ask_nodes;
use crate::context::Context;
use crate::error::CommandError;
use crate::listing::show;
use crate::options::{ListArgs, UnitsArgs};

const DEFAULT_FIELDS: [&str; 11] = [
    "node", "peer", "role", "address", "version", "rtt", "sent", "received", "lost", "streams",
    "since",
];

/// List the connections of nodes
///
/// Each side has its own row of a connection: the time to the peer and back in microseconds, bytes
/// sent and received, packets of its own that were lost, streams that messages have used so far,
/// and since when it stands. Commands on the node's own machine use its socket and are not listed.
///
/// Example: gantry debug links -n node2.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List those of this node, in place of all
    #[arg(short, long, value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let ask = |client: gantry_client::Client, node| async move { client.links(node).await };
    let answers = ask_nodes(ctx, args.node.as_deref(), ask).await?;
    let mut rows: Vec<(String, LinkRow)> = Vec::new();
    for (node, table) in answers {
        rows.extend(table.rows.into_iter().map(|row| (node.clone(), row)));
    }
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
        "peer" => ("Peer", FieldKind::Text),
        "role" => ("Role", FieldKind::Text),
        "address" => ("Address", FieldKind::Text),
        "version" => ("Version", FieldKind::Number),
        "rtt" => ("Rtt", FieldKind::Number),
        "sent" => ("Sent", FieldKind::Number),
        "received" => ("Received", FieldKind::Number),
        "lost" => ("Lost", FieldKind::Number),
        "streams" => ("Streams", FieldKind::Number),
        "since" => ("Since", FieldKind::Timestamp),
        _ => return None,
    })
}

fn table(rows: &[(String, LinkRow)], fields: &[String]) -> Table {
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

fn cell((node, row): &(String, LinkRow), field: &str) -> Cell {
    let counted = |value: fn(&LinkCounts) -> Value| {
        row.counts.as_ref().map_or(Cell::Unavailable, |counts| Cell::Value(value(counts)))
    };
    match field {
        "node" => Cell::Value(json!(node)),
        "peer" => Cell::Value(json!(row.peer)),
        "role" => Cell::Value(json!(row.role)),
        "address" => Cell::Value(json!(row.address)),
        "version" => Cell::Value(json!(row.version)),
        "rtt" => counted(|counts| json!(counts.rtt_us)),
        "sent" => counted(|counts| json!(counts.sent_bytes)),
        "received" => counted(|counts| json!(counts.received_bytes)),
        "lost" => counted(|counts| json!(counts.lost_packets)),
        "streams" => counted(|counts| json!(counts.streams)),
        "since" => counted(|counts| json!(counts.since)),
        _ => Cell::Unknown,
    }
}

//! `gantry debug links`

use gantry_model::messages::{LinkCounts, LinkRow};
use gantry_model::query::{Cell, FieldKind};
use serde_json::{Value, json};

use super::nodes::ask_nodes;
use super::rows::{Column, column, show_rows};
use crate::context::Context;
use crate::error::CommandError;
use crate::options::ListArgs;

/// A connection, with the name of the node whose side it is.
type Row = (String, LinkRow);

const COLUMNS: &[Column<Row>] = &[
    column!("node", "Node", Text, |(node, _)| Cell::Value(json!(node))),
    column!("peer", "Peer", Text, |(_, row)| Cell::Value(json!(row.peer))),
    column!("role", "Role", Text, |(_, row)| Cell::Value(json!(row.role))),
    column!("address", "Address", Text, |(_, row)| Cell::Value(json!(row.address))),
    column!("version", "Version", Number, |(_, row)| Cell::Value(json!(row.version))),
    column!("rtt", "Rtt", Number, |row| counted(row, |counts| json!(counts.rtt_us))),
    column!("sent", "Sent", Number, |row| counted(row, |counts| json!(counts.sent_bytes))),
    column!("received", "Received", Number, |row| {
        counted(row, |counts| json!(counts.received_bytes))
    }),
    column!("lost", "Lost", Number, |row| counted(row, |counts| json!(counts.lost_packets))),
    column!("streams", "Streams", Number, |row| counted(row, |counts| json!(counts.streams))),
    column!("since", "Since", Timestamp, |row| counted(row, |counts| json!(counts.since))),
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
    let mut rows: Vec<Row> = Vec::new();
    for (node, table) in answers {
        rows.extend(table.rows.into_iter().map(|row| (node.clone(), row)));
    }
    show_rows(ctx, COLUMNS, &rows, &args.list)
}

fn counted((_, row): &Row, value: fn(&LinkCounts) -> Value) -> Cell {
    row.counts.as_ref().map_or(Cell::Unavailable, |counts| Cell::Value(value(counts)))
}

//! `gantry debug flight`

use gantry_model::messages::FlightRow;
use gantry_model::query::{Cell, FieldDef, FieldKind, Table};
use serde_json::json;

use super::nodes::ask_nodes;
use crate::context::Context;
use crate::error::CommandError;
use crate::listing::show;
use crate::options::{ListArgs, UnitsArgs};

const DEFAULT_FIELDS: [&str; 5] = ["node", "at", "path", "message", "took"];

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
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
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
    let mut rows: Vec<(String, FlightRow)> = Vec::new();
    for (node, of_node) in answers {
        rows.extend(of_node.into_iter().flatten().map(|row| (node.clone(), row)));
    }
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.at));
    rows.truncate(limit as usize);
    let fields = match list.fields(&DEFAULT_FIELDS) {
        fields if fields.is_empty() => DEFAULT_FIELDS.map(str::to_owned).to_vec(),
        fields => fields,
    };
    show(ctx, &table(&rows, &fields), &list, UnitsArgs::default())
}

fn is_unknown(error: &gantry_client::ClientError) -> bool {
    use gantry_model::errors::FaultCode;
    error.fault().is_some_and(|fault| fault.code == FaultCode::UnknownEntity)
}

/// Title and kind of a field.
fn definition(name: &str) -> Option<(&'static str, FieldKind)> {
    Some(match name {
        "node" => ("Node", FieldKind::Text),
        "at" => ("At", FieldKind::Timestamp),
        "path" => ("Path", FieldKind::Text),
        "message" => ("Message", FieldKind::Text),
        "took" => ("Took", FieldKind::Number),
        _ => return None,
    })
}

fn table(rows: &[(String, FlightRow)], fields: &[String]) -> Table {
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

fn cell((node, row): &(String, FlightRow), field: &str) -> Cell {
    match field {
        "node" => Cell::Value(json!(node)),
        "at" => Cell::Value(json!(row.at)),
        "path" => Cell::Value(json!(row.path)),
        "message" => Cell::Value(json!(row.message)),
        "took" => Cell::Value(json!(row.took_ns.div_ceil(1000))),
        _ => Cell::Unknown,
    }
}

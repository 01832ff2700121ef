//! Listing anything that can be queried: what all `list` and `list-fields` commands share.

use gantry_model::messages::QueryTable;
use gantry_model::query::{FieldDef, FieldKind, Filter, Resource, Table};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::options::{FieldsArgs, ListArgs, UnitsArgs};
use crate::output::cells::format_answer;
use crate::output::json::table_document;
use crate::output::table::{Column, format_table};
use crate::parse::filter::Wanted;

/// What a list shows.
#[derive(Clone, Debug)]
pub(crate) struct Listing<'a> {
    /// Of what.
    pub resource: Resource,
    /// Which rows.
    pub wanted: Wanted,
    /// Which of these rows.
    pub only: Option<Filter>,
    /// Of jobs: archived ones too.
    pub archived: bool,
    /// Which columns, if `args` does not say.
    pub default_fields: &'a [&'a str],
    /// How.
    pub args: &'a ListArgs,
    /// In which units.
    pub units: UnitsArgs,
}

/// Asks for a table and prints it.
///
/// # Errors
/// When a name or a field does not exist; the table has been printed in the second case. When a
/// filter cannot be applied.
pub(crate) async fn list(ctx: &mut Context<'_>, listing: Listing<'_>) -> Result<(), CommandError> {
    let Listing { resource, wanted, only, archived, default_fields, args, units } = listing;
    let (names, filter) = match (wanted, only) {
        (Wanted::Names(names), only) => (names, only),
        (Wanted::Filter(filter), None) => (Vec::new(), Some(filter)),
        (Wanted::Filter(filter), Some(only)) => (Vec::new(), Some(Filter::All(vec![filter, only]))),
    };
    ctx.typed(resource, &names);
    let mut fields = args.fields(default_fields);
    if archived && !fields.is_empty() && !fields.iter().any(|field| field == ARCHIVED) {
        fields.push(ARCHIVED.to_owned());
    }
    let asked = QueryTable { resource, fields, names, archived, filter };
    let table = ctx.client().await?.table(&asked).await?;
    show(ctx, &table, args, units)
}

/// The column that a list of archived jobs has in addition, as in Ganeti: without it nobody sees
/// which they are.
const ARCHIVED: &str = "archived";

/// Prints a table, and warns of fields that do not exist.
///
/// # Errors
/// When there were such fields.
pub(crate) fn show(
    ctx: &mut Context<'_>,
    table: &Table,
    args: &ListArgs,
    units: UnitsArgs,
) -> Result<(), CommandError> {
    warn_unknown(ctx, &table.unknown_fields)?;
    if ctx.json() {
        ctx.set_document(table_document(table));
    } else {
        for line in format_answer(table, &args.style(units, ctx)) {
            ctx.say(&line)?;
        }
    }
    refuse_unknown(table.unknown_fields.clone())
}

/// Lists the fields that there are, or these.
///
/// # Errors
/// When one of them does not exist; the others have been listed then.
pub(crate) async fn list_fields(
    ctx: &mut Context<'_>,
    resource: Resource,
    wanted: &FieldsArgs,
) -> Result<(), CommandError> {
    let FieldsArgs { fields: names, headers: args } = wanted;
    ctx.typed(resource, &[]);
    let answer = ctx.client().await?.fields(resource, names).await?;
    warn_unknown(ctx, &answer.unknown_fields)?;
    let kind = |field: &FieldDef| match answer.unknown_fields.contains(&field.name) {
        true => "Unknown",
        false => kind_word(field.kind),
    };
    if ctx.json() {
        let fields = answer.fields.iter().map(|field| {
            json!({"name": field.name, "kind": kind(field), "title": field.title, "doc": field.doc})
        });
        let fields = fields.collect();
        ctx.set_document(Value::Array(fields));
    } else {
        let columns = ["Name", "Type", "Title", "Description"].map(Column::left);
        let rows: Vec<Vec<String>> = answer
            .fields
            .iter()
            .map(|field| {
                let kind = kind(field).to_owned();
                vec![field.name.clone(), kind, field.title.clone(), field.doc.clone()]
            })
            .collect();
        let separator = args.separator.as_deref();
        for line in format_table(&columns, &rows, !args.no_headers, separator) {
            ctx.say(&line)?;
        }
    }
    refuse_unknown(answer.unknown_fields)
}

/// Ganeti's words.
fn kind_word(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "Text",
        FieldKind::Number => "Number",
        FieldKind::Float => "Floating-point number",
        FieldKind::Unit => "Storage size",
        FieldKind::Bool => "Boolean",
        FieldKind::Timestamp => "Timestamp",
        FieldKind::Other => "Custom",
    }
}

fn warn_unknown(ctx: &mut Context<'_>, unknown: &[String]) -> Result<(), CommandError> {
    match unknown {
        [] => Ok(()),
        some => {
            // Ganeti's words; only what would not be seen is quoted.
            let seen = |name: &String| if name.is_empty() { "''".into() } else { name.clone() };
            let names: Vec<String> = some.iter().map(seen).collect();
            ctx.warn(&format!("Warning: Queried for unknown fields {}", names.join(", ")))
        }
    }
}

fn refuse_unknown(unknown: Vec<String>) -> Result<(), CommandError> {
    match unknown.is_empty() {
        true => Ok(()),
        false => {
            let error = Failure::UnknownFields(unknown);
            Err(CommandError::new(CommandErrorKind::UnknownField, error))
        }
    }
}

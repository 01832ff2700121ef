//! Listing anything that can be queried: what all `list` commands share.

use gantry_model::query::{Resource, Table};

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::options::{ListArgs, UnitsArgs};
use crate::output::cells::format_answer;
use crate::output::json::table_document;

/// Asks for a table and prints it.
///
/// # Errors
/// When a name or a field does not exist; the table has been printed in the second case.
pub(crate) async fn list(
    ctx: &mut Context<'_>,
    resource: Resource,
    names: &[String],
    default_fields: &[&str],
    args: &ListArgs,
    units: UnitsArgs,
) -> Result<(), CommandError> {
    let fields = args.fields(default_fields);
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let client = ctx.client().await?;
    let table = client.query(resource, &fields, names).await?;
    show(ctx, &table, args, units)
}

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
    if !table.unknown_fields.is_empty() {
        let unknown = table.unknown_fields.join(", ");
        ctx.warn(&format!("Warning: Queried for unknown fields {unknown}"))?;
    }
    if ctx.json() {
        ctx.set_document(table_document(table));
    } else {
        for line in format_answer(table, &args.style(units, ctx)) {
            ctx.say(&line)?;
        }
    }
    match table.unknown_fields.is_empty() {
        true => Ok(()),
        false => {
            let error = Failure::UnknownFields(table.unknown_fields.clone());
            Err(CommandError::new(CommandErrorKind::UnknownField, error))
        }
    }
}

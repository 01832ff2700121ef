//! Tables of what nodes say of themselves: columns by name, filled here and not by the master.
//!
//! Each command has its columns as a list of [`Column`]; which are shown, and how, is the same for
//! all of them.

use gantry_model::query::{Cell, FieldDef, FieldKind, Table};

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::show;
use crate::options::{ListArgs, UnitsArgs};

/// A column, and how a row fills it. All columns of a command are shown unless some are asked for.
pub(super) struct Column<T> {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: FieldKind,
    pub(super) cell: fn(&T) -> Cell,
}

/// Prints the rows in the columns that are asked for.
///
/// # Errors
/// When one of them does not exist; the others have been printed then.
pub(super) fn show_rows<T>(
    ctx: &mut Context<'_>,
    columns: &[Column<T>],
    rows: &[T],
    args: &ListArgs,
) -> Result<(), CommandError> {
    let all: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let fields = match args.fields(&all) {
        fields if fields.is_empty() => all.iter().map(|&name| name.to_owned()).collect(),
        fields => fields,
    };
    show(ctx, &table(columns, rows, &fields), args, UnitsArgs::default())
}

fn table<T>(columns: &[Column<T>], rows: &[T], fields: &[String]) -> Table {
    let chosen: Vec<(&String, Option<&Column<T>>)> = fields
        .iter()
        .map(|field| (field, columns.iter().find(|column| column.name == field)))
        .collect();
    let def = |(name, column): &(&String, Option<&Column<T>>)| FieldDef {
        name: (*name).clone(),
        title: column.map_or_else(|| (*name).clone(), |column| column.title.to_owned()),
        kind: column.map_or(FieldKind::Text, |column| column.kind),
        doc: String::new(),
    };
    let cells = |row: &T| -> Vec<Cell> {
        let cell = |column: &Column<T>| (column.cell)(row);
        chosen.iter().map(|(_, column)| column.map_or(Cell::Unknown, cell)).collect()
    };
    let unknown = chosen.iter().filter(|(_, column)| column.is_none());
    Table {
        fields: chosen.iter().map(def).collect(),
        rows: rows.iter().map(cells).collect(),
        unknown_fields: unknown.map(|(name, _)| (*name).clone()).collect(),
        filtered: false,
    }
}

/// One line of a list of columns.
macro_rules! column {
    ($name:literal, $title:literal, $kind:ident, $cell:expr) => {
        Column { name: $name, title: $title, kind: FieldKind::$kind, cell: $cell }
    };
}
pub(super) use column;

//! Rows of a query by field name, for commands that print trees.

use gantry_model::query::{Cell, Table};
use serde_json::Value;

use crate::output::info::{Info, parameters};

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    table: &'a Table,
    row: &'a [Cell],
}

/// The rows of a table.
pub(crate) fn records(table: &Table) -> impl Iterator<Item = Record<'_>> {
    table.rows.iter().map(move |row| Record { table, row })
}

impl<'a> Record<'a> {
    /// Whether the cluster has this field: an older one may not.
    #[must_use]
    pub(crate) fn knows(&self, field: &str) -> bool {
        let at = self.table.fields.iter().position(|def| def.name == field);
        at.and_then(|at| self.row.get(at)).is_some_and(|cell| *cell != Cell::Unknown)
    }

    /// A value, if the field exists and has one.
    #[must_use]
    pub(crate) fn value(&self, field: &str) -> Option<&'a Value> {
        let at = self.table.fields.iter().position(|def| def.name == field)?;
        match self.row.get(at) {
            Some(Cell::Value(value)) => Some(value),
            _ => None,
        }
    }

    /// A value as text; empty where there is none.
    #[must_use]
    pub(crate) fn text(&self, field: &str) -> String {
        match self.value(field) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// A value that is a whole number.
    #[must_use]
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.value(field).and_then(Value::as_u64)
    }

    /// A value that is true or false.
    #[must_use]
    pub(crate) fn flag(&self, field: &str) -> Option<bool> {
        self.value(field).and_then(Value::as_bool)
    }

    /// The items of a value that is a list; none otherwise.
    #[must_use]
    pub(crate) fn items(&self, field: &str) -> &'a [Value] {
        self.value(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// A set of parameters that is a field; `set` is the field with those that are not defaults (C218).
#[must_use]
pub(crate) fn filled(record: &Record<'_>, all: &str, set: &str) -> Info {
    filled_with(record, all, set, None)
}

/// The same with one more.
#[must_use]
pub(crate) fn filled_with(
    record: &Record<'_>,
    all: &str,
    set: &str,
    more: Option<(&str, &Value)>,
) -> Info {
    let object = |field: &str| record.value(field).and_then(Value::as_object);
    let all = object(all).into_iter().flatten().map(|(name, value)| (name.as_str(), value));
    let rows: Vec<(String, String)> =
        all.chain(more).map(|(name, value)| (name.to_owned(), leaf(value))).collect();
    parameters(&rows, |name| object(set).is_some_and(|set| set.contains_key(name)))
}

/// A value in one line.
#[must_use]
pub(crate) fn leaf(value: &Value) -> String {
    match Info::json(value) {
        Info::Text(text) => text,
        Info::List(_) | Info::Map(_) => value.to_string(),
    }
}

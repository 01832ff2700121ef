//! Filling a table.

use std::collections::BTreeMap;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::locks::LockRow;
use gantry_model::query::{Cell, FieldDef, FieldKind, Resource, Table};

use super::picture::Picture;
use super::{instance, job, lock, node};
use crate::state::ClusterState;

/// What is known besides the state.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// What nodes have reported.
    pub picture: &'a Picture,
    /// States of jobs that differ from the log: those that wait.
    pub jobs: &'a BTreeMap<JobId, JobStatus>,
    /// The lock table, if locks are asked for.
    pub locks: &'a [LockRow],
}

/// Which rows: these names, ids or numbers; none is all.
pub type Names<'a> = &'a [String];

/// A column and how to fill it from an object.
pub(super) struct Column<T: ?Sized> {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: FieldKind,
    pub(super) doc: &'static str,
    pub(super) fill: fn(&ClusterState, Live<'_>, &T) -> Cell,
}

/// One line of a table of columns.
macro_rules! column {
    ($name:literal, $title:literal, $kind:ident, $doc:literal, $fill:expr) => {
        Column { name: $name, title: $title, kind: FieldKind::$kind, doc: $doc, fill: $fill }
    };
}
pub(super) use column;

impl<T: ?Sized> Column<T> {
    fn def(&self) -> FieldDef {
        FieldDef {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            kind: self.kind,
            doc: self.doc.to_owned(),
        }
    }
}

/// All columns of a resource.
#[must_use]
pub fn field_defs(resource: Resource) -> Vec<FieldDef> {
    match resource {
        Resource::Instance => instance::COLUMNS.iter().map(Column::def).collect(),
        Resource::Node => node::COLUMNS.iter().map(Column::def).collect(),
        Resource::Job => job::COLUMNS.iter().map(Column::def).collect(),
        Resource::Lock => lock::COLUMNS.iter().map(Column::def).collect(),
    }
}

/// Fills a table.
///
/// # Errors
/// When a name is asked for that does not exist.
pub fn table(
    state: &ClusterState,
    live: Live<'_>,
    resource: Resource,
    fields: &[String],
    names: Names<'_>,
) -> Result<Table, Fault> {
    match resource {
        Resource::Instance => {
            Ok(fill(state, live, instance::COLUMNS, fields, &instance::rows(state, names)?))
        }
        Resource::Node => Ok(fill(state, live, node::COLUMNS, fields, &node::rows(state, names)?)),
        Resource::Job => Ok(fill(state, live, job::COLUMNS, fields, &job::rows(state, names)?)),
        Resource::Lock => {
            Ok(fill(state, live, lock::COLUMNS, fields, &lock::rows(live.locks, names)?))
        }
    }
}

fn fill<T: ?Sized>(
    state: &ClusterState,
    live: Live<'_>,
    columns: &'static [Column<T>],
    fields: &[String],
    rows: &[&T],
) -> Table {
    let asked: Vec<(FieldDef, Option<&Column<T>>)> = if fields.is_empty() {
        columns.iter().map(|column| (column.def(), Some(column))).collect()
    } else {
        fields.iter().map(|field| find(columns, field)).collect()
    };
    let unknown_fields =
        asked.iter().filter(|(_, c)| c.is_none()).map(|(def, _)| def.name.clone()).collect();
    let rows = rows
        .iter()
        .map(|row| {
            asked
                .iter()
                .map(|(_, column)| match column {
                    Some(column) => (column.fill)(state, live, row),
                    None => Cell::Unknown,
                })
                .collect()
        })
        .collect();
    Table { fields: asked.into_iter().map(|(def, _)| def).collect(), rows, unknown_fields }
}

fn find<T: ?Sized>(
    columns: &'static [Column<T>],
    field: &str,
) -> (FieldDef, Option<&'static Column<T>>) {
    match columns.iter().find(|column| column.name == field) {
        Some(column) => (column.def(), Some(column)),
        None => {
            let def = FieldDef {
                name: field.to_owned(),
                title: field.to_owned(),
                kind: FieldKind::Other,
                doc: String::new(),
            };
            (def, None)
        }
    }
}

/// The fault of a name that does not exist.
pub(super) fn unknown(what: &str, name: &str) -> Fault {
    Fault::new(FaultCode::UnknownEntity, format!("{what} {name} does not exist"))
}

pub(super) fn text(value: impl Into<String>) -> Cell {
    Cell::Value(serde_json::Value::String(value.into()))
}

pub(super) fn number(value: impl Into<u64>) -> Cell {
    Cell::Value(serde_json::Value::from(value.into()))
}

pub(super) fn count(value: usize) -> Cell {
    Cell::Value(serde_json::Value::from(value))
}

pub(super) fn flag(value: bool) -> Cell {
    Cell::Value(serde_json::Value::Bool(value))
}

pub(super) fn list(values: impl IntoIterator<Item = impl Into<serde_json::Value>>) -> Cell {
    Cell::Value(serde_json::Value::Array(values.into_iter().map(Into::into).collect()))
}

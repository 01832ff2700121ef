//! Filling a table.

use std::collections::BTreeMap;

use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::locks::LockRow;
use gantry_model::messages::Fields;
use gantry_model::query::{Cell, FieldDef, FieldKind, Resource, Table};

use super::nice_sort::nice_key;
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
    /// Jobs from the history, newest first, if they are asked for.
    pub archived: &'a [JobRecord],
    /// The lock table, if locks are asked for.
    pub locks: &'a [LockRow],
}

/// Which rows: these names, ids or numbers; none is all.
pub type Names<'a> = &'a [String];

/// A column and how to fill it from an object.
pub(super) struct Column<T> {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: FieldKind,
    pub(super) doc: &'static str,
    pub(super) fill: fn(&ClusterState, Live<'_>, &T) -> Cell,
}

/// All columns of a resource, in several tables by subject.
pub(super) struct Columns<T: 'static> {
    pub(super) tables: &'static [&'static [Column<T>]],
    /// Second names of columns.
    pub(super) aliases: &'static [(&'static str, &'static str)],
}

impl<T> Columns<T> {
    fn iter(&self) -> impl Iterator<Item = &'static Column<T>> + use<T> {
        self.tables.iter().flat_map(|table| table.iter())
    }

    /// What is asked for by this name, and the column, if there is one.
    fn find(&self, field: &str) -> (FieldDef, Option<&'static Column<T>>) {
        let alias = self.aliases.iter().find(|(alias, _)| *alias == field);
        let name = alias.map_or(field, |(_, name)| *name);
        match self.iter().find(|column| column.name == name) {
            Some(column) => (FieldDef { name: field.to_owned(), ..column.def() }, Some(column)),
            None => (FieldDef::unknown(field), None),
        }
    }

    /// Those asked for, or all with their second names, by name.
    fn defs(&self, names: &[String]) -> Fields {
        if !names.is_empty() {
            let (fields, columns): (Vec<_>, Vec<_>) =
                names.iter().map(|name| self.find(name)).unzip();
            let unknown = names.iter().zip(columns).filter(|(_, column)| column.is_none());
            let unknown_fields = unknown.map(|(name, _)| name.clone()).collect();
            return Fields { fields, unknown_fields };
        }
        let aliases = self.aliases.iter().map(|(alias, _)| self.find(alias).0);
        let mut all: Vec<FieldDef> = self.iter().map(Column::def).chain(aliases).collect();
        all.sort_by_cached_key(|def| nice_key(&def.name));
        Fields { fields: all, unknown_fields: Vec::new() }
    }
}

/// One line of a table of columns.
macro_rules! column {
    ($name:expr, $title:expr, $kind:ident, $doc:expr, $fill:expr $(,)?) => {
        Column { name: $name, title: $title, kind: FieldKind::$kind, doc: $doc, fill: $fill }
    };
}
pub(super) use column;

impl<T> Column<T> {
    fn def(&self) -> FieldDef {
        FieldDef {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            kind: self.kind,
            doc: self.doc.to_owned(),
        }
    }
}

/// The fields of a resource by these names; no names is all, sorted.
#[must_use]
pub fn fields(resource: Resource, names: &[String]) -> Fields {
    match resource {
        Resource::Instance => instance::COLUMNS.defs(names),
        Resource::Node => node::COLUMNS.defs(names),
        Resource::Job => job::COLUMNS.defs(names),
        Resource::Lock => lock::COLUMNS.defs(names),
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
            Ok(fill(state, live, &instance::COLUMNS, fields, &instance::rows(state, names)?))
        }
        Resource::Node => Ok(fill(state, live, &node::COLUMNS, fields, &node::rows(state, names)?)),
        Resource::Job => {
            Ok(fill(state, live, &job::COLUMNS, fields, &job::rows(state, live.archived, names)?))
        }
        Resource::Lock => {
            Ok(fill(state, live, &lock::COLUMNS, fields, &lock::rows(live.locks, names)?))
        }
    }
}

fn fill<T>(
    state: &ClusterState,
    live: Live<'_>,
    columns: &Columns<T>,
    fields: &[String],
    rows: &[&T],
) -> Table {
    let asked: Vec<(FieldDef, Option<&Column<T>>)> = if fields.is_empty() {
        columns.iter().map(|column| (column.def(), Some(column))).collect()
    } else {
        fields.iter().map(|field| columns.find(field)).collect()
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

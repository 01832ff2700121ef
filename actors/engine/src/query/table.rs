//! Filling a table.

use std::collections::BTreeMap;

use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobRecord, JobStatus};
use gantry_model::locks::LockRow;
use gantry_model::messages::{ClusterInfo, Fields};
use gantry_model::query::{Cell, FieldDef, FieldKind, Filter, FilterValue, Resource, Table};

use super::filter::{CompareAs, FilterCheck, FilterField};
use super::nice_sort::nice_key;
use super::picture::Picture;
use super::{cluster, instance, job, lock, node};
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
    /// The cluster, if it is asked for.
    pub cluster: Option<&'a ClusterInfo>,
}

/// Which rows: these names, ids or numbers; none is all.
pub type Names<'a> = &'a [String];

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of what.
    pub resource: Resource,
    /// Columns; none is all.
    pub fields: &'a [String],
    /// Rows.
    pub names: Names<'a>,
    /// Which of them. Where `names` has none and the filter asks for nothing but names, each of
    /// them must exist (C208).
    pub filter: Option<&'a Filter>,
}

/// A column and how to fill it from an object.
pub(super) struct Column<T> {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: FieldKind,
    pub(super) doc: &'static str,
    pub(super) compare: CompareAs,
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

/// One line of a table of columns; `Name:` or `Moment:` before it is how filters compare it.
macro_rules! column {
    ($compare:ident: $name:expr, $title:expr, $kind:ident, $doc:expr, $fill:expr $(,)?) => {
        Column {
            name: $name,
            title: $title,
            kind: FieldKind::$kind,
            doc: $doc,
            compare: $crate::query::CompareAs::$compare,
            fill: $fill,
        }
    };
    ($name:expr, $title:expr, $kind:ident, $doc:expr, $fill:expr $(,)?) => {
        column!(Plain: $name, $title, $kind, $doc, $fill)
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
        Resource::Cluster => cluster::COLUMNS.defs(names),
    }
}

/// Fills a table.
///
/// # Errors
/// When a name is asked for that does not exist, or the filter cannot be applied.
pub fn table(state: &ClusterState, live: Live<'_>, asked: Asked<'_>) -> Result<Table, Fault> {
    let names = asked.rows_by_name();
    let names = names.as_deref().unwrap_or(asked.names);
    match asked.resource {
        Resource::Instance => {
            let rows = there(instance::rows(state, names)?);
            fill(state, live, &instance::COLUMNS, asked, &rows)
        }
        Resource::Node => {
            fill(state, live, &node::COLUMNS, asked, &there(node::rows(state, names)?))
        }
        Resource::Job => {
            fill(state, live, &job::COLUMNS, asked, &job::rows(state, live.archived, names)?)
        }
        Resource::Lock => {
            fill(state, live, &lock::COLUMNS, asked, &there(lock::rows(live.locks, names)?))
        }
        Resource::Cluster => {
            let rows = there(cluster::rows(live.cluster, names)?);
            fill(state, live, &cluster::COLUMNS, asked, &rows)
        }
    }
}

/// What a row is about.
pub(super) enum Row<'a, T> {
    /// An object.
    There(&'a T),
    /// None, but it was asked for by this.
    Missing { key: Cell },
}

fn there<T>(objects: Vec<&T>) -> Vec<Row<'_, T>> {
    objects.into_iter().map(Row::There).collect()
}

/// The column by which rows are named.
fn key(resource: Resource) -> &'static str {
    match resource {
        Resource::Instance | Resource::Node | Resource::Lock | Resource::Cluster => "name",
        Resource::Job => "id",
    }
}

impl Asked<'_> {
    /// The rows that the filter names, if it does nothing else and nothing else names any.
    #[must_use]
    pub fn rows_by_name(&self) -> Option<Vec<String>> {
        let resource = self.resource;
        let filter = self.filter.filter(|_| self.names.is_empty())?;
        let values = filter.asks_only_for(key(resource)).filter(|values| !values.is_empty())?;
        // What is of another kind is no name; the filter is refused for it.
        let name = |value: &FilterValue| match (resource, value) {
            (Resource::Job, FilterValue::Number(id)) => Some(id.to_string()),
            (Resource::Job, _) => None,
            (_, FilterValue::Text(name)) => Some(name.clone()),
            _ => None,
        };
        values.into_iter().map(name).collect()
    }
}

fn fill<T>(
    state: &ClusterState,
    live: Live<'_>,
    columns: &Columns<T>,
    asked: Asked<'_>,
    rows: &[Row<'_, T>],
) -> Result<Table, Fault> {
    let shown: Vec<(FieldDef, Option<&Column<T>>)> = if asked.fields.is_empty() {
        columns.iter().map(|column| (column.def(), Some(column))).collect()
    } else {
        asked.fields.iter().map(|field| columns.find(field)).collect()
    };
    let unknown_fields =
        shown.iter().filter(|(_, c)| c.is_none()).map(|(def, _)| def.name.clone()).collect();
    let find = |name: &str| {
        let column = columns.find(name).1?;
        Some(FilterField { column, kind: column.kind, compare: column.compare })
    };
    let filter = asked.filter.map(|filter| FilterCheck::new(filter, &find)).transpose()?;
    let key = key(asked.resource);
    let cell = |row: &Row<'_, T>, column: &Column<T>| match row {
        Row::There(object) => (column.fill)(state, live, object),
        Row::Missing { key: value } if column.name == key => value.clone(),
        Row::Missing { .. } => Cell::Unavailable,
    };
    let mut filled = Vec::with_capacity(rows.len());
    for row in rows {
        let wanted = match &filter {
            Some(filter) => filter.wants(&|column| cell(row, column))?,
            None => true,
        };
        if wanted {
            let cells = shown.iter().map(|(_, column)| match column {
                Some(column) => cell(row, column),
                None => Cell::Unknown,
            });
            filled.push(cells.collect());
        }
    }
    let fields = shown.into_iter().map(|(def, _)| def).collect();
    Ok(Table { fields, rows: filled, unknown_fields, filtered: asked.filter.is_some() })
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

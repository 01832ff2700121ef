//! Columns of locks (row L23).

use gantry_model::errors::Fault;
use gantry_model::locks::LockRow;
use gantry_model::query::{Cell, FieldKind};

use super::table::{Column, Columns, Names, column, list, text};
use crate::state::unknown;

pub(super) fn rows<'a>(locks: &'a [LockRow], names: Names<'_>) -> Result<Vec<&'a LockRow>, Fault> {
    if names.is_empty() {
        return Ok(locks.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            locks
                .iter()
                .find(|row| row.name.to_string() == *name)
                .ok_or_else(|| unknown("lock", name))
        })
        .collect()
}

pub(super) const COLUMNS: Columns<LockRow> = Columns { tables: &[TABLE], aliases: &[] };

const TABLE: &[Column<LockRow>] = &[
    column!("name", "Name", Text, "Name of the lock", |_, _, row| text(row.name.to_string())),
    column!("mode", "Mode", Text, "How it is held", |_, _, row| {
        row.mode.map_or(Cell::Unavailable, |mode| text(mode.as_str()))
    }),
    column!("owner", "Owner", Other, "Jobs that hold it", |_, _, row| {
        if row.owners.is_empty() {
            return Cell::Unavailable;
        }
        list(row.owners.iter().map(|job| format!("job/{job}")))
    }),
    column!("pending", "Pending", Other, "Jobs that wait for it", |_, _, row| {
        if row.pending.is_empty() {
            return Cell::Unavailable;
        }
        list(row.pending.iter().map(|(mode, jobs)| {
            let jobs: Vec<String> = jobs.iter().map(|job| format!("job/{job}")).collect();
            format!("{}:{}", mode.as_str(), jobs.join(","))
        }))
    }),
];

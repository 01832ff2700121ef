//! Columns of locks (row L23).

use gantry_model::errors::Fault;
use gantry_model::locks::{LockMode, LockRow};
use gantry_model::query::{Cell, FieldKind};
use serde_json::json;

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

/// As Ganeti tells them: jobs by number; a lock that nobody holds has no mode, no owners.
const TABLE: &[Column<LockRow>] = &[
    column!("name", "Name", Other, "Lock name", |_, _, row| text(row.name.to_string())),
    column!(
        "mode",
        "Mode",
        Other,
        "Mode in which the lock is currently acquired (exclusive or shared)",
        |_, _, row| Cell::Value(json!(row.mode.map(LockMode::as_str)))
    ),
    column!("owner", "Owner", Other, "Current lock owner(s)", |_, _, row| {
        list(row.owners.iter().map(ToString::to_string))
    }),
    column!("pending", "Pending", Other, "Jobs waiting for the lock", |_, _, row| {
        list(row.pending.iter().map(|(mode, jobs)| {
            let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
            json!([mode.as_str(), jobs])
        }))
    }),
];

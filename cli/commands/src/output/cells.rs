//! Values of a query as text (C206, C207).

use gantry_model::query::{Cell, FieldDef, FieldKind, Table};
use gantry_model::units::{MiB, Timestamp};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::python::python;
use super::table::{Column, format_table};
use super::time::{format_time, format_time_exact};
use crate::parse::size::{Unit, format_size};

/// How a list is wanted.
#[derive(Clone, Debug)]
pub struct ListStyle {
    /// With the header line.
    pub headers: bool,
    /// Between values, for machines.
    pub separator: Option<String>,
    /// Of sizes.
    pub unit: Unit,
    /// Words in place of marks for missing values.
    pub verbose: bool,
    /// For times.
    pub time_zone: TimeZone,
}

/// Lays out the answer of a query.
#[must_use]
pub fn format_answer(table: &Table, style: &ListStyle) -> Vec<String> {
    let columns: Vec<Column> = table
        .fields
        .iter()
        .map(|field| Column { title: field.title.clone(), align_right: is_right(field.kind) })
        .collect();
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| {
            row.iter().zip(&table.fields).map(|(c, field)| cell_text(c, field, style)).collect()
        })
        .collect();
    format_table(&columns, &rows, style.headers, style.separator.as_deref())
}

fn is_right(kind: FieldKind) -> bool {
    match kind {
        FieldKind::Number | FieldKind::Float | FieldKind::Unit => true,
        FieldKind::Text | FieldKind::Bool | FieldKind::Timestamp | FieldKind::Other => false,
    }
}

fn cell_text(cell: &Cell, field: &FieldDef, style: &ListStyle) -> String {
    let mark = |mark: &str, word: &str| if style.verbose { word } else { mark }.to_owned();
    match cell {
        Cell::Value(value) => value_text(value, field, style),
        Cell::Unknown => mark("??", "(unknown)"),
        Cell::NoData => mark("?", "(nodata)"),
        Cell::Unavailable => mark("-", "(unavail)"),
        Cell::Offline => mark("*", "(offline)"),
    }
}

fn value_text(value: &Value, field: &FieldDef, style: &ListStyle) -> String {
    match (field.kind, value) {
        (FieldKind::Bool, Value::Bool(true)) => "Y".to_owned(),
        (FieldKind::Bool, Value::Bool(false)) => "N".to_owned(),
        (FieldKind::Unit, Value::Number(mib)) => match mib.as_u64() {
            Some(mib) => format_size(MiB(mib), style.unit),
            None => mib.to_string(),
        },
        (FieldKind::Timestamp, Value::Number(micros)) => match micros.as_u64() {
            Some(micros) => format_time(Timestamp(micros), &style.time_zone),
            None => micros.to_string(),
        },
        (_, value) if OF_LOCKS.contains(&field.name.as_str()) => of_lock(value),
        (_, value @ Value::Array(_)) if JOINED.contains(&field.name.as_str()) => joined(value, ","),
        (_, Value::Array(values)) if MOMENTS.contains(&field.name.as_str()) => {
            let times = values.iter().map(|value| moment(value, &style.time_zone)).collect();
            python(&Value::Array(times))
        }
        (_, value) => plain(value),
    }
}

/// Lists that are written with commas alone.
const JOINED: [&str; 14] = [
    "tags",
    "disk.sizes",
    "nic.macs",
    "nic.ips",
    "nic.modes",
    "nic.links",
    "nic.bridges",
    "nic.networks",
    "snodes",
    "snodes.group",
    "snodes.group.uuid",
    "pinst_list",
    "sinst_list",
    "summary",
];

/// Of locks: nothing is a dash, lists are written with commas.
const OF_LOCKS: [&str; 3] = ["mode", "owner", "pending"];

fn of_lock(value: &Value) -> String {
    let waiters = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([mode, jobs]) => format!("{}:{}", plain(mode), joined(jobs, ",")),
        _ => plain(value),
    };
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let is_waiters = items.iter().any(Value::is_array);
            let texts: Vec<String> = items.iter().map(waiters).collect();
            texts.join(if is_waiters { ", " } else { "," })
        }
        other => plain(other),
    }
}

fn joined(list: &Value, separator: &str) -> String {
    let texts: Vec<String> = list.as_array().into_iter().flatten().map(plain).collect();
    texts.join(separator)
}

/// Lists of moments, each of which is a pair of seconds and microseconds.
const MOMENTS: [&str; 3] = ["opstart", "opexec", "opend"];

fn moment(pair: &Value, zone: &TimeZone) -> Value {
    let numbers = |pair: &Vec<Value>| Some((pair.first()?.as_u64()?, pair.get(1)?.as_u64()?));
    match pair.as_array().and_then(numbers) {
        Some((seconds, micros)) => {
            let at = Timestamp(seconds.saturating_mul(1_000_000).saturating_add(micros));
            Value::String(format_time_exact(at, zone))
        }
        None => pair.clone(),
    }
}

/// A value of no special kind: text as it is, everything else as Python writes it.
fn plain(value: &Value) -> String {
    match value {
        // A line of a table is one line whatever is in it.
        Value::String(text) => text.replace(['\n', '\r'], " "),
        other => python(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: FieldKind) -> FieldDef {
        FieldDef { name: name.into(), title: name.into(), kind, doc: String::new() }
    }

    fn style() -> ListStyle {
        ListStyle {
            headers: false,
            separator: None,
            unit: Unit::H,
            verbose: false,
            time_zone: TimeZone::UTC,
        }
    }

    // covers: C207
    #[test]
    fn missing_values_have_marks_and_words() {
        let text = field("name", FieldKind::Text);
        let verbose = ListStyle { verbose: true, ..style() };
        for (cell, mark, word) in [
            (Cell::Unknown, "??", "(unknown)"),
            (Cell::NoData, "?", "(nodata)"),
            (Cell::Unavailable, "-", "(unavail)"),
            (Cell::Offline, "*", "(offline)"),
        ] {
            assert_eq!(cell_text(&cell, &text, &style()), mark);
            assert_eq!(cell_text(&cell, &text, &verbose), word);
        }
    }

    // covers: C206
    #[test]
    fn values_are_shown_by_their_kind() {
        for (kind, value, text) in [
            (FieldKind::Bool, Value::from(true), "Y"),
            (FieldKind::Bool, Value::from(false), "N"),
            (FieldKind::Unit, Value::from(128), "128M"),
            (FieldKind::Number, Value::from(128), "128"),
            (FieldKind::Timestamp, Value::from(1_795_327_674_773_264_u64), "2026-11-22 06:07:54"),
            (FieldKind::Other, serde_json::json!(["a", null]), "['a', None]"),
            (FieldKind::Other, serde_json::json!([]), "[]"),
            (FieldKind::Text, Value::from("a\nb"), "a b"),
            (FieldKind::Other, Value::Null, "None"),
        ] {
            assert_eq!(cell_text(&Cell::Value(value), &field("f", kind), &style()), text);
        }
    }

    // covers: C206
    #[test]
    fn some_lists_are_joined_and_some_are_of_times() {
        let text = |name, value| value_text(&value, &field(name, FieldKind::Other), &style());
        assert_eq!(text("tags", serde_json::json!(["a", "b"])), "a,b");
        assert_eq!(text("tags", serde_json::json!([])), "");
        let moments = serde_json::json!([[1_795_327_674, 773_264], null]);
        assert_eq!(text("opend", moments), "['2026-11-22 06:07:54.773264', None]");
    }
}

//! Results as JSON: one document per command, values with their types.

use gantry_model::errors::Fault;
use gantry_model::jobs::LogLine;
use gantry_model::query::{Cell, Table};
use serde_json::{Map, Value, json};

/// A table as a list of objects. What is missing is `null`, and `_missing` says why.
#[must_use]
pub fn table_document(table: &Table) -> Value {
    let rows = table.rows.iter().map(|row| {
        let mut object = Map::new();
        let mut missing = Map::new();
        for (cell, field) in row.iter().zip(&table.fields) {
            let value = match cell {
                Cell::Value(value) => value.clone(),
                Cell::Unknown | Cell::NoData | Cell::Unavailable | Cell::Offline => {
                    missing.insert(field.name.clone(), json!(word(cell)));
                    Value::Null
                }
            };
            object.insert(field.name.clone(), value);
        }
        if !missing.is_empty() {
            object.insert("_missing".to_owned(), Value::Object(missing));
        }
        Value::Object(object)
    });
    Value::Array(rows.collect())
}

/// Why a value is missing, in Ganeti's words.
fn word(cell: &Cell) -> &'static str {
    match cell {
        Cell::Value(_) => "normal",
        Cell::Unknown => "unknown",
        Cell::NoData => "nodata",
        Cell::Unavailable => "unavail",
        Cell::Offline => "offline",
    }
}

/// A refusal.
#[must_use]
pub fn fault_document(fault: &Fault) -> Value {
    json!({
        "code": fault.code.as_str(),
        "message": fault.message,
        "chain": fault.chain,
        "retryable": fault.retryable,
    })
}

/// Lines of a job's log.
#[must_use]
pub fn log_document(lines: &[LogLine]) -> Value {
    let lines = lines.iter().map(|line| {
        json!({
            "serial": line.serial,
            "at_us": line.at.0,
            "kind": line.kind.as_str(),
            "text": line.text,
        })
    });
    Value::Array(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_model::query::{FieldDef, FieldKind};

    #[test]
    fn values_keep_their_types_and_missing_ones_their_reason() {
        let field = |name: &str, kind| FieldDef {
            name: name.into(),
            title: name.into(),
            kind,
            doc: String::new(),
        };
        let table = Table {
            fields: vec![
                field("name", FieldKind::Text),
                field("oper_ram", FieldKind::Unit),
                field("oper_vcpus", FieldKind::Number),
            ],
            rows: vec![vec![
                Cell::Value(json!("web1")),
                Cell::Value(json!(128)),
                Cell::Unavailable,
            ]],
            unknown_fields: Vec::new(),
            filtered: false,
        };
        let expected = json!([{
            "name": "web1",
            "oper_ram": 128,
            "oper_vcpus": null,
            "_missing": {"oper_vcpus": "unavail"},
        }]);
        assert_eq!(table_document(&table), expected);
    }
}

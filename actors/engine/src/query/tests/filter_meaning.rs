//! Filters against a second, naive reading of the same rules, on random values.

use std::collections::BTreeMap;

use gantry_model::query::{Cell, Comparison, FieldKind, Filter, FilterValue, Pattern};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{CompareAs, FilterCheck, FilterField};

type Row = BTreeMap<&'static str, Cell>;

const FIELDS: [(&str, FieldKind, CompareAs); 5] = [
    ("name", FieldKind::Text, CompareAs::Name),
    ("size", FieldKind::Unit, CompareAs::Plain),
    ("up", FieldKind::Bool, CompareAs::Plain),
    ("tags", FieldKind::Other, CompareAs::Plain),
    ("start", FieldKind::Other, CompareAs::Moment),
];

fn check(filter: &Filter, row: &Row) -> Result<bool, ()> {
    let find = |name: &str| {
        let (column, kind, compare) = FIELDS.into_iter().find(|(field, ..)| *field == name)?;
        Some(FilterField { column, kind, compare })
    };
    let check = FilterCheck::new(filter, &find).map_err(drop)?;
    check.wants(&|column| row[*column].clone()).map_err(drop)
}

/// The same, read off the rules one by one, with texts for operators and no check before.
fn naive(filter: &Value, row: &Row) -> Result<bool, ()> {
    let parts = filter.as_array().ok_or(())?;
    let operator = parts[0].as_str().ok_or(())?;
    match operator {
        "&" => {
            for part in &parts[1..] {
                if !naive(part, row)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        "|" => {
            for part in &parts[1..] {
                if naive(part, row)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        "!" => return Ok(!naive(&parts[1], row)?),
        "!=" => {
            let equal = json!(["==", parts[1], parts[2]]);
            return Ok(!naive(&equal, row)?);
        }
        _ => {}
    }
    let field = parts[1].as_str().ok_or(())?;
    let Cell::Value(value) = &row[field] else { return Ok(true) };
    if operator == "?" {
        return value.as_bool().ok_or(());
    }
    let with = &parts[2];
    match operator {
        "=~" => {
            let pattern = Pattern::new(with.as_str().ok_or(())?).map_err(drop)?;
            return value.as_str().map(|text| pattern.is_in(text)).ok_or(());
        }
        "=[]" => return value.as_array().map(|items| items.contains(with)).ok_or(()),
        _ => {}
    }
    let value = if field == "start" { &value[0] } else { value };
    let is_prefix = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}."));
    match (value, with) {
        (Value::String(a), Value::String(b)) => Ok(match operator {
            "==" if field == "name" => is_prefix(a, b),
            "==" => a == b,
            "<" => a < b,
            "<=" => a <= b,
            ">" => a > b,
            _ => a >= b,
        }),
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_i64().ok_or(())?, b.as_i64().ok_or(())?);
            Ok(match operator {
                "==" => a == b,
                "<" => a < b,
                "<=" => a <= b,
                ">" => a > b,
                _ => a >= b,
            })
        }
        _ => Err(()),
    }
}

fn missing() -> impl Strategy<Value = Cell> {
    prop_oneof![Just(Cell::NoData), Just(Cell::Unavailable), Just(Cell::Offline)]
}

fn or_missing(values: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Cell> {
    prop_oneof![4 => values.prop_map(Cell::Value), 1 => missing()]
}

fn rows() -> impl Strategy<Value = Row> {
    let name = prop_oneof![Just("a"), Just("a.b"), Just("a.b.c"), Just("ab")].prop_map(Value::from);
    let tags = proptest::collection::vec("[ab]", 0..3).prop_map(|tags| json!(tags));
    let start = (-2_i64..3, 0_u32..2).prop_map(|(seconds, micros)| json!([seconds, micros]));
    let size = (-2_i64..3).prop_map(Value::from);
    let up = any::<bool>().prop_map(Value::from);
    (or_missing(name), or_missing(size), or_missing(up), or_missing(tags), or_missing(start))
        .prop_map(|(name, size, up, tags, start)| {
            [("name", name), ("size", size), ("up", up), ("tags", tags), ("start", start)].into()
        })
}

fn leaves() -> impl Strategy<Value = Filter> {
    let field = || proptest::sample::select(FIELDS.map(|field| field.0.to_owned()).to_vec());
    let value = || {
        prop_oneof![
            (-2_i64..3).prop_map(FilterValue::Number),
            proptest::sample::select(vec!["a", "a.b", "b", ""])
                .prop_map(|text| FilterValue::Text(text.to_owned())),
        ]
    };
    let pattern = proptest::sample::select(vec!["^a", r"\.b$", "(?i)A", ""])
        .prop_map(|text| Pattern::new(text).expect("usable"));
    prop_oneof![
        field().prop_map(|field| Filter::IsTrue { field }),
        (field(), proptest::sample::select(Comparison::ALL.to_vec()), value())
            .prop_map(|(field, comparison, value)| Filter::Compare { field, comparison, value }),
        (field(), pattern).prop_map(|(field, pattern)| Filter::Matches { field, pattern }),
        (field(), value()).prop_map(|(field, value)| Filter::Contains { field, value }),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    leaves().prop_recursive(4, 24, 4, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            several().prop_map(Filter::All),
            several().prop_map(Filter::Any),
            inner.clone().prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    // covers: C211 C212
    #[test]
    fn filters_mean_what_the_rules_say(filter in filters(), row in rows()) {
        let serial = serde_json::to_value(&filter).expect("encodes");
        match check(&filter, &row) {
            Ok(wants) => prop_assert_eq!(naive(&serial, &row), Ok(wants), "{}", serial),
            // It may be refused without a row that shows why, so the naive reading may not notice;
            // it must be refused there as well when every condition is looked at.
            Err(()) => prop_assert!(unsuitable(&filter), "{} {:?}", serial, row),
        }
    }

    // covers: C212
    #[test]
    fn what_is_written_is_read_again(filter in filters()) {
        let text = serde_json::to_string(&filter).expect("encodes");
        prop_assert_eq!(&serde_json::from_str::<Filter>(&text).expect("a filter"), &filter);
        let wire = gantry_wire::encode(&filter).expect("encodes");
        prop_assert_eq!(&gantry_wire::decode::<Filter>(&wire).expect("a filter"), &filter);
    }
}

/// Whether one of the conditions cannot be asked of some value of its field.
fn unsuitable(filter: &Filter) -> bool {
    let is = |field: &str, fields: &[&str]| fields.contains(&field);
    match filter {
        Filter::All(parts) | Filter::Any(parts) => parts.iter().any(unsuitable),
        Filter::Not(part) => unsuitable(part),
        Filter::IsTrue { field } => !is(field, &["up"]),
        Filter::Compare { field, value: FilterValue::Text(_), .. } => !is(field, &["name"]),
        Filter::Compare { field, value: FilterValue::Number(_), .. } => {
            !is(field, &["size", "start"])
        }
        Filter::Matches { field, .. } => !is(field, &["name"]),
        Filter::Contains { field, .. } => !is(field, &["tags", "start"]),
    }
}

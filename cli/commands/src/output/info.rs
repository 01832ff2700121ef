//! Trees of text that are also YAML (C218), as the `info` commands print them.
//!
//! ```text
//! - Instance name: web1
//!   Nodes:
//!     - primary: node1
//! ```
//!
//! A blank follows every colon, also at the end of a line: scripts compare whole lines.

use gantry_model::units::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::roman::roman;
use super::time::format_time;

const INDENT: &str = "  ";

/// A tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// A leaf.
    Text(String),
    /// Items, each behind a dash.
    List(Vec<Info>),
    /// Keys in this order.
    Map(Vec<(String, Info)>),
}

impl Info {
    /// A leaf.
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    /// A leaf with `True` or `False`.
    #[must_use]
    pub fn flag(value: bool) -> Self {
        Self::Text(if value { "True" } else { "False" }.to_owned())
    }

    /// A leaf with a point in time.
    #[must_use]
    pub fn time(at: Timestamp, zone: &TimeZone) -> Self {
        Self::Text(format_time(at, zone))
    }

    /// Keys in this order.
    #[must_use]
    pub fn map<K: Into<String>>(entries: Vec<(K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// The words, or `(none)`.
    #[must_use]
    pub fn words(words: &[String]) -> Self {
        match words.is_empty() {
            true => Self::text("(none)"),
            false => Self::Text(words.join(", ")),
        }
    }

    /// Any JSON value; keys are sorted.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        match value {
            Value::Null => Self::text("None"),
            Value::Bool(value) => Self::flag(*value),
            Value::Number(number) => Self::text(number),
            Value::String(text) => Self::text(text),
            Value::Array(items) => Self::List(items.iter().map(Self::json).collect()),
            Value::Object(entries) => {
                let mut entries: Vec<_> =
                    entries.iter().map(|(key, value)| (key.clone(), Self::json(value))).collect();
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                Self::Map(entries)
            }
        }
    }

    /// The same with whole numbers as the Romans wrote them, also those that are defaults. Names
    /// stay what they are.
    #[must_use]
    pub fn in_roman(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(roman_text(text)),
            Self::List(items) => Self::List(items.into_iter().map(Self::in_roman).collect()),
            Self::Map(entries) => {
                let roman = |(key, value): (String, Self)| match key.ends_with("name") {
                    true => (key, value),
                    false => (key, value.in_roman()),
                };
                Self::Map(entries.into_iter().map(roman).collect())
            }
        }
    }

    /// The text, every line ended.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0, false);
        out
    }

    /// `after_key`: the line has been begun with a key, so that a block must begin a new one.
    fn write(&self, out: &mut String, level: usize, after_key: bool) {
        match self {
            Self::Text(text) => {
                // A leaf is one line: a line feed in it would be read as structure.
                out.push_str(&text.replace('\n', "\\n"));
                out.push('\n');
            }
            Self::List(items) => {
                let lines = items.iter().map(|item| ("- ".to_owned(), item, false));
                write_block(out, level, after_key, lines);
            }
            Self::Map(entries) => {
                let lines = entries.iter().map(|(key, value)| (format!("{key}: "), value, true));
                write_block(out, level, after_key, lines);
            }
        }
    }
}

fn roman_text(text: String) -> String {
    let default = text.strip_prefix("default (").and_then(|rest| rest.strip_suffix(')'));
    let number = default.unwrap_or(&text).parse().ok().and_then(roman);
    match (number, default) {
        (Some(number), Some(_)) => format!("default ({number})"),
        (Some(number), None) => number,
        (None, _) => text,
    }
}

fn write_block<'a>(
    out: &mut String,
    level: usize,
    after_key: bool,
    lines: impl ExactSizeIterator<Item = (String, &'a Info, bool)>,
) {
    if after_key || lines.len() == 0 {
        out.push('\n');
    }
    for (i, (start, value, is_key)) in lines.enumerate() {
        if after_key || i > 0 {
            out.push_str(&INDENT.repeat(level));
        }
        out.push_str(&start);
        value.write(out, level + 1, is_key);
    }
}

/// Parameters with what is set and what is the default: `default (X)` (C218).
#[must_use]
pub fn parameters(filled: &[(String, String)], is_set: impl Fn(&str) -> bool) -> Info {
    let mut entries: Vec<(String, Info)> = filled
        .iter()
        .map(|(name, value)| {
            let text = if is_set(name) { value.clone() } else { format!("default ({value})") };
            (name.clone(), Info::Text(text))
        })
        .collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Info::Map(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // covers: C218
    #[test]
    fn blocks_begin_under_their_key_and_empty_ones_leave_a_blank() {
        let info = Info::map(vec![
            ("Name", Info::text("x")),
            ("Empty", Info::Map(Vec::new())),
            ("Nothing", Info::text("")),
            ("Inner", Info::map(vec![("a", Info::text(1))])),
        ]);
        assert_eq!(info.to_text(), "Name: x\nEmpty: \nNothing: \nInner: \n  a: 1\n");
    }

    // covers: C218
    #[test]
    fn items_of_lists_go_on_under_their_first_key() {
        let nic = Info::map(vec![("nic/0", Info::text("")), ("MAC", Info::text("aa"))]);
        let info = Info::List(vec![Info::map(vec![
            ("Instance", Info::text("i")),
            ("NICs", Info::List(vec![nic.clone(), nic])),
        ])]);
        let nic = "    - nic/0: \n      MAC: aa\n";
        let expected = format!("- Instance: i\n  NICs: \n{nic}{nic}");
        assert_eq!(info.to_text(), expected);
    }

    #[test]
    fn lists_in_lists_share_a_line() {
        let info = Info::map(vec![("reason", Info::json(&json!([["gnt", "info", 7]])))]);
        assert_eq!(info.to_text(), "reason: \n  - - gnt\n    - info\n    - 7\n");
    }

    #[test]
    fn json_becomes_python_words() {
        let info = Info::json(&json!({"b": null, "a": true, "c": {"d": [1.5]}}));
        assert_eq!(info.to_text(), "a: True\nb: None\nc: \n  d: \n    - 1.5\n");
    }

    // covers: C19 C66
    #[test]
    fn roman_numbers_are_for_amounts_and_not_for_names() {
        let info = Info::map(vec![
            ("Instance name", Info::text("12")),
            ("vcpus", Info::text(2)),
            ("maxmem", Info::text("default (128)")),
            ("size", Info::text("64M")),
            ("sizes", Info::List(vec![Info::text(0), Info::text(9)])),
        ]);
        let expected = "Instance name: 12\nvcpus: II\nmaxmem: default (CXXVIII)\nsize: 64M\n\
                        sizes: \n  - 0\n  - IX\n";
        assert_eq!(info.in_roman().to_text(), expected);
    }

    #[test]
    fn a_leaf_stays_one_line() {
        assert_eq!(Info::text("a\nb: c").to_text(), "a\\nb: c\n");
    }

    // covers: C218
    #[test]
    fn defaults_are_marked() {
        let filled = [("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        let info = parameters(&filled, |name| name == "b");
        assert_eq!(info.to_text(), "a: default (2)\nb: 1\n");
    }
}

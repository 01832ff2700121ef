//! What a filter means (rows C211, C212): which rows of a table it wants.
//!
//! As Ganeti's query daemon has it, because scripts rely on it: a value that is not there (the
//! node is offline, the guest does not run) satisfies every condition on it, and so fails under
//! `not` and `!=`; comparing what cannot be compared is refused and never just false. What a field
//! can be is known before any row is looked at, so most of that is refused even where there are no
//! rows.

use std::cmp::Ordering;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::query::{
    Cell, Comparison, FieldKind, Filter, FilterValue, Pattern, UNKNOWN_FILTER_FIELD,
    WRONG_FILTER_FIELD,
};
use serde_json::Value;

/// How the values of a field are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareAs {
    /// As they are.
    Plain,
    /// Names: what is complete up to a dot is equal (C208).
    Name,
    /// Seconds and microseconds: the seconds count.
    Moment,
}

/// A field as a filter finds it; `C` is how its values are found.
#[derive(Clone, Copy, Debug)]
pub struct FilterField<C> {
    /// Where its values come from.
    pub column: C,
    /// What they are.
    pub kind: FieldKind,
    /// How they are compared.
    pub compare: CompareAs,
}

/// A filter whose fields are found and can be compared as it says.
#[derive(Debug)]
pub struct FilterCheck<'f, C>(Part<'f, C>);

#[derive(Debug)]
enum Part<'f, C> {
    All(Vec<Part<'f, C>>),
    Any(Vec<Part<'f, C>>),
    Not(Box<Part<'f, C>>),
    Condition(Condition<'f, C>),
}

#[derive(Debug)]
struct Condition<'f, C> {
    name: &'f str,
    field: FilterField<C>,
    test: Test<'f>,
}

#[derive(Clone, Copy, Debug)]
enum Test<'f> {
    IsTrue,
    Compare(Comparison, &'f FilterValue),
    Matches(&'f Pattern),
    Contains(&'f FilterValue),
}

impl<'f, C> FilterCheck<'f, C> {
    /// Looks up the fields of a filter.
    ///
    /// # Errors
    /// When one does not exist, or cannot be compared so; when the filter is beyond its limits.
    pub fn new(
        filter: &'f Filter,
        find: &impl Fn(&str) -> Option<FilterField<C>>,
    ) -> Result<Self, Fault> {
        filter.check_limits().map_err(|limit| wrong(format!("filter: {limit}")))?;
        part(filter, find).map(Self)
    }

    /// Whether it wants the row of which these are the values.
    ///
    /// # Errors
    /// When a value cannot be compared as it says.
    pub fn wants(&self, value: &impl Fn(&C) -> Cell) -> Result<bool, Fault> {
        self.0.wants(value)
    }
}

fn part<'f, C>(
    filter: &'f Filter,
    find: &impl Fn(&str) -> Option<FilterField<C>>,
) -> Result<Part<'f, C>, Fault> {
    let all = |parts: &'f [Filter]| {
        parts.iter().map(|filter| part(filter, find)).collect::<Result<Vec<_>, Fault>>()
    };
    let condition = |name: &'f str, test: Test<'f>| {
        let field = find(name).ok_or_else(|| wrong(format!("{UNKNOWN_FILTER_FIELD} '{name}'")))?;
        test.suits(name, field.kind)?;
        Ok(Part::Condition(Condition { name, field, test }))
    };
    match filter {
        Filter::All(parts) => all(parts).map(Part::All),
        Filter::Any(parts) => all(parts).map(Part::Any),
        Filter::Not(inner) => part(inner, find).map(|inner| Part::Not(Box::new(inner))),
        Filter::IsTrue { field } => condition(field, Test::IsTrue),
        Filter::Compare { field, comparison, value } => {
            condition(field, Test::Compare(*comparison, value))
        }
        Filter::Matches { field, pattern } => condition(field, Test::Matches(pattern)),
        Filter::Contains { field, value } => condition(field, Test::Contains(value)),
    }
}

impl<C> Part<'_, C> {
    fn wants(&self, value: &impl Fn(&C) -> Cell) -> Result<bool, Fault> {
        match self {
            Self::All(parts) => {
                for part in parts {
                    if !part.wants(value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(parts) => {
                for part in parts {
                    if part.wants(value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(part) => part.wants(value).map(|wants| !wants),
            Self::Condition(condition) => condition.holds(value),
        }
    }
}

impl<C> Condition<'_, C> {
    fn holds(&self, value: &impl Fn(&C) -> Cell) -> Result<bool, Fault> {
        let value = match value(&self.field.column) {
            Cell::Value(value) => value,
            // Nothing to compare: wanted, unless the condition is the opposite of one.
            Cell::Unknown | Cell::NoData | Cell::Unavailable | Cell::Offline => {
                return Ok(!matches!(self.test, Test::Compare(Comparison::NotEqual, _)));
            }
        };
        let unsuitable = || wrong(self.test.refusal(self.name, &value.to_string()));
        match self.test {
            Test::IsTrue => value.as_bool().ok_or_else(unsuitable),
            Test::Matches(pattern) => {
                value.as_str().map(|text| pattern.is_in(text)).ok_or_else(unsuitable)
            }
            Test::Contains(wanted) => match value.as_array() {
                Some(items) => Ok(items.iter().any(|item| is_same(item, wanted))),
                None => Err(unsuitable()),
            },
            Test::Compare(comparison, with) => {
                self.order(&value, with).map(|order| comparison.holds(order)).ok_or_else(unsuitable)
            }
        }
    }

    /// How a value stands to what it is compared with; `None` when they cannot be compared.
    fn order(&self, value: &Value, with: &FilterValue) -> Option<Ordering> {
        match with {
            FilterValue::Text(with) => {
                let text = value.as_str()?;
                let is_beginning = |rest: &str| rest.is_empty() || rest.starts_with('.');
                match text.strip_prefix(with.as_str()) {
                    Some(rest) if self.field.compare == CompareAs::Name && is_beginning(rest) => {
                        Some(self.name_order(text, with))
                    }
                    _ => Some(text.cmp(with.as_str())),
                }
            }
            FilterValue::Number(with) => {
                let number = match self.field.compare {
                    CompareAs::Moment => value.as_array()?.first()?,
                    CompareAs::Plain | CompareAs::Name => value,
                };
                // Kept in microseconds, asked for in seconds.
                let scale = if self.field.kind == FieldKind::Timestamp { 1_000_000 } else { 1 };
                let with = i128::from(*with) * scale;
                if let Some(number) = number.as_i64() {
                    return Some(i128::from(number).cmp(&with));
                }
                match number.as_u64() {
                    Some(number) => Some(i128::from(number).cmp(&with)),
                    // Halves and the like, which are far from where an f64 is coarse.
                    None => number.as_f64()?.partial_cmp(&(with as f64)),
                }
            }
        }
    }

    /// A name and its beginning are one name where it is asked whether they are equal; otherwise
    /// they are two texts, as in Ganeti.
    fn name_order(&self, name: &str, beginning: &str) -> Ordering {
        match self.test {
            Test::Compare(Comparison::Equal | Comparison::NotEqual, _) => Ordering::Equal,
            _ => name.cmp(beginning),
        }
    }
}

fn is_same(item: &Value, wanted: &FilterValue) -> bool {
    match wanted {
        FilterValue::Text(wanted) => item.as_str() == Some(wanted),
        FilterValue::Number(wanted) => item.as_i64() == Some(*wanted),
    }
}

impl Test<'_> {
    /// Refuses what no value of this kind can be asked.
    fn suits(self, name: &str, kind: FieldKind) -> Result<(), Fault> {
        let suits = match (self, kind) {
            (_, FieldKind::Other)
            | (Self::IsTrue, FieldKind::Bool)
            | (Self::Matches(_) | Self::Compare(_, FilterValue::Text(_)), FieldKind::Text)
            | (
                Self::Compare(_, FilterValue::Number(_)),
                FieldKind::Number | FieldKind::Float | FieldKind::Unit | FieldKind::Timestamp,
            ) => true,
            (
                Self::IsTrue | Self::Matches(_) | Self::Compare(..) | Self::Contains(_),
                FieldKind::Text
                | FieldKind::Number
                | FieldKind::Float
                | FieldKind::Unit
                | FieldKind::Timestamp
                | FieldKind::Bool,
            ) => false,
        };
        if suits { Ok(()) } else { Err(wrong(self.refusal(name, kind_words(kind)))) }
    }

    fn refusal(self, name: &str, what: &str) -> String {
        match self {
            Self::IsTrue => format!("{WRONG_FILTER_FIELD} '{name}' is {what}, not true or false"),
            Self::Compare(comparison, with) => {
                let operator = comparison.as_str();
                let how = format!("compared ({operator}) with {with}");
                format!("{WRONG_FILTER_FIELD} '{name}' is {what}, it cannot be {how}")
            }
            Self::Matches(_) => {
                format!(
                    "{WRONG_FILTER_FIELD} '{name}' is {what}, which no regular expression matches"
                )
            }
            Self::Contains(wanted) => {
                format!("{WRONG_FILTER_FIELD} '{name}' is {what}, no list that {wanted} can be in")
            }
        }
    }
}

fn kind_words(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "a text",
        FieldKind::Number | FieldKind::Float => "a number",
        FieldKind::Unit => "a size (a number of MiB)",
        FieldKind::Bool => "true or false",
        FieldKind::Timestamp => "a time (a number of seconds)",
        FieldKind::Other => "a structure",
    }
}

fn wrong(text: String) -> Fault {
    Fault::new(FaultCode::WrongInput, text)
}

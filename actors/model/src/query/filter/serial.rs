//! The serialised form: nested lists, each with its operator in front (C212).

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Budget, Comparison, FILTER_TEXT_BYTES_MAX, Filter, FilterLimit, FilterValue};

const ALL: &str = "&";
const ANY: &str = "|";
const NOT: &str = "!";
const IS_TRUE: &str = "?";
const MATCHES: &str = "=~";
const CONTAINS: &str = "=[]";

/// Every operator there is, for messages.
const OPERATORS: &[&str] =
    &[ALL, ANY, NOT, IS_TRUE, "==", "=", "!=", "<", "<=", ">", ">=", MATCHES, CONTAINS];

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All(parts) => listed(serializer, ALL, parts),
            Self::Any(parts) => listed(serializer, ANY, parts),
            Self::Not(part) => (NOT, part).serialize(serializer),
            Self::IsTrue { field } => (IS_TRUE, field).serialize(serializer),
            Self::Compare { field, comparison, value } => {
                (comparison.as_str(), field, value).serialize(serializer)
            }
            Self::Matches { field, pattern } => (MATCHES, field, pattern).serialize(serializer),
            Self::Contains { field, value } => (CONTAINS, field, value).serialize(serializer),
        }
    }
}

fn listed<S: Serializer>(
    serializer: S,
    operator: &'static str,
    parts: &[Filter],
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeSeq as _;
    let mut list = serializer.serialize_seq(Some(parts.len() + 1))?;
    list.serialize_element(operator)?;
    for part in parts {
        list.serialize_element(part)?;
    }
    list.end()
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node { depth: 1, budget: &mut Budget::default() }.deserialize(deserializer)
    }
}

/// Reads one node; the limits are checked before anything is made of what is deeper.
struct Node<'b> {
    depth: usize,
    budget: &'b mut Budget,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Filter;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Filter, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Filter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a filter: a list with an operator in front")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Filter, A::Error> {
        self.budget.node(self.depth).map_err(beyond)?;
        let operator: String = needed(list.next_element()?, "an operator")?;
        let filter = match operator.as_str() {
            ALL => Filter::All(self.parts(&mut list)?),
            ANY => Filter::Any(self.parts(&mut list)?),
            NOT => {
                let inner = Node { depth: self.depth + 1, budget: self.budget };
                let inner = needed(list.next_element_seed(inner)?, "a filter after \"!\"")?;
                Filter::Not(Box::new(inner))
            }
            IS_TRUE => Filter::IsTrue { field: field(&mut list)? },
            MATCHES => {
                self.budget.pattern().map_err(beyond)?;
                let field = field(&mut list)?;
                let pattern = needed(list.next_element()?, "a regular expression")?;
                Filter::Matches { field, pattern }
            }
            CONTAINS => {
                let field = field(&mut list)?;
                Filter::Contains { field, value: value(&mut list)? }
            }
            other => match Comparison::of_operator(other) {
                Some(comparison) => {
                    let field = field(&mut list)?;
                    Filter::Compare { field, comparison, value: value(&mut list)? }
                }
                None => return Err(de::Error::unknown_variant(other, OPERATORS)),
            },
        };
        match list.next_element::<IgnoredAny>()? {
            None => Ok(filter),
            Some(IgnoredAny) => Err(de::Error::custom(format_args!(
                "a filter with {operator:?} has more operands than it takes"
            ))),
        }
    }
}

impl Node<'_> {
    fn parts<'de, A: SeqAccess<'de>>(self, list: &mut A) -> Result<Vec<Filter>, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) =
            list.next_element_seed(Node { depth: self.depth + 1, budget: self.budget })?
        {
            parts.push(part);
        }
        Ok(parts)
    }
}

fn field<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<String, A::Error> {
    let name: String = needed(list.next_element()?, "the name of a field")?;
    short(&name).map(|()| name)
}

fn value<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<FilterValue, A::Error> {
    let value = needed(list.next_element()?, "a number or text to compare with")?;
    if let FilterValue::Text(text) = &value {
        short(text)?;
    }
    Ok(value)
}

fn short<E: de::Error>(text: &str) -> Result<(), E> {
    if text.len() > FILTER_TEXT_BYTES_MAX { Err(beyond(FilterLimit::Text)) } else { Ok(()) }
}

fn needed<T, E: de::Error>(element: Option<T>, what: &str) -> Result<T, E> {
    element.ok_or_else(|| de::Error::custom(format_args!("a filter lacks {what}")))
}

fn beyond<E: de::Error>(limit: FilterLimit) -> E {
    de::Error::custom(format_args!("a filter cannot be read: {limit}"))
}

impl JsonSchema for Filter {
    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "array", "minItems": 1 })
    }
}

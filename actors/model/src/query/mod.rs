//! Queries: what is asked, and tables as answers (rows C206–C208, O17, O18).

mod filter;
mod pattern;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use filter::{
    Comparison, FILTER_DEPTH_MAX, FILTER_NODES_MAX, FILTER_PATTERNS_MAX, FILTER_TEXT_BYTES_MAX,
    Filter, FilterLimit, FilterValue,
};
pub use pattern::{
    PATTERN_BYTES_MAX, PATTERN_DEPTH_MAX, PATTERN_MEMORY_BYTES_MAX, Pattern, PatternError,
};

/// How the refusal of a filter on a field that does not exist begins; the field follows in quotes.
/// Commands know it by this, because Ganeti fails in a way of its own there.
pub const UNKNOWN_FILTER_FIELD: &str = "Can't find field named";

/// How the refusal of a condition begins that a field's kind does not go with, for the same reason.
pub const WRONG_FILTER_FIELD: &str = "filter: field";

/// What is listed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Instances.
    Instance,
    /// Nodes.
    Node,
    /// Jobs.
    Job,
    /// Locks.
    Lock,
    /// The cluster itself, one row.
    Cluster,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Instance, Self::Node, Self::Job, Self::Lock, Self::Cluster];

    /// Ganeti's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Node => "node",
            Self::Job => "job",
            Self::Lock => "lock",
            Self::Cluster => "cluster",
        }
    }
}

/// How a value is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// As it is.
    Text,
    /// A whole number, to the right.
    Number,
    /// A number that may have a fraction, to the right.
    Float,
    /// Mebibytes, shown with a unit.
    Unit,
    /// `Y` or `N`.
    Bool,
    /// Microseconds since 1970.
    Timestamp,
    /// A list or a structure.
    Other,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct FieldDef {
    /// As it is asked for.
    pub name: String,
    /// Its header.
    pub title: String,
    /// How to show it.
    pub kind: FieldKind,
    /// One sentence.
    pub doc: String,
}

impl FieldDef {
    /// What is said of a field that does not exist.
    #[must_use]
    pub fn unknown(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: name.to_owned(),
            kind: FieldKind::Other,
            doc: format!("Unknown field '{name}'"),
        }
    }
}

/// One value, or why there is none (C207).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// A value.
    Value(serde_json::Value),
    /// No such field, `??`.
    Unknown,
    /// The node has not said, `?`.
    NoData,
    /// Does not apply, `-`.
    Unavailable,
    /// The node is offline, `*`.
    Offline,
}

impl Cell {
    /// Ganeti's number of it in the answers of queries (0 normal … 4 offline).
    #[must_use]
    pub fn status_number(&self) -> u8 {
        match self {
            Self::Value(_) => 0,
            Self::Unknown => 1,
            Self::NoData => 2,
            Self::Unavailable => 3,
            Self::Offline => 4,
        }
    }
}

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// The columns that were asked for, in order.
    pub fields: Vec<FieldDef>,
    /// The rows, sorted by name or number.
    pub rows: Vec<Vec<Cell>>,
    /// Columns that do not exist.
    pub unknown_fields: Vec<String>,
    /// Whether the filter that was sent was obeyed. A program that knows of none leaves this out,
    /// and whoever asked must not take all rows for the wanted ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filtered: bool,
}

//! Which rows of a table are wanted (rows C211, C212).
//!
//! A filter is a tree; its serialised form is Ganeti's, nested lists that begin with an operator:
//! `["&", ["==", "pnode", "node1"], ["!", ["?", "offline"]]]`. It is read with all its limits, from
//! JSON and from our wire alike. The language that people type is the command's; what a filter
//! means is the engine's.

#[cfg(test)]
mod fuzz;
mod serial;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pattern::Pattern;

/// Deepest nesting. Ganeti's older reader allows 10. Lower refuses what programs build from
/// conditions of conditions; higher takes more of the stack, and of the depth of a frame.
pub const FILTER_DEPTH_MAX: usize = 32;

/// Most nodes of the tree. Each is looked at for each row: lower refuses lists of many names,
/// higher lets one question occupy the master for more than a second where there are many rows.
pub const FILTER_NODES_MAX: usize = 512;

/// Most regular expressions in one. Each has memory of its own: lower refuses lists of many globs,
/// higher multiplies the memory that one question may take.
pub const FILTER_PATTERNS_MAX: usize = 64;

/// Longest name of a field, and longest text to compare with. The longest value that is worth
/// comparing is a path; higher only makes frames larger.
pub const FILTER_TEXT_BYTES_MAX: usize = 4096;

/// Which rows are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// `["&", …]`: those that all of these want. None of them wants everything.
    All(Vec<Filter>),
    /// `["|", …]`: those that one of these wants. None of them wants nothing.
    Any(Vec<Filter>),
    /// `["!", …]`: those that this does not want.
    Not(Box<Filter>),
    /// `["?", field]`: those of which this is true.
    IsTrue {
        /// What is looked at.
        field: String,
    },
    /// `["==", field, value]` and the other comparisons.
    Compare {
        /// What is looked at.
        field: String,
        /// How.
        comparison: Comparison,
        /// With what.
        value: FilterValue,
    },
    /// `["=~", field, pattern]`: those in which the pattern is found.
    Matches {
        /// What is looked at.
        field: String,
        /// What is looked for.
        pattern: Pattern,
    },
    /// `["=[]", field, value]`: those of which the field is a list with this in it.
    Contains {
        /// What is looked at.
        field: String,
        /// What is looked for.
        value: FilterValue,
    },
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `==`; `=` is read as well.
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    /// Ganeti's operator.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The comparison with this operator.
    #[must_use]
    pub fn of_operator(operator: &str) -> Option<Self> {
        match operator {
            "=" => Some(Self::Equal),
            _ => Self::ALL.into_iter().find(|comparison| comparison.as_str() == operator),
        }
    }

    /// Whether it holds for two things that are ordered so.
    #[must_use]
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FilterValue {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl fmt::Display for FilterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Text(text) => write!(f, "the text {text:?}"),
        }
    }
}

/// Why a filter cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterLimit {
    /// Deeper than [`FILTER_DEPTH_MAX`].
    #[error("it is nested deeper than {FILTER_DEPTH_MAX} levels")]
    Depth,
    /// More than [`FILTER_NODES_MAX`].
    #[error("it has more than {FILTER_NODES_MAX} conditions")]
    Nodes,
    /// More than [`FILTER_PATTERNS_MAX`].
    #[error("it has more than {FILTER_PATTERNS_MAX} regular expressions")]
    Patterns,
    /// A text longer than [`FILTER_TEXT_BYTES_MAX`].
    #[error("it has a text of more than {FILTER_TEXT_BYTES_MAX} bytes")]
    Text,
}

impl Filter {
    /// Those of which the field is this value.
    #[must_use]
    pub fn equal(field: &str, value: FilterValue) -> Self {
        Self::Compare { field: field.to_owned(), comparison: Comparison::Equal, value }
    }

    /// Those of which the field is one of these values.
    #[must_use]
    pub fn one_of(field: &str, values: impl IntoIterator<Item = FilterValue>) -> Self {
        Self::Any(values.into_iter().map(|value| Self::equal(field, value)).collect())
    }

    /// The values of this field, if the filter asks for nothing but some of them.
    #[must_use]
    pub fn asks_only_for(&self, field: &str) -> Option<Vec<&FilterValue>> {
        match self {
            Self::Any(parts) => {
                let parts: Option<Vec<_>> =
                    parts.iter().map(|part| part.asks_only_for(field)).collect();
                Some(parts?.concat())
            }
            Self::Compare { field: of, comparison: Comparison::Equal, value } if of == field => {
                Some(vec![value])
            }
            _ => None,
        }
    }

    /// Whether one of its conditions looks at this field.
    #[must_use]
    pub fn looks_at(&self, field: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.looks_at(field)),
            Self::Not(part) => part.looks_at(field),
            Self::IsTrue { field: of }
            | Self::Compare { field: of, .. }
            | Self::Matches { field: of, .. }
            | Self::Contains { field: of, .. } => of == field,
        }
    }

    /// Checks the limits, for filters that were not read but made.
    ///
    /// # Errors
    /// When it is beyond one.
    pub fn check_limits(&self) -> Result<(), FilterLimit> {
        self.check(1, &mut Budget::default())
    }

    fn check(&self, depth: usize, budget: &mut Budget) -> Result<(), FilterLimit> {
        budget.node(depth)?;
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().try_for_each(|part| part.check(depth + 1, budget))
            }
            Self::Not(part) => part.check(depth + 1, budget),
            Self::IsTrue { field } => text(field),
            Self::Compare { field, value, .. } | Self::Contains { field, value } => {
                text(field)?;
                match value {
                    FilterValue::Text(value) => text(value),
                    FilterValue::Number(_) => Ok(()),
                }
            }
            Self::Matches { field, .. } => {
                budget.pattern()?;
                text(field)
            }
        }
    }
}

/// What of the limits is used up.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    n_nodes: usize,
    n_patterns: usize,
}

impl Budget {
    fn node(&mut self, depth: usize) -> Result<(), FilterLimit> {
        self.n_nodes += 1;
        match () {
            () if depth > FILTER_DEPTH_MAX => Err(FilterLimit::Depth),
            () if self.n_nodes > FILTER_NODES_MAX => Err(FilterLimit::Nodes),
            () => Ok(()),
        }
    }

    fn pattern(&mut self) -> Result<(), FilterLimit> {
        self.n_patterns += 1;
        if self.n_patterns > FILTER_PATTERNS_MAX { Err(FilterLimit::Patterns) } else { Ok(()) }
    }
}

fn text(text: &str) -> Result<(), FilterLimit> {
    if text.len() > FILTER_TEXT_BYTES_MAX { Err(FilterLimit::Text) } else { Ok(()) }
}

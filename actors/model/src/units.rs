//! Amounts and times with their unit in the type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mebibytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct MiB(pub u64);

impl MiB {
    /// In bytes; saturates.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1024 * 1024)
    }
}

impl std::fmt::Display for MiB {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

/// A length of time in milliseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl From<Millis> for std::time::Duration {
    fn from(value: Millis) -> Self {
        Self::from_millis(value.0)
    }
}

/// A point in time: microseconds since 1970 (UTC).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The microseconds beside the whole seconds.
    #[must_use]
    pub fn micros_of_second(self) -> u64 {
        self.0 % 1_000_000
    }

    /// Microseconds from `earlier` to this; 0 if that is later.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

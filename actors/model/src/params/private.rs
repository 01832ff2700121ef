//! Parameters of an OS that nobody is shown (rows P14, X74, Q13).
//!
//! They are kept with the instance, for the scripts of its OS, and stand in the log as they are:
//! the files of the log are the daemon's own. Whoever asks gets the names with [`REDACTED`] in
//! place of the values; nothing prints these. Deliberately absent: secret parameters, which nothing
//! keeps ([`SecretParams`](super::SecretParams)).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands for a value that nobody is shown.
pub const REDACTED: &str = "<redacted>";

/// Parameters by name.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PrivateParams(BTreeMap<String, String>);

impl PrivateParams {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of one, for the script that it is meant for and for nobody else.
    #[must_use]
    pub fn reveal(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// These with others in addition, or in place of those of the same name.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(others.0.clone());
        Self(all)
    }

    /// Their names without the values.
    #[must_use]
    pub fn redacted(&self) -> Self {
        self.names().map(|name| (name.to_owned(), REDACTED.to_owned())).collect()
    }

    /// Whether a value was taken out, so that these are not the parameters.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.0.values().any(|value| value == REDACTED)
    }
}

impl FromIterator<(String, String)> for PrivateParams {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(parameters: I) -> Self {
        Self(parameters.into_iter().collect())
    }
}

impl std::fmt::Debug for PrivateParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.names().map(|name| (name, REDACTED))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: Q13
    #[test]
    fn nothing_prints_a_value() {
        let params: PrivateParams =
            [("key".to_owned(), "hunter2".to_owned())].into_iter().collect();
        let view = serde_json::to_string(&params.redacted()).expect("encodes");
        for text in [format!("{params:?}"), view] {
            assert!(text.contains("key") && !text.contains("hunter2"), "{text}");
        }
        assert!(params.redacted().is_redacted() && !params.is_redacted());
        assert_eq!(params.reveal("key"), Some("hunter2"));
    }
}

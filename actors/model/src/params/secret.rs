//! Parameters of an OS that are nowhere kept (rows P14, X74, Q13).
//!
//! Whoever submits a job gives them as they are. Before the job is written down the leader seals
//! them under the cluster key and puts them among the secrets of the log; the opcode has their
//! names, and under which name they are sealed. When the job ends they are erased. Deliberately
//! absent: sealing and opening, which only who has the cluster key can do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PrivateParams;
use crate::trust::SecretName;

/// Parameters of one opcode.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretParams {
    /// As they are given: on the way to the leader and nowhere else.
    Given(PrivateParams),
    /// In the log.
    Sealed {
        /// Among the secrets of the cluster, until the job ends: a [`PrivateParams`] as msgpack.
        secret: SecretName,
        /// Their names, without the values.
        names: PrivateParams,
    },
}

impl Default for SecretParams {
    fn default() -> Self {
        Self::Given(PrivateParams::default())
    }
}

impl SecretParams {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Given(params) if params.is_empty())
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Given(params) | Self::Sealed { names: params, .. } => params.names(),
        }
    }

    /// Their names without the values.
    #[must_use]
    pub fn redacted(&self) -> PrivateParams {
        match self {
            Self::Given(params) | Self::Sealed { names: params, .. } => params.redacted(),
        }
    }

    /// Where they are sealed.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretName> {
        match self {
            Self::Given(_) => None,
            Self::Sealed { secret, .. } => Some(secret),
        }
    }

    /// Takes the values out, to be sealed under that name. `None` if there is nothing to seal.
    pub fn take(&mut self, secret: SecretName) -> Option<PrivateParams> {
        let Self::Given(params) = self else { return None };
        if params.is_empty() {
            return None;
        }
        let sealed = Self::Sealed { secret, names: params.redacted() };
        match std::mem::replace(self, sealed) {
            Self::Given(params) => Some(params),
            Self::Sealed { .. } => None,
        }
    }
}

impl From<PrivateParams> for SecretParams {
    fn from(given: PrivateParams) -> Self {
        Self::Given(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: P14 Q13
    #[test]
    fn what_is_taken_to_be_sealed_is_not_left_behind() {
        let given: PrivateParams = [("key".to_owned(), "hunter2".to_owned())].into_iter().collect();
        let mut params = SecretParams::from(given.clone());
        let name = SecretName("x".to_owned());
        assert_eq!(params.take(name.clone()), Some(given));
        assert_eq!(params.secret(), Some(&name));
        assert_eq!(params.names().collect::<Vec<_>>(), ["key"]);
        assert!(!serde_json::to_string(&params).expect("encodes").contains("hunter2"));
        assert_eq!(params.take(name), None, "they are sealed once");
        assert_eq!(SecretParams::default().take(SecretName("y".to_owned())), None);
    }
}

//! Changes of the configuration, as values.
//!
//! A delta is *decided*: it holds the new value, never an instruction to compute one, and a
//! precondition where the decision read something. Applying checks and sets, nothing else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{InstanceUuid, NodeUuid, RunEpoch, Serial};
use crate::levels::{LEVEL_FIRST, LEVEL_NODE_CHANGES};
use crate::objects::{AdminState, Instance, JoinTokenRecord, Node, NodeChange};
use crate::params::PrivateParams;
use crate::tags::Tagged;
use crate::trust::TrustChange;

/// From which level on tags and the OS of an instance change.
const LATER_CHANGES: u32 = 6;

/// One change of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigDelta {
    /// The cluster ends; nothing is accepted after it.
    ClusterDestroy,
    /// A node is added. Refused if its name or id exists.
    NodeAdd(Box<Node>),
    /// A node is removed. Refused while it is the primary of an instance.
    NodeRemove {
        /// Which.
        node: NodeUuid,
    },
    /// A node changes. Refused if the master would be no candidate.
    NodeChange {
        /// Which.
        node: NodeUuid,
        /// The serial that the decision read; `None` where it read nothing.
        expected: Option<Serial>,
        /// What changes.
        change: Box<NodeChange>,
    },
    /// The cluster's own fields change.
    ClusterChange {
        /// The serial that the decision read.
        expected: Option<Serial>,
        /// What changes.
        change: ClusterChange,
    },
    /// A join token is issued.
    TokenIssue(JoinTokenRecord),
    /// A join token is used by the holder of a key. Refused if another key has used it.
    TokenRedeem {
        /// SHA-256 of the secret.
        secret_hash: String,
        /// SHA-256 of the certificate request.
        key_hash: String,
    },
    /// Sealed secrets or authorities change.
    Trust(Box<TrustChange>),
    /// An instance is added. Refused if its name or id exists.
    InstanceAdd(Box<Instance>),
    /// An instance is removed.
    InstanceRemove {
        /// Which.
        instance: InstanceUuid,
    },
    /// Objects get tags and lose others. What is there already, or gone already, changes nothing.
    /// Refused if there would be too many.
    Tags {
        /// Whose.
        object: Tagged,
        /// These are there afterwards.
        add: Vec<String>,
        /// These are not.
        remove: Vec<String>,
    },
    /// An instance changes.
    InstanceChange {
        /// Which.
        instance: InstanceUuid,
        /// The serial that the decision read; `None` when unwinding, which must always work.
        expected: Option<Serial>,
        /// What changes.
        change: InstanceChange,
    },
}

impl ConfigDelta {
    /// From which state level on it may appear in the log. A variant that is added, here or
    /// inside, has the level that it is added with.
    #[must_use]
    pub fn level(&self) -> u32 {
        match self {
            Self::ClusterDestroy
            | Self::NodeRemove { .. }
            | Self::TokenRedeem { .. }
            | Self::Trust(_)
            | Self::InstanceRemove { .. }
            | Self::InstanceChange {
                change: InstanceChange::AdminState(_) | InstanceChange::Start { .. },
                ..
            } => LEVEL_FIRST,
            Self::InstanceChange { change: InstanceChange::Os { .. }, .. } | Self::Tags { .. } => {
                LATER_CHANGES
            }
            Self::NodeChange { .. } | Self::ClusterChange { .. } => LEVEL_NODE_CHANGES,
            Self::InstanceAdd(instance) => instance.level(),
            Self::NodeAdd(node) => node.level(),
            Self::TokenIssue(token) => token.level(),
        }
    }

    /// Without the bytes of secrets, for views.
    #[must_use]
    pub fn redacted(&self) -> Self {
        match self {
            Self::Trust(change) => Self::Trust(Box::new(change.redacted())),
            Self::InstanceAdd(instance) => Self::InstanceAdd(Box::new(instance.redacted())),
            Self::InstanceChange { instance, expected, change } => Self::InstanceChange {
                instance: *instance,
                expected: *expected,
                change: change.redacted(),
            },
            other => other.clone(),
        }
    }
}

/// What changes of the cluster; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ClusterChange {
    /// How many nodes should hold the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_pool_size: Option<u32>,
}

/// What changes of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceChange {
    /// What the administrator wants.
    AdminState(AdminState),
    /// A start is about to happen under this epoch; refused unless it is higher than the present.
    Start {
        /// The new epoch.
        epoch: RunEpoch,
        /// Whether to remember that it should run.
        remember: bool,
    },
    /// It has another OS, or other parameters of it.
    Os {
        /// Its name.
        os: String,
        /// All its parameters.
        osparams: BTreeMap<String, String>,
        /// All its parameters that nobody is shown.
        #[serde(default, skip_serializing_if = "PrivateParams::is_empty")]
        osparams_private: PrivateParams,
    },
}

impl InstanceChange {
    fn redacted(&self) -> Self {
        match self {
            Self::Os { os, osparams, osparams_private } => Self::Os {
                os: os.clone(),
                osparams: osparams.clone(),
                osparams_private: osparams_private.redacted(),
            },
            other @ (Self::AdminState(_) | Self::Start { .. }) => other.clone(),
        }
    }
}

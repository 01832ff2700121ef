//! Typed ids. One registry: an id kind that is not here does not exist.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is not the id it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {expected}")]
pub struct IdError {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// The kind of id.
    pub expected: &'static str,
}

impl IdError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), expected }
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self).map_err(|_| IdError::new(text, stringify!($name)))
            }
        }
    )* };
}

uuid_ids! {
    /// A cluster; also in every certificate of it.
    ClusterUuid
    /// A node; the same value is the transport's [`gantry_wire::NodeId`].
    NodeUuid
    /// A node group.
    GroupUuid
    /// An instance.
    InstanceUuid
    /// A disk.
    DiskUuid
    /// A network interface.
    NicUuid
}

impl From<NodeUuid> for gantry_wire::NodeId {
    fn from(node: NodeUuid) -> Self {
        Self(node.0)
    }
}

impl From<gantry_wire::NodeId> for NodeUuid {
    fn from(node: gantry_wire::NodeId) -> Self {
        Self(node.0)
    }
}

macro_rules! number_ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
            Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self).map_err(|_| IdError::new(text, stringify!($name)))
            }
        }

        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    )* };
}

number_ids! {
    /// A job: positive, monotonic, never used twice (row Q24).
    JobId
    /// Log index of a leader's takeover entry. Fences a leader against its successors.
    ReignId
    /// How often a job has been placed on an actor. Fences an actor of a job against its
    /// successors.
    JobAttempt
    /// How often an instance has been started. Fences a guest against its successors.
    RunEpoch
    /// Number of changes of one object (Ganeti's `serial_no`).
    Serial
    /// Index of an entry of the replicated log: a revision of the whole state.
    Revision
    /// Which key the secrets in the log are sealed with. 0: nothing has been sealed yet.
    KeyGeneration
}
